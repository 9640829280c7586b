//! What a directory's file system is like.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FsWord, accessat, statfs};

/// Magic numbers of file systems that several machines may have at once: AFS, Ceph, CIFS, Coda,
/// FUSE (which may be sshfs), NFS, 9P and SMB2. Sorted.
const REMOTE: &[FsWord] = &[
    0x6969,
    0x00c3_6400,
    0x0102_1997,
    0x5346_414f,
    0x6573_5546,
    0x7375_7245,
    0xfe53_4d42,
    0xff53_4d42,
];

/// Whether a directory may be on another machine.
///
/// # Errors
/// There is no such directory.
pub fn is_remote(dir: &Path) -> io::Result<bool> {
    Ok(REMOTE.contains(&statfs(dir)?.f_type))
}

/// Several directories shown as one, by `f_type` of `statfs(2)`: overlayfs.
const OVERLAY: FsWord = 0x794c_7630;

/// Whether reading a directory tells everything that can be found in it, as of the same moment. On file systems that
/// are not known to, things may appear when they are asked for (autofs), or come from another machine.
#[must_use]
pub fn lists_everything(dir: &Path) -> bool {
    statfs(dir).is_ok_and(|found| {
        found.f_type == OVERLAY || crate::dir_watch::LOCAL_FILE_SYSTEMS.contains(&found.f_type)
    })
}

/// How many bytes an ordinary user can still write to a directory's file system.
///
/// # Errors
/// There is no such directory.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    let found = statfs(dir)?;
    let block = u64::try_from(found.f_bsize).unwrap_or(0);
    Ok(found.f_bavail.saturating_mul(block))
}

/// How many bytes the files below a directory take on disk, as far as they can be seen.
#[must_use]
pub fn used_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let used = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => used_bytes(&entry.path()),
        // Of a file with several names, to each its part.
        Ok(data) => data.blocks().saturating_mul(512) / data.nlink().max(1),
        Err(_) => 0,
    });
    used.sum()
}

/// Whether this process may make files in a directory.
///
/// # Errors
/// It may not.
pub fn check_writable(dir: &Path) -> io::Result<()> {
    let rights = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(CWD, dir, rights, AtFlags::EACCESS)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_here_is_not_remote_and_has_room() {
        assert!(REMOTE.is_sorted());
        let dir = std::env::temp_dir();
        assert!(!is_remote(&dir).unwrap());
        assert!(free_bytes(&dir).unwrap() > 0);
        check_writable(&dir).unwrap();
        assert!(check_writable(&dir.join("no-such-directory")).is_err());
    }
}
