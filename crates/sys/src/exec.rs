//! Becoming another program.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Replaces this process by `path`, started as `name` with `args` and the current environment
/// changed by `env`. Returns only when that fails.
#[must_use]
pub fn become_program(
    path: &Path,
    name: &OsStr,
    args: &[OsString],
    env: &[(&str, OsString)],
) -> io::Error {
    Command::new(path)
        .arg0(name)
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .exec()
}

/// Keeps a file open in the program that this process becomes.
///
/// # Errors
/// What `fcntl` says.
pub fn keep_across_exec(file: impl AsFd) -> io::Result<()> {
    rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())?;
    Ok(())
}

/// Another handle for a file that this process inherited under a number; `None` if no file is
/// open there.
#[must_use]
pub fn inherited_file(number: i32) -> Option<std::fs::File> {
    // JUSTIFICATION: descriptors arrive as numbers in environment variables.
    // SAFETY: plain system call; a closed number gives an error. The new descriptor is nobody
    // else's.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return None;
    }
    // SAFETY: `copy` was just opened and is owned by nobody else.
    Some(unsafe { <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(copy) })
}

/// Takes a file over that the parent process handed to this one under a number. The number is
/// closed, so that no child inherits it. For the start of a program, before anything else can
/// have opened a file under that number.
#[must_use]
pub fn take_inherited(number: i32) -> Option<std::fs::File> {
    /// The first number that is not a standard stream.
    const FIRST: i32 = 3;
    let file = (number >= FIRST)
        .then(|| inherited_file(number))
        .flatten()?;
    // SAFETY: plain system call; by this function's contract nobody in this process owns it.
    unsafe { libc::close(number) };
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, IntoRawFd};

    #[test]
    fn what_is_taken_over_is_open_once_and_not_for_children() {
        let number = crate::memory_file("handed").unwrap().into_raw_fd();
        let taken = take_inherited(number).unwrap();
        assert_ne!(taken.as_raw_fd(), number);
        let flags = rustix::io::fcntl_getfd(&taken).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        assert!(take_inherited(2).is_none());
        assert!(take_inherited(1 << 20).is_none());
    }
}
