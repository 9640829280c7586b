//! Debian packages that the tests need, installed only if missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use e2e::programs;

/// A program that tests need, and the package that has it. Sorted by program.
const NEEDED: &[(&str, &str)] = &[
    ("/usr/bin/distcc", "distcc"),
    ("/usr/bin/distccd", "distcc"),
    ("/usr/bin/distccmon-text", "distcc"),
    ("/usr/bin/lsdistcc", "distcc"),
    ("/usr/lib/python3/dist-packages/", "python3"),
    ("/usr/share/doc/gobjc++/", "gobjc++"),
    ("/usr/share/doc/gobjc/", "gobjc"),
    ("ccache", "ccache"),
    ("clang", "clang"),
    ("cmake", "cmake"),
    ("g++", "g++"),
    ("gcc", "gcc"),
    ("gdb", "gdb"),
    ("make", "make"),
    ("ninja", "ninja-build"),
    ("python3", "python3"),
    ("unshare", "util-linux"),
    ("valgrind", "valgrind"),
];

/// A file that only Python with virtual environments has; there is no program to look for.
const VENV_FILES: &str = "/usr/lib/python3";

/// Installs what is missing. What cannot be installed is the answer, by program: tests that need
/// it are skipped.
pub(crate) fn install() -> Result<Vec<&'static str>, String> {
    let missing: Vec<_> = NEEDED
        .iter()
        .filter(|(program, _)| !is_there(program))
        .collect();
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    if !has_venv() {
        packages.push("python3-venv");
    }
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        println!("nothing is missing");
        return Ok(Vec::new());
    }
    if !rustix::process::getuid().is_root() {
        println!(
            "missing; the tests that need it are skipped. To run them all:\n  \
             sudo apt-get install --no-install-recommends {}",
            packages.join(" ")
        );
        return Ok(missing.iter().map(|(program, _)| name(program)).collect());
    }
    install_packages(&packages)?;
    Ok(Vec::new())
}

/// Installs packages, without those that they only recommend.
///
/// # Errors
/// This is not root, or what went wrong; apt has told more.
pub(crate) fn install_packages(packages: &[&str]) -> Result<(), String> {
    if !rustix::process::getuid().is_root() {
        let packages = packages.join(" ");
        return Err(format!(
            "not root: sudo apt-get install --no-install-recommends {packages}"
        ));
    }
    let _no_daemons = NoDaemons::begin()?;
    update()?;
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages);
    apt(&install)
}

/// Brings the lists of packages up to date, once.
pub(crate) fn update() -> Result<(), String> {
    static DONE: OnceLock<Result<(), String>> = OnceLock::new();
    DONE.get_or_init(|| apt(&["update"])).clone()
}

fn is_there(program: &str) -> bool {
    match program.strip_suffix('/') {
        Some(dir) => Path::new(dir).is_dir(),
        None => programs::find(program).is_some(),
    }
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Whether `python3 -m venv` works: Debian has the part that makes it work in a package.
fn has_venv() -> bool {
    Path::new(VENV_FILES).is_dir()
        && Command::new("/usr/bin/python3")
            .args(["-c", "import ensurepip, venv"])
            .output()
            .is_ok_and(|output| output.status.success())
}

/// Something else may install packages at the same time; seconds.
const LOCK_PATIENCE: &str = "DPkg::Lock::Timeout=600";

fn apt(args: &[&str]) -> Result<(), String> {
    let status = Command::new("apt-get")
        .args(["--quiet", "-o", LOCK_PATIENCE])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .map_err(|error| format!("cannot run apt-get: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("apt-get {} failed", args.join(" ")))
    }
}

/// While it lives, no installed package starts a service: Debian's distcc would serve the
/// machine's network.
#[derive(Debug)]
struct NoDaemons {
    is_ours: bool,
}

/// Debian asks it whether a service may be started (invoke-rc.d(8)).
const POLICY_FILE: &str = "/usr/sbin/policy-rc.d";
/// "Action not allowed."
const POLICY: &str = "#!/bin/sh\nexit 101\n";

impl NoDaemons {
    fn begin() -> Result<Self, String> {
        // A container's image may have one already, which says the same.
        if Path::new(POLICY_FILE).exists() {
            return Ok(Self { is_ours: false });
        }
        let written = fs::write(POLICY_FILE, POLICY)
            .and_then(|()| fs::set_permissions(POLICY_FILE, fs::Permissions::from_mode(0o755)));
        written.map_err(|error| format!("cannot write {POLICY_FILE}: {error}"))?;
        Ok(Self { is_ours: true })
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.is_ours {
            let _best_effort = fs::remove_file(POLICY_FILE);
        }
    }
}
