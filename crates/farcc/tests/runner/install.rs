//! `farcc util install` into an empty tree, and what works from there.

use crate::space::{Answer, Space};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn install(space: &Space) -> PathBuf {
    let destdir = space.path("pkg");
    let destdir_text = destdir.display().to_string();
    let args = [
        "util",
        "install",
        "--prefix",
        "/usr",
        "--destdir",
        &destdir_text,
    ];
    let answer = space.run("farcc", &args).success();
    for line in answer.stdout.lines() {
        assert!(Path::new(line).exists(), "{line}");
        assert!(line.starts_with(&destdir_text), "{line}");
    }
    destdir
}

#[test]
fn everything_is_laid_out() {
    let space = Space::new();
    let pkg = install(&space);
    for link in [
        "bin/distccd",
        "bin/distccmon-text",
        "bin/lsdistcc",
        "bin/pump",
        "bin/distcc-config",
        "sbin/update-distcc-symlinks",
    ] {
        let target = fs::canonicalize(pkg.join("usr").join(link)).unwrap();
        assert_eq!(target, pkg.join("usr/bin/farcc"), "{link}");
    }
    for file in [
        "usr/share/man/man1/distcc.1",
        "usr/share/man/man1/farcc-run.1",
        "usr/share/bash-completion/completions/farcc",
        "usr/lib/systemd/system/distccd.socket",
        "usr/lib/sysusers.d/distcc.conf",
        "etc/conf.d/distccd",
        "etc/default/distccd",
    ] {
        assert!(pkg.join(file).is_file(), "{file}");
    }
    let mode = |file: &str| fs::metadata(pkg.join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("usr/bin/distcc"), 0o755);
    assert_eq!(mode("etc/init.d/distccd"), 0o755);
    assert_eq!(mode("usr/lib/systemd/system/distccd.service"), 0o644);
    let unit = fs::read_to_string(pkg.join("usr/lib/systemd/system/distccd.service")).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/distccd "), "{unit}");
}

#[test]
fn portage_finds_the_masquerade_directory() {
    let space = Space::new();
    let dir = install(&space).join("usr/lib/distcc/bin");
    // Portage takes `bin` if it is a directory.
    assert!(dir.is_dir());
    if Path::new("/usr/bin/gcc").exists() {
        let answer = Answer::of(Command::new(dir.join("gcc")).arg("-c")).success();
        assert_eq!(answer.stdout, "shim called as gcc\n");
    }
}

#[test]
fn installed_links_work() {
    let space = Space::new();
    let pkg = install(&space);
    let program = pkg.join("usr/bin/distccmon-text");
    let mut monitor = Command::new(program);
    let answer = Answer::of(monitor.env("DISTCC_DIR", space.path("distcc"))).success();
    assert_eq!(answer.stdout, "\n");
}

#[test]
fn installing_again_replaces_programs_and_keeps_configuration() {
    let space = Space::new();
    let pkg = install(&space);
    fs::write(pkg.join("etc/conf.d/distccd"), "mine").unwrap();
    fs::write(pkg.join("usr/bin/distcc"), "old").unwrap();
    let again = install(&space);
    let read = |file: &str| fs::read_to_string(again.join(file)).unwrap();
    assert_eq!(read("etc/conf.d/distccd"), "mine");
    assert!(read("usr/bin/distcc").starts_with("#!/bin/sh"));
}

/// The unit files in the form in which they are installed.
#[test]
fn systemd_understands_the_units() {
    let space = Space::new();
    let pkg = install(&space);
    let dir = pkg.join("usr/lib/systemd/system");
    let unit = fs::read_to_string(dir.join("distccd.service")).unwrap();
    // The program has to exist where the check runs.
    fs::write(
        dir.join("distccd.service"),
        unit.replace("/usr/bin/distccd", "/bin/true"),
    )
    .unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .args([dir.join("distccd.service"), dir.join("distccd.socket")]);
    let Ok(output) = verify.output() else {
        return; // no systemd here
    };
    let text = String::from_utf8_lossy(&output.stderr);
    let ours = text.lines().filter(|line| line.contains("distccd"));
    assert_eq!(ours.collect::<Vec<_>>(), [""; 0], "{text}");
}
