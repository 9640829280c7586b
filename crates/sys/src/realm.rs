//! The numbers by which the kernel tells what a process sees.

use std::os::unix::fs::MetadataExt;

/// Namespaces and root directory of this process; 0 where the kernel does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RealmNumbers {
    /// Inode of the mount namespace.
    pub mount_ns: u64,
    /// Inode of the network namespace.
    pub net_ns: u64,
    /// Inode of the pid namespace.
    pub pid_ns: u64,
    /// Device of `/`.
    pub root_dev: u64,
    /// Inode of `/`.
    pub root_ino: u64,
}

/// What this process sees.
#[must_use]
pub fn current() -> RealmNumbers {
    let inode = |path| std::fs::metadata(path).map_or(0, |meta| meta.ino());
    let root = std::fs::metadata("/").ok();
    RealmNumbers {
        mount_ns: inode("/proc/self/ns/mnt"),
        net_ns: inode("/proc/self/ns/net"),
        pid_ns: inode("/proc/self/ns/pid"),
        root_dev: root.as_ref().map_or(0, MetadataExt::dev),
        root_ino: root.as_ref().map_or(0, MetadataExt::ino),
    }
}

/// The real user id of this process.
#[must_use]
pub fn user_id() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The process group of a process: what a shell starts by one command line is in one group.
/// `None` without such a process.
#[must_use]
pub fn process_group(pid: u32) -> Option<u32> {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).ok()?)?;
    let group = rustix::process::getpgid(Some(pid)).ok()?;
    Some(group.as_raw_nonzero().get().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_process_is_known() {
        assert_eq!(
            process_group(std::process::id()),
            Some(
                rustix::process::getpgrp()
                    .as_raw_nonzero()
                    .get()
                    .unsigned_abs()
            )
        );
        assert_eq!(process_group(0), None);
        assert_eq!(process_group(u32::MAX), None);
    }
}
