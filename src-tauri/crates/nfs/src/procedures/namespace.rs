//! CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, RMDIR, RENAME, LINK (RFC 1813 3.3.8 to 3.3.15).

use super::attributes::check;
use super::names::{self, Purpose};
use super::{Fault, Outcome, Procedures, ok, receipt, wcc_reply};
use crate::file_system::{CallKey, CreateHow, Failure, FileSystem, Made, Renamed};
use crate::handle::{HANDLE_LENGTH, Handles, Target};
use crate::limits::MAX_LINK_TARGET;
use crate::rpc::Caller;
use crate::types::{nfsstat3, sattr3, specdata3};
use crate::xdr::{Args, Garbage, Out};

impl<F: FileSystem> Procedures<F> {
    pub(super) async fn create(
        &self,
        on: Target,
        mut args: Args,
        key: Option<CallKey>,
        caller: Option<&Caller>,
    ) -> Outcome {
        let name = names::name(&mut args, Purpose::Make)?;
        let how = create_how(&mut args)?;
        let checked = match &how {
            CreateHow::Unchecked(attr) | CreateHow::Guarded(attr) => check(attr, true),
            CreateHow::Exclusive(_) => Ok(()),
        };
        let name = self.allowed(on, name.and_then(|name| checked.map(|()| name))).await?;
        let how = self.as_user_creates(caller, on, how).await?;
        let exclusive = matches!(how, CreateHow::Exclusive(_));
        let receipt = receipt(key, self.made_encoder());
        let mut made = self.fs.create(on.id, name, how, receipt).await?;
        if let Some(caller) = caller.filter(|_| exclusive) {
            made.object.attr = self.give_to_its_maker(caller, on, made.object.id).await?;
        }
        Ok(made_reply(&self.handles, &made).into())
    }

    pub(super) async fn mkdir(
        &self,
        on: Target,
        mut args: Args,
        key: Option<CallKey>,
        caller: Option<&Caller>,
    ) -> Outcome {
        let name = names::name(&mut args, Purpose::Make)?;
        let attr: sattr3 = args.plain()?;
        let name = self.allowed(on, name.and_then(|name| check(&attr, false).map(|()| name))).await?;
        let attr = self.as_user_makes(caller, on, attr, true).await?;
        let receipt = receipt(key, self.made_encoder());
        let made = self.fs.mkdir(on.id, name, attr, receipt).await?;
        Ok(made_reply(&self.handles, &made).into())
    }

    pub(super) async fn symlink(
        &self,
        on: Target,
        mut args: Args,
        key: Option<CallKey>,
        caller: Option<&Caller>,
    ) -> Outcome {
        let name = names::name(&mut args, Purpose::Make)?;
        let attr: sattr3 = args.plain()?;
        let target = args.opaque(usize::MAX)?;
        let checked = check(&attr, false).and_then(|()| check_link_target(&target));
        let name = self.allowed(on, name.and_then(|name| checked.map(|()| name))).await?;
        let attr = self.as_user_makes(caller, on, attr, false).await?;
        let receipt = receipt(key, self.made_encoder());
        let made = self.fs.symlink(on.id, name, target.to_vec(), attr, receipt).await?;
        Ok(made_reply(&self.handles, &made).into())
    }

    /// A bucket has no devices, sockets and pipes.
    pub(super) async fn mknod(&self, on: Target, mut args: Args) -> Outcome {
        let name = names::name(&mut args, Purpose::Make)?;
        let status = match args.u32()? {
            3 | 4 => {
                args.plain::<sattr3>()?;
                args.plain::<specdata3>()?;
                nfsstat3::NFS3ERR_NOTSUPP
            }
            6 | 7 => {
                args.plain::<sattr3>()?;
                nfsstat3::NFS3ERR_NOTSUPP
            }
            1 | 2 | 5 => nfsstat3::NFS3ERR_BADTYPE,
            _ => return Err(Fault::Garbage),
        };
        self.allowed(on, name).await?;
        Err(self.refuse(on.id, status).await.into())
    }

    pub(super) async fn remove(&self, on: Target, mut args: Args, key: Option<CallKey>) -> Outcome {
        let name = self.allowed(on, names::name(&mut args, Purpose::Remove)?).await?;
        let wcc = self.fs.remove(on.id, name, receipt(key, wcc_reply)).await?;
        Ok(wcc_reply(&wcc).into())
    }

    pub(super) async fn rmdir(&self, on: Target, mut args: Args, key: Option<CallKey>) -> Outcome {
        let name = self.allowed(on, names::name(&mut args, Purpose::RemoveDirectory)?).await?;
        let wcc = self.fs.rmdir(on.id, name, receipt(key, wcc_reply)).await?;
        Ok(wcc_reply(&wcc).into())
    }

    pub(super) async fn rename(&self, on: Target, mut args: Args, key: Option<CallKey>) -> Outcome {
        let from_name = names::name(&mut args, Purpose::Rename)?;
        let to = self.second_handle(&mut args)?;
        let to_name = names::name(&mut args, Purpose::Rename)?;
        let (from_name, to, to_name) = match rename_arguments(from_name, to, to_name) {
            Ok(arguments) => arguments,
            Err(status) => return Err(self.refuse_two(on, to, status).await.into()),
        };
        let renamed = self.fs.rename(on.id, from_name, to.id, to_name, receipt(key, renamed_reply)).await;
        match renamed {
            Ok(renamed) => Ok(renamed_reply(&renamed).into()),
            Err(mut failure) => {
                if failure.to_wcc.after.is_none() {
                    failure.to_wcc.after = self.post_op(to.id).await;
                }
                Err(failure.into())
            }
        }
    }

    /// A bucket has no second names for one file.
    pub(super) async fn link(&self, on: Target, mut args: Args) -> Outcome {
        let dir = self.second_handle(&mut args)?;
        let name = names::name(&mut args, Purpose::Make)?;
        let status = match (dir, name) {
            (None, _) => nfsstat3::NFS3ERR_BADHANDLE,
            (Some(dir), _) if !dir.is_dir() => nfsstat3::NFS3ERR_NOTDIR,
            (_, Err(status)) => status,
            (_, Ok(_)) => nfsstat3::NFS3ERR_NOTSUPP,
        };
        Err(self.refuse_two(on, dir, status).await.into())
    }

    async fn allowed<T>(&self, on: Target, checked: Result<T, nfsstat3>) -> Result<T, Fault> {
        match checked {
            Ok(allowed) => Ok(allowed),
            Err(status) => Err(self.refuse(on.id, status).await.into()),
        }
    }

    async fn refuse_two(&self, on: Target, other: Option<Target>, status: nfsstat3) -> Failure {
        let mut failure = self.refuse(on.id, status).await;
        if let Some(other) = other {
            failure.to_wcc = self.unchanged(other.id).await;
        }
        failure
    }

    fn made_encoder(&self) -> impl FnOnce(&Made) -> Out + Send + 'static {
        let handles = self.handles.clone();
        move |made| made_reply(&handles, made)
    }
}

pub(super) fn create_how(args: &mut Args) -> Result<CreateHow, Garbage> {
    match args.u32()? {
        0 => Ok(CreateHow::Unchecked(args.plain()?)),
        1 => Ok(CreateHow::Guarded(args.plain()?)),
        2 => Ok(CreateHow::Exclusive(args.fixed()?)),
        _ => Err(Garbage),
    }
}

fn check_link_target(target: &[u8]) -> Result<(), nfsstat3> {
    match target {
        target if target.is_empty() || target.contains(&0) => Err(nfsstat3::NFS3ERR_INVAL),
        target if target.len() > MAX_LINK_TARGET => Err(nfsstat3::NFS3ERR_NAMETOOLONG),
        _ => Ok(()),
    }
}

type Name = Result<Vec<u8>, nfsstat3>;

pub(super) fn rename_arguments(
    from: Name,
    to: Option<Target>,
    to_name: Name,
) -> Result<(Vec<u8>, Target, Vec<u8>), nfsstat3> {
    let to = to.ok_or(nfsstat3::NFS3ERR_BADHANDLE)?;
    if !to.is_dir() {
        return Err(nfsstat3::NFS3ERR_NOTDIR);
    }
    Ok((from?, to, to_name?))
}

/// CREATE, MKDIR, SYMLINK: the new object's handle and attributes, then the directory's wcc data.
fn made_reply(handles: &Handles, made: &Made) -> Out {
    let mut out = ok(HANDLE_LENGTH + 220);
    out.bool(true);
    out.opaque(&handles.of(made.object.id, &made.object.attr).0);
    out.post_op_attr(Some(&made.object.attr));
    out.wcc(&made.dir_wcc);
    out
}

fn renamed_reply(renamed: &Renamed) -> Out {
    let mut out = ok(232);
    out.wcc(&renamed.from_wcc);
    out.wcc(&renamed.to_wcc);
    out
}
