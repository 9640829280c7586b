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
/// The client program starts once for each compile, and most of what that costs is the start of the C library: shared
/// ones are loaded and relocated, and glibc asks the processor about its caches in some seventy instructions, each of
/// which a virtual machine takes ten microseconds for. musl does neither. So it is linked into the program where Rust
/// has it, else glibc, else glibc is shared. The agent and the server need the shared one, which looks up names of hosts
/// in ways that a machine's owner chooses (nsswitch.conf(5)).
pub(crate) fn build_for_use() -> Result<PathBuf, String> {
    let shared = build_programs(Profile::Release)?;
    let dir = target_dir()?.join("dist");
    let shim = match build_quick_shim().or_else(|why| {
        println!("distcc starts slower: {why}");
        build_shim_with_glibc()
    }) {
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

/// Has rustup install what the quickest `distcc` is linked with. Without rustup, and where it cannot be had, `distcc`
/// works as well.
pub(crate) fn install_quick_library() -> Result<(), String> {
    let target = quick_target()?;
    if has_library(&target) {
        println!("nothing is missing");
        return Ok(());
    }
    let installed = Command::new("rustup")
        .args(["target", "add", &target])
        .status();
    if !installed.is_ok_and(|status| status.success()) {
        println!("{target} cannot be had; distcc gets the C library of this system");
    }
    Ok(())
}

/// Builds `distcc` with musl in it.
fn build_quick_shim() -> Result<PathBuf, String> {
    let target = quick_target()?;
    if !has_library(&target) {
        return Err(format!(
            "Rust has no library for {target} here (rustup target add {target})"
        ));
    }
    build_static_shim(&target)
}

/// Builds `distcc` with this system's C library in it.
pub(crate) fn build_shim_with_glibc() -> Result<PathBuf, String> {
    build_static_shim(&host()?)
}

fn build_static_shim(target: &str) -> Result<PathBuf, String> {
    let dir = target_dir()?.join("static");
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(STATIC_FLAGS);
    let status = cargo(&["build", "--release", "--package", "shim"])
        .args(["--target", target, "--target-dir"])
        .arg(&dir)
        .env("RUSTFLAGS", flags)
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err(format!("it cannot be built for {target}"));
    }
    Ok(dir.join(target).join("release").join("distcc"))
}

/// This machine with musl as its C library, if it has glibc by itself.
fn quick_target() -> Result<String, String> {
    let host = host()?;
    Ok(match host.strip_suffix("-gnu") {
        Some(machine) => format!("{machine}-musl"),
        None => host,
    })
}

/// Whether Rust's own library is there for a target.
fn has_library(target: &str) -> bool {
    let dir = rustc(&["--print", "target-libdir", "--target", target]);
    dir.is_ok_and(|dir| Path::new(dir.trim()).is_dir())
}

/// This machine as the compiler names it.
fn host() -> Result<String, String> {
    let text = rustc(&["-vV"])?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned)
        .ok_or_else(|| "rustc does not say for which machine it compiles".into())
}

fn rustc(args: &[&str]) -> Result<String, String> {
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(args)
        .output()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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
