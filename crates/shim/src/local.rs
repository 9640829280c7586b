//! Becoming the real compiler.

use std::ffi::OsString;
use std::process::ExitCode;

use wire::LogLevel;

use crate::compiler::Found;
use crate::log::Log;

/// Set in whatever this program starts; found on entry, this program has called itself.
pub(crate) const SAFEGUARD: &str = "_DISTCC_SAFEGUARD";

/// distcc's exit code for a compiler that cannot be started.
const EXIT_COMPILER_MISSING: u8 = 110;

/// What the compiler finds changed in its environment.
pub(crate) fn environment(found: &Found) -> Vec<(&'static str, OsString)> {
    let depth = std::env::var(SAFEGUARD)
        .ok()
        .and_then(|value| value.parse::<u32>().ok());
    let depth = depth.unwrap_or(0).saturating_add(1);
    let mut env = vec![(SAFEGUARD, OsString::from(depth.to_string()))];
    if let Some(path_var) = &found.path_var {
        env.push(("PATH", path_var.clone()));
    }
    env
}

/// Becomes the compiler; returns only when that fails.
pub(crate) fn run(found: &Found, args: &[OsString], log: &Log) -> ExitCode {
    let error = sys::exec::become_program(&found.path, &found.name, args, &environment(found));
    log.line(
        LogLevel::Error,
        &format!("failed to exec {}: {error}", found.path.display()),
    );
    ExitCode::from(EXIT_COMPILER_MISSING)
}
