//! The command that `farcc run` runs: started, watched, signalled and waited for.

use std::future::poll_fn;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::task::Poll;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::exit::SIGNAL_BASE;

/// Signals that are passed on. Those of the terminal's keys reach the command by themselves when
/// farcc is in the foreground.
const PASSED_ON: &[(Signal, bool)] = &[
    (Signal::HUP, false),
    (Signal::INT, FROM_KEYBOARD),
    (Signal::QUIT, FROM_KEYBOARD),
    (Signal::TERM, false),
    (Signal::USR1, false),
    (Signal::USR2, false),
];

const FROM_KEYBOARD: bool = true;

/// Units of the times in `/proc/PID/stat` per second: `USER_HZ` (proc(5)).
const USER_HZ: u64 = 100;

/// The signals that this process gets instead of dying of them.
#[derive(Debug)]
pub(crate) struct Signals(Vec<(Signal, bool, SignalStream)>);

impl Signals {
    /// Starts to catch signals; must run inside the runtime. A signal that is ignored stays
    /// ignored, here and in the command, as `nohup` expects.
    pub(crate) fn catch() -> io::Result<Self> {
        let ignored = ignored_signals();
        let mut caught = Vec::new();
        for &(number, from_keyboard) in PASSED_ON {
            if ignored & (1 << (number.as_raw() - 1)) != 0 {
                continue;
            }
            let stream = signal(SignalKind::from_raw(number.as_raw()))?;
            caught.push((number, from_keyboard, stream));
        }
        Ok(Self(caught))
    }

    /// Waits for a signal that the command has to be told of.
    pub(crate) async fn next(&mut self) -> Signal {
        loop {
            let (number, from_keyboard) = poll_fn(|context| {
                for (number, from_keyboard, stream) in &mut self.0 {
                    if stream.poll_recv(context).is_ready() {
                        return Poll::Ready((*number, *from_keyboard));
                    }
                }
                Poll::Pending
            })
            .await;
            if !(from_keyboard && is_in_foreground()) {
                return number;
            }
        }
    }
}

/// Sends a signal to a child that has not been waited for.
pub(crate) fn send(child: &tokio::process::Child, signal: Signal) {
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    if let Some(pid) = pid {
        // A child that has just ended needs no signal.
        let _ended = rustix::process::kill_process(pid, signal);
    }
}

/// The exit code that a shell would report.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.unwrap_or_else(|| {
        let signal = status.signal().and_then(|signal| u8::try_from(signal).ok());
        SIGNAL_BASE + signal.unwrap_or(0)
    })
}

/// User and system time of all children that have been waited for, and of theirs.
pub(crate) fn children_cpu() -> Option<Duration> {
    children_cpu_of(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

fn children_cpu_of(stat: &str) -> Option<Duration> {
    // Fields 16 and 17 of proc(5); the second, the name, may hold anything but ends with `)`.
    const FIELDS_AFTER_NAME: usize = 13;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(FIELDS_AFTER_NAME);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / USER_HZ))
}

/// Whether the terminal's keys signal this process (and with it the command, which is in the same
/// process group).
fn is_in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else {
        return false;
    };
    let Ok(front) = rustix::termios::tcgetpgrp(&terminal) else {
        return false;
    };
    let front = front.as_raw_nonzero().get().unsigned_abs();
    sys::realm::process_group(std::process::id()) == Some(front)
}

/// The set of ignored signals: bit N-1 for signal N.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_signals_of(&status)
}

fn ignored_signals_of(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_shells() {
        assert_eq!(exit_code(ExitStatus::from_raw(0)), 0);
        assert_eq!(exit_code(ExitStatus::from_raw(2 << 8)), 2);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
    }

    #[test]
    fn the_kernels_texts_are_understood() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 150 50 20 0 1";
        assert_eq!(children_cpu_of(stat), Some(Duration::from_secs(2)));
        let status = "Name:\tfarcc\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_signals_of(status), 0x1001);
        assert_eq!(ignored_signals_of(""), 0);
        assert!(children_cpu().is_some());
    }
}
