//! The agent's own log file. The agent outlives the builds that it serves, so it never writes to their terminals.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use wire::{LogLevel, LogLine};

/// A log file, or nothing.
#[derive(Debug)]
pub(crate) struct SideLog(RefCell<Option<File>>);

impl SideLog {
    /// Appends to `path`. A file that cannot be opened is done without: there is nobody to tell.
    pub(crate) fn open(path: Option<&Path>) -> Self {
        let open = |path| File::options().create(true).append(true).open(path).ok();
        Self(RefCell::new(path.and_then(open)))
    }

    /// Writes a detail that users need not see.
    pub(crate) fn note(&self, text: &str, job: u64) {
        self.line(&LogLine::new(LogLevel::Debug, text), job);
    }

    /// Writes a line about a job; 0 stands for the agent itself.
    pub(crate) fn line(&self, line: &LogLine, job: u64) {
        let mut file = self.0.borrow_mut();
        if let Some(open) = &mut *file {
            let time = SystemTime::now().duration_since(UNIX_EPOCH);
            let seconds = time.unwrap_or_default().as_secs_f64();
            let text = format!("{seconds:.3} job {job} {:?}: {}\n", line.level, line.text);
            if open.write_all(text.as_bytes()).is_err() {
                *file = None;
            }
        }
    }
}
