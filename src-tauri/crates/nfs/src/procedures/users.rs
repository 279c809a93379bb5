//! What each of many users may do: the checks a server of several people has to make itself, as a kernel's nfsd does.
//!
//! Only where [`crate::server::ServerConfig::any_uid`] is set: tests. A bucket has one owner else, who may do everything,
//! and nothing of this runs. Each rule looks first and acts then; that is no protection between users who race.

use super::names::{self, Purpose};
use super::namespace::{create_how, rename_arguments};
use super::{Fault, Procedure, Procedures};
use crate::file_system::{CreateHow, FileSystem};
use crate::handle::Target;
use crate::rpc::Caller;
use crate::types::{
    fattr3, nfsstat3, sattr3, set_atime, set_gid3, set_mode3, set_mtime, set_size3, set_uid3,
};
use crate::xdr::Args;

const READ: u32 = 4;
const WRITE: u32 = 2;
const EXECUTE: u32 = 1;

const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const GROUP_EXECUTE: u32 = 0o010;

impl Caller {
    fn is_root(&self) -> bool {
        self.uid == 0
    }

    fn is_in(&self, gid: u32) -> bool {
        self.gid == gid || self.groups().contains(&gid)
    }

    fn owns(&self, attr: &fattr3) -> bool {
        self.is_root() || self.uid == attr.uid
    }

    /// The mode's bits for this caller, in the lowest three.
    fn class(&self, attr: &fattr3) -> u32 {
        match () {
            () if self.uid == attr.uid => attr.mode >> 6,
            () if self.is_in(attr.gid) => attr.mode >> 3,
            () => attr.mode,
        }
    }

    /// Whether the mode's one class that fits this caller has these bits.
    pub(super) fn may(&self, attr: &fattr3, on: Target, wanted: u32) -> bool {
        if self.is_root() {
            return wanted & EXECUTE == 0 || on.is_dir() || attr.mode & 0o111 != 0;
        }
        self.class(attr) & wanted == wanted
    }
}

/// ACCESS's bits of RFC 1813 3.3.4 for one of many users.
pub(super) fn rights(caller: &Caller, on: Target, attr: &fattr3) -> u32 {
    let bits: &[(u32, u32)] = match on.is_dir() {
        true => &[(READ, 0x01), (EXECUTE, 0x02), (WRITE, 0x04 | 0x08 | 0x10)],
        false => &[(READ, 0x01), (WRITE, 0x04 | 0x08), (EXECUTE, 0x20)],
    };
    bits.iter().filter(|(wanted, _)| caller.may(attr, on, *wanted)).map(|(_, bits)| bits).sum()
}

impl<F: FileSystem> Procedures<F> {
    /// Whether this user may make this call; also takes the set-id bits off what is about to be written.
    /// Errors: `ACCES` and `PERM` as POSIX has them; that a name is missing is left to the call itself.
    pub(super) async fn user_may(
        &self,
        caller: &Caller,
        procedure: Procedure,
        on: Target,
        mut args: Args,
    ) -> Result<(), Fault> {
        use Procedure::*;
        let attr = self.fs.getattr(on.id).await?;
        match procedure {
            Lookup => allow(caller.may(&attr, on, EXECUTE)),
            ReadDir | ReadDirPlus => allow(caller.may(&attr, on, READ)),
            // Who opened a file may use it whatever its mode has become since; NFS has no open to remember.
            Read => {
                allow(caller.owns(&attr) || caller.may(&attr, on, READ) || caller.may(&attr, on, EXECUTE))
            }
            Write => {
                allow(caller.owns(&attr) || caller.may(&attr, on, WRITE))?;
                self.drop_set_id(caller, on, &attr).await
            }
            Create => self.may_create(caller, on, &attr, args).await,
            MkDir | SymLink | MkNod => allow(caller.may(&attr, on, WRITE | EXECUTE)),
            Remove | RmDir => {
                let name = names::name(&mut args, Purpose::Find)?;
                self.may_take_away(caller, on, &attr, name).await.map(|_| ())
            }
            Rename => self.may_rename(caller, on, &attr, args).await,
            SetAttr => self.may_set(caller, on, &attr, args.plain()?).await,
            _ => Ok(()),
        }
    }

    /// A new name needs the folder; to empty the file that has the name already, that file.
    async fn may_create(
        &self,
        caller: &Caller,
        dir: Target,
        attr: &fattr3,
        mut args: Args,
    ) -> Result<(), Fault> {
        let name = names::name(&mut args, Purpose::Make)?;
        let how = create_how(&mut args)?;
        let found = match name {
            Ok(name) => self.fs.lookup(dir.id, name).await.ok(),
            Err(_) => None,
        };
        let Some((found, _)) = found else { return allow(caller.may(attr, dir, WRITE | EXECUTE)) };
        allow(caller.may(attr, dir, EXECUTE))?;
        match how {
            CreateHow::Unchecked(wanted) if matches!(wanted.size, set_size3::size(_)) => {
                let on = Target { id: found.id, kind: found.attr.ftype };
                self.may_set(caller, on, &found.attr, sattr3 { size: wanted.size, ..nothing() }).await
            }
            _ => Ok(()),
        }
    }

    /// Write permission in the folder, and in a sticky one the folder or the thing as one's own.
    async fn may_take_away(
        &self,
        caller: &Caller,
        dir: Target,
        attr: &fattr3,
        name: Result<Vec<u8>, nfsstat3>,
    ) -> Result<Option<fattr3>, Fault> {
        allow(caller.may(attr, dir, WRITE | EXECUTE))?;
        let Ok(name) = name else { return Ok(None) };
        let Ok((found, _)) = self.fs.lookup(dir.id, name).await else { return Ok(None) };
        if attr.mode & STICKY != 0 && !caller.owns(attr) && !caller.owns(&found.attr) {
            return Err(nfsstat3::NFS3ERR_PERM.into());
        }
        Ok(Some(found.attr))
    }

    async fn may_rename(
        &self,
        caller: &Caller,
        from: Target,
        attr: &fattr3,
        mut args: Args,
    ) -> Result<(), Fault> {
        let from_name = names::name(&mut args, Purpose::Rename)?;
        let to = self.second_handle(&mut args)?;
        let to_name = names::name(&mut args, Purpose::Rename)?;
        // What is wrong with the arguments is said by the call itself.
        let Ok((from_name, to, to_name)) = rename_arguments(from_name, to, to_name) else { return Ok(()) };
        let moved = self.may_take_away(caller, from, attr, Ok(from_name)).await?;
        let to_attr = self.fs.getattr(to.id).await?;
        self.may_take_away(caller, to, &to_attr, Ok(to_name)).await?;
        match moved {
            // A folder that gets another parent is itself changed: its `..` is.
            Some(moved) if from.id != to.id && moved.ftype as u32 == 2 => {
                allow(caller.is_root() || caller.class(&moved) & WRITE != 0)
            }
            _ => Ok(()),
        }
    }

    async fn may_set(&self, caller: &Caller, on: Target, attr: &fattr3, change: sattr3) -> Result<(), Fault> {
        if sets_what_is_the_owners(attr, &change) && !caller.owns(attr) {
            return Err(nfsstat3::NFS3ERR_PERM.into());
        }
        if gives_away(caller, attr, &change) {
            return Err(nfsstat3::NFS3ERR_PERM.into());
        }
        let sized = matches!(change.size, set_size3::size(_));
        let touched = matches!(change.mtime, set_mtime::SET_TO_SERVER_TIME);
        if sized || touched {
            allow(caller.owns(attr) || caller.may(attr, on, WRITE))?;
        }
        match sized {
            true => self.drop_set_id(caller, on, attr).await,
            false => Ok(()),
        }
    }

    /// A program that somebody else than root has written to runs as nobody but its caller.
    async fn drop_set_id(&self, caller: &Caller, on: Target, attr: &fattr3) -> Result<(), Fault> {
        let mode = without_set_id(attr.mode);
        if caller.is_root() || mode == attr.mode {
            return Ok(());
        }
        let change = sattr3 { mode: set_mode3::mode(mode), ..nothing() };
        self.fs.setattr(on.id, change, None, None).await?;
        Ok(())
    }

    /// What SETATTR does beside what was asked, as on a local disk.
    pub(super) async fn as_user_sets(
        &self,
        caller: &Caller,
        on: Target,
        mut change: sattr3,
    ) -> Result<sattr3, Fault> {
        let attr = self.fs.getattr(on.id).await?;
        if let set_mode3::mode(mode) = change.mode
            && !caller.is_root()
            && !caller.is_in(attr.gid)
        {
            change.mode = set_mode3::mode(mode & !SET_GID);
        }
        let given = matches!(change.uid, set_uid3::uid(_)) || matches!(change.gid, set_gid3::gid(_));
        if given && !on.is_dir() {
            let mode = match change.mode {
                set_mode3::mode(mode) => mode,
                set_mode3::Void => attr.mode,
            };
            change.mode = set_mode3::mode(without_set_id(mode));
        }
        Ok(change)
    }

    /// What is made is the caller's, in a set-gid folder of that folder's group.
    pub(super) async fn as_user_makes(
        &self,
        caller: Option<&Caller>,
        dir: Target,
        wanted: sattr3,
        folder: bool,
    ) -> Result<sattr3, Fault> {
        let Some(caller) = caller else { return Ok(wanted) };
        let attr = self.fs.getattr(dir.id).await?;
        let inherits = attr.mode & SET_GID != 0;
        let gid = if inherits { attr.gid } else { caller.gid };
        let mode = match wanted.mode {
            set_mode3::mode(mode) if inherits && folder => set_mode3::mode(mode | SET_GID),
            mode => mode,
        };
        Ok(sattr3 { uid: set_uid3::uid(caller.uid), gid: set_gid3::gid(gid), mode, ..wanted })
    }

    pub(super) async fn as_user_creates(
        &self,
        caller: Option<&Caller>,
        dir: Target,
        how: CreateHow,
    ) -> Result<CreateHow, Fault> {
        Ok(match how {
            CreateHow::Unchecked(wanted) => {
                CreateHow::Unchecked(self.as_user_makes(caller, dir, wanted, false).await?)
            }
            CreateHow::Guarded(wanted) => {
                CreateHow::Guarded(self.as_user_makes(caller, dir, wanted, false).await?)
            }
            exclusive => exclusive,
        })
    }

    /// EXCLUSIVE CREATE has no room for attributes: gives what it made to the caller, returns it as it is then.
    /// Whoever looks between the two steps, or a server killed there, sees the served owner's file.
    pub(super) async fn give_to_its_maker(
        &self,
        caller: &Caller,
        dir: Target,
        id: u64,
    ) -> Result<fattr3, Fault> {
        let owner = self.as_user_makes(Some(caller), dir, nothing(), false).await?;
        self.fs.setattr(id, owner, None, None).await?;
        Ok(self.fs.getattr(id).await?)
    }
}

/// Mode, owner, group, and times other than "now, both".
fn sets_what_is_the_owners(attr: &fattr3, change: &sattr3) -> bool {
    let mode = matches!(change.mode, set_mode3::mode(mode) if mode & 0o7777 != attr.mode & 0o7777);
    let owner = matches!(change.uid, set_uid3::uid(_)) || matches!(change.gid, set_gid3::gid(_));
    let a_time = matches!(change.atime, set_atime::SET_TO_CLIENT_TIME(_))
        || matches!(change.mtime, set_mtime::SET_TO_CLIENT_TIME(_));
    let one_now = matches!(change.atime, set_atime::SET_TO_SERVER_TIME)
        != matches!(change.mtime, set_mtime::SET_TO_SERVER_TIME);
    // A change of size moves mtime alone.
    mode || owner || a_time || one_now && matches!(change.size, set_size3::Void)
}

/// Only root gives a file to somebody, or to a group the owner is not in.
fn gives_away(caller: &Caller, attr: &fattr3, change: &sattr3) -> bool {
    let to_user = matches!(change.uid, set_uid3::uid(uid) if uid != attr.uid);
    let to_group = matches!(change.gid, set_gid3::gid(gid) if gid != attr.gid && !caller.is_in(gid));
    !caller.is_root() && (to_user || to_group)
}

/// Set-gid without group execute means mandatory locking, and stays.
fn without_set_id(mode: u32) -> u32 {
    match mode & GROUP_EXECUTE {
        0 => mode & !SET_UID,
        _ => mode & !(SET_UID | SET_GID),
    }
}

fn nothing() -> sattr3 {
    sattr3 {
        mode: set_mode3::Void,
        uid: set_uid3::Void,
        gid: set_gid3::Void,
        size: set_size3::Void,
        atime: set_atime::DONT_CHANGE,
        mtime: set_mtime::DONT_CHANGE,
    }
}

fn allow(allowed: bool) -> Result<(), Fault> {
    if allowed { Ok(()) } else { Err(nfsstat3::NFS3ERR_ACCES.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_system::FileId;
    use crate::types::{ftype3, nfstime3, specdata3};

    fn attr(kind: ftype3, mode: u32) -> fattr3 {
        let never = nfstime3 { seconds: 0, nseconds: 0 };
        fattr3 {
            ftype: kind,
            mode,
            nlink: 1,
            uid: 10,
            gid: 20,
            size: 0,
            used: 0,
            rdev: specdata3 { specdata1: 0, specdata2: 0 },
            fsid: 1,
            fileid: 2,
            atime: never,
            mtime: never,
            ctime: never,
        }
    }

    fn caller(uid: u32, gid: u32) -> Caller {
        Caller::new(uid, gid, &[21])
    }

    fn target(kind: ftype3) -> Target {
        Target { id: 2 as FileId, kind }
    }

    #[test]
    fn one_class_of_the_mode_counts_and_no_other() {
        let (file, on) = (attr(ftype3::NF3REG, 0o046), target(ftype3::NF3REG));
        assert_eq!(rights(&caller(10, 20), on, &file), 0, "the owner has less than others");
        assert_eq!(rights(&caller(11, 20), on, &file), 0x01);
        assert_eq!(rights(&caller(11, 99), on, &file), 0x01 | 0x04 | 0x08);
        let by_second_group = attr(ftype3::NF3REG, 0o040);
        assert_eq!(rights(&caller(11, 99), on, &fattr3 { gid: 21, ..by_second_group }), 0x01);
        assert_eq!(rights(&caller(0, 0), on, &file), 0x01 | 0x04 | 0x08, "root does not run what nobody may");
        let folder = attr(ftype3::NF3DIR, 0o300);
        assert_eq!(rights(&caller(10, 1), target(ftype3::NF3DIR), &folder), 0x02 | 0x04 | 0x08 | 0x10);
        assert_eq!(rights(&caller(11, 1), target(ftype3::NF3DIR), &folder), 0);
    }

    #[test]
    fn files_are_given_away_by_root_only_and_to_own_groups_by_the_owner() {
        let file = attr(ftype3::NF3REG, 0o644);
        let to_user = |uid| sattr3 { uid: set_uid3::uid(uid), ..nothing() };
        let to_group = |gid| sattr3 { gid: set_gid3::gid(gid), ..nothing() };
        assert!(gives_away(&caller(10, 20), &file, &to_user(11)));
        assert!(!gives_away(&caller(10, 20), &file, &to_user(10)));
        assert!(!gives_away(&caller(0, 0), &file, &to_user(11)));
        assert!(gives_away(&caller(10, 20), &file, &to_group(99)));
        assert!(!gives_away(&caller(10, 20), &file, &to_group(21)));
    }

    #[test]
    fn times_of_ones_choice_are_the_owners_and_now_is_a_writers() {
        use set_atime::SET_TO_SERVER_TIME as A_NOW;
        use set_mtime::SET_TO_SERVER_TIME as M_NOW;
        let file = attr(ftype3::NF3REG, 0o644);
        let owners = |change: sattr3| sets_what_is_the_owners(&file, &change);
        assert!(!owners(sattr3 { atime: A_NOW, mtime: M_NOW, ..nothing() }));
        assert!(owners(sattr3 { mtime: M_NOW, ..nothing() }));
        assert!(!owners(sattr3 { mtime: M_NOW, size: set_size3::size(0), ..nothing() }), "truncate");
        assert!(owners(sattr3 { mode: set_mode3::mode(0o600), ..nothing() }));
        assert!(!owners(nothing()));
    }

    #[test]
    fn set_id_bits_go_but_mandatory_locking_stays() {
        assert_eq!(without_set_id(0o6755), 0o755);
        assert_eq!(without_set_id(0o6745), 0o2745);
        assert_eq!(without_set_id(0o1644), 0o1644);
    }
}
