//! How much of everything, and why.

/// Longest result of an action that is kept, in bytes. REAPI results name outputs by digest and
/// carry at most small texts inline; what is bigger belongs into blobs.
pub const ACTION_BYTES_MAX: usize = 16 << 20;

/// Bytes read or written at once: big enough that system calls do not matter beside hashing.
pub(crate) const COPY_BYTES: usize = 128 << 10;

/// Digests looked up under one hold of the lock, so that a long list does not stop the others.
pub(crate) const LOOKUPS_PER_LOCK: usize = 512;

/// Entries looked at under one hold of the lock while evicting.
pub(crate) const EVICTION_LOOKS_PER_LOCK: usize = 256;

/// An eviction goes on until this part of the limit is in use, in percent: seldom, and much at
/// once, rather than a little for every blob that comes.
pub(crate) const LOW_WATER_PERCENT: u64 = 92;

/// What a file costs beside its blocks, in bytes: inode and name in the directory.
pub(crate) const FILE_OVERHEAD_BYTES: u64 = 512;

/// Bytes that a writer asks room for at once.
pub(crate) const RESERVE_BYTES: u64 = 1 << 20;

/// When the disk is full before the store is: at least this part of what the store holds goes.
pub(crate) const DISK_FULL_EVICT_PERCENT: u64 = 10;

/// How often an operation begins anew because others replaced the file under it.
pub(crate) const RETRIES_MAX: u32 = 8;

/// A use is written down when this part (one over it) of all entries came or were used since the
/// last one that was. So far the order that a crash leaves may be off.
pub(crate) const USE_SKEW_PART: u64 = 8;

/// The same at least, in entries, so that small stores do not write for each use.
pub(crate) const USE_SKEW_MIN: u64 = 64;

/// Uses kept in memory until something is written anyway. Beyond that they are not written down.
pub(crate) const USES_PENDING_MAX: usize = 4096;

/// Uses written at once, at least, except when the store is closed.
pub(crate) const USES_WRITTEN_MIN: usize = 512;

/// The file of uses is written anew when it has this many records for each entry …
pub(crate) const USES_PER_ENTRY_MAX: u64 = 2;

/// … and this many in any case.
pub(crate) const USES_KEPT_MIN: u64 = 16 * 1024;

/// Slots looked at under one hold of the lock while that is done.
pub(crate) const USES_PER_LOCK: usize = 4096;

/// So much of the file of uses is read, in bytes: enough for ten million entries.
pub(crate) const USES_BYTES_MAX: u64 = 512 << 20;
