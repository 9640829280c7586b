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
/// `None` without such a process; 0 if the group was made outside of this pid namespace, as in
/// Portage's pid-sandbox.
#[must_use]
pub fn process_group(pid: u32) -> Option<u32> {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
    // JUSTIFICATION: rustix takes the kernel's 0 for impossible.
    // SAFETY: plain system call; a process that is not there gives an error.
    u32::try_from(unsafe { libc::getpgid(pid) }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_a_process_is_known() {
        // Field 5 of proc(5).
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let group = fields.split_whitespace().nth(2).unwrap().parse().ok();
        assert_eq!(process_group(std::process::id()), group);
        assert_eq!(process_group(0), None);
        assert_eq!(process_group(u32::MAX), None);
    }
}
