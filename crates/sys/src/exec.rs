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
