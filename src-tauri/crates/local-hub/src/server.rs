//! Connections: accepts them, serves HTTP/1.1 on each, and can reset one in the middle of an answer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// The connection a request came on; every request carries it as an extension.
#[derive(Default)]
pub struct Connection {
    reset: Notify,
}

impl Connection {
    /// Resets the connection (TCP RST); the answer under way is lost. Never returns: the request's task
    /// ends with its connection.
    pub async fn reset(&self) -> ! {
        self.reset.notify_one();
        std::future::pending().await
    }
}

/// Serves until `stop`; then every connection is closed at once.
pub async fn serve(listener: TcpListener, router: Router, stop: oneshot::Receiver<()>) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    let mut stop = stop;
    loop {
        tokio::select! {
            _ = &mut stop => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, router.clone()));
                }
                Err(error) => {
                    // Out of descriptors, mostly: wait for some to come back.
                    eprintln!("local-hub: can't accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    connections.shutdown().await;
    Ok(())
}

/// Fires at SIGTERM or SIGINT.
pub fn stop_signal() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let (Ok(mut terminate), Ok(mut interrupt)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
        else {
            // Without handlers the signals end the process by themselves; keep the channel open.
            return std::future::pending().await;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        let _ = sender.send(());
    });
    receiver
}

async fn connection(stream: TcpStream, router: Router) {
    let _ = stream.set_nodelay(true);
    let handle = Arc::new(Connection::default());
    // A second descriptor of the same socket: the stream itself belongs to hyper until it is dropped.
    let Ok(socket) = socket2::SockRef::from(&stream).try_clone() else { return };
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(handle.clone());
        router.clone().oneshot(request)
    });
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A client that goes away, or a body that was cut on purpose: nothing to tell anybody.
        _ = serving => {}
        _ = handle.reset.notified() => {
            // With zero linger the last close sends RST instead of FIN.
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }
}
