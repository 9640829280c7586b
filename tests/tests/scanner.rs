//! The include scanner against compilers on real trees: the short form of `cargo xtask scan-check`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use e2e::corpus::{self, LUA, Project, ZSTD};
use scan_check::compare::{Plan, compare};
use scan_check::units::Unit;

/// Every C file below `dir`, compiled from `dir` with `options`.
fn units(dir: &Path, compiler: &str, options: &[&str]) -> Vec<Unit> {
    let unit = |source: PathBuf| Unit {
        compiler: compiler.into(),
        args: options
            .iter()
            .map(OsString::from)
            .chain(["-c".into(), source.into_os_string()])
            .collect(),
        cwd: dir.to_owned(),
    };
    let mut sources = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "c") {
                sources.push(path);
            }
        }
    }
    sources.sort();
    sources.into_iter().map(unit).collect()
}

fn check(project: Project, compiler: &str, options: &[&str], units_min: usize) {
    let dir = corpus::source(project).unwrap();
    let units = units(&dir, compiler, options);
    let mut said = Vec::new();
    let plan = Plan {
        verbose: true,
        ..Plan::default()
    };
    let totals = compare(&units, &plan, &mut |line| said.push(line.to_owned())).unwrap();
    let line = totals.line();
    assert!(totals.units >= units_min, "{line}");
    assert_eq!(totals.missing, 0, "{line}\n{said:#?}");
    assert!(totals.extra_percent() <= 3.0, "{line}\n{said:#?}");
    assert!(totals.doubts * 100 <= totals.units, "{line}\n{said:#?}");
}

#[test]
fn zstd_with_gcc() {
    check(ZSTD, "gcc", &["-O2", "-DZSTD_MULTITHREAD", "-Ilib"], 40);
}

#[test]
fn zstd_with_clang() {
    check(ZSTD, "clang", &["-O2", "-DZSTD_MULTITHREAD", "-Ilib"], 40);
}

#[test]
fn lua_as_c_plus_plus() {
    check(LUA, "g++", &["-x", "c++", "-std=c++17"], 30);
}
