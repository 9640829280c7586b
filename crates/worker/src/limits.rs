//! How much this server believes, waits for and keeps, before a client is told no.

use std::time::Duration;

use sys::sandbox::JobLimits;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Threads at once that wait for the disk: to put inputs in place and to store results.
pub(crate) const DISK_THREADS_MAX: usize = 8;

/// Threads at once for everything that would hold up the one that serves all clients: the disk, compression. Each
/// holds a stack and what its allocator keeps for it, some hundred KiB, and two dozen keep disks and processors busy.
/// What waits for a thread holds none.
pub(crate) const BLOCKING_THREADS_MAX: usize = 32;

/// How long a server that stops lets clients fetch the results of their last jobs.
pub(crate) const FETCH_TIME: Duration = Duration::from_secs(5);

/// Connections at once; more wait in the kernel. Each costs a descriptor and some ten KiB.
pub(crate) const CONNECTIONS_MAX: usize = 4096;

/// Connections that wait to be accepted, as stock.
pub(crate) const BACKLOG: i32 = 1024;

/// Connections from addresses that are not allowed that are told so at once; more are closed
/// without a word.
pub(crate) const STRANGERS_MAX: usize = 64;

/// How long a client that is told no is read from, so that the answer reaches it: closing with
/// unread data would reset the connection.
pub(crate) const LINGER_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a client whose address is not allowed has to say what it speaks.
pub(crate) const STRANGER_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a server that kills its jobs still talks to their clients.
pub(crate) const STOP_TIME_MAX: Duration = Duration::from_secs(1);

/// Silence after which a client's connection counts as dead, where `DISTCC_IO_TIMEOUT` does not
/// say otherwise; stock's default. Clients are silent while they preprocess.
pub(crate) const IO_TIME_MAX: Duration = Duration::from_secs(300);

/// After this much silence the kernel asks whether the client's machine is still there.
pub(crate) const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(30);

/// Most bytes that a client may send after its request, where the protocol has nothing to say;
/// stock ignores them.
pub(crate) const UNASKED_BYTES_MAX: usize = 64 << 10;

/// Bytes read from a client at once.
pub(crate) const READ_BYTES: usize = 64 << 10;

/// Bytes of a request that each connection may hold outside of the memory for all requests.
pub(crate) const FREE_BYTES: usize = 64 << 10;

/// Bytes of a job's messages that are sent back, of each stream; more is cut off.
pub(crate) const TEXT_BYTES_MAX: u64 = 16 * MIB;

/// Bytes of an object or dependency file that are sent back.
pub(crate) const OUTPUT_BYTES_MAX: u64 = 2 * GIB;

/// How long a reader of the statistics may take, and how many there may be at once.
pub(crate) const STATS_TIME_MAX: Duration = Duration::from_secs(2);
pub(crate) const STATS_READERS_MAX: usize = 16;

/// Memory for requests that are being received or wait for a slot: an eighth of the machine's,
/// within bounds.
pub(crate) fn request_memory_bytes(machine_bytes: u64) -> u64 {
    (machine_bytes / 8).clamp(256 * MIB, 8 * GIB)
}

/// What a request may hold.
pub(crate) const REQUEST: stock::Limits = stock::Limits {
    body_bytes_max: 512 * MIB,
    total_bytes_max: 512 * MIB + 16 * MIB,
    // Preprocessed C++ of the largest programs stays below a tenth of this; a bomb does not.
    unpacked_bytes_max: 512 * MIB,
    ..stock::Limits::DEFAULT
};

/// Bodies longer than this are decompressed and compressed outside of the thread that serves all
/// clients.
pub(crate) const BLOCKING_BYTES: usize = 32 << 10;

/// Decompressions of long bodies at once: bounds what bombs can take before they are found out.
pub(crate) const UNPACKERS_MAX: usize = 2;

/// Bounds of one job. Its files (input, temporary files, object) live in memory, so the share of
/// each slot is at most three quarters of the machine's divided by the slots, within bounds.
pub(crate) fn job(machine_bytes: u64, slots: usize, lifetime: Option<Duration>) -> JobLimits {
    let share = machine_bytes / 4 * 3 / (slots.max(1) as u64);
    JobLimits {
        files_bytes_max: share.clamp(768 * MIB, 4 * GIB),
        files_max: 200_000,
        // More would make the machine swap, or kill something else.
        memory_bytes_max: Some(machine_bytes / 4 * 3),
        // Sanitizers of programs under test reserve far more than they use.
        process_bytes_max: None,
        cpu_seconds_max: lifetime.map(|lifetime| lifetime.as_secs().max(1)),
        // A compiler driver starts two or three; scripts around compilers a few more.
        processes_max: 512,
        open_files_max: 4096,
    }
}

/// The machine's memory in bytes; 4 GiB if it cannot be told.
pub(crate) fn machine_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    meminfo_kib(&info, "MemTotal:").map_or(4 * GIB, |kib| kib * KIB)
}

/// Memory in bytes that could be had now; all there is if it cannot be told.
pub(crate) fn available_bytes() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    meminfo_kib(&info, "MemAvailable:").map_or(u64::MAX, |kib| kib * KIB)
}

/// One line of `/proc/meminfo`, in KiB.
pub(crate) fn meminfo_kib(info: &str, key: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

const _: () = {
    assert!(
        REQUEST.unpacked_bytes_max < 768 * MIB,
        "a job can hold its input"
    );
    assert!(
        OUTPUT_BYTES_MAX < u32::MAX as u64,
        "lengths on the wire have 32 bits"
    );
    assert!(FREE_BYTES * CONNECTIONS_MAX <= 512 << 20);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_gets_its_share() {
        assert_eq!(job(64 * GIB, 8, None).files_bytes_max, 4 * GIB);
        assert_eq!(job(16 * GIB, 8, None).files_bytes_max, 1536 * MIB);
        assert_eq!(job(GIB, 8, None).files_bytes_max, 768 * MIB);
        assert_eq!(job(16 * GIB, 8, None).memory_bytes_max, Some(12 * GIB));
        assert_eq!(
            meminfo_kib("MemTotal:       24 kB\nX: 1", "MemTotal:"),
            Some(24)
        );
    }
}
