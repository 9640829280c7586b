//! Which processes belong to one workspace: those that carry its mark in their environment.
//!
//! The kernel shows the environment that a process was started with, so neither a new session nor
//! a dead parent hides one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::run::wait_for_exit;

/// Variable with the mark. The shim hands `FARCC_*` to the agent that it starts.
pub const MARK_VARIABLE: &str = "FARCC_TEST_MARK";

/// A process.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id.
    pub pid: Pid,
    /// Its command line, words separated by blanks.
    pub command: String,
}

/// All processes with this mark, zombies excepted.
#[must_use]
pub fn marked(mark: &str) -> Vec<Process> {
    let wanted = format!("{MARK_VARIABLE}={mark}");
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number: i32 = path.file_name()?.to_str()?.parse().ok()?;
            let environment = fs::read(path.join("environ")).ok()?;
            environment
                .split(|&byte| byte == 0)
                .any(|variable| variable == wanted.as_bytes())
                .then_some(())?;
            Some(Process {
                pid: Pid::from_raw(number)?,
                command: command_line(&path)?,
            })
        })
        .collect()
}

fn command_line(process: &Path) -> Option<String> {
    let bytes = fs::read(process.join("cmdline")).ok()?;
    // A zombie has none any more.
    let text = String::from_utf8_lossy(bytes.strip_suffix(&[0])?).replace('\0', " ");
    Some(text)
}

/// Waits until no process with this mark is left; the ones that stay are the answer.
#[must_use]
pub fn wait_until_none(mark: &str, patience: Duration) -> Vec<Process> {
    let mut left = marked(mark);
    // What one of them has started in its last moment is found in the next round.
    while !left.is_empty() {
        let all_gone = left
            .iter()
            .all(|process| wait_for_exit(process.pid, patience));
        if !all_gone {
            return marked(mark);
        }
        left = marked(mark);
    }
    left
}

/// Kills all processes with this mark.
pub fn kill_marked(mark: &str) {
    // Some of them may start others meanwhile.
    const ROUNDS_MAX: usize = 20;
    for _ in 0..ROUNDS_MAX {
        let processes = marked(mark);
        if processes.is_empty() {
            return;
        }
        for process in &processes {
            let _gone = rustix::process::kill_process(process.pid, Signal::KILL);
            let _gone = wait_for_exit(process.pid, Duration::from_secs(1));
        }
    }
}
