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
    // Fields 14 to 17 of proc(5); the second, the name, may hold anything but ends with `)`.
    const FIELDS_AFTER_NAME: usize = 11;
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let text =
        std::fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let (_, fields) = text.rsplit_once(')').unwrap_or_default();
    let fields = fields.split_whitespace().skip(FIELDS_AFTER_NAME).take(4);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 1000 / USER_HZ))
}

/// The median, in milliseconds.
pub(crate) fn median_ms(times: &[Duration]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    match sorted.len() {
        0 => 0.0,
        len => sorted[len / 2].as_secs_f64() * 1000.0,
    }
}
