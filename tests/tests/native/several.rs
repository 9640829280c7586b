//! Commands with several sources.

use std::collections::BTreeMap;
use std::fs;

use super::{loud, with_worker};
use e2e::run::Outcome;
use e2e::server::Server;
use e2e::workspace::Workspace;

/// Command lines that are the sum of their parts, and how many these are.
const SPLIT: &[(&str, usize)] = &[
    ("gcc -g -O2 -c a.c b.c", 2),
    ("gcc -Wall -MD -c a.c b.c sub/c.c", 3),
    ("gcc -g -fstack-usage -MMD -MP -S b.c -O1 a.c", 2),
    ("gcc -save-temps -gsplit-dwarf -g -c a.c sub/c.c", 2),
    ("gcc -march=native -O2 -ftest-coverage -c a.c b.c", 2),
    ("gcc -c -x c noext -x c++ d.cc -x none a.c", 3),
    ("g++ -Wall -g -c a.c d.cc", 2),
    ("clang -Wall -g -MD -c a.c b.c sub/c.c", 3),
    ("clang++ -Wall -Wno-deprecated -S d.cc e.cc", 2),
    // The last of one name wins.
    ("gcc -g -c b.c sub/b.c", 2),
    // What fails does not keep the others from being compiled.
    ("gcc -Wall -c a.c bad.c sub/c.c", 3),
    ("clang -Wall -c bad.c a.c bad.c", 3),
    // More than there are slots.
    (
        "gcc -c n0.c n1.c n2.c n3.c n4.c n5.c n6.c n7.c n8.c n9.c",
        10,
    ),
];

/// Command lines that are run as they are, with a part of the reason.
const WHOLE: &[(&str, &str)] = &[
    ("gcc -c a.c b.c -o x.o", "several source files"),
    ("gcc -MD -MF x.d -c a.c b.c", "several source files"),
    ("gcc -c a.c conftest.c", "several source files"),
    ("gcc -Wall -c a.c doubt.c b.c", "several source files"),
    ("gcc -c a.c missing.c", "several source files"),
    ("clang -c a.c missing.c", "several source files"),
    // What drivers say they say once.
    ("clang -Wall -lm -c a.c b.c", "several source files"),
    ("gcc -Wbogus -c a.c b.c", "several source files"),
    ("gcc -c a.c b.c -x c++", "several source files"),
];

fn with_sources() -> (Workspace, Server) {
    let (workspace, worker) = with_worker();
    let b = "int b(void) { return __LINE__; }\n";
    for name in ["b.c", "conftest.c", "noext", "d.cc"] {
        workspace.write(name, b);
    }
    workspace.write(
        "e.cc",
        "#include <string>\nstd::string e() { int unused; return \"\"; }\n",
    );
    workspace.write("sub/b.c", "int other(void) { return 2; }\n");
    workspace.write(
        "sub/c.c",
        "#include \"part.h\"\nint c(void) { int unused[PART]; return 1; }\n",
    );
    workspace.write("bad.c", "int bad = ;\n");
    workspace.write(
        "doubt.c",
        "#define NAME(n) #n\n#define PLACE(n) NAME(sub/p##n.h)\n#include __FILE__ \".h\"\nint d;\n",
    );
    for nth in 0..10 {
        workspace.write(
            &format!("n{nth}.c"),
            &format!("int n{nth}(void) {{ return {nth}; }}\n"),
        );
    }
    (workspace, worker)
}

/// Files in `src` that are not in `before`, with their contents; they are removed.
fn taken(workspace: &Workspace, before: &[String]) -> BTreeMap<String, Vec<u8>> {
    let mut made = BTreeMap::new();
    for name in names(workspace) {
        if !before.contains(&name) {
            let path = workspace.src(&name);
            made.insert(name, fs::read(&path).unwrap());
            fs::remove_file(path).unwrap();
        }
    }
    made
}

/// Files in `src` itself: where outputs of commands with several sources go.
fn names(workspace: &Workspace) -> Vec<String> {
    let entries = fs::read_dir(workspace.src("")).unwrap().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    files
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

/// Runs a line here and with `distcc`, and checks that nobody can tell which is which. Returns what was logged.
#[track_caller]
fn check(workspace: &Workspace, line: &str) -> Outcome {
    let before = names(workspace);
    let local = workspace.run(line);
    let expect = taken(workspace, &before);
    let told = loud(workspace, line);
    let _made_once = taken(workspace, &before);
    let ours = workspace.distcc(line);
    assert_eq!(
        (ours.code(), &ours.stdout, &ours.stderr),
        (local.code(), &local.stdout, &local.stderr),
        "{line}"
    );
    let made = taken(workspace, &before);
    assert!(expect.keys().eq(made.keys()), "{line}: {:?}", made.keys());
    for (name, bytes) in &expect {
        // Notes of coverage have a stamp.
        assert!(
            name.ends_with(".gcno") || made[name] == *bytes,
            "{line}: {name} differs"
        );
    }
    told
}

#[test]
fn each_source_of_a_command_is_a_compile_of_its_own() {
    let (workspace, worker) = with_sources();
    for (line, count) in SPLIT {
        let told = check(&workspace, line);
        assert!(!told.stderr.contains("runs locally"), "{line}: {told:#?}");
        let ended = told.stderr.matches("(farcc) compile ").count();
        assert_eq!(ended, *count, "{line}: {told:#?}");
    }
    assert!(worker.jobs_so_far() > SPLIT.len());
}

#[test]
fn what_is_more_than_its_parts_is_run_as_it_was_given() {
    let (workspace, _worker) = with_sources();
    for (line, reason) in WHOLE {
        let told = check(&workspace, line);
        assert!(told.stderr.contains("runs locally: "), "{line}: {told:#?}");
        assert!(told.stderr.contains(reason), "{line}: {told:#?}");
    }
}

#[test]
fn parts_without_a_worker_are_run_together() {
    let (workspace, mut worker) = with_sources();
    let _log = worker.kill();
    let told = loud(&workspace, "gcc -c a.c b.c").success();
    assert_eq!(
        names(&workspace)
            .iter()
            .filter(|it| it.ends_with(".o"))
            .count(),
        2
    );
    assert!(told.stderr.contains("several source files"), "{told:#?}");
}
