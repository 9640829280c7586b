//! Starts a program that outlives its parent and shares nothing with it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The descriptor at which the program finds what it is handed.
pub const HANDED_FD: i32 = 3;

/// Runs `path` with `args` and exactly the given environment, in a session of its own, with `/`
/// as its directory, `/dev/null` as its standard streams, `handed` as descriptor [`HANDED_FD`]
/// and no other open file: none of the build's pipes is kept open by it. Returns once the program
/// has been started; nobody has to wait for it.
///
/// # Errors
/// The program could not be started.
pub fn spawn_detached<'a>(
    path: &Path,
    args: &[&OsStr],
    env: impl IntoIterator<Item = &'a (OsString, OsString)>,
    handed: OwnedFd,
) -> io::Result<()> {
    let handed_fd = handed.as_raw_fd();
    let mut command = Command::new(path);
    command
        .args(args)
        .env_clear()
        .envs(env.into_iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // JUSTIFICATION: the standard library offers neither sessions nor closing of foreign files.
    // SAFETY: between fork and exec `leave_family` only makes system calls.
    unsafe { command.pre_exec(move || leave_family(handed_fd)) };
    let mut child = command.spawn()?;
    // What is waited for is the short-lived process between, see `leave_family`.
    child.wait()?;
    drop(handed);
    Ok(())
}

/// Runs in the new process: only system calls are allowed here.
fn leave_family(handed_fd: i32) -> io::Result<()> {
    // SAFETY: plain system call.
    check(unsafe { libc::setsid() })?;
    // The session's leader goes at once: its child belongs to nobody here and can never get a
    // controlling terminal.
    // SAFETY: the process has one thread, and both sides only make system calls.
    if check(unsafe { libc::fork() })? != 0 {
        // SAFETY: `_exit` ends this process without running anything of the parent's.
        unsafe { libc::_exit(0) };
    }
    // Close-on-exec rather than close: the standard library reports a failed exec through a
    // descriptor of its own.
    let last = libc::c_uint::MAX;
    // SAFETY: plain system call, marks descriptors.
    let marked = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            HANDED_FD,
            last,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    if marked == -1 {
        mark_one_by_one();
    }
    if handed_fd == HANDED_FD {
        // SAFETY: plain system call; clears close-on-exec.
        check(unsafe { libc::fcntl(HANDED_FD, libc::F_SETFD, 0) })?;
    } else {
        // The descriptor for reporting may be in the way; then a failed exec goes unreported and
        // the agent's socket is found dead, which callers must handle anyway.
        // SAFETY: plain system call.
        check(unsafe { libc::dup2(handed_fd, HANDED_FD) })?;
    }
    Ok(())
}

/// For kernels before 5.11.
fn mark_one_by_one() {
    /// Builds rarely have more descriptors open; the rest would be inherited.
    const FD_MAX: i32 = 4096;
    for fd in HANDED_FD..FD_MAX {
        // SAFETY: plain system call; closed descriptors give an error that does not matter.
        unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
