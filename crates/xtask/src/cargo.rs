//! Cargo, and where it puts things.

use std::path::{Path, PathBuf};
use std::process::Command;

/// How programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build: for tests.
    Debug,
    /// As people use them: for everything that is measured.
    Release,
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors()
        .nth(2)
        .expect("this crate lies two directories deep")
}

/// Cargo, in the repository.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Builds `distcc` and `farcc`; the directory they are in.
pub(crate) fn build_programs(profile: Profile) -> Result<PathBuf, String> {
    let mut command = cargo(&["build", "--package", "shim", "--package", "farcc"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    let status = command
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("the programs cannot be built".into());
    }
    Ok(target_dir()?.join(match profile {
        Profile::Debug => "debug",
        Profile::Release => "release",
    }))
}

/// Builds further packages for release, beside the programs.
pub(crate) fn build_release(packages: &[&str]) -> Result<(), String> {
    let mut command = cargo(&["build", "--release"]);
    for package in packages {
        command.args(["--package", package]);
    }
    let status = command
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{} cannot be built", packages.join(", "))),
    }
}

/// Builds the programs for release and makes them the ones that [`e2e`] works with.
pub(crate) fn use_release_programs() -> Result<(), String> {
    use_programs(Profile::Release)
}

/// Builds the programs and makes them the ones that [`e2e`] works with.
pub(crate) fn use_programs(profile: Profile) -> Result<(), String> {
    e2e::programs::use_bin_dir(build_programs(profile)?);
    Ok(())
}

/// This program lies in `TARGET/debug`.
pub(crate) fn target_dir() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find myself: {error}"))?;
    let target = own.ancestors().nth(2);
    target
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} is in no target directory", own.display()))
}
