//! Cargo, and where it puts things.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Link the C library in, and need no relocation at the start.
const STATIC_FLAGS: &str = " -C target-feature=+crt-static -C relocation-model=static";

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
    e2e::programs::use_bin_dir(build_for_use()?);
    Ok(())
}

/// Builds the programs as people install them; the directory they are in.
///
/// The client program starts once for each compile, and a third of what that costs is the loading of shared libraries.
/// So it gets none, where the C library can be linked into it; the agent and the server need the shared one, which looks
/// up names of hosts in ways that a machine's owner chooses (nsswitch.conf(5)).
pub(crate) fn build_for_use() -> Result<PathBuf, String> {
    let shared = build_programs(Profile::Release)?;
    let dir = target_dir()?.join("dist");
    let shim = match build_static_shim() {
        Ok(shim) => shim,
        Err(why) => {
            println!("distcc gets shared libraries, and starts slower: {why}");
            shared.join("distcc")
        }
    };
    let failed = |error| format!("cannot write to {}: {error}", dir.display());
    fs::create_dir_all(&dir).map_err(failed)?;
    for program in [shim, shared.join("farcc")] {
        let name = program.file_name().unwrap_or_default();
        // Not over a program that may run.
        let draft = dir.join("draft");
        fs::copy(&program, &draft).map_err(failed)?;
        fs::rename(&draft, dir.join(name)).map_err(failed)?;
    }
    Ok(dir)
}

/// Builds `distcc` with the C library in it.
fn build_static_shim() -> Result<PathBuf, String> {
    let host = host()?;
    let target = target_dir()?.join("static");
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(STATIC_FLAGS);
    let status = cargo(&["build", "--release", "--package", "shim"])
        .args(["--target", &host, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", flags)
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("the C library cannot be linked into it".into());
    }
    Ok(target.join(host).join("release").join("distcc"))
}

/// This machine as the compiler names it.
fn host() -> Result<String, String> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .arg("-vV")
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned)
        .ok_or_else(|| "rustc does not say for which machine it compiles".into())
}

/// Builds the programs for tests and makes them the ones that [`e2e`] works with.
pub(crate) fn use_debug_programs() -> Result<(), String> {
    e2e::programs::use_bin_dir(build_programs(Profile::Debug)?);
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
