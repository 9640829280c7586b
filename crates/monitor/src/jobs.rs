//! The jobs that clients say they are running.
//!
//! Each job has a file `state/binstate_PID…`. Stock's monitor believes such a file if it was
//! written within the last minute and its process exists, which loses a job that compiles for
//! longer and every job whose pid belongs to another pid namespace (containers, Portage's
//! pid-sandbox). Our agent holds a lock on the files of its jobs, and a lock is seen from
//! everywhere; see `is_alive`.
//!
//! What this does not know: a stock client in another pid namespace cannot be told from a dead
//! one.

use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Pid;
use stock::Phase;
use stock::state::{AGE_MAX_S, State, StateError};

/// What names of state files begin with. Stock's go on with the client's pid alone, our agent's
/// with more, because a pid means nothing in another namespace.
const FILE_PREFIX: &[u8] = b"binstate_";

/// Largest file that is read; a state file has 296 bytes.
const FILE_BYTES_MAX: u64 = 4096;

/// Units of the start time in `/proc/PID/stat` per second: `USER_HZ`, which is 100 on every
/// architecture that Rust runs on (proc(5), times(2)).
const USER_HZ: u64 = 100;

/// How far the kernel's start time of a process and a file's time may disagree.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// A state file that is left out.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It cannot be opened or read.
    #[error("failed to read `{}`", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds something else.
    #[error("`{}` is not a state file", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: StateError,
    },
}

/// Reads the running jobs in `dir` (`$DISTCC_DIR/state`), sorted as `distccmon-text` shows them.
/// Files of dead jobs are deleted once they are older than a minute, as stock does. What is wrong
/// with single files goes to `on_error`.
///
/// # Errors
/// The directory cannot be listed.
pub fn running(
    dir: &Path,
    now: SystemTime,
    on_error: &mut dyn FnMut(JobError),
) -> io::Result<Vec<State>> {
    let mut jobs = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(FILE_PREFIX) {
            continue;
        }
        match read(&dir.join(name), now) {
            Ok(job) => jobs.extend(job),
            Err(error) => on_error(error),
        }
    }
    jobs.sort_by(stock::row::order);
    Ok(jobs)
}

/// The job of one state file, if it is alive and not done.
fn read(path: &Path, now: SystemTime) -> Result<Option<State>, JobError> {
    let failed = |source| JobError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        // Its job has just ended.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let meta = file.metadata().map_err(failed)?;
    let is_locked = sys::lock::is_locked(&file).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;

    let decoded = State::decode(&bytes);
    let pid = decoded.as_ref().ok().and_then(|state| pid(state.pid));
    if !is_alive(is_locked, pid, &meta, now) {
        if is_left_over(&meta, now) {
            remove(path).map_err(failed)?;
        }
        return Ok(None);
    }
    match decoded {
        Ok(state) => Ok((state.phase != Phase::Done).then_some(state)),
        // Stock writes in place, so a reader can come in the middle of it.
        Err(StateError::Size(_)) => Ok(None),
        Err(source) => Err(JobError::Content {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Whether a state file speaks of a running job: its agent holds the lock, or its process lives.
///
/// While the file is fresh any process of that number will do, as in stock. Later the number may
/// have been given to another process: then it must belong to the file's owner and have started
/// before the file was last written.
fn is_alive(is_locked: bool, pid: Option<Pid>, meta: &Metadata, now: SystemTime) -> bool {
    if is_locked {
        return true;
    }
    let Some(pid) = pid else {
        // No state file of a job; fresh ones are reported, old ones removed.
        return !is_left_over(meta, now);
    };
    if !exists(pid) {
        return false;
    }
    !is_left_over(meta, now) || is_writer(pid, meta)
}

/// Whether a file is so old that stock's monitor deletes it.
fn is_left_over(meta: &Metadata, now: SystemTime) -> bool {
    let age = meta
        .modified()
        .ok()
        .and_then(|time| now.duration_since(time).ok());
    age.is_some_and(|age| age > Duration::from_secs(AGE_MAX_S))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn pid(number: u64) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

fn exists(pid: Pid) -> bool {
    // Not being allowed to signal it (EPERM) means that it exists.
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// Whether a process can have written a file: same owner, and started before.
fn is_writer(pid: Pid, file: &Metadata) -> bool {
    let dir = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let Ok(process) = fs::metadata(&dir) else {
        return true; // no /proc: nothing speaks against it
    };
    let Some(start) = start_time(&dir) else {
        return true;
    };
    let written = file.modified().unwrap_or(UNIX_EPOCH);
    process.uid() == file.uid() && start <= written + CLOCK_SLACK
}

/// When a process started.
fn start_time(proc_dir: &Path) -> Option<SystemTime> {
    let stat = fs::read_to_string(proc_dir.join("stat")).ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    start_time_of(&stat, &boot)
}

/// From the texts of `/proc/PID/stat` and `/proc/stat`.
fn start_time_of(process_stat: &str, system_stat: &str) -> Option<SystemTime> {
    // The second field, the name in parentheses, may hold anything; the start is field 22.
    const FIELDS_AFTER_NAME: usize = 19;
    let (_, fields) = process_stat.rsplit_once(')')?;
    let ticks: u64 = fields
        .split_whitespace()
        .nth(FIELDS_AFTER_NAME)?
        .parse()
        .ok()?;
    let boot_s: u64 = system_stat
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    let since_boot = Duration::from_millis(ticks.checked_mul(1000)? / USER_HZ);
    Some(UNIX_EPOCH + Duration::from_secs(boot_s) + since_boot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stock::state::{Layout, file_name};

    /// No process has this number: Linux gives out at most 2^22.
    const DEAD_PID: u32 = (1 << 22) + 1;

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, pid: u32, file: &str) -> File {
            self.write_as(pid, file, Layout::Lp64)
        }

        fn write_as(&self, pid: u32, file: &str, layout: Layout) -> File {
            let state = State {
                pid: pid.into(),
                file: file.into(),
                host: b"pc".to_vec(),
                slot: 0,
                phase: Phase::Compile,
            };
            self.write_bytes(pid, &state.encode(layout))
        }

        fn write_bytes(&self, pid: u32, bytes: &[u8]) -> File {
            let path = self.0.path().join(file_name(pid));
            fs::write(&path, bytes).unwrap();
            File::options().read(true).write(true).open(path).unwrap()
        }

        fn has(&self, pid: u32) -> bool {
            self.0.path().join(file_name(pid)).exists()
        }

        /// The files' names of the running jobs, seen so long from now.
        fn after(&self, seconds: u64) -> Vec<String> {
            let (jobs, errors) = self.with_errors_after(seconds);
            assert_eq!(errors, [""; 0]);
            jobs
        }

        fn with_errors_after(&self, seconds: u64) -> (Vec<String>, Vec<String>) {
            let mut errors = Vec::new();
            let now = SystemTime::now() + Duration::from_secs(seconds);
            let mut on_error = |error: JobError| {
                let source = std::error::Error::source(&error).unwrap();
                errors.push(source.to_string());
            };
            let jobs = running(self.0.path(), now, &mut on_error).unwrap();
            let name = |job: State| String::from_utf8(job.file).unwrap();
            (jobs.into_iter().map(name).collect(), errors)
        }
    }

    #[test]
    fn a_living_process_is_a_job_in_both_layouts() {
        for layout in [Layout::Lp64, Layout::Ilp32] {
            let dir = Dir::new();
            dir.write_as(std::process::id(), "a.c", layout);
            assert_eq!(dir.after(0), ["a.c"]);
        }
    }

    #[test]
    fn a_job_of_minutes_stays_visible() {
        let dir = Dir::new();
        dir.write(std::process::id(), "long.c");
        assert_eq!(dir.after(600), ["long.c"]);
        assert!(dir.has(std::process::id()));
    }

    #[test]
    fn the_file_of_a_dead_process_is_kept_for_a_minute() {
        let dir = Dir::new();
        dir.write(DEAD_PID, "a.c");
        assert_eq!(dir.after(0), [""; 0]);
        assert!(dir.has(DEAD_PID));
        assert_eq!(dir.after(61), [""; 0]);
        assert!(!dir.has(DEAD_PID));
    }

    #[test]
    fn a_lock_tells_life_where_the_pid_means_nothing() {
        let dir = Dir::new();
        let file = dir.write(DEAD_PID, "sandboxed.c");
        assert!(sys::lock::try_lock_file(&file).unwrap());
        assert_eq!(dir.after(600), ["sandboxed.c"]);
        assert!(dir.has(DEAD_PID));
        drop(file);
        assert_eq!(dir.after(600), [""; 0]);
        assert!(!dir.has(DEAD_PID));
    }

    #[test]
    fn names_may_go_on_after_the_pid() {
        let dir = Dir::new();
        dir.write(std::process::id(), "a.c");
        let name = file_name(std::process::id());
        let longer = dir.0.path().join(format!("{name}_0123abcd"));
        fs::rename(dir.0.path().join(name), longer).unwrap();
        assert_eq!(dir.after(0), ["a.c"]);
    }

    #[test]
    fn a_pid_that_was_given_to_a_later_process_is_a_dead_job() {
        let dir = Dir::new();
        let file = dir.write(std::process::id(), "old.c");
        // Long before any test process started.
        let last_year = SystemTime::now() - Duration::from_secs(365 * 24 * 3600);
        file.set_modified(last_year).unwrap();
        assert_eq!(dir.after(0), [""; 0]);
        assert!(!dir.has(std::process::id()));
    }

    #[test]
    fn a_done_job_is_no_job() {
        let dir = Dir::new();
        let state = State {
            pid: std::process::id().into(),
            file: b"a.c".to_vec(),
            host: b"pc".to_vec(),
            slot: 0,
            phase: Phase::Done,
        };
        dir.write_bytes(std::process::id(), &state.encode(Layout::NATIVE));
        assert_eq!(dir.after(0), [""; 0]);
    }

    #[test]
    fn other_files_are_skipped_with_a_word() {
        let dir = Dir::new();
        dir.write_bytes(1, b"half wri");
        assert_eq!(dir.after(0), [""; 0]);
        dir.write_bytes(1, &[0; 296]);
        let (jobs, errors) = dir.with_errors_after(0);
        assert_eq!(jobs, [""; 0]);
        assert_eq!(errors, ["the structure's size is given as 0, expected 296"]);
        fs::write(dir.0.path().join("notes.txt"), "not ours").unwrap();
        assert_eq!(dir.after(61), [""; 0]);
        assert!(dir.0.path().join("notes.txt").exists());
    }

    #[test]
    fn a_process_name_with_parentheses_does_not_hide_the_start_time() {
        let fields = "S 1 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 250 0 0";
        let stat = format!("42 (a ) b) {fields}");
        let start = start_time_of(&stat, "cpu 1\nbtime 1000\n").unwrap();
        assert_eq!(start, UNIX_EPOCH + Duration::from_millis(1_002_500));
    }
}
