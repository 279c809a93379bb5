//! The judging: from a fact to a sentence what was found and one what to do.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bucketfs::inspection::{Database, Inspection};
use mounter::{HelperState, Os, cure};

use super::Check;
use super::facts::{BucketFacts, Disk, Folder, Helper, HubFacts, Keeper, MountFacts, NfsClient, Seen};
use crate::control::api::EngineStatus;
use crate::error::{EngineError, Result, sentence};
use crate::words;

/// Less free space than this is worth a word; a tenth of it is a problem.
const LITTLE_SPACE: u64 = 10 << 30;
/// What staging, connections and SQLite need at their bounds.
const ENOUGH_FILES: u64 = 1024;
/// Clocks further apart are worth a word, then break signatures.
const SKEW_NOTE: Duration = Duration::from_secs(60);
const SKEW_PROBLEM: Duration = Duration::from_secs(300);
const SLOW: Duration = Duration::from_secs(2);

pub(super) fn state_folder(folder: &Result<Folder>) -> Vec<Check> {
    const NAME: &str = "State folder";
    let folder = match folder {
        Ok(folder) => folder,
        Err(error) => return vec![failed(NAME, error)],
    };
    let path = folder.path.display();
    let (mode, owner, disk) = match &folder.seen {
        Seen::Absent => {
            return vec![Check::ok(NAME, format!("{path} is not there yet; the first use makes it."))];
        }
        Seen::Unreadable(why) => {
            let advice = "Check the disk and the permissions of this folder.";
            return vec![Check::problem(NAME, format!("{path} cannot be looked at ({why})."), advice)];
        }
        Seen::There { mode, owner, disk } => (*mode, *owner, disk),
    };
    let access = if owner != folder.me {
        let found = format!("{path} belongs to another user (uid {owner}; you are {}).", folder.me);
        Check::problem(NAME, found, "Run BucketBar as its owner, or give the folder back to you with chown.")
    } else if mode & 0o077 != 0 {
        let found = format!("Others can look into {path} (mode {mode:03o}).");
        Check::problem(NAME, found, format!("Close it: chmod 700 '{path}'"))
    } else {
        Check::ok(NAME, format!("{path} is yours alone (mode {mode:03o})."))
    };
    vec![access, self::disk(disk)]
}

fn disk(disk: &Disk) -> Check {
    const NAME: &str = "Disk";
    let reflinks = match disk.reflinks {
        Some(true) => "copies share blocks (reflinks)",
        Some(false) => "no reflinks: a file that is written while it is uploaded is copied piece by piece",
        None => "reflinks if it was made with them",
    };
    let free = words::size(disk.free);
    let found = format!("The state folder's disk is {}, {free} free; {reflinks}.", disk.kind);
    if disk.remote {
        let found = format!("The state folder lies on a network disk ({}).", disk.kind);
        Check::problem(
            NAME,
            found,
            "Move it to a disk of this machine: locks and syncs are not sure over a network.",
        )
    } else if disk.free < LITTLE_SPACE / 10 {
        Check::problem(
            NAME,
            found,
            "Free some space: what is written to a bucket waits there until it is uploaded.",
        )
    } else if disk.free < LITTLE_SPACE {
        Check::note(NAME, found, "Free some space before you copy large files into a bucket.")
    } else {
        Check::ok(NAME, found)
    }
}

pub(super) fn logs(found: Option<(PathBuf, bool)>) -> Check {
    let app = match found {
        Some((folder, true)) => format!("The app's log is in {}", folder.display()),
        Some((folder, false)) => {
            format!("The app has written no log yet; it would be in {}", folder.display())
        }
        None => "The app's log has no place".to_owned(),
    };
    Check::ok("Logs", format!("{app}; a mount's is serve.log in its state directory."))
}

pub(super) fn open_files(most: Option<u64>) -> Check {
    const NAME: &str = "Open files";
    match most {
        Some(most) if most < ENOUGH_FILES => Check::note(
            NAME,
            format!("A program may have only {most} files open."),
            format!("Raise the limit to {ENOUGH_FILES} or more (ulimit -Hn)."),
        ),
        Some(most) => Check::ok(NAME, format!("A program may have {most} files open.")),
        None => Check::ok(NAME, "A program may have as many files open as it likes."),
    }
}

pub(super) fn ports((window, free): &(RangeInclusive<u16>, bool)) -> Check {
    let between = format!("between {} and {}", window.start(), window.end());
    if *free {
        Check::ok("Ports", format!("There are free ports {between}."))
    } else {
        let advice = "End what takes them, or choose a port with `bucketbarctl serve --port`.";
        Check::problem("Ports", format!("None of the ports tried {between} is free."), advice)
    }
}

pub(super) fn nfs_client(found: NfsClient) -> Check {
    const NAME: &str = "NFS client";
    match found {
        NfsClient::Ready => Check::ok(NAME, "This system can mount NFS."),
        NfsClient::NoProgram(program) => Check::problem(
            NAME,
            format!("This system cannot mount NFS ({program} is missing)."),
            "On Debian and Ubuntu: apt install nfs-common.",
        ),
        NfsClient::NoKernel => Check::problem(
            NAME,
            "This system cannot mount NFS (its kernel has no NFS client).",
            "In a container, mount on the host; else install the kernel's modules.",
        ),
    }
}

pub(super) fn keeper(keeper: &Keeper) -> Check {
    const NAME: &str = "Keeper";
    let Some(program) = &keeper.program else {
        return Check::note(
            NAME,
            "bucketbar-keeper is not installed, so a server that crashes does not come back by itself.",
            "Put it beside bucketbarctl.",
        );
    };
    let version = keeper.version.as_deref().and_then(|said| said.split_whitespace().last());
    match (&keeper.holds, version) {
        (Err(why), _) => Check::problem(
            NAME,
            format!("bucketbar-keeper does not answer ({why})."),
            "End the process bucketbar-keeper; servers that run start another one.",
        ),
        (Ok(_), None) => Check::problem(
            NAME,
            format!("{} does not start.", program.display()),
            "Install it anew, for this system.",
        ),
        (Ok(_), Some(theirs)) if theirs != env!("CARGO_PKG_VERSION") => Check::note(
            NAME,
            format!("bucketbar-keeper has version {theirs}, this is {}.", env!("CARGO_PKG_VERSION")),
            "Install both anew.",
        ),
        (Ok(0), Some(_)) => Check::ok(NAME, "bucketbar-keeper is installed and holds no port."),
        (Ok(held), Some(_)) => Check::ok(
            NAME,
            format!("bucketbar-keeper holds {}.", words::counted(*held as u64, "port", "ports")),
        ),
    }
}

pub(super) fn helper(helper: &Helper) -> Check {
    const NAME: &str = "Helper";
    let version = helper.version.as_deref().unwrap_or("?");
    let advice = cure(helper.os, &helper.state);
    match (&helper.state, helper.os) {
        (HelperState::Ready, _) => Check::ok(NAME, format!("bucketbar-helper {version} is ready.")),
        (HelperState::Absent, _) if helper.is_root => {
            Check::ok(NAME, "bucketbar-helper does not run; root mounts without it.")
        }
        (HelperState::Absent, Os::MacOs) | (HelperState::NeedsApproval, _) => {
            Check::note(NAME, "The helper is not switched on, so buckets are folders in ~/Buckets.", advice)
        }
        (HelperState::Absent, Os::Linux) => Check::problem(
            NAME,
            "On Linux only root may mount, and bucketbar-helper, which does it for others, does not run.",
            format!("{advice} Or mount as root."),
        ),
        (HelperState::TooOld | HelperState::TooNew, _) => {
            Check::problem(NAME, format!("bucketbar-helper {version} is of another version."), advice)
        }
        (HelperState::Silent(_), _) => Check::problem(NAME, "bucketbar-helper does not answer.", advice),
    }
}

pub(super) fn hub(facts: &HubFacts) -> Vec<Check> {
    let origin = match &facts.origin {
        Ok(origin) => origin,
        Err(error) => return vec![failed("Hub", error)],
    };
    let mut checks = Vec::new();
    match &facts.reached {
        Some(Ok(reached)) => {
            checks.push(answered("Hub", &reached.origin, reached.took));
            checks.extend(reached.date.map(|date| clock(date, facts.now)));
        }
        Some(Err(error)) => checks.push(Check::problem(
            "Hub",
            sentence(&format!("{origin}: {error}")),
            "Check the network connection, a proxy (HTTPS_PROXY), and HF_ENDPOINT if it is set.",
        )),
        None => {}
    }
    checks.push(sign_in(facts));
    match &facts.storage {
        Some(Ok(reached)) => checks.push(answered("Storage", &reached.origin, reached.took)),
        Some(Err(error)) => checks.push(Check::problem(
            "Storage",
            sentence(&error.to_string()),
            "Names are seen, bytes cannot be read or uploaded: let this address through your firewall or proxy.",
        )),
        None => {}
    }
    checks.extend(feed(facts));
    checks
}

fn answered(name: &str, origin: &str, took: Duration) -> Check {
    let found = format!("{origin} answers in {} ms.", took.as_millis());
    if took > SLOW {
        Check::note(name, found, "That is slow: check the network connection.")
    } else {
        Check::ok(name, found)
    }
}

fn clock(theirs: SystemTime, ours: SystemTime) -> Check {
    let skew = ours.duration_since(theirs).unwrap_or_else(|early| early.duration());
    let side = if ours < theirs { "behind" } else { "ahead of" };
    let found = format!("This machine's clock is {} s {side} the Hub's.", skew.as_secs());
    const ADVICE: &str = "Set it, best by the network.";
    if skew > SKEW_PROBLEM {
        Check::problem("Clock", found, ADVICE)
    } else if skew > SKEW_NOTE {
        Check::note("Clock", found, ADVICE)
    } else {
        Check::ok("Clock", "This machine's clock agrees with the Hub's.")
    }
}

fn sign_in(facts: &HubFacts) -> Check {
    const NAME: &str = "Sign-in";
    let Some(from) = &facts.token_from else {
        if !facts.of_the_app.is_empty() {
            let names = facts.of_the_app.join(", ");
            return Check::note(
                NAME,
                format!("The app is signed in as {names}; on the command line nobody is."),
                "For the command line sign in with `bucketbarctl login` or `hf auth login`, or set HF_TOKEN.",
            );
        }
        return Check::problem(
            NAME,
            "Nobody is signed in, so only public buckets are seen.",
            "Sign in with `bucketbarctl login` or `hf auth login`, or set HF_TOKEN; or sign in in the app.",
        );
    };
    match &facts.account {
        None => Check::note(
            NAME,
            format!("The token of {from} could not be tried."),
            "Try again when the Hub answers.",
        ),
        Some(Err(error)) => failed(NAME, error),
        Some(Ok(account)) => {
            let role = account.token_role.as_deref();
            let organizations: Vec<String> = account
                .organizations
                .iter()
                .map(|org| match &org.role {
                    Some(role) => format!("{} ({role})", org.name),
                    None => org.name.clone(),
                })
                .collect();
            let mut found = format!("{} by the token of {from}", account.name);
            if let Some(role) = role {
                found.push_str(&format!(", which may {role}"));
            }
            if !organizations.is_empty() {
                found.push_str(&format!("; organisations: {}", organizations.join(", ")));
            }
            found.push('.');
            if role == Some("read") {
                Check::note(
                    NAME,
                    found,
                    "Buckets are mounted read-only; take a token that may write to change them.",
                )
            } else {
                Check::ok(NAME, found)
            }
        }
    }
}

fn feed(facts: &HubFacts) -> Option<Check> {
    const NAME: &str = "Feed";
    let bucket = facts.asked.as_deref().unwrap_or_default();
    Some(match facts.feed.as_ref()? {
        Ok(()) => Check::ok(NAME, format!("The live feed of {bucket} opens.")),
        Err(error) if matches!(error.status, Some(401 | 403 | 404 | 501)) => Check::note(
            NAME,
            format!("The Hub has no live feed of {bucket}."),
            "Changes made elsewhere show later; nothing is to be done.",
        ),
        Err(error) => Check::note(
            NAME,
            sentence(&error.to_string()),
            "Changes made elsewhere show later; a proxy that holds back event streams can be the cause.",
        ),
    })
}

pub(super) fn bucket(facts: &BucketFacts) -> Vec<Check> {
    let name = format!("Bucket {}", facts.name);
    let path = facts.path.display();
    let mut checks = Vec::new();
    if facts.open_to_others {
        let found = format!("Others can look into {path}.");
        checks.push(Check::problem(&name, found, format!("Close it: chmod 700 '{path}'")));
    }
    match &facts.inspection {
        Some(inspection) => checks.extend(state(&name, inspection, facts)),
        None => checks.push(Check::note(
            &name,
            format!("{path} was not read in time."),
            "Check the disk, or ask again.",
        )),
    }
    match &facts.engine {
        Some(engine) => checks.push(server(&name, engine)),
        None => checks.push(no_server(&name, facts.inspection.as_ref())),
    }
    checks
}

fn state(name: &str, found: &Inspection, facts: &BucketFacts) -> Vec<Check> {
    let path = facts.path.display();
    let mut checks = vec![match &found.database {
        Database::Absent => Check::ok(name, format!("{path} has no database yet.")),
        Database::Sound => Check::ok(
            name,
            format!(
                "The database in {path} is sound; {}.",
                words::counted(found.staged, "staged copy", "staged copies")
            ),
        ),
        Database::Damaged(why) => Check::problem(
            name,
            sentence(why),
            "The next start rebuilds it from the Hub and from the staged files; check the disk that holds it.",
        ),
        Database::Foreign(why) => {
            Check::problem(name, sentence(why), "Use the newer BucketBar that made it.")
        }
        Database::Unread(why) => Check::note(name, sentence(why), "Start its server, then ask again."),
    }];
    if found.without_sidecar > 0 {
        checks.push(Check::problem(
            name,
            format!("{} in {path}/staged without a sidecar.", lies(found.without_sidecar)),
            "No start takes it up: look at it, copy what you need into the mount, then move it away.",
        ));
    }
    if found.kept_apart > 0 {
        checks.push(Check::note(
            name,
            format!("{} in {path}/staged/unreadable, kept apart.", lies(found.kept_apart)),
            "Look at it, then move it away.",
        ));
    }
    checks
}

fn lies(count: u64) -> String {
    format!("{} {}", words::files(count), if count == 1 { "lies" } else { "lie" })
}

fn no_server(name: &str, found: Option<&Inspection>) -> Check {
    if found.is_some_and(|found| found.staged > 0) {
        Check::note(
            name,
            "No server runs, and there are staged files that may not be on the Hub yet.",
            "Mount it again, or run `bucketbarctl resume-uploads`.",
        )
    } else {
        Check::ok(name, "No server runs.")
    }
}

fn server(name: &str, engine: &EngineStatus) -> Check {
    let sync = &engine.sync;
    let place = format!("Its server answers (process {}, port {})", engine.pid, engine.port);
    let bucket = &engine.bucket;
    if sync.failed > 0 {
        let found = format!("{place}; {} failed for good.", words::files(sync.failed));
        Check::problem(name, found, format!("See why: bucketbarctl queue {bucket}"))
    } else if sync.conflicts > 0 {
        let found = format!("{place}; {} of two versions.", words::files(sync.conflicts));
        Check::note(name, found, format!("Settle it: bucketbarctl conflicts {bucket}"))
    } else if sync.held_deletes > 0 {
        let found =
            format!("{place}; {} to confirm.", words::counted(sync.held_deletes, "deletion", "deletions"));
        Check::note(name, found, format!("Answer: bucketbarctl deletes {bucket}"))
    } else if sync.paused {
        Check::note(
            name,
            format!("{place}; uploads are paused."),
            format!("Go on: bucketbarctl resume {bucket}"),
        )
    } else if !sync.online {
        let why = sync.offline_cause.as_deref().unwrap_or("the Hub is out of reach");
        Check::note(name, sentence(&format!("{place}; offline: {why}")), "Uploads go on by themselves.")
    } else if sync.all_saved {
        Check::ok(name, format!("{place}; everything is on the Hub."))
    } else {
        Check::ok(name, format!("{place}; {} not on the Hub yet.", words::size(sync.unsent_bytes)))
    }
}

pub(super) fn mounts(found: &Result<Vec<MountFacts>>) -> Vec<Check> {
    const NAME: &str = "Mounts";
    let mounts = match found {
        Ok(mounts) => mounts,
        Err(error) => return vec![failed(NAME, error)],
    };
    if mounts.is_empty() {
        return vec![Check::ok(NAME, "Nothing of BucketBar's is mounted.")];
    }
    mounts.iter().map(mount).collect()
}

fn mount(mount: &MountFacts) -> Check {
    const NAME: &str = "Mounts";
    let path = mount.mount_point.display();
    match (mount.served, mount.known) {
        (true, true) => Check::ok(NAME, format!("{path} is mounted and served.")),
        (true, false) => Check::note(
            NAME,
            format!("{path} is mounted, and is of another user or of a state directory not known here."),
            "Nothing is to be done, if that is so.",
        ),
        (false, true) => Check::problem(
            NAME,
            format!("{path} is mounted and its server has ended: programs that use it wait."),
            "Run the same `bucketbarctl mount` again, or start the app.",
        ),
        (false, false) => Check::problem(
            NAME,
            format!("{path} is mounted, nobody serves it, and its state is gone."),
            format!("Remove it: bucketbarctl unmount --force '{path}'"),
        ),
    }
}

fn failed(name: &str, error: &EngineError) -> Check {
    Check::problem(name, sentence(&error.what), &error.advice)
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
