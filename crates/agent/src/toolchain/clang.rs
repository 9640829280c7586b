//! What Clang looks at besides programs and headers.
//!
//! Its driver chooses directories by what exists: it searches for a GCC installation (by its `crtbegin.o`), tells
//! distributions apart by their release files, and adds a directory of headers only if it is there. Sanitizers have
//! lists of functions that they leave alone beside the compiler's headers. Seen with `strace` in Clang 14; the tests
//! compare what the driver would run in a root with what it would run here.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::answer::Answer;
use super::places::Places;
use super::why::NoToolchain;

/// Files by which distributions are told apart (`clang/lib/Driver/Distro.cpp`).
const DISTRIBUTION: &[&str] = &[
    "/etc/SuSE-release",
    "/etc/alpine-release",
    "/etc/arch-release",
    "/etc/debian_version",
    "/etc/exherbo-release",
    "/etc/gentoo-release",
    "/etc/lsb-release",
    "/etc/os-release",
    "/etc/redhat-release",
    "/etc/slackware-version",
    "/usr/lib/os-release",
];

/// Where Gentoo says which GCC is the chosen one.
const GENTOO: &str = "/etc/env.d/gcc";

/// Configuration files that would be read if they were there, beside the driver. Those in directories that were built
/// into Clang are seen only once they are read.
const CONFIGURATION: &[&str] = &["clang++.cfg", "clang.cfg"];

/// Directories of configuration files that distributions build in.
const CONFIGURATION_DIRS: &[&str] = &["/etc/clang"];

/// How deep configuration files may name each other.
const CONFIGURATION_DEPTH_MAX: usize = 8;

/// How deep the variants of a GCC installation lie (`32`, `thumb/v7/nofp`).
const VARIANT_DEPTH_MAX: usize = 3;

/// Options of the inner compiler whose argument is a directory that was found to exist.
const DIRECTORY_OPTIONS: &[&str] = &[
    "-internal-externc-isystem",
    "-internal-iframework",
    "-internal-isystem",
];

/// Puts everything into its place.
///
/// # Errors
/// A file that was read a moment ago is gone.
pub(super) fn collect(answer: &Answer, places: &mut Places) -> Result<(), NoToolchain> {
    for path in DISTRIBUTION {
        places.data_if_any(Path::new(path))?;
    }
    for path in files_in(Path::new(GENTOO)) {
        places.data(&path)?;
    }
    configuration(answer, places)?;
    if let Some(installation) = &answer.gcc_installation {
        gcc(installation, places)?;
    }
    for words in &answer.commands {
        for pair in words.windows(2) {
            let value = Path::new(&pair[1]);
            if DIRECTORY_OPTIONS.iter().any(|option| pair[0] == *option) {
                places.dir_if_any(value);
            } else if pair[0] == "-resource-dir" {
                lists(value, places)?;
            }
        }
    }
    Ok(())
}

/// Configuration files, those that they name, and those that would be read if they were there.
fn configuration(answer: &Answer, places: &mut Places) -> Result<(), NoToolchain> {
    for path in &answer.configured_by {
        configuration_file(path, CONFIGURATION_DEPTH_MAX, places)?;
    }
    for dir in CONFIGURATION_DIRS {
        places.relied.on(Path::new(dir));
    }
    let Some(dir) = &answer.installed_in else {
        return Ok(());
    };
    for name in CONFIGURATION {
        places.relied.on(&dir.join(name));
    }
    Ok(())
}

fn configuration_file(path: &Path, depth: usize, places: &mut Places) -> Result<(), NoToolchain> {
    places.program(path)?;
    let text = fs::read(path).map_err(|error| NoToolchain::unreadable(path, error))?;
    let words = text.split(u8::is_ascii_whitespace);
    for name in words.filter_map(|word| word.strip_prefix(b"@")) {
        let dir = path.parent().unwrap_or(Path::new("/"));
        let name = name.strip_prefix(b"<CFGDIR>/").unwrap_or(name);
        let nested = dir.join(OsStr::from_bytes(name));
        if depth > 0 && nested.is_file() {
            configuration_file(&nested, depth - 1, places)?;
        }
    }
    Ok(())
}

/// What makes a directory a GCC installation, with its variants for other machines. Another version that gets installed
/// beside it may be preferred.
fn gcc(installation: &Path, places: &mut Places) -> Result<(), NoToolchain> {
    let mut dirs: Vec<(PathBuf, usize)> = vec![(installation.to_owned(), 0)];
    while let Some((dir, depth)) = dirs.pop() {
        let start = dir.join("crtbegin.o");
        if start.is_file() {
            places.data(&start)?;
        }
        if depth < VARIANT_DEPTH_MAX {
            dirs.extend(dirs_in(&dir).map(|dir| (dir, depth + 1)));
        }
    }
    for dir in installation.ancestors().skip(1).take(2) {
        if let Ok(real) = fs::canonicalize(dir) {
            places.relied.on(&real);
        }
    }
    Ok(())
}

/// Lists of what sanitizers leave alone.
fn lists(resources: &Path, places: &mut Places) -> Result<(), NoToolchain> {
    places.dir_if_any(&resources.join("include"));
    for path in files_in(&resources.join("share")) {
        if path.extension() == Some(OsStr::new("txt")) {
            places.data(&path)?;
        }
    }
    Ok(())
}

fn files_in(dir: &Path) -> impl Iterator<Item = PathBuf> {
    entries(dir).filter(|path| path.is_file())
}

fn dirs_in(dir: &Path) -> impl Iterator<Item = PathBuf> {
    entries(dir).filter(|path| path.is_dir() && !path.is_symlink())
}

/// A directory that cannot be listed has nothing for the compiler either.
fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(DISTRIBUTION.is_sorted() && CONFIGURATION.is_sorted());
        assert!(DIRECTORY_OPTIONS.is_sorted());
    }

    #[test]
    fn configuration_files_that_name_others() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| fs::canonicalize(temp.path()).unwrap().join(name);
        fs::write(at("a.cfg"), "-O2\n@b.cfg -g\n").unwrap();
        fs::write(at("b.cfg"), "@<CFGDIR>/c.cfg @a.cfg @none").unwrap();
        fs::write(at("c.cfg"), "").unwrap();
        let mut places = Places::new();
        configuration_file(&at("a.cfg"), 8, &mut places).unwrap();
        let (places, _) = places.finish();
        let paths: Vec<_> = places.into_iter().map(|(path, _)| path).collect();
        let wanted: Vec<_> = paths
            .iter()
            .filter(|path| path.starts_with(at("")))
            .collect();
        assert_eq!(wanted, [&at("a.cfg"), &at("b.cfg"), &at("c.cfg")]);
    }
}
