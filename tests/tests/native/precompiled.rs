//! Precompiled headers of GCC that a worker has made.

use super::{loud, outputs, remote, remove, with_worker};
use e2e::programs;
use e2e::run::run;
use e2e::workspace::Workspace;

/// One precompiled header: how it is made, what is made, and how it is used.
struct Case {
    make: &'static str,
    made: &'static str,
    /// What else is written.
    beside: &'static [&'static str],
    uses: &'static str,
}

const CASES: &[Case] = &[
    Case {
        make: "gcc -g -O2 pre.h",
        made: "pre.h.gch",
        beside: &[],
        uses: "gcc -g -O2 -c p.c -o out/p.o",
    },
    Case {
        make: "gcc -O1 -march=native -x c-header -MMD sub/deep.h -o sub/deep.h.gch",
        made: "sub/deep.h.gch",
        beside: &["sub/deep.h.d"],
        uses: "gcc -O1 -march=native -include sub/deep.h -c a.c -o out/p.o",
    },
    // As CMake makes them; more than one message can carry.
    Case {
        make: "g++ -g -O2 -std=gnu++17 -Winvalid-pch -x c++-header -include out/all.hxx -MD -MT out/all.hxx.gch \
               -MF out/all.hxx.gch.d -o out/all.hxx.gch -c out/all.hxx.cxx",
        made: "out/all.hxx.gch",
        beside: &["out/all.hxx.gch.d"],
        uses: "g++ -g -O2 -std=gnu++17 -include out/all.hxx -c q.cc -o out/p.o",
    },
    Case {
        make: "g++ -O2 -fPIC sub/plain.h -MD -MF out/plain.d",
        made: "sub/plain.h.gch",
        beside: &["out/plain.d"],
        uses: "g++ -O2 -fPIC -include sub/plain.h -c q.cc -o out/p.o",
    },
    Case {
        make: "gcc -fstack-usage -Wall -c warned.h -o out/warned.h.gch",
        made: "out/warned.h.gch",
        beside: &["out/warned.h.su"],
        uses: "gcc -fstack-usage -Wall -include out/warned.h -c a.c -o out/p.o",
    },
];

fn write_headers(workspace: &Workspace) {
    workspace.write("pre.h", "#include <stdio.h>\n#define PRE 42\n");
    workspace.write(
        "p.c",
        "#include \"pre.h\"\nint p(void) { puts(\"\"); return PRE; }\n",
    );
    workspace.write(
        "sub/deep.h",
        "#include \"part.h\"\n#include <stdlib.h>\n#include <string.h>\n",
    );
    workspace.write("sub/plain.h", "#pragma once\n#include <cstddef>\n");
    workspace.write(
        "warned.h",
        "#include \"sub/part.h\"\nstatic int unused(void) { int x; return 1; }\n",
    );
    workspace.write(
        "out/all.hxx",
        "#include <map>\n#include <string>\n#include <vector>\n",
    );
    workspace.write("out/all.hxx.cxx", "");
    workspace.write("out/warned.h", "#error \"not precompiled\"\n");
    workspace.write(
        "q.cc",
        "#include <string>\n#include <vector>\nstd::vector<std::string> q() { return {\"\"}; }\n",
    );
}

#[test]
fn a_precompiled_header_made_on_a_worker_is_used_here_and_there() {
    let (workspace, _worker) = with_worker();
    write_headers(&workspace);
    for case in CASES {
        let Case {
            make,
            made,
            beside,
            uses,
        } = case;
        let local = workspace.run(make).success();
        let expect_beside = outputs(&workspace, beside);
        assert!(expect_beside.iter().all(|(_, it)| it.is_some()), "{make}");
        workspace.run(uses).success();
        let expect = outputs(&workspace, &["out/p.o"]);
        remove(&workspace, &["out/p.o", made]);
        remove(&workspace, beside);

        let there = workspace.distcc(make).success();
        assert_eq!(there.stderr, local.stderr, "{make}");
        // Over the one that was made before.
        remote(&workspace, make);
        assert_eq!(outputs(&workspace, beside), expect_beside, "{make}");

        let look = format!("{uses} -H -Winvalid-pch -o out/looked.o");
        let look = look.replace("-o out/p.o -H", "-H");
        let looked = workspace.run(&look).success();
        assert!(
            looked
                .stderr
                .lines()
                .any(|line| line.starts_with("! ") && line.ends_with(made)),
            "{looked:#?}"
        );
        assert!(!looked.stderr.contains("invalid-pch"), "{looked:#?}");
        workspace.run(uses).success();
        assert!(outputs(&workspace, &["out/p.o"]) == expect, "{uses}");
        remove(&workspace, &["out/p.o"]);
        remote(&workspace, uses);
        assert!(outputs(&workspace, &["out/p.o"]) == expect, "{uses}");
    }
}

#[test]
fn a_precompiled_header_is_made_of_the_sources_alone() {
    let (workspace, worker) = with_worker();
    write_headers(&workspace);
    workspace.write("over.h", "#include \"pre.h\"\nstatic int over = PRE;\n");
    // GCC takes no precompiled header for making one, whether good or bad.
    workspace.write("pre.h.gch", "no such thing");
    workspace.write("other.h", "");
    workspace.write("other.h.gch/one", "no such thing");
    for line in [
        "gcc -O2 over.h",
        "gcc -O2 -include pre.h -include other.h -x c-header p.c -o over.h.gch",
    ] {
        workspace.run(line).silent_success();
        let ours = remote(&workspace, line);
        assert!(!ours.stderr.contains("workers do not get"), "{ours:#?}");
    }
    assert_eq!(worker.jobs_so_far(), 3);
}

#[test]
fn a_precompiled_header_that_was_kept_is_not_made_again() {
    let (workspace, worker) = with_worker();
    write_headers(&workspace);
    let make = "g++ -O2 -include out/all.hxx -x c++-header out/all.hxx.cxx -o out/all.hxx.gch";
    let with_cache = || {
        let mut command = workspace.command(programs::distcc());
        command.args(make.split_whitespace());
        run(command.env("FARCC_CACHE", "1")).silent_success();
    };
    with_cache();
    let first = outputs(&workspace, &["out/all.hxx.gch"]);
    remove(&workspace, &["out/all.hxx.gch"]);
    with_cache();
    // GCC never makes the same twice.
    assert!(outputs(&workspace, &["out/all.hxx.gch"]) == first);
    // The test compile is the other one.
    assert_eq!(worker.jobs_so_far(), 2);
}

#[test]
fn what_fails_leaves_what_a_local_compile_leaves() {
    let (workspace, _worker) = with_worker();
    write_headers(&workspace);
    workspace.write("bad.h", "int x = ;\n");
    let left = || {
        workspace
            .src("bad.h.gch")
            .metadata()
            .map(|it| it.len() > 10)
            .ok()
    };
    // In C it is written in spite of errors.
    for line in [
        "gcc bad.h",
        "g++ bad.h",
        "gcc -Werror -Wall warned.h -o bad.h.gch",
    ] {
        workspace.write("bad.h.gch", "earlier");
        let local = workspace.run(line);
        assert_eq!(local.code(), 1, "{local:#?}");
        let expect = left();
        workspace.write("bad.h.gch", "earlier");
        let told = loud(&workspace, line);
        assert!(
            told.stderr.contains("could not be made on the host"),
            "{told:#?}"
        );
        assert_eq!(left(), expect, "{line}");
        let ours = workspace.distcc(line);
        assert_eq!((ours.code(), ours.stderr), (1, local.stderr), "{line}");
    }
}
