//! Files that live in memory and have no name, and where a program's own memory comes from.

use std::fs::File;
use std::io;

use rustix::fs::MemfdFlags;

/// A new empty file in memory, closed on exec. The name shows in `/proc/PID/fd` only.
///
/// # Errors
/// What `memfd_create` says.
pub fn memory_file(name: &str) -> io::Result<File> {
    Ok(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?.into())
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
