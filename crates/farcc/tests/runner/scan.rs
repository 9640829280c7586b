//! `farcc scan-includes` and `farcc explain`, held against the compiler.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use expect_test::{Expect, expect};

use crate::space::{Answer, Space};

fn project() -> Space {
    let space = Space::new();
    for dir in ["inc/deep", "empty", "real"] {
        fs::create_dir_all(space.path(dir)).unwrap();
    }
    let write = |name: &str, text: &str| fs::write(space.path(name), text).unwrap();
    write(
        "a.c",
        "#include \"part.h\"\n#include \"link.h\"\n#include \"empty/../up.h\"\n",
    );
    write(
        "inc/part.h",
        "#include \"deep/er.h\"\n#define NAME \"config.h\"\n#include NAME\n",
    );
    write(
        "inc/deep/er.h",
        "#if __COUNTER__ > 100\n#include \"maybe.h\"\n#endif\n",
    );
    write("inc/deep/maybe.h", "");
    write("inc/config.h", "");
    write("up.h", "");
    write("real/linked.h", "");
    symlink("real/linked.h", space.path("link.h")).unwrap();
    space
}

/// The answer with this place's name taken out.
fn check(space: &Space, args: &[&str], expected: &Expect) {
    let mut command = space.command("farcc", args);
    let answer = Answer::of(command.env("DISTCC_HOSTS", "box1,lzo,cpp")).success();
    assert_eq!(answer.stderr, "");
    let here = space.path("").display().to_string();
    let mut text = answer.stdout.replace(here.trim_end_matches('/'), "HERE");
    // Another machine has other directories.
    if let (Some(start), Some(end)) = (text.find("in /usr"), text.find("; --all")) {
        text.replace_range(start + 3..end, "SYSTEM");
    }
    expected.assert_eq(&text);
}

#[test]
fn scan_includes_has_distccs_form() {
    let space = project();
    check(
        &space,
        &[
            "scan-includes",
            "--",
            "gcc",
            "-nostdinc",
            "-Iinc",
            "-c",
            "a.c",
        ],
        &expect![[r#"
            FILE      HERE/a.c
            FILE      HERE/inc/part.h
            FILE      HERE/inc/deep/er.h
            FILE      HERE/inc/deep/maybe.h
            FILE      HERE/inc/config.h
            FILE      HERE/real/linked.h
            FILE      HERE/up.h
            SYMLINK   HERE/link.h
            DIRECTORY HERE/empty
        "#]],
    );
}

#[test]
fn scan_includes_lists_what_gcc_reads() {
    let space = project();
    fs::write(space.path("b.c"), "#include <limits.h>\n#include \"a.c\"\n").unwrap();
    let args = ["-Iinc", "-Iempty", "-c", "b.c"];
    let words = [&["scan-includes", "--", "gcc"], &args[..]].concat();
    let answer = space.run("farcc", &words).success();
    let listed: BTreeSet<PathBuf> = answer
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("FILE      "))
        .map(PathBuf::from)
        .collect();
    let gcc = Command::new("gcc")
        .args(args)
        .arg("-M")
        .current_dir(space.path("."))
        .output()
        .unwrap();
    assert!(gcc.status.success());
    let text = String::from_utf8(gcc.stdout).unwrap().replace("\\\n", " ");
    let (_, needed) = text.split_once(':').unwrap();
    let needed: BTreeSet<PathBuf> = needed
        .split_whitespace()
        .map(|file| fs::canonicalize(space.path(file)).unwrap())
        .filter(|file| !file.starts_with("/usr"))
        .collect();
    assert!(listed.is_superset(&needed), "{listed:?} {needed:?}");
    assert!(
        answer.stdout.contains("SYSTEMDIR /usr/include\n"),
        "{}",
        answer.stdout
    );
    let line = |kind: &str, name: &str| format!("{kind:<9} {}\n", space.path(name).display());
    assert!(
        answer.stdout.contains(&line("SYMLINK", "link.h")),
        "{}",
        answer.stdout
    );
    assert!(
        answer.stdout.contains(&line("DIRECTORY", "empty")),
        "{}",
        answer.stdout
    );
}

#[test]
fn what_cannot_be_told_is_said() {
    let space = project();
    fs::remove_file(space.path("inc/config.h")).unwrap();
    let answer = space.run(
        "farcc",
        &["scan-includes", "--", "gcc", "-Iinc", "-c", "a.c"],
    );
    assert_eq!(answer.code, Some(100), "{answer:?}");
    assert!(
        answer.stderr.contains("config.h is not there"),
        "{answer:?}"
    );
    let answer = space.run("farcc", &["scan-includes", "--", "no-such-cc", "-c", "a.c"]);
    assert_eq!(answer.code, Some(110), "{answer:?}");
}

#[test]
fn explain_says_where_and_why() {
    let space = project();
    check(
        &space,
        &["explain", "--", "gcc", "-Iinc", "-Ino", "-MD", "-c", "a.c"],
        &expect![[r#"
            a.c can run on any host of the list
              compiler  /usr/bin/gcc
              writes    a.o
              writes    a.d
              sent      as source and headers to workers and hosts with `,lzo,cpp`
            reads 8 files, 1 of them in SYSTEM; --all lists them
              a.c                                      the source
              inc/part.h                               included by a.c:1
              inc/deep/er.h                            included by inc/part.h:1
              inc/deep/maybe.h                         included by inc/deep/er.h:2
              inc/config.h                             included by inc/part.h:3
              link.h                                   included by a.c:2
              empty/../up.h                            included by a.c:3
              no                                       named by an option, not there
            conditions that only the compiler can decide; what is behind them is listed
              inc/deep/er.h:1
            certain: it reads nothing else
        "#]],
    );
    check(
        &space,
        &[
            "explain", "--why", "er.h", "--", "gcc", "-Iinc", "-c", "a.c",
        ],
        &expect![[r#"
            inc/deep/er.h
              included by inc/part.h:1
              included by a.c:1
              the source
        "#]],
    );
    check(
        &space,
        &[
            "explain",
            "--",
            "gcc",
            "-Iinc",
            "-gsplit-dwarf",
            "-c",
            "a.c",
        ],
        &expect![[r#"
            a.c can run on workers, but not on stock servers: debug information goes to a .dwo file beside the object (`-gsplit-dwarf`) [split-dwarf]
              compiler  /usr/bin/gcc
              writes    a.o
            reads 8 files, 1 of them in SYSTEM; --all lists them
              a.c                                      the source
              inc/part.h                               included by a.c:1
              inc/deep/er.h                            included by inc/part.h:1
              inc/deep/maybe.h                         included by inc/deep/er.h:2
              inc/config.h                             included by inc/part.h:3
              link.h                                   included by a.c:2
              empty/../up.h                            included by a.c:3
            conditions that only the compiler can decide; what is behind them is listed
              inc/deep/er.h:1
            certain: it reads nothing else
        "#]],
    );
}
