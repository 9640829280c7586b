//! `distccmon-text [SECONDS]`: the running jobs as lines of text.
//!
//! Scripts read this output, so it is stock's byte for byte: one line per job, then one empty
//! line per round, also where no job runs and where there is only one round.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::jobs::{self, JobError};

/// What `distccmon-text` answers to arguments that it does not understand.
pub const USAGE: &str = "\
usage: distccmon-text [SECONDS]

Shows the compile jobs that run now, one per line:
process, phase, source file, host[slot].

With SECONDS (fractions allowed) it shows them again and again, that far apart;
without, once.
";

/// The arguments are not those of `distccmon-text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the only argument is a number of seconds")]
pub struct UsageError;

/// How often to show the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// Once.
    One,
    /// Again and again, with this time between.
    Every(Duration),
}

impl Rounds {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// There is more than one, or it is no number.
    pub fn from_args(args: &[OsString]) -> Result<Self, UsageError> {
        match args {
            [] => Ok(Self::One),
            [seconds] => Self::from_seconds(seconds),
            _ => Err(UsageError),
        }
    }

    /// Reads a number of seconds as C's `strtod` does. Like stock: zero, a negative number and
    /// nothing at all mean one round.
    fn from_seconds(text: &OsStr) -> Result<Self, UsageError> {
        let text = text.to_str().ok_or(UsageError)?.trim_ascii_start();
        if text.is_empty() {
            return Ok(Self::One);
        }
        let seconds: f64 = text.parse().map_err(|_| UsageError)?;
        if seconds.is_nan() || seconds <= 0.0 {
            return Ok(Self::One);
        }
        Ok(Self::Every(
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
        ))
    }
}

/// The jobs cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The state directory is there but cannot be read, or `$DISTCC_DIR` is not there.
    #[error("failed to read `{}`", .dir.display())]
    StateDir {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The output cannot be written, for another reason than that its reader has gone.
    #[error("failed to write the list of jobs")]
    Output(#[source] io::Error),
}

/// Shows the jobs of `state_dir` on `out` until the rounds are over or nobody reads any more.
/// What is wrong with single files goes to `on_error`. `pause` waits between rounds.
///
/// A directory that does not exist holds no jobs: the first build will create it.
///
/// # Errors
/// See [`ShowError`].
pub fn show(
    state_dir: &Path,
    rounds: Rounds,
    out: &mut dyn Write,
    on_error: &mut dyn FnMut(JobError),
    pause: &mut dyn FnMut(Duration),
) -> Result<(), ShowError> {
    loop {
        let text = round(state_dir, SystemTime::now(), on_error)?;
        match out.write_all(&text).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.map_err(ShowError::Output)?,
        }
        match rounds {
            Rounds::One => return Ok(()),
            Rounds::Every(delay) => pause(delay),
        }
    }
}

/// The text of one round.
///
/// # Errors
/// The directory cannot be read.
pub fn round(
    state_dir: &Path,
    now: SystemTime,
    on_error: &mut dyn FnMut(JobError),
) -> Result<Vec<u8>, ShowError> {
    let jobs = match jobs::running(state_dir, now, on_error) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(|source| ShowError::StateDir {
            dir: state_dir.to_owned(),
            source,
        })?,
    };
    let mut text: Vec<u8> = jobs.iter().flat_map(stock::row::row).collect();
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn check(args: &[&str], expected: Result<Rounds, UsageError>) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        assert_eq!(Rounds::from_args(&args), expected, "{args:?}");
    }

    #[test]
    fn arguments_are_stocks() {
        let every = |millis| Ok(Rounds::Every(Duration::from_millis(millis)));
        check(&[], Ok(Rounds::One));
        check(&["1"], every(1000));
        check(&["0.25"], every(250));
        check(&[" +1e3"], every(1_000_000));
        check(&[""], Ok(Rounds::One));
        check(&["0"], Ok(Rounds::One));
        check(&["-1"], Ok(Rounds::One));
        check(&["nan"], Ok(Rounds::One));
        check(&["inf"], Ok(Rounds::Every(Duration::MAX)));
        for args in [&["x"][..], &["1x"], &["--help"], &["1", "2"]] {
            check(args, Err(UsageError));
        }
    }

    #[test]
    fn a_missing_directory_is_an_empty_round() {
        let temp = tempfile::tempdir().unwrap();
        let text = round(
            &temp.path().join("state"),
            SystemTime::now(),
            &mut |error| panic!("{error}"),
        );
        assert_eq!(text.unwrap(), b"\n");
    }

    #[test]
    fn rounds_go_on_until_the_reader_leaves() {
        /// Takes three writes.
        struct Reader(usize);
        impl Write for Reader {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.0 == 0 {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                self.0 -= 1;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let temp = tempfile::tempdir().unwrap();
        let delay = Duration::from_millis(1500);
        let mut pauses = Vec::new();
        show(
            temp.path(),
            Rounds::Every(delay),
            &mut Reader(3),
            &mut |error| panic!("{error}"),
            &mut |pause| pauses.push(pause),
        )
        .unwrap();
        assert_eq!(pauses, [delay; 3]);
    }
}
