//! Files that live in memory and have no name, and where a program's own memory comes from.

use std::fs::File;
use std::io;

use rustix::fs::{MemfdFlags, SealFlags};

/// A new empty file in memory, closed on exec. The name shows in `/proc/PID/fd` only.
///
/// # Errors
/// What `memfd_create` says.
pub fn memory_file(name: &str) -> io::Result<File> {
    Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

/// What keeps everybody, also those who have it open, from changing a file in memory.
const UNCHANGEABLE: SealFlags = SealFlags::WRITE
    .union(SealFlags::GROW)
    .union(SealFlags::SHRINK);

/// The same for a file that is going to be sealed.
///
/// # Errors
/// What `memfd_create` says.
pub fn sealable_file(name: &str) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(rustix::fs::memfd_create(name, flags)?.into())
}

/// From now on nobody can change what is in a [`sealable_file`].
///
/// # Errors
/// It is another file, or somebody has it mapped for writing.
pub fn seal(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fcntl_add_seals(file, UNCHANGEABLE)?)
}

/// Heaps that all threads of a program share. One would be the smallest, and a lock that all of them wait for.
#[cfg(target_env = "gnu")]
const HEAPS_MAX: libc::c_int = 2;

/// Has all threads of this program share a few heaps. By itself glibc makes one for each thread, up to eight for each
/// processor, and what one thread has freed in its heap is of no use to the threads of another: a server of many
/// threads that each hold something large for a moment then takes several times the memory that it needs. To be called
/// before there are threads. Other C libraries do not do that.
pub fn use_few_heaps() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: sets a number of the allocator under its own lock. Without effect (0) everything works as well.
        let _is_set = unsafe { libc::mallopt(libc::M_ARENA_MAX, HEAPS_MAX) };
    }
}

/// What is said to glibc's allocator, by mallopt(3): a parameter and its number of bytes.
#[cfg(target_env = "gnu")]
const FOR_BURSTS: &[(libc::c_int, libc::c_int)] = &[
    // No small pieces that are kept apart: all of them are joined each time that something of 64 KiB is freed.
    (libc::M_MXFAST, 0),
    // What comes with a job, an object say, is not mapped and unmapped each time; a compiler that is packed is, because
    // what it leaves free is not for anything small.
    (libc::M_MMAP_THRESHOLD, 8 << 20),
    // So much is kept when it is free, and taken at once when there is nothing left.
    (libc::M_TRIM_THRESHOLD, 32 << 20),
    (libc::M_TOP_PAD, 1 << 20),
];

/// Has glibc's allocator serve a program well that goes through hundreds of small pieces of memory and some large ones for
/// each job, in bursts: what it does by itself took a fifth of what an edited unit costs the agent
/// (docs/performance.md). To be called before there are threads. Other C libraries are left alone.
pub fn keep_memory_for_bursts() {
    #[cfg(target_env = "gnu")]
    for &(parameter, bytes) in FOR_BURSTS {
        // SAFETY: sets a number of the allocator under its own lock. Without effect (0) everything works as well.
        let _is_set = unsafe { libc::mallopt(parameter, bytes) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn what_is_sealed_can_be_read_only() {
        let mut file = sealable_file("test").unwrap();
        file.write_all(b"bytes").unwrap();
        seal(&file).unwrap();
        assert!(file.write_all_at(b"x", 0).is_err() && file.write_all(b"x").is_err());
        assert!(file.set_len(0).is_err());
        let mut bytes = [0; 5];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"bytes");
    }

    #[test]
    fn other_files_are_not_sealed() {
        assert!(seal(&memory_file("test").unwrap()).is_err());
        assert!(seal(&tempfile::tempfile().unwrap()).is_err());
    }
}
