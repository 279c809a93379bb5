//! Which of the system's mounts are ours.
//!
//! Linux tells in `/proc/self/mountinfo`, macOS through `getfsstat(2)`: its `mount` command prints names
//! unescaped, so that a folder called `x on y (nfs)` could pass for another. Neither touches a mount.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One mount of a BucketBar server on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnMount {
    pub mount_point: PathBuf,
    /// The server's port where the system tells it (Linux).
    pub port: Option<u16>,
    /// `/TOKEN/VOLUME`.
    pub export: String,
    /// 32 hex digits: which server it is.
    pub token: String,
    pub volume: String,
    pub read_only: bool,
}

/// A mount as the system's table has it.
struct Row {
    kind: Vec<u8>,
    device: Vec<u8>,
    mount_point: Vec<u8>,
    port: Option<u16>,
    read_only: bool,
}

/// All mounts of BucketBar servers, in the order they were made. Touches no mount.
///
/// # Errors
/// The table could not be read; without it nothing can be decided.
pub fn own_mounts() -> io::Result<Vec<OwnMount>> {
    Ok(system_table()?.into_iter().filter_map(ours).collect())
}

/// The mount points of everything mounted, ours or not.
///
/// # Errors
/// As for [`own_mounts`].
pub fn mount_points() -> io::Result<Vec<PathBuf>> {
    Ok(system_table()?.into_iter().map(|row| PathBuf::from(OsString::from_vec(row.mount_point))).collect())
}

#[cfg(not(target_os = "macos"))]
fn system_table() -> io::Result<Vec<Row>> {
    Ok(parse_mountinfo(&std::fs::read("/proc/self/mountinfo")?))
}

#[cfg(target_os = "macos")]
fn system_table() -> io::Result<Vec<Row>> {
    macos::rows()
}

/// Ours is an NFS mount of this machine whose export begins with a token of 32 hex digits.
fn ours(row: Row) -> Option<OwnMount> {
    if !row.kind.starts_with(b"nfs") {
        return None;
    }
    let device = String::from_utf8(row.device).ok()?;
    let export = device.strip_prefix("127.0.0.1:").or_else(|| device.strip_prefix("localhost:"))?;
    let (token, volume) = export.strip_prefix('/')?.split_once('/')?;
    let is_token = token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_token || volume.is_empty() {
        return None;
    }
    Some(OwnMount {
        mount_point: PathBuf::from(OsString::from_vec(row.mount_point)),
        port: row.port,
        export: export.to_owned(),
        token: token.to_owned(),
        volume: volume.to_owned(),
        read_only: row.read_only,
    })
}

/// proc(5): `id parent major:minor root MOUNT_POINT OPTIONS [tags…] - TYPE DEVICE SUPER_OPTIONS`, names
/// with `\ooo` for space, tab, newline, backslash (and `#`). A line that cannot be read is skipped.
#[cfg(any(not(target_os = "macos"), test))]
fn parse_mountinfo(text: &[u8]) -> Vec<Row> {
    text.split(|&b| b == b'\n').filter_map(parse_line).collect()
}

#[cfg(any(not(target_os = "macos"), test))]
fn parse_line(line: &[u8]) -> Option<Row> {
    let fields: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
    let dash = fields.iter().skip(6).position(|f| *f == b"-")? + 6;
    let super_options = fields.get(dash + 3)?;
    let options = fields.get(5)?;
    let port = value_of(super_options, b"port").and_then(|p| std::str::from_utf8(p).ok()?.parse().ok());
    Some(Row {
        mount_point: unescape(fields.get(4)?),
        kind: fields.get(dash + 1)?.to_vec(),
        device: unescape(fields.get(dash + 2)?),
        port,
        read_only: has(options, b"ro") || has(super_options, b"ro"),
    })
}

#[cfg(any(not(target_os = "macos"), test))]
fn has(options: &[u8], name: &[u8]) -> bool {
    options.split(|&b| b == b',').any(|option| option == name)
}

#[cfg(any(not(target_os = "macos"), test))]
fn value_of<'a>(options: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    options.split(|&b| b == b',').find_map(|option| option.strip_prefix(name)?.strip_prefix(b"="))
}

/// Turns `\040` back into a space; a backslash without three octal digits stays what it is.
#[cfg(any(not(target_os = "macos"), test))]
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|d| first == b'\\' && d.iter().all(|b| (b'0'..=b'7').contains(b)));
        let value = octal.map(|d| d.iter().fold(0u32, |sum, b| sum * 8 + u32::from(b - b'0')));
        match value.and_then(|v| u8::try_from(v).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    out
}

/// `path` is `mount_point` or below it. Compares bytes, touches nothing.
pub fn is_below(path: &std::path::Path, mount_point: &std::path::Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    let (path, mount_point) = (path.as_os_str().as_bytes(), mount_point.as_os_str().as_bytes());
    match path.strip_prefix(mount_point) {
        Some(rest) => rest.is_empty() || rest[0] == b'/' || mount_point == b"/",
        None => false,
    }
}

#[cfg(target_os = "macos")]
mod macos {
    use std::ffi::CStr;
    use std::io;

    use super::Row;

    /// `getfsstat(MNT_NOWAIT)`: the kernel's own copy, no server is asked.
    pub(super) fn rows() -> io::Result<Vec<Row>> {
        let mut buffer: Vec<libc::statfs> = Vec::new();
        loop {
            let count = call(&mut buffer)?;
            if count < buffer.len() {
                buffer.truncate(count);
                return Ok(buffer.iter().map(row).collect());
            }
            // Full: there may be more.
            let longer = buffer.len() * 2 + 16;
            // SAFETY: statfs is plain data, for which all zeroes is a value.
            buffer.resize(longer, unsafe { std::mem::zeroed() });
        }
    }

    fn call(buffer: &mut [libc::statfs]) -> io::Result<usize> {
        let bytes = i32::try_from(size_of_val(buffer)).map_err(io::Error::other)?;
        // SAFETY: the pointer is good for `bytes` bytes of statfs, which the call fills at most.
        let count = unsafe { libc::getfsstat(buffer.as_mut_ptr(), bytes, libc::MNT_NOWAIT) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    fn row(entry: &libc::statfs) -> Row {
        Row {
            kind: text(&entry.f_fstypename),
            device: text(&entry.f_mntfromname),
            mount_point: text(&entry.f_mntonname),
            port: None,
            read_only: entry.f_flags & libc::MNT_RDONLY as u32 != 0,
        }
    }

    fn text(field: &[libc::c_char]) -> Vec<u8> {
        let bytes: Vec<u8> = field.iter().map(|&c| c as u8).collect();
        CStr::from_bytes_until_nul(&bytes).map(|c| c.to_bytes().to_vec()).unwrap_or(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn parse(line: &str) -> Vec<OwnMount> {
        parse_mountinfo(line.as_bytes()).into_iter().filter_map(ours).collect()
    }

    #[test]
    fn a_mount_of_ours() {
        let line = format!(
            "88 25 0:61 / /mnt/my\\040bucket rw,nosuid,nodev,relatime shared:5 - nfs \
             127.0.0.1:/{TOKEN}/my\\040bucket rw,vers=3,proto=tcp,port=23456,mountport=23456,addr=127.0.0.1\n"
        );
        let expected = OwnMount {
            mount_point: "/mnt/my bucket".into(),
            port: Some(23456),
            export: format!("/{TOKEN}/my bucket"),
            token: TOKEN.into(),
            volume: "my bucket".into(),
            read_only: false,
        };
        assert_eq!(parse(&line), vec![expected]);
    }

    #[test]
    fn hostile_names_stay_names() {
        let line = format!(
            "88 25 0:61 / /mnt/a\\040-\\040nfs\\0121\\0112\\134040,ro rw - nfs \
             127.0.0.1:/{TOKEN}/x,port=1\\040\\043 rw,mountport=9,port=23456"
        );
        let mounts = parse(&line);
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].mount_point, Path::new("/mnt/a - nfs\n1\t2\\040,ro"));
        assert_eq!(mounts[0].volume, "x,port=1 #");
        assert_eq!(mounts[0].port, Some(23456));
        assert!(!mounts[0].read_only);
    }

    #[test]
    fn read_only_is_seen_in_either_place() {
        for (options, super_options) in [("ro", "rw"), ("rw", "ro,port=1")] {
            let line = format!("88 25 0:61 / /m {options} - nfs 127.0.0.1:/{TOKEN}/v {super_options}");
            assert!(parse(&line)[0].read_only);
        }
    }

    #[test]
    fn what_is_not_ours_is_left_out() {
        let others = [
            format!("1 2 0:6 / /m rw - nfs 10.0.0.1:/{TOKEN}/v rw"),
            format!("1 2 0:6 / /m rw - ext4 127.0.0.1:/{TOKEN}/v rw"),
            "1 2 0:6 / /m rw - nfs 127.0.0.1:/export/home rw".to_owned(),
            format!("1 2 0:6 / /m rw - nfs 127.0.0.1:/{TOKEN} rw"),
            format!("1 2 0:6 / /m rw - nfs 127.0.0.1:/{}/v rw", &TOKEN[1..]),
            "garbage".to_owned(),
            "1 2 0:6 / /m rw - nfs".to_owned(),
            "\\ \\0 \\04 - - - - - - -".to_owned(),
        ];
        for line in others {
            assert_eq!(parse(&line), vec![], "{line}");
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"a\\040b"), b"a b");
        assert_eq!(unescape(b"\\134040"), b"\\040");
        assert_eq!(unescape(b"\\"), b"\\");
        assert_eq!(unescape(b"\\04"), b"\\04");
        assert_eq!(unescape(b"\\999\\777"), b"\\999\\777");
        assert_eq!(unescape(b"\\303\\251"), "é".as_bytes());
    }

    #[test]
    fn below_goes_by_components() {
        assert!(is_below(Path::new("/a/b"), Path::new("/a/b")));
        assert!(is_below(Path::new("/a/b/c"), Path::new("/a/b")));
        assert!(!is_below(Path::new("/a/bc"), Path::new("/a/b")));
        assert!(is_below(Path::new("/a"), Path::new("/")));
    }

    #[test]
    fn the_systems_own_table_is_read() {
        assert!(mount_points().unwrap().contains(&PathBuf::from("/")));
    }
}
