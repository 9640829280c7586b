//! Runs one child with its output captured in memory, and accounts for it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How a captured child ended and what it wrote.
#[derive(Debug)]
pub struct Captured {
    /// Status as `wait` tells it: exit code << 8, or the signal.
    pub wait_status: i32,
    /// User and system time of the child and its children.
    pub cpu: Duration,
    /// Its standard output.
    pub stdout: File,
    /// Its standard error.
    pub stderr: File,
}

/// Runs `path` as `name` with `args`, standard input inherited, and waits for its end. A signal
/// that ends this process meanwhile kills the child first.
///
/// # Errors
/// No memory file could be made or the program could not be started.
pub fn run(
    path: &Path,
    name: &OsStr,
    args: &[OsString],
    env: &[(&str, OsString)],
) -> io::Result<Captured> {
    let stdout = crate::memory_file("preprocessed")?;
    let stderr = crate::memory_file("messages")?;
    let child = Command::new(path)
        .arg0(name)
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::from(stdout.try_clone()?))
        .stderr(Stdio::from(stderr.try_clone()?))
        .spawn()?;
    let guard = crate::signals::KillChildFirst::arm(child.id());
    let (wait_status, cpu) = wait(child.id())?;
    drop(guard);
    Ok(Captured {
        wait_status,
        cpu,
        stdout,
        stderr,
    })
}

/// Waits for a child: its status as `wait` tells it, and the user and system time of it and of
/// its children that it waited for.
///
/// # Errors
/// There is no such child.
///
/// # Panics
/// `pid` is no process id.
pub fn wait(pid: u32) -> io::Result<(i32, Duration)> {
    let pid = libc::pid_t::try_from(pid).expect("process ids are positive pid_t");
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    loop {
        // JUSTIFICATION: the standard library does not tell a child's resource usage.
        // SAFETY: both pointers are valid for writes; the pid is of our own child.
        let result = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
        if result == pid {
            // SAFETY: filled in by the successful call.
            let usage = unsafe { usage.assume_init() };
            return Ok((status, duration(usage.ru_utime) + duration(usage.ru_stime)));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    #[test]
    fn output_and_status_are_captured() {
        let args = ["-c".into(), "echo out; echo err >&2; exit 3".into()];
        let mut done = run(Path::new("/bin/sh"), OsStr::new("sh"), &args, &[]).unwrap();
        assert_eq!(done.wait_status, 3 << 8);
        let read = |file: &mut File| {
            file.rewind().unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            text
        };
        assert_eq!(read(&mut done.stdout), "out\n");
        assert_eq!(read(&mut done.stderr), "err\n");
    }
}
