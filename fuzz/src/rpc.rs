//! A whole record as a stranger sends it: RPC header, credentials, MOUNT and NFS arguments.

use std::cell::RefCell;

use crate::server::Server;

thread_local!(static SERVER: RefCell<Server> = RefCell::new(Server::new()));

pub fn run(data: &[u8]) {
    SERVER.with_borrow_mut(|server| {
        let mut record = data.to_vec();
        server.put_handles(&mut record);
        if let Some(reply) = server.answer(&record) {
            server.check(&reply);
            server.learn(&reply);
        }
        server.forget_when_large();
    });
}
