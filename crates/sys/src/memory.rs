//! Files that live in memory and have no name.

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
