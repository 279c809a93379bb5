//! A server that answers each request with whatever the test says: for what no honest Hub sends.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// One answer. `headers` are whole lines, without their ends.
#[derive(Clone, Debug)]
pub struct Lie {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Lie {
    /// 200 with this body.
    pub fn body(body: impl Into<Vec<u8>>) -> Lie {
        Lie { status: 200, headers: Vec::new(), body: body.into() }
    }

    pub fn status(status: u16) -> Lie {
        Lie { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Lie {
        self.headers.push(format!("{name}: {value}"));
        self
    }
}

/// Listens on loopback until dropped.
pub struct LyingHub {
    address: SocketAddr,
    asked: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl LyingHub {
    /// `answer` is given the request's target (`/api/…?…`) and this server's own address (`http://…`).
    pub fn start(answer: impl Fn(&str, &str) -> Lie + Send + Sync + 'static) -> LyingHub {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("the port bound");
        let (asked, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ended) = (asked.clone(), over.clone());
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for peer in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (answer, count) = (answer.clone(), count.clone());
                let Ok(peer) = peer else { continue };
                // Each ends when its client hangs up.
                thread::spawn(move || serve(&peer, &format!("http://{address}"), &*answer, &count));
            }
        });
        LyingHub { address, asked, over }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests answered so far.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for LyingHub {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(peer: &TcpStream, here: &str, answer: &(impl Fn(&str, &str) -> Lie + ?Sized), count: &AtomicU64) {
    let mut reader = BufReader::new(peer);
    while let Some(target) = request(&mut reader) {
        count.fetch_add(1, Ordering::Relaxed);
        let lie = answer(&target, here);
        let mut head = format!("HTTP/1.1 {} Lie\r\nContent-Length: {}\r\n", lie.status, lie.body.len());
        for line in &lie.headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        let mut out = peer;
        if out.write_all(head.as_bytes()).is_err() || out.write_all(&lie.body).is_err() {
            break;
        }
    }
    let _ = peer.shutdown(Shutdown::Both);
}

/// The target of the next request, its headers and body read; `None` at the end.
fn request(reader: &mut impl BufRead) -> Option<String> {
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let target = first.split(' ').nth(1)?.to_owned();
    let mut length = 0u64;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    std::io::copy(&mut std::io::Read::take(&mut *reader, length), &mut std::io::sink()).ok()?;
    Some(target)
}
