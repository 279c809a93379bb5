//! `model-fs`: a `BucketFs` in a process of its own, asked over stdin and stdout.
//!
//! Calls run beside each other and are answered as they end. SIGKILL is the crash of the tests; what of the
//! state directory was on stable storage then is known to [`model::disk`], because the four functions of
//! `interpose` stand before the C library's.

#[cfg(target_os = "linux")]
mod interpose;
#[cfg(not(target_os = "linux"))]
#[path = "interpose_elsewhere.rs"]
mod interpose;

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bucketfs::{BucketFs, Config, Create, FileId, NoEvents, SetAttr, SetTime, Timestamp};
use bytes::Bytes;
use model::protocol::{self, Answer, Attr, Call, Change, Entry, How, Kind, Numbered, Start};
use parking_lot::Mutex;

type Out = Arc<Mutex<io::Stdout>>;

fn main() {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let start: Start = match serde_json::from_str(&argument) {
        Ok(start) => start,
        Err(error) => {
            eprintln!("model-fs wants its start in JSON ({error}); it is started by the tests of this crate");
            std::process::exit(2);
        }
    };
    if let Ok(filter) = std::env::var("MODEL_LOG") {
        let filter = tracing_subscriber::EnvFilter::new(filter);
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).init();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("model-fs: {error}");
            std::process::exit(1);
        }
    };
    runtime.block_on(serve(start));
    runtime.shutdown_timeout(Duration::from_millis(100));
}

async fn serve(start: Start) {
    let out: Out = Arc::new(Mutex::new(io::stdout()));
    if let Err(error) = interpose::begin(&start.state, &start.stable) {
        return answer(&out, 0, &Answer::Refused { kind: "Test".into(), what: error.to_string() }, &[]);
    }
    let fs = match open(&start).await {
        Ok(fs) => fs,
        Err(error) => return answer(&out, 0, &refused(&error), &[]),
    };
    answer(&out, 0, &Answer::Ready { verifier: fs.write_verifier() }, &[]);
    let (sender, mut calls) = tokio::sync::mpsc::unbounded_channel::<(Numbered<Call>, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut from: Box<dyn Read> = Box::new(io::stdin().lock());
        while let Ok(call) = protocol::receive(&mut from) {
            if sender.send(call).is_err() {
                break;
            }
        }
    });
    while let Some((call, payload)) = calls.recv().await {
        if matches!(call.body, Call::Shutdown) {
            fs.shutdown(Duration::from_secs(5)).await;
            return answer(&out, call.number, &Answer::Done, &[]);
        }
        let (fs, out) = (fs.clone(), out.clone());
        tokio::spawn(async move {
            let (given, payload) = match carry_out(&fs, call.body, payload).await {
                Ok(given) => given,
                Err(error) => (refused(&error), Vec::new()),
            };
            answer(&out, call.number, &given, &payload);
        });
    }
}

async fn open(start: &Start) -> bucketfs::Result<Arc<BucketFs>> {
    let limits = hub::Limits {
        connect_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_secs(2),
        call_deadline: Duration::from_secs(4),
        retry_base: Duration::from_millis(20),
        retry_max_tries: 3,
        read_idle: Duration::from_secs(2),
        read_stall: Duration::from_secs(4),
        upload_exchange: Duration::from_secs(3),
        upload_open: Duration::from_secs(3),
        upload_stall: Duration::from_secs(3),
        feed_backoff: Duration::from_millis(50),
        feed_longest_backoff: Duration::from_millis(400),
        feed_silence: Duration::from_secs(20),
        feed_poll: Duration::from_millis(500),
        ..hub::Limits::default()
    };
    let endpoint = hub::parse_endpoint(&start.endpoint)?;
    let config = hub::HubConfig {
        endpoint,
        token: Arc::new(hub::StaticToken::new(&start.token, "the tests")),
        cache_root: PathBuf::from(&start.xet),
        user_agent: "bucketfs-model".into(),
        limits,
    };
    let bucket = hub::Hub::new(config)?.bucket(start.bucket.parse::<hub::BucketName>()?);
    let mut config = Config::new(PathBuf::from(&start.state));
    config.debounce = Duration::from_millis(start.debounce_ms);
    config.poll = Duration::from_millis(200);
    config.reserve_bytes = 0;
    config.delete_hold = Duration::from_millis(300);
    config.ask_deletes = false;
    config.cache_bytes = 64 << 20;
    config.boot.clone_from(&start.boot);
    BucketFs::open(config, bucket, Arc::new(NoEvents)).await
}

fn answer(out: &Out, number: u64, body: &Answer, payload: &[u8]) {
    let mut out = out.lock();
    if protocol::send(&mut *out, &Numbered { number, body }, payload).is_err() {
        std::process::exit(0); // the test has gone
    }
    let _ = out.flush();
}

fn refused(error: &bucketfs::Error) -> Answer {
    Answer::Refused { kind: format!("{:?}", error.kind), what: error.to_string() }
}

type Given = (Answer, Vec<u8>);

async fn carry_out(fs: &Arc<BucketFs>, call: Call, payload: Vec<u8>) -> bucketfs::Result<Given> {
    let given = match call {
        Call::Read { id, offset, count } => return read(fs, id, offset, count).await,
        Call::Readdir { dir } => Answer::Entries(entries(fs, dir).await?),
        Call::Lookup { dir, name } => Answer::Attr(attr(&fs.lookup(FileId(dir), name.as_bytes()).await?)),
        Call::Getattr { id } => Answer::Attr(attr(&fs.getattr(FileId(id)).await?)),
        Call::Write { id, offset, durable } => {
            let done = fs.write(FileId(id), offset, Bytes::from(payload), durable).await?;
            Answer::Wrote { verifier: done.verifier, durable: done.durable, change: change(&done.change) }
        }
        Call::Commit { id } => {
            let done = fs.commit(FileId(id), 0, 0).await?;
            Answer::Committed { verifier: done.verifier, attr: attr(&done.attr) }
        }
        Call::SetSize { id, size } => {
            let wanted = SetAttr { size: Some(size), ..SetAttr::default() };
            Answer::Changed(change(&fs.setattr(FileId(id), wanted, None, None).await?))
        }
        Call::SetMtime { id, mtime } => {
            let wanted = SetAttr { mtime: Some(SetTime::To(Timestamp(mtime))), ..SetAttr::default() };
            Answer::Changed(change(&fs.setattr(FileId(id), wanted, None, None).await?))
        }
        Call::StartSync => {
            fs.start_sync();
            Answer::Done
        }
        Call::Sync { ms } => {
            let report = fs.sync(Some(Duration::from_millis(ms))).await;
            let left = report.left.iter().map(|item| format!("{item:?}")).collect();
            Answer::Synced { complete: report.complete, left }
        }
        Call::Status => {
            let status = fs.status();
            Answer::Status { all_saved: status.all_saved, failed: status.failed, text: format!("{status:?}") }
        }
        Call::Pause => {
            fs.pause();
            Answer::Done
        }
        Call::Resume => {
            fs.resume();
            Answer::Done
        }
        Call::Retry => {
            fs.retry(None);
            Answer::Done
        }
        Call::Fail(local) => {
            interpose::fail(local);
            Answer::Done
        }
        Call::Heal => Answer::Struck(interpose::heal()),
        Call::Shutdown => Answer::Done,
        names => change_names(fs, names).await?,
    };
    Ok((given, Vec::new()))
}

async fn change_names(fs: &Arc<BucketFs>, call: Call) -> bucketfs::Result<Answer> {
    let plain = SetAttr::default();
    Ok(match call {
        Call::Create { dir, name, how } => {
            let how = match how {
                How::Guarded => Create::Guarded(plain),
                How::Emptied => Create::Unchecked(SetAttr { size: Some(0), ..plain }),
                How::Exclusive(verifier) => Create::Exclusive(verifier.to_le_bytes()),
            };
            made(&fs.create(FileId(dir), name.as_bytes(), how, None).await?)
        }
        Call::Mkdir { dir, name } => made(&fs.mkdir(FileId(dir), name.as_bytes(), plain, None).await?),
        Call::Symlink { dir, name, target } => {
            made(&fs.symlink(FileId(dir), name.as_bytes(), target.into_bytes(), plain, None).await?)
        }
        Call::Remove { dir, name } => {
            Answer::Changed(change(&fs.remove(FileId(dir), name.as_bytes(), None).await?))
        }
        Call::Rmdir { dir, name } => {
            Answer::Changed(change(&fs.rmdir(FileId(dir), name.as_bytes(), None).await?))
        }
        Call::Rename { dir, name, to_dir, to_name } => {
            let (from, to) = (name.as_bytes(), to_name.as_bytes());
            let done = fs.rename(FileId(dir), from, FileId(to_dir), to, None).await?;
            Answer::Renamed { from: change(&done.from), to: change(&done.to) }
        }
        other => Answer::Refused { kind: "Test".into(), what: format!("{other:?} changes no name") },
    })
}

async fn read(fs: &Arc<BucketFs>, id: u64, offset: u64, count: u32) -> bucketfs::Result<Given> {
    let read = fs.read(FileId(id), offset, count).await?;
    Ok((Answer::Read { eof: read.eof, attr: attr(&read.attr) }, read.data.concat()))
}

async fn entries(fs: &Arc<BucketFs>, dir: u64) -> bucketfs::Result<Vec<Entry>> {
    let (mut all, mut cookie) = (Vec::new(), 0);
    loop {
        let page = fs.readdir(FileId(dir), cookie, 7).await?;
        for entry in page.entries {
            cookie = entry.cookie;
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            if name != "." && name != ".." {
                all.push(Entry { name, attr: attr(&entry.attr) });
            }
        }
        if page.end {
            return Ok(all);
        }
    }
}

fn attr(attr: &bucketfs::Attr) -> Attr {
    let kind = match attr.kind {
        bucketfs::Kind::File => Kind::File,
        bucketfs::Kind::Directory => Kind::Folder,
        bucketfs::Kind::Symlink => Kind::Symlink,
    };
    Attr { id: attr.id.0, kind, size: attr.size, mtime: attr.mtime.0, ctime: attr.ctime.0 }
}

fn change(change: &bucketfs::Change) -> Change {
    Change {
        before_size: change.before.size,
        before_mtime: change.before.mtime.0,
        after: attr(&change.after),
    }
}

fn made(made: &bucketfs::Made) -> Answer {
    Answer::Made { attr: attr(&made.attr), dir: change(&made.dir) }
}
