//! What a server writes while it runs: how others wait for it.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use crate::HANG_GUARD;

/// How much of a log is shown after a failed test.
const SHOWN_LINES_MAX: usize = 30;

/// What a server has written so far.
#[derive(Debug, Default)]
pub(crate) struct Log {
    state: Mutex<LogState>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct LogState {
    lines: Vec<String>,
    is_at_end: bool,
}

impl Log {
    pub(crate) fn follow(pipe: impl Read + Send + 'static) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let writer = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                writer.change(|state| state.lines.push(line));
            }
            writer.change(|state| state.is_at_end = true);
        });
        log
    }

    fn change(&self, change: impl FnOnce(&mut LogState)) {
        change(&mut self.state.lock().expect("no writer panics"));
        self.more.notify_all();
    }

    /// Shows every line once, also those that come later, until one is accepted.
    pub(crate) fn wait_for(&self, mut accept: impl FnMut(&str) -> bool) -> bool {
        let deadline = Instant::now() + HANG_GUARD;
        let mut next = 0;
        let mut state = self.state.lock().expect("no writer panics");
        loop {
            while let Some(line) = state.lines.get(next) {
                next += 1;
                if accept(line) {
                    return true;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.is_at_end || left.is_zero() {
                return false;
            }
            let (guard, _) = self
                .more
                .wait_timeout(state, left)
                .expect("no writer panics");
            state = guard;
        }
    }

    pub(crate) fn wait_for_end(&self) {
        let state = self.state.lock().expect("no writer panics");
        let _state = self
            .more
            .wait_timeout_while(state, HANG_GUARD, |state| !state.is_at_end)
            .expect("no writer panics");
    }

    pub(crate) fn text(&self) -> String {
        let state = self.state.lock().expect("no writer panics");
        state.lines.join("\n")
    }

    /// Shows the end of it to whoever runs the tests.
    #[allow(
        clippy::print_stderr,
        reason = "what a failed test's server had to say"
    )]
    pub(crate) fn show(&self, whose: &str) {
        let text = self.text();
        let lines: Vec<_> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(SHOWN_LINES_MAX)..];
        eprintln!("log of {whose}, its end:\n{}", last.join("\n"));
    }
}
