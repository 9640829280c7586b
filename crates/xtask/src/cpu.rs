//! What processes cost, from the kernel's accounting.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// Ticks per second in `/proc/PID/stat`: the same on every architecture that Linux runs on.
const USER_HZ: u64 = 100;

/// One child's use of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// User and system time of the child and of all its children that it waited for.
    pub(crate) cpu: Duration,
    /// From start to end.
    pub(crate) wall: Duration,
    /// Status as `wait` tells it.
    pub(crate) wait_status: i32,
}

/// Runs a command to its end; what it writes on standard output is thrown away.
pub(crate) fn measure(command: &mut Command) -> Result<Cost, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let text = format!("{command:?}");
    let failed = |error| format!("cannot run {text}: {error}");
    let start = Instant::now();
    let child = command.spawn().map_err(failed)?;
    let (wait_status, cpu) = sys::preprocessor::wait(child.id()).map_err(failed)?;
    Ok(Cost {
        cpu,
        wall: start.elapsed(),
        wait_status,
    })
}

/// User and system time of a running process and of its children that it waited for, to 10 ms.
pub(crate) fn of_process(pid: Pid) -> Result<Duration, String> {
    let stat = Stat::read(&format!("{}", pid.as_raw_nonzero()));
    stat.map(|stat| stat.cpu)
        .ok_or_else(|| format!("process {pid:?} is gone"))
}

/// The most memory that a running process had at a time, in bytes.
pub(crate) fn peak_memory(pid: Pid) -> Result<u64, String> {
    let path = format!("/proc/{}/status", pid.as_raw_nonzero());
    let status = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib << 10)
        .ok_or_else(|| format!("{path} does not tell the memory"))
}

/// A process and all its descendants that are there now.
pub(crate) fn family(head: Pid) -> Result<Vec<i32>, String> {
    let entries = std::fs::read_dir("/proc").map_err(|error| format!("no /proc: {error}"))?;
    let parents: Vec<(i32, i32)> = entries
        .filter_map(|entry| {
            let name = entry.ok()?.file_name();
            let name = name.to_str()?;
            Some((name.parse().ok()?, Stat::read(name)?.parent))
        })
        .collect();
    let mut family = vec![head.as_raw_nonzero().get()];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        let children = parents.iter().filter(|(_, of)| *of == parent);
        family.extend(children.map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(family)
}

/// What `/proc/PID/stat` tells (proc(5)).
struct Stat {
    parent: i32,
    cpu: Duration,
}

impl Stat {
    fn read(pid: &str) -> Option<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field, the name, may hold anything but ends with `)`.
        let (_, fields) = text.rsplit_once(')')?;
        let fields: Vec<i64> = fields
            .split_whitespace()
            // The third is a letter.
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        // Fields 14 to 17: user and system time, its own and its children's.
        let ticks: i64 = fields.get(11..15)?.iter().sum();
        Some(Self {
            parent: i32::try_from(*fields.get(1)?).ok()?,
            cpu: Duration::from_millis(u64::try_from(ticks).ok()? * 1000 / USER_HZ),
        })
    }
}

/// The median, in milliseconds.
pub(crate) fn median_ms(times: &[Duration]) -> f64 {
    percentile_ms(times, 50)
}

/// The time that so many percent of all do not exceed, in milliseconds.
pub(crate) fn percentile_ms(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    let time = sorted.get(sorted.len() * percent / 100).or(sorted.last());
    time.copied().unwrap_or_default().as_secs_f64() * 1000.0
}
