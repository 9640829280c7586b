//! Compiles on workers that see no compiler of their own, from the original sources.

use std::os::unix::fs::symlink;

use e2e::programs::{self, Kind};
use e2e::run::{Outcome, run};
use e2e::server::Server;
use e2e::workspace::Workspace;

const SOURCE: &str = "#include \"sub/part.h\"\n#include <string.h>\n\
                      int answer(const char *text) { int unused; return PART + (int)strlen(text); }\n";

fn with_worker() -> (Workspace, Server) {
    let mut workspace = Workspace::new();
    workspace.write("a.c", SOURCE);
    workspace.write("sub/part.h", "#include <stddef.h>\n#define PART 42\n");
    workspace.write("out/keep", "");
    let worker = Server::start_bare(&workspace);
    workspace.set_hosts(worker.native_host());
    (workspace, worker)
}

/// Compiles with `distcc`, which tells what became of it.
fn loud(workspace: &Workspace, line: &str) -> Outcome {
    let mut command = workspace.line(line);
    let mut words = vec![command.get_program().to_owned()];
    words.extend(command.get_args().map(ToOwned::to_owned));
    command = workspace.command(programs::distcc());
    command.args(words).env("DISTCC_VERBOSE", "1");
    run(&mut command)
}

#[track_caller]
fn remote(workspace: &Workspace, line: &str) -> Outcome {
    let outcome = loud(workspace, line);
    assert!(outcome.stderr.contains(" completed ok"), "{outcome:#?}");
    assert!(!outcome.stderr.contains("runs locally"), "{outcome:#?}");
    outcome
}

/// Files in `src` with their contents, but for sources.
fn outputs(workspace: &Workspace, names: &[&str]) -> Vec<(String, Option<Vec<u8>>)> {
    names
        .iter()
        .map(|name| ((*name).to_owned(), std::fs::read(workspace.src(name)).ok()))
        .collect()
}

fn remove(workspace: &Workspace, names: &[&str]) {
    for name in names {
        // Not every compile writes all.
        let _absent = std::fs::remove_file(workspace.src(name));
    }
}

/// Command lines with the files that they write.
const LINES: &[(&str, &[&str])] = &[
    ("gcc -g -O2 -c a.c -o out/a.o", &["out/a.o"]),
    ("gcc -Wall -c a.c -o out/a.o", &["out/a.o"]),
    (
        "gcc -g -gsplit-dwarf -c a.c -o out/a.o",
        &["out/a.o", "out/a.dwo"],
    ),
    (
        "gcc -MD -MF out/x.d -MP -c a.c -o out/a.o",
        &["out/a.o", "out/x.d"],
    ),
    ("gcc -MMD -MT t -c a.c", &["a.o", "a.d"]),
    (
        "gcc -fstack-usage -c a.c -o out/a.o",
        &["out/a.o", "out/a.su"],
    ),
    (
        "gcc -save-temps=obj -c a.c -o out/a.o",
        &["out/a.o", "out/a.i", "out/a.s"],
    ),
    ("gcc -S a.c -o out/a.s", &["out/a.s"]),
    ("gcc -march=native -O2 -c a.c -o out/a.o", &["out/a.o"]),
    (
        "gcc -fdiagnostics-format=json -Wall -c a.c -o out/a.o",
        &["out/a.o"],
    ),
    ("gcc -c b.S -o out/b.o", &["out/b.o"]),
    ("g++ -std=c++17 -O1 -g -c c.cc -o out/c.o", &["out/c.o"]),
    ("clang -g -O2 -Wall -c a.c -o out/a.o", &["out/a.o"]),
    (
        "clang++ -g -gsplit-dwarf -c c.cc -o out/c.o",
        &["out/c.o", "out/c.dwo"],
    ),
    ("gcc -g -fsanitize=address -c a.c -o out/a.o", &["out/a.o"]),
];

#[test]
fn outputs_and_messages_are_those_of_a_local_compile() {
    let (workspace, worker) = with_worker();
    workspace.write("sub/asm.h", "#define PART 42\n");
    workspace.write("b.S", "#include \"sub/asm.h\"\n.globl x\nx: .long PART\n");
    workspace.write(
        "c.cc",
        "#include <vector>\n#include <string>\nint f() { std::vector<std::string> v; return v.size(); }\n",
    );
    for (line, names) in LINES {
        let local = workspace.run(line).success();
        let expect = outputs(&workspace, names);
        assert!(
            expect.iter().all(|(_, bytes)| bytes.is_some()),
            "{line}: {expect:?}"
        );
        remove(&workspace, names);
        remote(&workspace, line);
        let quiet = workspace.distcc(line).success();
        assert_eq!(quiet.stderr, local.stderr, "{line}");
        for ((name, ours), (_, theirs)) in expect.iter().zip(outputs(&workspace, names)) {
            assert!(*ours == theirs, "{line}: {name} differs");
        }
    }
    // The second time, the worker knows the result.
    assert!(worker.jobs_so_far() >= LINES.len());
}

#[test]
fn an_error_is_the_compilers_own() {
    let (workspace, _worker) = with_worker();
    workspace.write(
        "e.c",
        "#include \"sub/part.h\"\nint f(void) { return undeclared; }\n",
    );
    let local = workspace.run("gcc -c e.c -o out/e.o");
    let ours = workspace.distcc("gcc -c e.c -o out/e.o");
    assert_eq!((ours.code(), &ours.stderr), (local.code(), &local.stderr));
    assert!(!workspace.src("out/e.o").exists());
}

#[test]
fn what_was_compiled_is_not_compiled_again_and_what_changed_is() {
    let (workspace, _worker) = with_worker();
    std::fs::create_dir(workspace.src("early")).unwrap();
    workspace.write("late/v.h", "#define V 1\n");
    workspace.write("k.c", "#include \"v.h\"\nint v = V;\n");
    let line = "gcc -Iearly -Ilate -c k.c -o out/k.o";
    let compile = || {
        let mut command = workspace.command(programs::distcc());
        command.args(line.split(' ')).env("DISTCC_VERBOSE", "1");
        command.env("FARCC_CACHE", "1");
        let outcome = run(&mut command).success();
        let object = workspace.read("out/k.o");
        workspace
            .run("gcc -Iearly -Ilate -c k.c -o out/l.o")
            .success();
        assert!(object == workspace.read("out/l.o"), "{outcome:#?}");
        outcome.stderr.contains("known from an earlier compile")
    };
    assert!(!compile());
    assert!(compile());
    // Another content of the same length, a header that is found earlier, a link that leads elsewhere.
    workspace.write("late/v.h", "#define V 2\n");
    assert!(!compile());
    workspace.write("early/v.h", "#define V 3\n");
    assert!(!compile());
    std::fs::remove_file(workspace.src("early/v.h")).unwrap();
    assert!(compile());
    workspace.write("other.h", "#define V 4\n");
    symlink("../other.h", workspace.src("early/v.h")).unwrap();
    assert!(!compile());
    workspace.write("k.c", "#include \"v.h\"\nint v = V; /* */\nint w;\n");
    assert!(!compile());
    assert!(compile());
}

#[test]
fn a_compile_that_tells_the_time_is_made_each_time() {
    let (workspace, worker) = with_worker();
    workspace.write("t.c", "const char *when = __DATE__ \" \" __TIME__;\n");
    for _ in 0..2 {
        let mut command = workspace.command(programs::distcc());
        command.args(["gcc", "-c", "t.c", "-o", "out/t.o"]);
        command.env("FARCC_CACHE", "1");
        run(&mut command).silent_success();
    }
    assert_eq!(worker.wait_for_jobs(2), 2);
}

#[test]
fn a_host_that_has_to_be_a_worker_and_is_none_is_not_used() {
    let (mut workspace, _worker) = with_worker();
    let stock = Server::start(&workspace, Kind::Stock);
    workspace.set_hosts(stock.native_host());
    let outcome = loud(&workspace, "gcc -c a.c -o out/a.o");
    assert!(outcome.status.success(), "{outcome:#?}");
    assert!(outcome.stderr.contains("runs locally"), "{outcome:#?}");
}

#[test]
fn a_worker_that_dies_costs_no_compile() {
    let (workspace, mut worker) = with_worker();
    remote(&workspace, "gcc -c a.c -o out/a.o");
    worker.kill();
    let outcome = loud(&workspace, "gcc -c a.c -o out/b.o");
    assert!(outcome.status.success(), "{outcome:#?}");
    assert!(outcome.stderr.contains("runs locally"), "{outcome:#?}");
    assert_eq!(workspace.read("out/a.o"), workspace.read("out/b.o"));
}

#[test]
fn two_compilers_at_once() {
    let (workspace, _worker) = with_worker();
    std::thread::scope(|scope| {
        for compiler in ["gcc", "clang"] {
            let workspace = &workspace;
            scope.spawn(move || {
                for round in 0..4 {
                    let line = format!("{compiler} -DROUND={round} -g -c a.c -o out/{compiler}.o");
                    workspace.distcc(&line).success();
                    let ours = workspace.read(&format!("out/{compiler}.o"));
                    workspace.run(&line).success();
                    assert!(
                        ours == workspace.read(&format!("out/{compiler}.o")),
                        "{line}"
                    );
                }
            });
        }
    });
}

#[test]
fn an_action_is_explained_and_what_changed_is_told() {
    let (workspace, _worker) = with_worker();
    let explain = |line: &str| {
        let mut command = workspace.command(programs::farcc());
        command.arg("explain").args(line.split(' '));
        run(&mut command).success().stdout
    };
    remote(&workspace, "gcc -c a.c -o out/a.o");
    let text = explain("out/a.o");
    assert!(text.contains("compiled on 127.0.0.1:"), "{text}");
    assert!(text.contains("command    /usr/bin/gcc -c a.c"), "{text}");
    assert!(text.contains("no earlier action"), "{text}");
    workspace.write("sub/part.h", "#include <limits.h>\n#define PART 43\n");
    let text = explain("--action -- gcc -O1 -c a.c -o out/a.o");
    for change in [
        "the argument -O1: not there before",
        "sub/part.h: another content",
        "include/limits.h: not read before",
    ] {
        assert!(text.contains(change), "{change}: {text}");
    }
    assert!(explain("out/none.o").contains("has not seen"));
}

#[test]
fn a_debugger_finds_the_sources() {
    if !programs::have("gdb") {
        return;
    }
    let (workspace, _worker) = with_worker();
    workspace.write(
        "main.c",
        "int answer(const char *);\nint main(void)\n{\n    return answer(\"\");\n}\n",
    );
    for line in ["gcc -g -c a.c -o out/a.o", "gcc -g -c main.c -o out/m.o"] {
        remote(&workspace, line);
    }
    workspace
        .run("gcc out/a.o out/m.o -o out/program")
        .success();
    let mut gdb = workspace.command("gdb");
    gdb.args(["-nx", "-batch", "-ex", "set startup-with-shell off"])
        .args(["-ex", "break main.c:4", "-ex", "run", "-ex", "list answer"])
        .arg("out/program");
    let outcome = run(&mut gdb);
    let text = outcome.stdout;
    assert!(text.contains("Breakpoint 1, main () at main.c:4"), "{text}");
    assert!(text.contains("return answer(\"\");"), "{text}");
    assert!(text.contains("int unused; return PART"), "{text}");
}
