//! The headers of the machine's own C and C++ libraries: the tree that every machine has. For each, in several
//! languages and with several options, the scanner's set is what the compiler reads.

use std::fs;

use scan_check::compare::{Plan, compare};
use scan_check::units::Unit;

/// Headers of C libraries on Linux.
const C: &[&str] = &[
    "stdio.h",
    "stdlib.h",
    "string.h",
    "math.h",
    "tgmath.h",
    "complex.h",
    "pthread.h",
    "signal.h",
    "unistd.h",
    "sys/socket.h",
    "netinet/in.h",
    "arpa/inet.h",
    "sys/stat.h",
    "sys/wait.h",
    "sys/epoll.h",
    "time.h",
    "wchar.h",
    "locale.h",
    "setjmp.h",
    "stdatomic.h",
    "threads.h",
    "limits.h",
    "float.h",
    "inttypes.h",
    "fenv.h",
    "regex.h",
    "dlfcn.h",
    "linux/fs.h",
    "linux/if.h",
    "linux/perf_event.h",
    "asm/unistd.h",
    "immintrin.h",
    "ucontext.h",
    "obstack.h",
    "search.h",
    "spawn.h",
];

/// Headers of the C++ library.
const CXX: &[&str] = &[
    "iostream",
    "vector",
    "map",
    "unordered_map",
    "regex",
    "thread",
    "future",
    "random",
    "filesystem",
    "variant",
    "algorithm",
    "chrono",
    "memory_resource",
    "cmath",
    "ranges",
    "format",
    "bits/stdc++.h",
    "ext/pb_ds/assoc_container.hpp",
];

fn check(compilers: [&str; 2], extension: &str, headers: &[&str], options: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder for the sources");
    let mut units = Vec::new();
    for (index, headers) in headers.chunks(6).enumerate() {
        let source = format!("{index}.{extension}");
        let text: String = headers
            .iter()
            .map(|it| format!("#if __has_include(<{it}>)\n#include <{it}>\n#endif\n"))
            .collect();
        fs::write(folder.path().join(&source), text).expect("a source is written");
        for compiler in compilers {
            for option in options {
                let args = option
                    .split_whitespace()
                    .chain(["-c", &source])
                    .map(Into::into)
                    .collect();
                units.push(Unit {
                    compiler: compiler.into(),
                    args,
                    cwd: folder.path().to_path_buf(),
                });
            }
        }
    }
    let mut said = Vec::new();
    let plan = Plan {
        verbose: true,
        ..Plan::default()
    };
    let totals =
        compare(&units, &plan, &mut |text| said.push(text.to_owned())).expect("compilers run");
    assert!(
        totals.units * 4 > units.len() * 3,
        "{} of {} are accepted",
        totals.units,
        units.len()
    );
    assert_eq!((totals.missing, totals.doubts), (0, 0), "{said:#?}");
    assert!(totals.extra_percent() < 1.0, "{said:#?}");
}

#[test]
fn the_c_library() {
    check(
        ["gcc", "clang"],
        "c",
        C,
        &[
            "",
            "-std=c99 -O2",
            "-D_GNU_SOURCE -march=haswell -pthread",
            "-ansi -D_FORTIFY_SOURCE=2 -O1",
            "-m64 -fopenmp -D_XOPEN_SOURCE=500",
        ],
    );
}

#[test]
fn the_cxx_library() {
    check(
        ["g++", "clang++"],
        "cc",
        CXX,
        &[
            "-std=c++17",
            "-std=gnu++20 -O2",
            "-std=c++11 -fno-exceptions",
        ],
    );
}

#[test]
fn assembler_with_the_c_library() {
    check(
        ["gcc", "clang"],
        "S",
        &["asm/unistd.h", "sys/syscall.h", "limits.h"],
        &["", "-D__ASSEMBLY__"],
    );
}
