//! Programs from Debian's newest packages, on any Debian system.
//!
//! They are not installed: apt downloads them with everything that they depend on, down to the C
//! library, into a state of its own that knows nothing of this system; they are unpacked, and
//! patchelf makes each program load those libraries. So they run on whatever release is here.
//! The newest packages change every day and are broken on some; what does not start is not kept.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{foreign, programs};

use super::{make_dir, output, parent};
use crate::packages;

/// What is taken. Sorted.
pub(super) const PROGRAMS: &[&str] = &["buildbox-casd", "justbuild", "recc", "siso", "trexe"];

/// The packages that have it.
const PACKAGES: &[&str] = &["buildbox", "justbuild", "siso"];

/// The release without a release.
const SUITE: &str = "sid";

/// Signs all of Debian's releases.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

pub(super) fn install() -> Result<(), String> {
    if programs::find("patchelf").is_none() {
        packages::install_packages(&["patchelf"])?;
    }
    let mirror = mirror()?;
    let bin = foreign::newest("");
    make_dir(parent(&bin), |dir| {
        download(dir, &mirror)?;
        let root = dir.join("root");
        for package in downloaded(dir)? {
            output(Command::new("dpkg-deb").arg("-x").arg(package).arg(&root))?;
        }
        fs::remove_dir_all(dir.join("apt")).map_err(unexpected)?;
        // Where they will be: the programs hold the paths of their libraries.
        fs::create_dir(dir.join("bin")).map_err(unexpected)?;
        let libraries = libraries(&root)?;
        for program in PROGRAMS {
            take(dir, &libraries, program)?;
        }
        keep_libraries(&root)
    })?;
    PROGRAMS.iter().try_for_each(|program| {
        let help = Command::new(foreign::newest(program))
            .arg("--help")
            .output();
        let starts = help.is_ok_and(|help| !help.stdout.is_empty() || !help.stderr.is_empty());
        starts.then_some(()).ok_or_else(|| {
            let _kept_for_nothing = fs::remove_dir_all(parent(&bin));
            format!("{program} of today's packages does not start")
        })
    })
}

fn unexpected(error: std::io::Error) -> String {
    format!("the packages are not as expected: {error}")
}

/// The mirror of this machine's own packages.
fn mirror() -> Result<String, String> {
    let ask = || {
        let wanted = ["Identifier: Packages", "Origin: Debian", "Label: Debian"];
        let mut apt = Command::new("apt-get");
        let answer = output(
            apt.args(["indextargets", "--format", "$(REPO_URI)"])
                .args(wanted),
        )?;
        Ok::<_, String>(answer.lines().next().map(str::to_owned))
    };
    if let Some(mirror) = ask()? {
        return Ok(mirror);
    }
    // A container's image comes without lists.
    packages::update()?;
    ask()?.ok_or_else(|| "no source of Debian's packages is configured".to_owned())
}

/// Fills `apt/cache/archives`.
fn download(dir: &Path, mirror: &str) -> Result<(), String> {
    let apt = dir.join("apt");
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(apt.join(part)).map_err(unexpected)?;
    }
    // A system on which nothing is installed.
    fs::write(apt.join("status"), "").map_err(unexpected)?;
    let sources = format!("deb [signed-by={KEYRING}] {mirror} {SUITE} main\n");
    fs::write(apt.join("sources.list"), sources).map_err(unexpected)?;
    let mut config = String::new();
    for (name, path) in [
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::State::lists", "lists"),
        ("Dir::State::status", "status"),
        ("Dir::Cache", "cache"),
    ] {
        let _infallible = writeln!(config, "{name} \"{}\";", apt.join(path).display());
    }
    config += "Dir::Etc::sourceparts \"/dev/null\";\n\
               Acquire::Languages \"none\";\n\
               APT::Install-Recommends \"false\";\n\
               APT::Sandbox::User \"root\";\n\
               Debug::NoLocking \"true\";\n";
    let config_file = apt.join("apt.conf");
    fs::write(&config_file, config).map_err(unexpected)?;
    let run = |words: &[&str]| {
        let mut command = Command::new("apt-get");
        output(command.env("APT_CONFIG", &config_file).args(words)).map(drop)
    };
    run(&["--quiet", "update"])?;
    run(&[
        &["--quiet", "--yes", "--download-only", "install"],
        PACKAGES,
    ]
    .concat())
}

fn downloaded(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(dir.join("apt/cache/archives")).map_err(unexpected)?;
    let mut packages: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    packages.retain(|path| path.extension().is_some_and(|end| end == "deb"));
    Ok(packages)
}

/// The directory of the architecture's libraries below `usr/lib`.
fn libraries(root: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(root.join("usr/lib")).map_err(unexpected)?;
    let mut dirs = entries.flatten().map(|entry| entry.path());
    let dir = dirs.find(|path| path.to_string_lossy().ends_with("-linux-gnu"));
    dir.ok_or_else(|| "the packages have no libraries".to_owned())
}

/// Puts a program into `bin`, bound to the libraries that it came with.
fn take(dir: &Path, libraries: &Path, program: &str) -> Result<(), String> {
    let patched = dir.join("bin").join(program);
    fs::copy(dir.join("root/usr/bin").join(program), &patched).map_err(unexpected)?;
    let patchelf = || Command::new("patchelf");
    let asks_for = output(patchelf().arg("--print-interpreter").arg(&patched))?;
    let loader = Path::new(asks_for.trim()).file_name().unwrap_or_default();
    let in_dir = libraries.strip_prefix(dir).unwrap_or(libraries);
    let final_dir = parent(&foreign::newest("")).join(in_dir);
    output(
        patchelf()
            .arg("--set-interpreter")
            .arg(final_dir.join(loader))
            .args(["--force-rpath", "--set-rpath"])
            .arg(final_dir)
            .arg(&patched),
    )
    .map(drop)
}

/// Deletes what is not `usr/lib`.
fn keep_libraries(root: &Path) -> Result<(), String> {
    for dir in [root.join("usr"), root.to_owned()] {
        for entry in fs::read_dir(dir).map_err(unexpected)?.flatten() {
            let is_kept = entry.file_name() == "usr" || entry.file_name() == "lib";
            let path = entry.path();
            if is_kept || path.is_symlink() {
                continue;
            }
            fs::remove_dir_all(&path)
                .or_else(|_| fs::remove_file(&path))
                .map_err(unexpected)?;
        }
    }
    Ok(())
}
