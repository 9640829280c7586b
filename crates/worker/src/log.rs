//! The server's log: standard error, a file, or syslog.
//!
//! Lines in files carry the time (stock's do not). Text that comes from clients is made printable,
//! so that nobody can write lines of their own.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How important a line is; the numbers are syslog's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Critical = 2,
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
    Debug = 7,
}

impl Level {
    /// Names as `--log-level` takes them, most important first.
    pub(crate) const NAMES: &[(&str, Level)] = &[
        ("critical", Level::Critical),
        ("error", Level::Error),
        ("warning", Level::Warning),
        ("notice", Level::Notice),
        ("info", Level::Info),
        ("debug", Level::Debug),
    ];

    /// The level of this name.
    pub(crate) fn from_name(name: &str) -> Option<Level> {
        Level::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, level)| *level)
    }

    /// What stands before the text.
    fn label(self) -> &'static str {
        match self {
            Level::Critical => "CRITICAL! ",
            Level::Error => "ERROR: ",
            Level::Warning => "Warning: ",
            Level::Notice | Level::Info | Level::Debug => "",
        }
    }
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Stderr,
    File(PathBuf),
    Syslog,
}

#[derive(Debug)]
enum Sink {
    Stderr,
    File(File, PathBuf),
    Syslog(UnixDatagram),
}

/// The log of a process.
#[derive(Debug)]
pub(crate) struct Log {
    level: Level,
    sink: RefCell<Sink>,
}

/// The daemon facility of syslog, in its place in a priority.
const FACILITY: u8 = 3 << 3;

impl Log {
    /// Opens the log. A target that cannot be opened is replaced by standard error, and the
    /// reason is the first line.
    pub(crate) fn open(target: Target, level: Level) -> Log {
        let opened = match target {
            Target::Stderr => Ok(Sink::Stderr),
            Target::File(path) => open_file(&path)
                .map(|file| Sink::File(file, path.clone()))
                .map_err(|error| format!("cannot open the log file {}: {error}", path.display())),
            Target::Syslog => connect_syslog()
                .map(Sink::Syslog)
                .map_err(|error| format!("cannot reach syslog at /dev/log: {error}")),
        };
        let (sink, problem) = match opened {
            Ok(sink) => (sink, None),
            Err(problem) => (Sink::Stderr, Some(problem)),
        };
        let log = Log {
            level,
            sink: RefCell::new(sink),
        };
        if let Some(problem) = problem {
            log.warning(format_args!("{problem}: logging to standard error"));
        }
        log
    }

    /// Does this log go to standard error?
    pub(crate) fn is_stderr(&self) -> bool {
        matches!(*self.sink.borrow(), Sink::Stderr)
    }

    /// Opens the log file anew, after it has been moved away.
    pub(crate) fn reopen(&self) {
        let mut sink = self.sink.borrow_mut();
        let Sink::File(file, path) = &mut *sink else {
            return;
        };
        let result = open_file(path).map(|new| *file = new);
        drop(sink);
        if let Err(error) = result {
            self.error(format_args!(
                "cannot reopen the log file: {error}; staying with the old one"
            ));
        }
    }

    pub(crate) fn critical(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Critical, text);
    }

    pub(crate) fn error(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Error, text);
    }

    pub(crate) fn warning(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Warning, text);
    }

    pub(crate) fn notice(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Notice, text);
    }

    pub(crate) fn info(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Info, text);
    }

    pub(crate) fn debug(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Debug, text);
    }

    fn write(&self, level: Level, text: fmt::Arguments<'_>) {
        if level > self.level {
            return;
        }
        let text = printable(&text.to_string());
        let (label, pid) = (level.label(), std::process::id());
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        // A log that cannot be written must not stop the server.
        let _lost = match &mut *self.sink.borrow_mut() {
            Sink::Stderr => {
                let line = format!("{} distccd[{pid}] {label}{text}\n", timestamp(time));
                io::stderr().write_all(line.as_bytes())
            }
            Sink::File(file, _) => {
                let line = format!("{} distccd[{pid}] {label}{text}\n", timestamp(time));
                file.write_all(line.as_bytes())
            }
            Sink::Syslog(socket) => {
                let priority = FACILITY | level as u8;
                let line = format!("<{priority}>distccd[{pid}]: {label}{text}");
                socket.send(line.as_bytes()).map(drop)
            }
        };
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

fn connect_syslog() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect("/dev/log")?;
    // A stuck syslog must not stop the server.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The text with control characters spelled out.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default())
        } else {
            out.push(c)
        }
    }
    out
}

/// Universal time as ISO 8601 has it, to the millisecond.
fn timestamp(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let millis = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Year, month and day of a day counted from 1 January 1970, by eras of 400 years that begin with
/// March, so that the leap day is the last of its year.
fn civil_date(days_since_epoch: u64) -> (u64, u64, u64) {
    let days = days_since_epoch + 719_468; // from 1 March of year 0
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_as_iso_8601_does() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_795_341_845, "2026-11-22T10:04:05.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(Duration::from_secs(seconds)), text);
        }
        assert_eq!(
            timestamp(Duration::from_millis(7)),
            "1970-01-01T00:00:00.007Z"
        );
    }

    #[test]
    fn clients_cannot_forge_lines() {
        assert_eq!(printable("a\nb\x1b[0m\u{e4}"), "a\\nb\\u{1b}[0m\u{e4}");
    }

    #[test]
    fn a_moved_log_file_is_left_alone_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(Target::File(path.clone()), Level::Notice);
        log.notice(format_args!("one"));
        log.info(format_args!("not important enough"));
        let moved = dir.path().join("log.1");
        std::fs::rename(&path, &moved).unwrap();
        log.reopen();
        log.warning(format_args!("two"));
        let old = std::fs::read_to_string(moved).unwrap();
        let new = std::fs::read_to_string(path).unwrap();
        assert!(old.ends_with("] one\n"), "{old}");
        assert!(new.ends_with("] Warning: two\n"), "{new}");
    }
}
