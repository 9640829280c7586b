//! What one conversation may cost. A peer that exceeds a limit gets a decode error.

/// Largest frame in bytes. Linux allows 2 MiB of arguments and environment by default and up to
/// 6 MiB with a raised stack limit; response files are not expanded before the agent.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

/// Most words in one list of a frame.
pub const LIST_LEN_MAX: usize = 1 << 20;

/// Most open files that go with one frame (the kernel's own limit is 253).
pub const FILES_PER_FRAME_MAX: usize = 64;

/// The agent sends at least [`crate::ToShim::Alive`] this often to a shim that waits.
pub const ALIVE_INTERVAL_MS: u64 = 10_000;

/// A shim that has heard nothing for this long compiles locally.
pub const AGENT_SILENCE_MS_MAX: u64 = 60_000;

/// How long a shim waits for another process that is starting the agent.
pub const AGENT_START_MS_MAX: u64 = 5_000;

/// How long a shim whose line has broken waits for the agent's process to be gone.
pub const AGENT_DEATH_MS_MAX: u64 = 500;

const _: () = assert!(AGENT_SILENCE_MS_MAX > 3 * ALIVE_INTERVAL_MS);
