//! What a request does.
//!
//! A mount, in this order: the record is on disk, the folder is made, it is the caller's, the system's program
//! mounts on it. Each step that fails takes back those before it. So whatever a crash leaves behind is named by a
//! record, and [`Service::tidy`] puts it away at the next start.
//!
//! The lock on the records is held while names are decided and folders made, never while a program runs.

use std::ffi::OsStr;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::command::{self, Ended};
use crate::options::{Os, Source, mount_options};
use crate::peer::Peer;
use crate::places::Places;
use crate::protocol::{Code, Mount, PROTOCOL, Refusal, Reply, Request};
use crate::records::{Record, Records};
use crate::table;
use crate::volume_name::VolumeName;
use crate::volumes::Volumes;

/// A server on this machine answers at once; this is for a busy one.
const MOUNT_LIMIT: Duration = Duration::from_secs(30);
/// A polite unmount waits for the kernel to write what it still holds.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(120);
const FORCE_LIMIT: Duration = Duration::from_secs(20);
/// Volumes of one caller.
const MOST: usize = 200;

/// Carries requests out.
#[derive(Debug)]
pub struct Service {
    volumes: Volumes,
    records: Mutex<Records>,
}

type Outcome = Result<Reply, Refusal>;

impl Service {
    /// # Errors
    /// The folder of volumes or that of the records is not there or not root's alone.
    pub fn open(places: &Places) -> io::Result<Service> {
        let service = Service {
            volumes: Volumes::open(&places.volumes)?,
            records: Mutex::new(Records::open(&places.records)?),
        };
        service.tidy()?;
        Ok(service)
    }

    /// Removes folders whose mount is gone: after a crash of this helper, a restart of the machine, or an Eject that
    /// nobody told us of. Nothing else runs yet.
    fn tidy(&self) -> io::Result<()> {
        let mounted = table::mount_points()?;
        let mut records = self.records();
        for record in records.all().to_vec() {
            let volume = &record.mount.volume;
            if !mounted.contains(&self.volumes.path_of(volume))
                && self.volumes.remove(volume, record.uid).is_ok()
            {
                records.remove(volume)?;
            }
        }
        Ok(())
    }

    /// Does what `request` asks for `peer`, who has been let in.
    pub fn answer(&self, peer: Peer, request: &Request) -> Reply {
        let outcome = match request {
            Request::Version => {
                Ok(Reply::Version { protocol: PROTOCOL, program: env!("CARGO_PKG_VERSION").to_owned() })
            }
            Request::Mount(mount) => self.mount(peer, mount),
            Request::Unmount { volume, force } => self.unmount(peer, volume, *force),
            Request::List => self.list(peer.uid),
        };
        outcome.unwrap_or_else(Reply::Refused)
    }

    fn mount(&self, peer: Peer, mount: &Mount) -> Outcome {
        if !self.claim(peer, mount)? {
            return Ok(self.mounted(&mount.volume)); // asked again: the first answer was lost
        }
        match self.run_mount(peer, mount) {
            Ok(()) => Ok(self.mounted(&mount.volume)),
            Err(refusal) => {
                self.give_up(peer.uid, &mount.volume);
                Err(refusal)
            }
        }
    }

    fn mounted(&self, volume: &VolumeName) -> Reply {
        Reply::Mounted { path: self.volumes.path_of(volume).display().to_string() }
    }

    /// Takes the name for the caller and makes its folder; `false` when just this is mounted there for them already.
    fn claim(&self, peer: Peer, mount: &Mount) -> Result<bool, Refusal> {
        let volume = &mount.volume;
        let mut records = self.records();
        if let Some(record) = records.get(volume).cloned() {
            let mounted = self.mounted_now(volume)?;
            if record.uid == peer.uid && mounted.as_deref() == Some(mount.token.as_str()) {
                return Ok(false);
            }
            if record.uid != peer.uid || mounted.is_some() {
                return Err(exists(volume));
            }
            self.volumes.remove(volume, peer.uid).map_err(|_| exists(volume))?;
        }
        if records.all().iter().filter(|record| record.uid == peer.uid).count() >= MOST {
            return Err(Refusal::new(
                Code::Busy,
                format!("There are {MOST} volumes already. Unmount one first."),
            ));
        }
        records
            .add(Record { uid: peer.uid, mount: mount.clone() })
            .map_err(|error| disk("noting the volume", &error))?;
        if let Err(error) = self.volumes.make(volume, peer.uid, peer.gid) {
            let forgotten = records.remove(volume);
            let refusal = match error.kind() {
                io::ErrorKind::AlreadyExists => exists(volume),
                _ => disk("making the folder", &error),
            };
            return forgotten.map_err(|error| disk("forgetting the volume", &error)).and(Err(refusal));
        }
        Ok(true)
    }

    /// On macOS the caller mounts: they own the folder, and the mount becomes theirs, to be ejected as they like.
    /// Linux lets only root mount.
    fn run_mount(&self, peer: Peer, mount: &Mount) -> Result<(), Refusal> {
        let path = self.volumes.path_of(&mount.volume);
        let source = Source {
            port: mount.port,
            export: format!("/{}/{}", mount.token.as_str(), mount.volume),
            read_only: mount.read_only,
        };
        let (device, options) = (source.device(), mount_options(Os::here(), mount.port, mount.read_only));
        let (device, options): (&OsStr, &OsStr) = (device.as_ref(), options.as_ref());
        let ended = match Os::here() {
            Os::MacOs => command::run(
                "/sbin/mount_nfs",
                &["-o".as_ref(), options, device, path.as_os_str()],
                Some((peer.uid, peer.gid)),
                MOUNT_LIMIT,
            ),
            Os::Linux => command::run(
                "/sbin/mount.nfs",
                &[device, path.as_os_str(), "-o".as_ref(), options],
                None,
                MOUNT_LIMIT,
            ),
        };
        match ended {
            Ok(Ended::Well) => Ok(()),
            Ok(Ended::Badly(said)) => {
                let said = said.replace(mount.token.as_str(), "…");
                Err(Refusal::new(Code::Failed, format!("The system did not mount it: {said}.")))
            }
            Ok(Ended::Late) => {
                let seconds = MOUNT_LIMIT.as_secs();
                Err(Refusal::new(Code::Timeout, format!("Mounting took longer than {seconds} seconds.")))
            }
            Err(error) => {
                Err(Refusal::new(Code::Failed, format!("The mount program did not start ({error}).")))
            }
        }
    }

    /// After a failed mount; if it came up all the same (late), it stays and its record with it.
    fn give_up(&self, uid: u32, volume: &VolumeName) {
        if matches!(self.mounted_now(volume), Ok(None)) {
            self.forget(uid, volume);
        }
    }

    /// Removes folder and record of what is no longer mounted; a folder that stays keeps its record, for `tidy`.
    fn forget(&self, uid: u32, volume: &VolumeName) {
        let mut records = self.records();
        if self.volumes.remove(volume, uid).is_ok() {
            // What is left of it is a record without a folder: `tidy` again.
            let _ = records.remove(volume);
        }
    }

    fn unmount(&self, peer: Peer, volume: &VolumeName, force: bool) -> Outcome {
        let record = self.records().get(volume).filter(|record| record.uid == peer.uid).cloned();
        let Some(record) = record else {
            let what = format!("The helper mounted nothing called {volume} for you.");
            return Err(Refusal::new(Code::NotMounted, what));
        };
        match self.mounted_now(volume)? {
            None => {} // ejected by hand
            Some(token) if token == record.mount.token.as_str() => self.run_unmount(peer, volume, force)?,
            Some(_) => {
                let what = format!("What is mounted as {volume} by now is not what the helper mounted.");
                return Err(Refusal::new(Code::NotMounted, what));
            }
        }
        self.forget(peer.uid, volume);
        Ok(Reply::Unmounted)
    }

    /// Politely unless `force`: only the person may decide to drop what the kernel still holds.
    fn run_unmount(&self, peer: Peer, volume: &VolumeName, force: bool) -> Result<(), Refusal> {
        let path = self.volumes.path_of(volume);
        let (program, user, polite, forced): (_, _, &[&str], &[&str]) = match Os::here() {
            Os::MacOs => ("/sbin/umount", Some((peer.uid, peer.gid)), &[], &["-f"]),
            Os::Linux => ("/bin/umount", None, &["-c"], &["-c", "-f", "-l"]),
        };
        let flags = if force { forced } else { polite };
        let arguments: Vec<&OsStr> =
            flags.iter().map(|flag| flag.as_ref()).chain([path.as_os_str()]).collect();
        let limit = if force { FORCE_LIMIT } else { UNMOUNT_LIMIT };
        match command::run(program, &arguments, user, limit) {
            Ok(Ended::Well) => Ok(()),
            Ok(Ended::Badly(said)) if said.contains("busy") => {
                Err(Refusal::new(Code::InUse, format!("{volume} is in use.")))
            }
            Ok(Ended::Badly(said)) => {
                Err(Refusal::new(Code::Failed, format!("The system did not unmount it: {said}.")))
            }
            Ok(Ended::Late) => {
                let what = format!("Unmounting took longer than {} seconds.", limit.as_secs());
                Err(Refusal::new(Code::Timeout, what))
            }
            Err(error) => Err(Refusal::new(Code::Failed, format!("The program did not start ({error})."))),
        }
    }

    fn list(&self, uid: u32) -> Outcome {
        let mounted = table::mount_points().map_err(|error| disk("reading the table of mounts", &error))?;
        let records = self.records();
        let own = records.all().iter().filter(|record| record.uid == uid);
        let names = own.map(|record| record.mount.volume.clone());
        Ok(Reply::Volumes(names.filter(|name| mounted.contains(&self.volumes.path_of(name))).collect()))
    }

    /// The token of what is mounted as `volume`: empty for a mount that is none of BucketBar's, `None` for nothing.
    fn mounted_now(&self, volume: &VolumeName) -> Result<Option<String>, Refusal> {
        let path = self.volumes.path_of(volume);
        let failed = |error: io::Error| disk("reading the table of mounts", &error);
        // The last one is on top.
        if let Some(own) =
            table::own_mounts().map_err(failed)?.into_iter().rfind(|mount| mount.mount_point == path)
        {
            return Ok(Some(own.token));
        }
        let mounted = table::mount_points().map_err(failed)?.contains(&path);
        Ok(mounted.then(String::new))
    }

    /// A panic elsewhere leaves the records as they were stored: they can be used.
    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn exists(volume: &VolumeName) -> Refusal {
    Refusal::new(Code::Exists, format!("There is a volume or a folder called {volume} already."))
}

fn disk(doing: &str, error: &io::Error) -> Refusal {
    Refusal::new(Code::Failed, format!("The helper failed at {doing} ({error})."))
}
