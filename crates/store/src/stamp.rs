//! What a file looked like when its bytes were seen to be right.
//!
//! Hashing at each use would cost more than compiling. A file is hashed at its first use after the
//! store was opened, because a crash or a dying disk may have left anything under its name; from
//! then on it is taken to be right as long as inode, size and time of change are the same. The
//! time of the inode's own change would be harder to forge but moves with each hard link.

use std::num::NonZeroU64;

use rustix::fs::Stat;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    inode: NonZeroU64,
    /// Wraps in the year 2554; only equality counts.
    changed_ns: u64,
}

impl Stamp {
    /// `None` if the file has another size, or is no ordinary file.
    pub(crate) fn of(stat: &Stat, size_bytes: u64) -> Option<Stamp> {
        let is_file =
            rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile;
        let is_size = u64::try_from(stat.st_size) == Ok(size_bytes);
        let seconds = stat.st_mtime.cast_unsigned();
        let changed_ns = seconds
            .wrapping_mul(1_000_000_000)
            .wrapping_add(stat.st_mtime_nsec);
        (is_file && is_size).then_some(Stamp {
            inode: NonZeroU64::new(stat.st_ino)?,
            changed_ns,
        })
    }
}
