//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use engine::BucketPath;

/// Mounts Hugging Face Hub buckets and keeps them in sync.
///
/// The Hub is that of HF_ENDPOINT. The token is that of HF_TOKEN, else of `bucketbarctl login`, else that of
/// the `hf` command line (HF_TOKEN_PATH, HF_HOME), which is only read.
/// BUCKETBAR_LOG sets what is logged to stderr (error, warn, info, debug, or tracing directives).
#[derive(Debug, Parser)]
#[command(name = "bucketbarctl", version, about, long_about, propagate_version = true)]
#[command(after_help = "Exit codes: 0 done, 1 not done (stderr says why and what to do), 2 usage.")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sign in to the Hub
    ///
    /// In the browser, or with a code where there is none. BUCKETBAR_OPEN names a program that opens addresses.
    Login(Login),
    /// Sign out: deletes the token that `login` kept, and says what is not on the Hub yet
    Logout(Logout),
    /// Say which account the Hub sees, and where its token comes from
    Whoami(Whoami),
    /// Check this machine, the sign-in, the Hub and every bucket's state, and say what to do
    ///
    /// Changes nothing and prints no token. Exit code 1 when a problem was found; a note is none.
    Doctor(Doctor),
    /// Make, delete or list buckets
    Bucket(Bucket),
    /// List your buckets, or a folder of one
    Ls(Ls),
    /// Mount a bucket, or a folder of one, on an empty folder
    Mount(Mount),
    /// Unmount a folder; uploads go on until everything is on the Hub
    Unmount(Unmount),
    /// Serve a bucket over NFS on this machine without mounting it
    ///
    /// The first line on stdout is one JSON object: port, export, and the options to mount with. Ends on
    /// SIGTERM within five seconds; what is not uploaded stays in the state directory, and a new start with
    /// the same directory comes back on the same port with the same handles.
    Serve(Serve),
    /// Upload now what waits, and say whether everything is on the Hub
    Sync(Sync),
    /// Stop uploading until `resume`; what is written is kept on this machine
    Pause(Pause),
    /// Go on uploading
    Resume(Running),
    /// Say what is saved and what is not
    Status(Status),
    /// List what is not on the Hub yet, and why
    Queue(Shown),
    /// List what happened lately: failures, conflicts, recovered files
    Events(Shown),
    /// Try failed uploads again
    Retry(Retry),
    /// Say how much of the line uploads may take, or change it
    Limits(Limits),
    /// Say which deletions wait for an answer, and answer
    ///
    /// Many deletions at once are not sent before somebody has said that they are meant.
    Deletes(Deletes),
    /// List files of which two versions are kept, because they were changed here and elsewhere
    Conflicts(Shown),
    /// Solve a conflict
    Resolve(Resolve),
    /// Drop what was changed here in one file and show the Hub's version again
    Discard(Discard),
    /// List what was deleted or overwritten through the mount, newest first
    RecentDeletes(Shown),
    /// Bring back what was deleted or overwritten, while the Hub still has it
    Restore(Restore),
    /// Keep a file or folder offline: download it, follow its changes, never give it up
    ///
    /// TARGET is a path in a mounted folder, or OWNER/BUCKET:PATH; OWNER/BUCKET alone is everything. Says the size
    /// first, and asks when a terminal can answer.
    Pin(Pin),
    /// Keep a file or folder offline no longer
    Unpin(Unpin),
    /// List what is kept offline and how far it is, and what lies on this machine and why
    Pins(Shown),
    /// Finish the uploads of every bucket that was ever mounted, and of servers that died
    ///
    /// Each gets a server that ends when everything is on the Hub. For the login of a machine that was switched off.
    ResumeUploads,
    /// Run the whole app without its window: accounts, mounts and uploads of this user
    ///
    /// With --http the first line on stdout is one JSON object: url, token, and the page to open. Ends on SIGTERM
    /// within five seconds; what is not uploaded goes on at the next start.
    App(App),
}

#[derive(Debug, Args)]
pub struct App {
    /// Answer HTTP on 127.0.0.1: every command of the app, its events, and its pages
    #[arg(long)]
    pub http: bool,
    /// The port of --http; by default a free one
    #[arg(long, value_name = "P", default_value_t = 0, requires = "http")]
    pub port: u16,
    /// A folder of built pages for --http to serve
    #[arg(long, value_name = "DIR", requires = "http")]
    pub ui: Option<PathBuf>,
    /// Keep tokens in memory until the end, not in the keychain: for machines without one
    #[arg(long)]
    pub secrets_in_memory: bool,
    /// Serve what is to be mounted, and leave mounting to others: for tests on machines without an NFS client
    #[arg(long, hide = true)]
    pub serve_only: bool,
    /// How long a file must be quiet before it is uploaded, milliseconds
    #[arg(long, value_name = "MS", value_parser = milliseconds, hide = true)]
    pub debounce_ms: Option<Duration>,
    /// How often the Hub is tried while it is out of reach, milliseconds
    #[arg(long, value_name = "MS", value_parser = milliseconds, hide = true)]
    pub poll_ms: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct Login {
    /// With a code to enter on any device
    #[arg(long, conflicts_with_all = ["browser", "token", "no_open"])]
    pub device: bool,
    /// In a browser on this machine
    #[arg(long, conflicts_with = "token")]
    pub browser: bool,
    /// With an access token, read from standard input
    #[arg(long, conflicts_with_all = ["client_id", "no_open"])]
    pub token: bool,
    /// The OAuth application to sign in with; by default that of BUCKETBAR_CLIENT_ID
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Print the address for the browser, open nothing
    #[arg(long)]
    pub no_open: bool,
}

#[derive(Debug, Args)]
pub struct Logout {
    /// Only if this account is signed in
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// One JSON document instead of sentences
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Whoami {
    /// One JSON document instead of sentences
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Bucket {
    #[command(subcommand)]
    pub command: BucketCommand,
}

#[derive(Debug, Subcommand)]
pub enum BucketCommand {
    /// Make a bucket
    Create(CreateBucket),
    /// Delete a bucket with everything in it
    Delete(DeleteBucket),
    /// List your buckets and your organisations'
    Ls(ListBuckets),
}

#[derive(Debug, Args)]
pub struct CreateBucket {
    /// OWNER/BUCKET, or BUCKET for one of your own
    pub name: String,
    /// Only for those with access (the default)
    #[arg(long, conflicts_with = "public")]
    pub private: bool,
    /// Everybody can read it
    #[arg(long)]
    pub public: bool,
}

#[derive(Debug, Args)]
pub struct DeleteBucket {
    /// OWNER/BUCKET
    pub name: String,
    /// It is meant
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct ListBuckets {
    /// One JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Ls {
    /// OWNER/BUCKET or OWNER/BUCKET/FOLDER; or a repo, to be read: models/OWNER/NAME[@REVISION], datasets/…, spaces/…; without it your buckets and your organisations'
    pub bucket: Option<BucketPath>,
    /// One JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Mount {
    /// OWNER/BUCKET or OWNER/BUCKET/FOLDER; or a repo, to be read: models/OWNER/NAME[@REVISION], datasets/…, spaces/…
    pub bucket: BucketPath,
    /// An empty folder of yours; by default a volume of its own where BucketBar's helper is allowed, else a folder in
    /// ~/Buckets
    pub dir: Option<PathBuf>,
    /// Let nothing be written
    #[arg(long)]
    pub read_only: bool,
    /// Where to keep what is not uploaded yet, and the cache; by default a directory of your own for each bucket
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Unmount {
    /// Where it is mounted, or the bucket
    #[arg(value_name = "DIR|BUCKET")]
    pub what: PathBuf,
    /// Unmount although programs use it; what they have not saved is lost
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
pub struct Serve {
    /// OWNER/BUCKET or OWNER/BUCKET/FOLDER; or a repo, to be read: models/OWNER/NAME[@REVISION], datasets/…, spaces/…
    pub bucket: BucketPath,
    /// Where to keep what is not uploaded yet, and the cache
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// The port on 127.0.0.1; by default that of last time, else a free one
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Let nothing be written
    #[arg(long)]
    pub read_only: bool,
    /// Answer MNT only when told to over the control socket (what `mount` does)
    #[arg(long, hide = true)]
    pub mount_once: bool,
    /// Do without the keeper: a crash closes the port, and nothing starts the server again
    #[arg(long)]
    pub no_keeper: bool,
    /// End when everything is on the Hub
    #[arg(long)]
    pub finish: bool,
    /// Leave the terminal (what `mount` does)
    #[arg(long, hide = true)]
    pub detached: bool,
    /// FOR TESTS ONLY: serve every user of this machine, enforce modes, and store owners
    #[arg(long)]
    pub any_uid: bool,
    /// Owner of what is served, instead of who runs this
    #[arg(long, value_name = "UID:GID", value_parser = owner, hide = true)]
    pub owner: Option<(u32, u32)>,
    /// How long a file must be quiet before it is uploaded, milliseconds
    #[arg(long, value_name = "MS", value_parser = milliseconds, default_value = "2000")]
    pub debounce_ms: Duration,
    /// How often a Hub that is out of reach, or that refused the token, is tried again, milliseconds
    #[arg(long, value_name = "MS", value_parser = milliseconds, default_value = "15000")]
    pub poll_ms: Duration,
    /// How long a deletion waits before it leaves, milliseconds
    #[arg(long, value_name = "MS", value_parser = milliseconds, default_value = "60000")]
    pub delete_hold_ms: Duration,
    /// Send many deletions at once without asking
    #[arg(long)]
    pub do_not_ask: bool,
    /// Size of the block cache on disk; by default 10 GiB, or less on a small disk
    #[arg(long, value_name = "BYTES")]
    pub cache_bytes: Option<u64>,
    /// Free disk space to leave alone; by default 1 GiB, or less on a small disk
    #[arg(long, value_name = "BYTES")]
    pub reserve_bytes: Option<u64>,
}

/// Names a running engine.
#[derive(Debug, Args)]
pub struct Running {
    /// OWNER/BUCKET or OWNER/BUCKET/FOLDER; or a repo, to be read: models/OWNER/NAME[@REVISION], datasets/…, spaces/…
    pub bucket: BucketPath,
    /// The state directory it was started with; by default that of `mount`
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Shown {
    #[command(flatten)]
    pub running: Running,
    /// One JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// OWNER/BUCKET or OWNER/BUCKET/FOLDER; or a repo, to be read: models/OWNER/NAME[@REVISION], datasets/…, spaces/…; without it everything that `mount` ever mounted
    pub bucket: Option<BucketPath>,
    /// The state directory it was started with; by default that of `mount`
    #[arg(long, value_name = "DIR", requires = "bucket")]
    pub state: Option<PathBuf>,
    /// One JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Sync {
    #[command(flatten)]
    pub running: Running,
    /// Wait until everything is on the Hub (exit 0) or nothing more can be done (exit 1)
    #[arg(long)]
    pub wait: bool,
    /// Wait no longer than this many seconds
    #[arg(long, value_name = "S", value_parser = seconds, requires = "wait")]
    pub timeout: Option<Duration>,
    /// One JSON document instead of sentences
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Retry {
    #[command(flatten)]
    pub running: Running,
    /// One file, by its path in the mount; by default everything that failed
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
}

#[derive(Debug, Args)]
pub struct Pause {
    #[command(flatten)]
    pub running: Running,
    /// Go on by itself after so many minutes
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    pub minutes: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct Limits {
    #[command(flatten)]
    pub running: Running,
    /// Uploads beside each other, 1 to 16
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub parallel: Option<u8>,
    /// Upload no faster than so many bytes a second, all together; 0 for no limit
    #[arg(long, value_name = "BYTES_PER_S")]
    pub upload: Option<u64>,
    /// One JSON document instead of sentences
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Deletes {
    #[command(flatten)]
    pub running: Running,
    /// They are meant: delete on the Hub now
    #[arg(long, conflicts_with = "restore")]
    pub send: bool,
    /// They are not meant: bring the files back
    #[arg(long)]
    pub restore: bool,
    /// One JSON document instead of a list
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Resolve {
    #[command(flatten)]
    pub running: Running,
    /// The conflict's number, as `conflicts` lists it
    pub id: u64,
    /// mine: this machine's version takes the name; theirs: the Hub's; both: both stay as they are
    #[arg(long, value_enum)]
    pub keep: Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Keep {
    Mine,
    Theirs,
    Both,
}

#[derive(Debug, Args)]
pub struct Discard {
    #[command(flatten)]
    pub running: Running,
    /// The file, by its path in the mount
    pub path: String,
    /// It is meant: what was changed here and is not on the Hub is lost
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct Restore {
    #[command(flatten)]
    pub running: Running,
    /// What it was called, by its path in the mount
    pub path: String,
    /// Give it this name instead, in the same folder
    #[arg(long = "as", value_name = "NAME")]
    pub as_name: Option<String>,
}

#[derive(Debug, Args)]
pub struct Pin {
    /// A path in a mounted folder, or OWNER/BUCKET[:PATH]
    pub target: String,
    /// The state directory of its server; by default `mount`'s
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Wait until it is here, and show how far it is
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct Unpin {
    /// A path in a mounted folder, or OWNER/BUCKET[:PATH]
    pub target: String,
    /// The state directory of its server; by default `mount`'s
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number of minutes".to_owned())?;
    Duration::try_from_secs_f64(minutes * 60.0).map_err(|error| error.to_string())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_millis).map_err(|_| "not a number of milliseconds".to_owned())
}

fn owner(text: &str) -> Result<(u32, u32), String> {
    let wrong = || "write it as UID:GID, two numbers".to_owned();
    let (uid, gid) = text.split_once(':').ok_or_else(wrong)?;
    Ok((uid.parse().map_err(|_| wrong())?, gid.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn clap_finds_no_contradiction() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_commands_of_the_issue() {
        for line in [
            "bucketbarctl login",
            "bucketbarctl login --browser --no-open --client-id x",
            "bucketbarctl login --device",
            "bucketbarctl login --token",
            "bucketbarctl logout --account alice",
            "bucketbarctl whoami --json",
            "bucketbarctl bucket create photos --private",
            "bucketbarctl bucket delete alice/photos --yes",
            "bucketbarctl bucket ls",
            "bucketbarctl ls",
            "bucketbarctl ls alice/photos/2024",
            "bucketbarctl mount alice/photos /mnt",
            "bucketbarctl unmount /mnt --force",
            "bucketbarctl serve alice/photos --state /s --port 20490 --read-only",
            "bucketbarctl sync alice/photos --state /s --wait --timeout 2.5",
            "bucketbarctl pause alice/photos --state /s",
            "bucketbarctl resume alice/photos --state /s",
            "bucketbarctl status alice/photos --state /s --json",
            "bucketbarctl status",
            "bucketbarctl queue alice/photos --state /s --json",
            "bucketbarctl retry alice/photos --state /s --path a/b",
            "bucketbarctl pause alice/photos --minutes 90",
            "bucketbarctl limits alice/photos --parallel 2 --upload 500000",
            "bucketbarctl deletes alice/photos --send",
            "bucketbarctl conflicts alice/photos --json",
            "bucketbarctl resolve alice/photos 3 --keep theirs",
            "bucketbarctl discard alice/photos a/b --yes",
            "bucketbarctl recent-deletes alice/photos",
            "bucketbarctl restore alice/photos a/b --as c",
            "bucketbarctl serve alice/photos --state /s --no-keeper --finish",
            "bucketbarctl resume-uploads",
            "bucketbarctl pin alice/photos:2024/june --state /s --yes --wait",
            "bucketbarctl unpin /Volumes/photos/2024",
            "bucketbarctl pins alice/photos --json",
        ] {
            assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
        }
    }

    #[test]
    fn what_is_no_command_line_exits_with_2() {
        for line in [
            "bucketbarctl",
            "bucketbarctl serve alice/photos",
            "bucketbarctl serve alice --state /s",
            "bucketbarctl serve alice/photos --state /s --port 0",
            "bucketbarctl serve alice/photos --state /s --port 70000",
            "bucketbarctl sync alice/photos --state /s --timeout 5",
            "bucketbarctl sync alice/photos --wait --timeout -5",
            "bucketbarctl mount",
            "bucketbarctl login --device --browser",
            "bucketbarctl login --token hf_on_the_command_line",
            "bucketbarctl bucket create x --private --public",
            "bucketbarctl deletes alice/photos --send --restore",
            "bucketbarctl limits alice/photos --parallel 17",
            "bucketbarctl resolve alice/photos 3",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn times_and_owners() {
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        assert!(seconds("inf").is_err() && seconds("x").is_err());
        assert_eq!(owner("501:20"), Ok((501, 20)));
        assert!(owner("501").is_err() && owner("a:b").is_err());
    }
}
