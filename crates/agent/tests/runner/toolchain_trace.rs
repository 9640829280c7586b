//! What a compile here opens and looks at, by the kernel's own word (`strace`): nothing that the list does not have.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::toolchain_root::{Compiler, Root, toolchains, words};

/// What programs open besides, and why it makes no difference. A slash at the end: everything below.
const HARMLESS: &[&str] = &[
    "/dev/",                          // null and urandom, of which every sandbox has its own
    "/opt",   // Clang lists it in search of accelerators, which are not compiled for remotely
    "/proc/", // Clang asks it for its own path
    "/usr/include/tbb/", // libstdc++ asks whether it is there, which is the scan's to find
    "/usr/lib/locale/locale-archive", // a root has directories with the same bytes
    "/usr/share/locale/locale.alias", // of no use for a locale that is no alias
];

/// Places that exist here and not in a root, and that are only looked at.
const ONLY_SEEN: &[&str] = &[
    "/etc/ld.so.preload", // libraries that this machine wants in every program
    "/usr/bin/../lib32",  // where Clang would look for a GCC that is not what it uses
];

#[test]
fn gcc() {
    check("gcc", "-O2 -g a.c");
    check("gcc", "-g -gsplit-dwarf a.c");
    check("gcc", "-flto a.c");
    check("gcc", "-fsanitize=address --coverage -fstack-usage a.c");
    check("gcc", "-finput-charset=ISO-8859-1 a.c");
    check("gcc", "c.S");
    check("g++", "-O2 -g b.cc");
}

#[test]
fn clang() {
    check("clang", "-O2 -g a.c");
    check("clang", "-g -gsplit-dwarf -fno-integrated-as a.c");
    check("clang", "-flto -fsanitize=address a.c");
    check("clang", "c.S");
    check("clang++", "-O2 -g b.cc");
}

#[test]
fn languages() {
    for language in ["de_DE.UTF-8", "de_DE.ISO-8859-1", "C.UTF-8"] {
        check_in("gcc", "-O2 -g -Wall a.c", Some(language));
    }
}

fn check(name: &str, line: &str) {
    check_in(name, line, None);
}

fn check_in(name: &str, line: &str, language: Option<&str>) {
    let Some(mut compiler) = Compiler::find(name) else {
        return;
    };
    if let Some(language) = language {
        compiler = compiler.set("LANG", language);
    }
    let root = Root::new();
    root.source(
        "a.c",
        b"#include <stdio.h>\nint f(void) { int unused; return puts(\"f\"); }\n",
    );
    root.source(
        "b.cc",
        b"#include <vector>\nint f(std::vector<int> v) { return v[0]; }\n",
    );
    root.source("c.S", b"\t.text\n\tnop\n");
    let args = [words("-c"), words(line)].concat();
    let toolchain = compiler
        .identify(&toolchains(), root.work(), &args)
        .unwrap();
    root.add(&toolchain);
    for header in root.headers(&compiler, &args) {
        root.file(&header);
    }
    let Some(calls) = trace(&compiler, &root, &args) else {
        return;
    };
    let mut missing = BTreeSet::new();
    for call in calls {
        let path = root.work().join(&call.path);
        let known = if call.opens { HARMLESS } else { ONLY_SEEN };
        let is_harmless = HARMLESS.iter().chain(known).any(|harmless| {
            path == Path::new(harmless) || harmless.ends_with('/') && path.starts_with(harmless)
        });
        let is_own = path.starts_with(root.work()) || path.starts_with(std::env::temp_dir());
        if !is_harmless && !is_own && !root.resolves(&path) {
            missing.insert((call.opens, path));
        }
    }
    assert!(missing.is_empty(), "{name} {line}: {missing:?}");
}

/// A path that was found.
struct Found {
    path: PathBuf,
    /// Opened or run, not only looked at.
    opens: bool,
}

/// Runs a compile under `strace`. `None` if it is missing or may not trace.
fn trace(compiler: &Compiler, root: &Root, args: &[OsString]) -> Option<Vec<Found>> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let compile = compiler.command(root.work(), args);
    let mut command = Command::new("strace");
    command
        .args([
            "-f",
            "-qq",
            "-s",
            "4096",
            "-e",
            "trace=%file",
            "-e",
            "signal=none",
            "-o",
        ])
        .arg(log.path())
        .arg(compile.get_program())
        .args(compile.get_args())
        .env_clear()
        .envs(compiler.env.iter().map(|(name, value)| (name, value)))
        .current_dir(root.work());
    let Ok(output) = command.output() else {
        eprintln!("skipped: no strace");
        return None;
    };
    if !output.status.success() {
        eprintln!(
            "skipped: strace says {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return None;
    }
    let text = fs::read(log.path()).unwrap();
    let text = String::from_utf8_lossy(&text);
    let found: Vec<_> = text.lines().filter_map(parse).collect();
    assert!(
        found.iter().filter(|found| found.opens).count() > 10,
        "{text}"
    );
    Some(found)
}

/// Reads a line such as `123 openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY) = 3`.
fn parse(line: &str) -> Option<Found> {
    let (call, result) = line.rsplit_once(" = ")?;
    if result.starts_with('-') || result.starts_with('?') {
        return None;
    }
    let call = call.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ' ');
    let path = call.split('"').nth(1).filter(|path| !path.is_empty())?;
    Some(Found {
        path: path.into(),
        opens: ["open", "exec"].iter().any(|name| call.starts_with(name)),
    })
}
