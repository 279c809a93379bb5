//! Between the file system's words and RFC 1813's: attributes, times, changes.

use bucketfs::{Attr, Change, Kind, SetAttr, SetTime, Stamp, Timestamp};
use nfs::file_system::{Found, Made, Renamed, Wcc};
use nfs::types::{
    fattr3, ftype3, nfsstat3, nfstime3, sattr3, set_atime, set_gid3, set_mode3, set_mtime, set_size3,
    set_uid3, specdata3, wcc_attr,
};

const SECOND: i64 = 1_000_000_000;

/// Times before 1970 and after 2106 cannot be said in NFSv3: they become the nearest that can.
pub(crate) fn time(stamp: Timestamp) -> nfstime3 {
    if stamp.0 < 0 {
        return nfstime3 { seconds: 0, nseconds: 0 };
    }
    match u32::try_from(stamp.0 / SECOND) {
        Ok(seconds) => nfstime3 { seconds, nseconds: (stamp.0 % SECOND) as u32 },
        Err(_) => nfstime3 { seconds: u32::MAX, nseconds: 999_999_999 },
    }
}

/// `None` for a nanosecond count of a second or more.
pub(crate) fn timestamp(time: nfstime3) -> Option<Timestamp> {
    let nanoseconds = i64::from(time.nseconds);
    (nanoseconds < SECOND).then(|| Timestamp(i64::from(time.seconds) * SECOND + nanoseconds))
}

pub(crate) fn attributes(attr: &Attr, fsid: u64) -> fattr3 {
    let ftype = match attr.kind {
        Kind::File => ftype3::NF3REG,
        Kind::Directory => ftype3::NF3DIR,
        Kind::Symlink => ftype3::NF3LNK,
    };
    fattr3 {
        ftype,
        mode: attr.mode,
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        size: attr.size,
        used: attr.size,
        rdev: specdata3 { specdata1: 0, specdata2: 0 },
        fsid,
        fileid: attr.id.0,
        atime: time(attr.atime),
        mtime: time(attr.mtime),
        ctime: time(attr.ctime),
    }
}

fn before(stamp: &Stamp) -> wcc_attr {
    wcc_attr { size: stamp.size, mtime: time(stamp.mtime), ctime: time(stamp.ctime) }
}

pub(crate) fn wcc(change: &Change, fsid: u64) -> Wcc {
    Wcc { before: Some(before(&change.before)), after: Some(attributes(&change.after, fsid)) }
}

pub(crate) fn found(attr: &Attr, fsid: u64) -> Found {
    Found { id: attr.id.0, attr: attributes(attr, fsid) }
}

pub(crate) fn made(made: &bucketfs::Made, fsid: u64) -> Made {
    Made { object: found(&made.attr, fsid), dir_wcc: wcc(&made.dir, fsid) }
}

pub(crate) fn renamed(renamed: &bucketfs::Renamed, fsid: u64) -> Renamed {
    Renamed { from_wcc: wcc(&renamed.from, fsid), to_wcc: wcc(&renamed.to, fsid) }
}

/// INVAL for a time that is none.
pub(crate) fn set_attributes(change: &sattr3) -> Result<SetAttr, nfsstat3> {
    let mode = match change.mode {
        set_mode3::mode(mode) => Some(mode & 0o7777),
        set_mode3::Void => None,
    };
    let uid = match change.uid {
        set_uid3::uid(uid) => Some(uid),
        set_uid3::Void => None,
    };
    let gid = match change.gid {
        set_gid3::gid(gid) => Some(gid),
        set_gid3::Void => None,
    };
    let size = match change.size {
        set_size3::size(size) => Some(size),
        set_size3::Void => None,
    };
    let atime = match change.atime {
        set_atime::DONT_CHANGE => None,
        set_atime::SET_TO_SERVER_TIME => Some(SetTime::ToNow),
        set_atime::SET_TO_CLIENT_TIME(time) => Some(client_time(time)?),
    };
    let mtime = match change.mtime {
        set_mtime::DONT_CHANGE => None,
        set_mtime::SET_TO_SERVER_TIME => Some(SetTime::ToNow),
        set_mtime::SET_TO_CLIENT_TIME(time) => Some(client_time(time)?),
    };
    Ok(SetAttr { mode, uid, gid, size, atime, mtime })
}

fn client_time(time: nfstime3) -> Result<SetTime, nfsstat3> {
    timestamp(time).map(SetTime::To).ok_or(nfsstat3::NFS3ERR_INVAL)
}

#[cfg(test)]
mod tests {
    use bucketfs::FileId;

    use super::*;

    fn pair(time: nfstime3) -> (u32, u32) {
        (time.seconds, time.nseconds)
    }

    #[test]
    fn times_go_there_and_back() {
        for nanoseconds in [0, 1, 999_999_999, SECOND, 1_764_000_000 * SECOND + 123_456_789] {
            assert_eq!(timestamp(time(Timestamp(nanoseconds))), Some(Timestamp(nanoseconds)));
        }
    }

    #[test]
    fn times_nfs_cannot_say() {
        assert_eq!(pair(time(Timestamp(-1))), (0, 0));
        assert_eq!(pair(time(Timestamp(i64::MAX))), (u32::MAX, 999_999_999));
        assert_eq!(timestamp(nfstime3 { seconds: 1, nseconds: 1_000_000_000 }), None);
    }

    #[test]
    fn a_change_of_nothing_and_of_everything() {
        let nothing = sattr3 {
            mode: set_mode3::Void,
            uid: set_uid3::Void,
            gid: set_gid3::Void,
            size: set_size3::Void,
            atime: set_atime::DONT_CHANGE,
            mtime: set_mtime::DONT_CHANGE,
        };
        assert_eq!(set_attributes(&nothing).unwrap(), SetAttr::default());
        let everything = sattr3 {
            mode: set_mode3::mode(0o100_644),
            uid: set_uid3::uid(5),
            gid: set_gid3::gid(6),
            size: set_size3::size(7),
            atime: set_atime::SET_TO_SERVER_TIME,
            mtime: set_mtime::SET_TO_CLIENT_TIME(nfstime3 { seconds: 8, nseconds: 9 }),
        };
        let expected = SetAttr {
            mode: Some(0o644),
            uid: Some(5),
            gid: Some(6),
            size: Some(7),
            atime: Some(SetTime::ToNow),
            mtime: Some(SetTime::To(Timestamp(8 * SECOND + 9))),
        };
        assert_eq!(set_attributes(&everything).unwrap(), expected);
        let bad = sattr3 {
            mtime: set_mtime::SET_TO_CLIENT_TIME(nfstime3 { seconds: 0, nseconds: u32::MAX }),
            ..nothing
        };
        assert_eq!(set_attributes(&bad).unwrap_err() as u32, 22);
    }

    #[test]
    fn attributes_of_each_kind() {
        let attr = Attr {
            id: FileId(7),
            kind: Kind::Symlink,
            mode: 0o777,
            nlink: 1,
            uid: 501,
            gid: 20,
            size: 4,
            atime: Timestamp(SECOND),
            mtime: Timestamp(2 * SECOND),
            ctime: Timestamp(3 * SECOND),
        };
        let on_wire = attributes(&attr, 99);
        assert_eq!((on_wire.ftype as u32, on_wire.fileid, on_wire.fsid, on_wire.size), (5, 7, 99, 4));
        assert_eq!((on_wire.uid, on_wire.gid, on_wire.mode), (501, 20, 0o777));
        let times = [on_wire.atime, on_wire.mtime, on_wire.ctime].map(|time| time.seconds);
        assert_eq!(times, [1, 2, 3]);
        let change = Change { before: attr.stamp(), after: Attr { size: 5, ..attr } };
        let wcc = wcc(&change, 99);
        assert_eq!((wcc.before.unwrap().size, wcc.after.unwrap().size), (4, 5));
    }
}
