//! Objective-C and Objective-C++ on a worker.

use std::io::Write;

use super::{outputs, remote, remove, with_worker};
use e2e::programs;
use e2e::workspace::Workspace;

const SOURCE: &str = "#import \"sub/part.h\"\n#import \"sub/part.h\"\n\
    __attribute__((objc_root_class)) @interface Thing { int x; }\n- (int)f;\n+ (id)make;\n@end\n\
    @implementation Thing\n- (int)f { int unused; return x + PART; }\n+ (id)make { return 0; }\n@end\n\
    int other(Thing *thing) { return [thing f] + ([Thing make] == 0); }\n";

/// Command lines for either compiler, whose name stands before them, with the files that they write.
const LINES: &[(&str, &[&str])] = &[
    ("-g -O2 -Wall -c o.m -o out/o.o", &["out/o.o"]),
    (
        "-fobjc-exceptions -MD -c o.mm -o out/o.o",
        &["out/o.o", "out/o.d"],
    ),
    ("-x objective-c -g -c plain -o out/o.o", &["out/o.o"]),
    (
        "-x objective-c++ -std=c++17 -g -c o.m -o out/o.o",
        &["out/o.o"],
    ),
    (
        "-S -MMD -MF out/x.d o.mm -o out/o.s",
        &["out/o.s", "out/x.d"],
    ),
    (
        "-march=native -O1 -save-temps=obj -c o.m -o out/o.o",
        &["out/o.o", "out/o.mi", "out/o.s"],
    ),
    ("-O2 -c ready.mi -o out/o.o", &["out/o.o"]),
    ("-Wall -g -c o.m a.c o.mm", &["o.o", "a.o"]),
];

fn with_sources() -> (Workspace, e2e::server::Server) {
    let (workspace, worker) = with_worker();
    workspace.write("o.m", SOURCE);
    workspace.write("plain", SOURCE);
    workspace.write("o.mm", &SOURCE.replace("x + PART", "static_cast<int>(x)"));
    (workspace, worker)
}

#[track_caller]
fn check(workspace: &Workspace, compiler: &str) {
    let line = format!("{compiler} -E o.m -o ready.mi");
    workspace.run(&line).success();
    for (words, names) in LINES {
        let line = format!("{compiler} {words}");
        let local = workspace.run(&line).success();
        let expect = outputs(workspace, names);
        assert!(expect.iter().all(|(_, bytes)| bytes.is_some()), "{line}");
        remove(workspace, names);
        remote(workspace, &line);
        let quiet = workspace.distcc(&line).success();
        assert_eq!(quiet.stderr, local.stderr, "{line}");
        for ((name, ours), (_, theirs)) in expect.iter().zip(outputs(workspace, names)) {
            assert!(*ours == theirs, "{line}: {name} differs");
        }
    }
}

/// Whether GCC has its own compiler for a language, which distributions have in packages of their own.
fn has(workspace: &Workspace, program: &str) -> bool {
    // A name that is not found is printed as it is.
    let found = workspace.run(&format!("gcc -print-prog-name={program}"));
    let has = found.success().stdout.starts_with('/');
    if !has {
        // Not by a macro: those are caught, and this must be seen.
        let text = format!("skipped: GCC has no {program} here (Debian: gobjc++)\n");
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    has
}

#[test]
fn gcc_compiles_it_as_here() {
    let (workspace, worker) = with_sources();
    if !has(&workspace, "cc1obj") || !has(&workspace, "cc1objplus") {
        return;
    }
    check(&workspace, "gcc");
    assert!(worker.jobs_so_far() >= LINES.len());
}

#[test]
fn gcc_makes_and_uses_precompiled_headers_for_it() {
    let (workspace, _worker) = with_sources();
    if !has(&workspace, "cc1obj") {
        return;
    }
    workspace.write("pre.h", "#import \"sub/part.h\"\n@class Thing;\n");
    let make = "gcc -O2 -x objective-c-header -c pre.h -o pre.h.gch";
    let uses = "gcc -O2 -include pre.h -c o.m -o out/o.o";
    workspace.run(make).silent_success();
    workspace.run(uses).success();
    let expect = outputs(&workspace, &["out/o.o"]);
    remove(&workspace, &["pre.h.gch", "out/o.o"]);
    remote(&workspace, make);
    let looked = workspace.run(&format!("{uses} -H -Winvalid-pch"));
    assert!(looked.stderr.contains("! ./pre.h.gch"), "{looked:#?}");
    for line in [
        uses.to_owned(),
        format!("{} {uses}", programs::distcc().display()),
    ] {
        remove(&workspace, &["out/o.o"]);
        workspace.run(&line).success();
        assert!(outputs(&workspace, &["out/o.o"]) == expect, "{line}");
    }
}

#[test]
fn clang_compiles_it_as_here() {
    let (workspace, worker) = with_sources();
    check(&workspace, "clang");
    assert!(worker.jobs_so_far() >= LINES.len());
}
