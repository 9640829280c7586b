//! How much memory a job uses, and when to look again.
//!
//! Where control groups count (`groups`), the kernel holds the limit. Elsewhere the job's first
//! process looks now and then: the sooner, the closer to the limit the job is, so a short job is
//! never looked at. What counts is private memory and shared memory of all processes, and what
//! the job's files take.
//!
//! The cheap sum counts memory that processes share once for each of them. Only when that exceeds
//! the limit, each process's fair share is asked for, for which the kernel has to walk its tables.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// More than processes fill on this many processors in one millisecond: 2 GiB/s for each of two.
const BYTES_PER_MS_MAX: u64 = 4 << 20;

/// Bounds of the time between two looks.
const INTERVAL_MIN: Duration = Duration::from_millis(20);
const INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Watches the job whose first process this is.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    /// Most bytes of all processes and files.
    pub(super) bytes_max: u64,
    /// A directory in the job's memory.
    pub(super) files: &'a OwnedFd,
}

/// What a look comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It uses more than it may.
    TooMuch,
    /// All is well for this long.
    Fine(Duration),
}

impl Watch<'_> {
    /// When to look first.
    pub(super) fn first(&self) -> Duration {
        interval(self.bytes_max, 0)
    }

    /// Looks at the job.
    pub(super) fn look(&self) -> Seen {
        let files = files_bytes(self.files).unwrap_or(0);
        let mut used = Memory::of_all(Memory::resident).and(files);
        if used > self.bytes_max {
            used = Memory::of_all(Memory::fair).and(files);
        }
        if used > self.bytes_max {
            return Seen::TooMuch;
        }
        Seen::Fine(interval(self.bytes_max, used))
    }
}

/// How long it takes at least to fill what is left.
fn interval(bytes_max: u64, used: u64) -> Duration {
    let left = bytes_max.saturating_sub(used);
    Duration::from_millis(left / BYTES_PER_MS_MAX).clamp(INTERVAL_MIN, INTERVAL_MAX)
}

/// Bytes of processes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Memory {
    private: u64,
    shared: u64,
}

impl Memory {
    /// Of all processes of this PID namespace but this one.
    fn of_all(of: impl Fn(u32) -> Option<Memory>) -> Memory {
        let own = std::process::id();
        let processes = fs::read_dir("/proc").into_iter().flatten();
        processes
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| *pid != own)
            // One that has ended meanwhile uses nothing.
            .filter_map(of)
            .fold(Memory::default(), |sum, one| Memory {
                private: sum.private + one.private,
                shared: sum.shared + one.shared,
            })
    }

    /// Files that processes map are among their shared memory: counted once.
    fn and(self, files: u64) -> u64 {
        self.private + self.shared.max(files)
    }

    fn resident(pid: u32) -> Option<Memory> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Some(Memory::parse(&text, "RssAnon:", "RssShmem:"))
    }

    /// Where the kernel does not tell, what is resident.
    fn fair(pid: u32) -> Option<Memory> {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
        text.map(|text| Memory::parse(&text, "Pss_Anon:", "Pss_Shmem:"))
            .ok()
            .filter(|memory| *memory != Memory::default())
            .or_else(|| Memory::resident(pid))
    }

    fn parse(text: &str, private: &str, shared: &str) -> Memory {
        const KIB: u64 = 1 << 10;
        let number = |key| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or(0) * KIB
        };
        Memory {
            private: number(private),
            shared: number(shared),
        }
    }
}

fn files_bytes(dir: &OwnedFd) -> io::Result<u64> {
    let state = rustix::fs::fstatvfs(dir)?;
    Ok((state.f_blocks - state.f_bfree) * state.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_closer_near_the_limit() {
        const GIB: u64 = 1 << 30;
        assert_eq!(interval(8 * GIB, 0), INTERVAL_MAX);
        assert_eq!(interval(8 * GIB, 7 * GIB), Duration::from_millis(256));
        assert_eq!(interval(8 * GIB, 8 * GIB - 1), INTERVAL_MIN);
        assert_eq!(interval(GIB, 2 * GIB), INTERVAL_MIN);
    }

    #[test]
    fn the_kernel_tells_of_this_process() {
        let pid = std::process::id();
        let (resident, fair) = (Memory::resident(pid).unwrap(), Memory::fair(pid).unwrap());
        assert!(resident.private > 10 << 10, "{resident:?}");
        assert!(fair.private > 10 << 10, "{fair:?}");
        let text = "RssAnon:\t     12 kB\nRssFile:\t 9 kB\nRssShmem:\t 3 kB\n";
        let memory = Memory::parse(text, "RssAnon:", "RssShmem:");
        assert_eq!((memory.private, memory.shared), (12 << 10, 3 << 10));
        assert_eq!(memory.and(1 << 10), 15 << 10);
        assert_eq!(memory.and(8 << 10), 20 << 10);
    }
}
