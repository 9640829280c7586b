//! How a worker is: what clients place jobs by.

/// A worker's state at one time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkerStatus {
    /// How many jobs it runs at once.
    pub slots: u32,
    /// How many it runs now.
    pub running: u32,
    /// How many wait for a slot.
    pub queued: u32,
    /// Processes that want a processor, over the last minute, in thousandths.
    pub load_milli: u32,
    /// Memory that jobs could still use, in bytes.
    pub memory_free_bytes: u64,
    /// All memory, in bytes.
    pub memory_total_bytes: u64,
    /// How fast one slot is, in thousandths of a reference machine's; 0 if not known yet.
    pub speed_milli: u32,
    /// How much its store holds, in bytes.
    pub store_bytes: u64,
    /// How much that may be, in bytes.
    pub store_limit_bytes: u64,
    /// The program's version.
    pub version: String,
    /// The processor's architecture, as the kernel calls it: `x86_64`.
    pub architecture: String,
    /// The operating system: `linux`.
    pub system: String,
    /// It takes no new jobs, since it is about to end.
    pub is_draining: bool,
}
