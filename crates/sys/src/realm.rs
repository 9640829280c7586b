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
