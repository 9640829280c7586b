//! Where messages go and which are shown, as distcc decides it.
//!
//! `DISTCC_LOG` names a file (level info); else the descriptor in `UNCACHED_ERR_FD` (set by
//! ccache, so that messages do not get into its cache); else standard error (level warning).
//! `DISTCC_VERBOSE=1` shows everything. Lines read `distcc[PID] (farcc) Warning: text`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;

use wire::{LogLevel, LogLine};

/// The user's log.
#[derive(Debug)]
pub(crate) struct Log {
    sink: Sink,
    least: LogLevel,
}

#[derive(Debug)]
enum Sink {
    File(File),
    Stderr,
}

impl Log {
    /// Follows the environment. A log file that cannot be opened is reported on standard error.
    pub(crate) fn from_environment() -> Self {
        let verbose = std::env::var_os("DISTCC_VERBOSE").is_some_and(|value| value == "1");
        let log_file = std::env::var_os("DISTCC_LOG").filter(|path| !path.is_empty());
        let (sink, least, failed) = match log_file {
            Some(path) => match File::options().append(true).create(true).open(&path) {
                Ok(file) => (Sink::File(file), LogLevel::Info, None),
                Err(error) => (Sink::Stderr, LogLevel::Warning, Some((path, error))),
            },
            None => (uncached_sink(), LogLevel::Warning, None),
        };
        let log = Self {
            sink,
            least: if verbose { LogLevel::Debug } else { least },
        };
        if let Some((path, error)) = failed {
            log.line(
                LogLevel::Error,
                &format!("failed to open logfile {}: {error}", path.display()),
            );
        }
        log
    }

    /// Writes one line if its level is wanted. A log that cannot be written must not fail a
    /// build.
    pub(crate) fn line(&self, level: LogLevel, text: &str) {
        if level > self.least {
            return;
        }
        let label = match level {
            LogLevel::Critical => "CRITICAL! ",
            LogLevel::Error => "ERROR: ",
            LogLevel::Warning => "Warning: ",
            LogLevel::Info | LogLevel::Debug => "",
        };
        // One write, so that lines of parallel compiles stay whole.
        let line = format!("distcc[{}] (farcc) {label}{text}\n", std::process::id());
        drop(match &self.sink {
            Sink::File(file) => { file }.write_all(line.as_bytes()),
            Sink::Stderr => std::io::stderr().write_all(line.as_bytes()),
        });
    }

    /// Writes the lines that the agent sent.
    pub(crate) fn lines(&self, lines: &[LogLine]) {
        for line in lines {
            self.line(line.level, &line.text);
        }
    }
}

/// The descriptor that ccache keeps for messages.
fn uncached_sink() -> Sink {
    let number = std::env::var_os("UNCACHED_ERR_FD");
    let number = number
        .as_deref()
        .and_then(OsStr::to_str)
        .and_then(|text| text.parse().ok());
    match number {
        None | Some(2) => Sink::Stderr,
        Some(number) => sys::exec::inherited_file(number).map_or(Sink::Stderr, Sink::File),
    }
}
