//! What was mounted for whom. It decides what may be unmounted and which folders may be removed, so it is on
//! disk before a folder is made and goes after the folder has gone.
//!
//! One file, `mounts`, a line each: `UID <tab> PORT <tab> TOKEN <tab> ro|rw <tab> NAME`. It is replaced as a
//! whole. A line that cannot be read is dropped: the worst of that is a folder that stays.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::protocol::{Mount, Token};
use crate::volume_name::VolumeName;

const FILE: &str = "mounts";

/// One mount made, or being made, for `uid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub uid: u32,
    pub mount: Mount,
}

/// The records of this machine. One process holds them, one thread at a time.
#[derive(Debug)]
pub struct Records {
    file: PathBuf,
    all: Vec<Record>,
}

impl Records {
    /// Makes the folder where missing and reads what is there.
    ///
    /// # Errors
    /// When the folder is not root's alone (in tests: this user's), or cannot be made or read.
    pub fn open(folder: &Path) -> io::Result<Records> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let metadata = fs::symlink_metadata(folder)?;
        let me = rustix::process::geteuid().as_raw();
        if !metadata.is_dir() || metadata.uid() != me || metadata.mode() & 0o077 != 0 {
            return Err(io::Error::other(format!("{} is not a private folder", folder.display())));
        }
        let file = folder.join(FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        Ok(Records { file, all: text.lines().filter_map(parse).collect() })
    }

    pub fn all(&self) -> &[Record] {
        &self.all
    }

    /// The record of this name, whoever's it is: names are unique in the folder of volumes.
    pub fn get(&self, volume: &VolumeName) -> Option<&Record> {
        self.all.iter().find(|record| record.mount.volume == *volume)
    }

    /// On return the record is on stable storage.
    pub fn add(&mut self, record: Record) -> io::Result<()> {
        let mut all = self.all.clone();
        all.retain(|other| other.mount.volume != record.mount.volume);
        all.push(record);
        self.store(all)
    }

    /// On return the record is gone from stable storage.
    pub fn remove(&mut self, volume: &VolumeName) -> io::Result<()> {
        let mut all = self.all.clone();
        all.retain(|record| record.mount.volume != *volume);
        self.store(all)
    }

    fn store(&mut self, all: Vec<Record>) -> io::Result<()> {
        let temporary = self.file.with_extension("new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(all.iter().map(line).collect::<String>().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &self.file)?;
        if let Some(folder) = self.file.parent() {
            fs::File::open(folder)?.sync_all()?;
        }
        self.all = all;
        Ok(())
    }
}

fn line(record: &Record) -> String {
    let Record { uid, mount } = record;
    let access = if mount.read_only { "ro" } else { "rw" };
    format!("{uid}\t{}\t{}\t{access}\t{}\n", mount.port, mount.token.as_str(), mount.volume)
}

fn parse(line: &str) -> Option<Record> {
    let words: Vec<&str> = line.split('\t').collect();
    let [uid, port, token, access, name] = words.as_slice() else { return None };
    let mount = Mount {
        port: port.parse().ok()?,
        token: Token::parse(token)?,
        read_only: *access == "ro",
        volume: VolumeName::parse(name).ok()?,
    };
    Some(Record { uid: uid.parse().ok()?, mount })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(uid: u32, name: &str) -> Record {
        let token = Token::parse(&format!("{uid:032x}")).unwrap();
        let volume = VolumeName::parse(name).unwrap();
        Record { uid, mount: Mount { port: 20490, token, read_only: false, volume } }
    }

    #[test]
    fn records_outlive_the_process_and_damage_costs_a_line_only() {
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("records");
        let mut records = Records::open(&folder).unwrap();
        records.add(record(501, "a b")).unwrap();
        records.add(record(502, "c")).unwrap();
        records.add(record(501, "d")).unwrap();
        records.remove(&VolumeName::parse("d").unwrap()).unwrap();
        let again = Records::open(&folder).unwrap();
        assert_eq!(again.all(), [record(501, "a b"), record(502, "c")]);
        let file = folder.join(FILE);
        let damaged = format!("nonsense\n501\t1\t../\trw\tx\n{}", fs::read_to_string(&file).unwrap());
        fs::write(&file, damaged).unwrap();
        assert_eq!(Records::open(&folder).unwrap().all().len(), 2);
    }

    #[test]
    fn a_folder_that_others_may_enter_is_not_trusted() {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir().unwrap();
        let folder = temp.path().join("records");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Records::open(&folder).is_err());
    }
}
