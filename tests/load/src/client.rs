//! One connection with many calls in flight, answered in any order; the procedures a load needs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::oneshot;

use crate::xdr::{In, Out};

const NFS: u32 = 100_003;
const MOUNT: u32 = 100_005;
const JUKEBOX: u32 = 10_008;
/// A call without an answer for so long ends the run.
const PATIENCE: Duration = Duration::from_secs(120);
/// What JUKEBOX waits; a kernel's first step is longer (macos-nfs.md B4), but that would measure the kernel.
const AGAIN: Duration = Duration::from_millis(250);

type Waiting = Arc<Mutex<HashMap<u32, oneshot::Sender<Bytes>>>>;

pub type Handle = Bytes;

pub struct Client {
    out: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Waiting,
    xid: AtomicU32,
    credential: Vec<u8>,
    /// Calls put off with JUKEBOX.
    pub put_off: AtomicU32,
}

/// A name in a listing.
pub struct Entry {
    pub name: Bytes,
    pub cookie: u64,
    pub is_folder: bool,
    pub handle: Option<Handle>,
}

impl Client {
    pub async fn connect(port: u16, uid: u32) -> Result<Arc<Client>> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let waiting: Waiting = Arc::default();
        tokio::spawn(receive(BufReader::with_capacity(1 << 20, read), Arc::clone(&waiting)));
        let mut credential = Out::default();
        let mut body = Out::default();
        body.u32(0).opaque(b"load").u32(uid).u32(uid).u32(0);
        credential.u32(1).opaque(&body.0).u32(0).u32(0);
        Ok(Arc::new(Client {
            out: tokio::sync::Mutex::new(write),
            waiting,
            xid: AtomicU32::new(std::process::id() << 8),
            credential: credential.0,
            put_off: AtomicU32::new(0),
        }))
    }

    /// The answer's results, after the RPC header. `payload` follows the arguments without being copied.
    async fn call(&self, program: u32, procedure: u32, arguments: &Out, payload: &[u8]) -> Result<In> {
        let xid = self.xid.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.waiting.lock().insert(xid, tell);
        let mut head = Out::default();
        let length = 24 + self.credential.len() + arguments.0.len() + payload.len().next_multiple_of(4);
        head.u32(0x8000_0000 | length as u32).u32(xid).u32(0).u32(2).u32(program).u32(3).u32(procedure);
        head.0.extend_from_slice(&self.credential);
        head.0.extend_from_slice(&arguments.0);
        {
            let mut out = self.out.lock().await;
            out.write_all(&head.0).await?;
            if !payload.is_empty() {
                out.write_all(payload).await?;
                let padding = payload.len().next_multiple_of(4) - payload.len();
                out.write_all(&[0; 3][..padding]).await?;
            }
        }
        let reply = tokio::time::timeout(PATIENCE, told)
            .await
            .context("no answer")?
            .context("the connection ended")?;
        let mut reply = In(reply);
        ensure!(reply.u32()? == 1 && reply.u32()? == 0, "the call was denied");
        reply.u32()?;
        reply.opaque()?;
        ensure!(reply.u32()? == 0, "the call was not accepted");
        Ok(reply)
    }

    /// An NFS call; waits and asks again at JUKEBOX. Gives status and results.
    async fn nfs(&self, procedure: u32, arguments: &Out, payload: &[u8]) -> Result<(u32, In)> {
        loop {
            let mut reply = self.call(NFS, procedure, arguments, payload).await?;
            let status = reply.u32()?;
            if status != JUKEBOX {
                return Ok((status, reply));
            }
            self.put_off.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn ok(&self, what: &str, procedure: u32, arguments: &Out, payload: &[u8]) -> Result<In> {
        let (status, reply) = self.nfs(procedure, arguments, payload).await?;
        ensure!(status == 0, "{what} was answered with status {status}");
        Ok(reply)
    }

    /// The root's handle, of a server that answers MOUNT on this port.
    pub async fn mount(&self, export: &str) -> Result<Handle> {
        let mut arguments = Out::default();
        arguments.opaque(export.as_bytes());
        let mut reply = self.call(MOUNT, 1, &arguments, &[]).await?;
        let status = reply.u32()?;
        ensure!(status == 0, "MNT {export} was answered with status {status}");
        reply.opaque()
    }

    pub async fn getattr(&self, handle: &Handle) -> Result<u64> {
        let mut arguments = Out::default();
        arguments.opaque(handle);
        let mut reply = self.ok("GETATTR", 1, &arguments, &[]).await?;
        reply.skip(20)?;
        reply.u64()
    }

    pub async fn lookup(&self, folder: &Handle, name: &str) -> Result<Handle> {
        let mut arguments = Out::default();
        arguments.opaque(folder).opaque(name.as_bytes());
        self.ok("LOOKUP", 3, &arguments, &[]).await?.opaque()
    }

    /// Looks a path up, name by name.
    pub async fn walk(&self, root: &Handle, path: &str) -> Result<Handle> {
        let mut handle = root.clone();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            handle = self.lookup(&handle, name).await.with_context(|| format!("{name} of {path}"))?;
        }
        Ok(handle)
    }

    /// Bytes of the reply and whether it ends the file.
    pub async fn read(&self, handle: &Handle, offset: u64, count: u32) -> Result<(Bytes, bool)> {
        let mut arguments = Out::default();
        arguments.opaque(handle).u64(offset).u32(count);
        let mut reply = self.ok("READ", 6, &arguments, &[]).await?;
        reply.attributes()?;
        reply.u32()?;
        let end = reply.u32()? != 0;
        Ok((reply.opaque()?, end))
    }

    /// UNSTABLE; gives the count written.
    pub async fn write(&self, handle: &Handle, offset: u64, data: &[u8]) -> Result<u32> {
        let mut arguments = Out::default();
        arguments.opaque(handle).u64(offset).u32(data.len() as u32).u32(0).u32(data.len() as u32);
        let mut reply = self.ok("WRITE", 7, &arguments, data).await?;
        reply.wcc()?;
        reply.u32()
    }

    pub async fn commit(&self, handle: &Handle) -> Result<()> {
        let mut arguments = Out::default();
        arguments.opaque(handle).u64(0).u32(0);
        self.ok("COMMIT", 21, &arguments, &[]).await?;
        Ok(())
    }

    /// UNCHECKED, mode 0644.
    pub async fn create(&self, folder: &Handle, name: &str) -> Result<Handle> {
        let mut arguments = Out::default();
        arguments.opaque(folder).opaque(name.as_bytes()).u32(0);
        arguments.u32(1).u32(0o644).u32(0).u32(0).u32(0).u32(0).u32(0);
        let handle = self.ok("CREATE", 8, &arguments, &[]).await?.handle()?;
        match handle {
            Some(handle) => Ok(handle),
            None => self.lookup(folder, name).await,
        }
    }

    /// An existing folder is as good.
    pub async fn mkdir(&self, folder: &Handle, name: &str) -> Result<Handle> {
        let mut arguments = Out::default();
        arguments.opaque(folder).opaque(name.as_bytes()).u32(1).u32(0o755).u32(0).u32(0).u32(0).u32(0).u32(0);
        let (status, _) = self.nfs(9, &arguments, &[]).await?;
        if status != 0 && status != 17 {
            bail!("MKDIR {name} was answered with status {status}");
        }
        self.lookup(folder, name).await
    }

    pub async fn remove(&self, folder: &Handle, name: &str) -> Result<()> {
        let mut arguments = Out::default();
        arguments.opaque(folder).opaque(name.as_bytes());
        self.ok("REMOVE", 12, &arguments, &[]).await?;
        Ok(())
    }

    /// One page of READDIRPLUS as Linux and macOS ask for it.
    pub async fn list(&self, folder: &Handle, cookie: u64, verifier: u64) -> Result<(Vec<Entry>, u64, bool)> {
        let mut arguments = Out::default();
        arguments.opaque(folder).u64(cookie).u64(verifier).u32(65_536).u32(1 << 20);
        let mut reply = self.ok("READDIRPLUS", 17, &arguments, &[]).await?;
        reply.attributes()?;
        let verifier = reply.u64()?;
        let mut entries = Vec::new();
        while reply.u32()? != 0 {
            reply.u64()?;
            let name = reply.opaque()?;
            let cookie = reply.u64()?;
            let kind = In(reply.0.slice(..8.min(reply.0.len()))).attributes_kind()?;
            reply.attributes()?;
            let handle = reply.handle()?;
            entries.push(Entry { name, cookie, is_folder: kind == Some(2), handle });
        }
        Ok((entries, verifier, reply.u32()? != 0))
    }
}

impl In {
    /// The type of a post_op_attr, looked at without taking it.
    fn attributes_kind(mut self) -> Result<Option<u32>> {
        Ok(if self.u32()? == 0 { None } else { Some(self.u32()?) })
    }
}

async fn receive(mut stream: BufReader<tokio::net::tcp::OwnedReadHalf>, waiting: Waiting) {
    loop {
        match record(&mut stream).await {
            Ok(record) if record.len() >= 4 => {
                let xid = u32::from_be_bytes([record[0], record[1], record[2], record[3]]);
                if let Some(tell) = waiting.lock().remove(&xid) {
                    let _ = tell.send(record.slice(4..));
                }
            }
            _ => {
                waiting.lock().clear(); // everybody who waits hears of the end
                return;
            }
        }
    }
}

async fn record(stream: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> Result<Bytes> {
    let mut whole = Vec::new();
    loop {
        let head = stream.read_u32().await?;
        let length = (head & 0x7fff_ffff) as usize;
        ensure!(length <= 4 << 20, "a record of {length} bytes");
        let start = whole.len();
        whole.resize(start + length, 0);
        stream.read_exact(&mut whole[start..]).await?;
        if head & 0x8000_0000 != 0 {
            return Ok(whole.into());
        }
    }
}
