//! Compiles on workers that see no compiler of their own, from the original sources.

use std::os::unix::fs::symlink;

use e2e::programs::{self, Kind};
use e2e::run::{Outcome, run};
use e2e::server::Server;
use e2e::workspace::Workspace;

mod installed;
mod objective_c;
mod precompiled;
mod several;
mod this_processor;

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
    (
        "clang -save-temps=obj -c a.c -o out/a.o",
        &["out/a.o", "out/a.i", "out/a.bc", "out/a.s"],
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
    ("clang -g -fblocks -c o.m -o out/o.o", &["out/o.o"]),
    ("clang++ -g -MD -c o.mm -o out/o.o", &["out/o.o", "out/o.d"]),
    ("clang -x objective-c -O2 -c a.c -o out/a.o", &["out/a.o"]),
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
    let objective = "#import \"sub/part.h\"\n#import \"sub/part.h\"\n@interface Thing { int x; }\n- (int)f;\n@end\n\
                     @implementation Thing\n- (int)f { return x + PART; }\n@end\n";
    workspace.write("o.m", objective);
    workspace.write(
        "o.mm",
        &objective.replace("x + PART", "static_cast<int>(x)"),
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

/// Which header it includes is not known before it is compiled.
const DOUBTFUL: &str = "#include <stddef.h>\n#include <assert.h>\n\
    #define NAME(n) NAME2(n)\n#define NAME2(n) NAME3(sub/level##n.h)\n#define NAME3(n) #n\n\
    #include NAME(__LINE__)\n\
    int other(int);\n\
    int answer(int a) { int b = WIDE(a) + other(WIDE(a)); assert(b > 3); return b + LEVEL + GIVEN; }\n\
    const char *file(void) { return __FILE__ __BASE_FILE__; }\n";

fn with_doubt() -> (Workspace, Server) {
    let (workspace, worker) = with_worker();
    workspace.write(
        "sub/level6.h",
        "#pragma once\n#pragma push_macro(\"LEVEL\")\n#define LEVEL 7\n\
         #define WIDE(x) ((x) + 1000000 + 2000000)\nstatic inline int in(int a) { return WIDE(a); }\n",
    );
    workspace.write("given.h", "#define GIVEN 3\n");
    workspace.write("d.c", DOUBTFUL);
    // Without names of files.
    let nameless = DOUBTFUL.lines().filter(|line| !line.contains("__FILE__"));
    let nameless =
        nameless.map(|line| line.replace("#include <assert.h>", "#define assert(x)") + "\n");
    workspace.write("n.c", &nameless.collect::<String>());
    let cxx =
        format!("{DOUBTFUL}#include <vector>\n#include <string>\nstd::vector<std::string> v;\n");
    workspace.write("d.cc", &cxx);
    (workspace, worker)
}

/// Command lines on a source of which nobody knows what it reads, with the files that they write.
const DOUBTFUL_LINES: &[(&str, &[&str])] = &[
    ("gcc -O2 -c d.c -o out/d.o", &["out/d.o"]),
    ("gcc -g -O2 -MD -c d.c -o out/d.o", &["out/d.o", "out/d.d"]),
    (
        "gcc -g -Wall -MMD -MF out/x.d -MT t -MP -c d.c",
        &["d.o", "out/x.d"],
    ),
    (
        "gcc -g -gsplit-dwarf -fstack-usage -Wp,-MD,out/x.d -c d.c -o out/d.o",
        &["out/d.o", "out/d.dwo", "out/d.su", "out/x.d"],
    ),
    (
        "gcc -O1 -fsanitize=undefined,address -march=native -c d.c -o out/d.o",
        &["out/d.o"],
    ),
    (
        "gcc -g -ffile-prefix-map=d.c=e.c -S d.c -o out/d.s",
        &["out/d.s"],
    ),
    ("g++ -std=c++17 -O1 -g -c d.cc -o out/d.o", &["out/d.o"]),
    ("gcc -x c++ -g -c d.c -o out/d.o", &["out/d.o"]),
    (
        "clang -O2 -Wall -MD -c n.c -o out/n.o",
        &["out/n.o", "out/n.d"],
    ),
    (
        "clang++ -x c++ -fstack-usage -c n.c -o out/n.o",
        &["out/n.o", "out/n.su"],
    ),
];

#[test]
fn a_doubtful_compile_goes_to_a_worker_preprocessed() {
    let (workspace, worker) = with_doubt();
    for (line, names) in DOUBTFUL_LINES {
        let line = format!("{line} -DX='1' -include given.h");
        let local = workspace.run(&line).success();
        assert_eq!(local.stderr, "", "{line}");
        let expect = outputs(&workspace, names);
        assert!(expect.iter().all(|(_, bytes)| bytes.is_some()), "{line}");
        remove(&workspace, names);
        let ours = remote(&workspace, &line);
        assert!(
            ours.stderr.contains("workers get it preprocessed"),
            "{ours:#?}"
        );
        workspace.distcc(&line).silent_success();
        for ((name, ours), (_, theirs)) in expect.iter().zip(outputs(&workspace, names)) {
            assert!(*ours == theirs, "{line}: {name} differs");
        }
    }
    assert!(worker.jobs_so_far() >= DOUBTFUL_LINES.len());
}

#[test]
fn a_doubtful_compile_that_would_differ_as_text_is_local() {
    let (workspace, worker) = with_doubt();
    workspace.write("w.c", &format!("{DOUBTFUL}static void unused(void) {{}}\n"));
    workspace.write("e.c", &format!("{DOUBTFUL}int e = undeclared;\n"));
    workspace.write(
        "t.c",
        &format!("{DOUBTFUL}const char *t = __TIMESTAMP__;\n"),
    );
    for (line, reason) in [
        (
            "gcc -Wall -c w.c -o out/w.o",
            "the compiler spoke about preprocessed text",
        ),
        (
            "clang -c d.c -o out/w.o",
            "its preprocessed text has names of files (`__FILE__`)",
        ),
        (
            "clang -fsanitize=undefined -c n.c -o out/w.o",
            "(`-fsanitize=undefined`)",
        ),
        (
            "gcc -c e.c -o out/w.o",
            "the compiler spoke about preprocessed text",
        ),
        ("gcc -c t.c -o out/w.o", "`__TIMESTAMP__` tells when"),
        (
            "gcc -g3 -c d.c -o out/w.o",
            "preprocessed text would not give the same bytes (`-g3`)",
        ),
        (
            "clang -g -c d.c -o out/w.o",
            "preprocessed text would not give the same bytes (`-g`)",
        ),
        ("gcc --coverage -c d.c -o out/w.o", "(`--coverage`)"),
    ] {
        let line = format!("{line} -include given.h");
        remove(&workspace, &["out/w.o"]);
        let local = workspace.run(&line);
        let expect = outputs(&workspace, &["out/w.o"]);
        remove(&workspace, &["out/w.o"]);
        let told = loud(&workspace, &line);
        assert!(told.stderr.contains("runs locally: "), "{told:#?}");
        assert!(told.stderr.contains(reason), "{told:#?}");
        let quiet = workspace.distcc(&line);
        assert_eq!(
            (quiet.code(), &quiet.stderr),
            (local.code(), &local.stderr),
            "{line}"
        );
        // Notes of coverage have a stamp.
        assert!(
            line.contains("coverage") || expect == outputs(&workspace, &["out/w.o"]),
            "{line}"
        );
    }
    drop(worker);
}

#[test]
fn a_doubtful_compile_that_a_stock_host_gets_is_preprocessed_for_it() {
    let (mut workspace, worker) = with_doubt();
    let stock = Server::start(&workspace, Kind::Stock);
    // Nobody knows that it is no worker, until it is asked.
    workspace.set_hosts(stock.plain_host());
    let line = "gcc -O2 -c d.c -o out/d.o -include given.h";
    workspace.run(line).success();
    let expect = outputs(&workspace, &["out/d.o"]);
    remote(&workspace, line);
    assert_eq!(expect, outputs(&workspace, &["out/d.o"]));
    assert_eq!(worker.jobs_so_far(), 0);
    // One build, both kinds of text.
    workspace.set_hosts(format!("{} {}", stock.host(), worker.native_host()));
    std::thread::scope(|scope| {
        for part in 0..8 {
            let workspace = &workspace;
            scope.spawn(move || {
                let line = format!("gcc -O2 -c d.c -o out/{part}.o -include given.h");
                workspace.distcc(&line).silent_success();
            });
        }
    });
    for part in 0..8 {
        assert!(workspace.read("out/d.o") == workspace.read(&format!("out/{part}.o")));
    }
}

/// A plugin for either compiler that says that it was loaded.
const PLUGIN: &str = "#include <stdio.h>\nint plugin_is_GPL_compatible;\n\
    int plugin_init(void *a, void *b) { fputs(\"the plugin is here\\n\", stderr); return !a + !b; }\n";
const CLANG_PLUGIN: &str = "#include <stdio.h>\n\
    __attribute__((constructor)) static void init(void) { fputs(\"the plugin is here\\n\", stderr); }\n";

#[test]
fn plugins_go_along() {
    let (workspace, _worker) = with_worker();
    workspace.write("plugin.c", PLUGIN);
    workspace.write("clang-plugin.c", CLANG_PLUGIN);
    for name in ["plugin", "clang-plugin"] {
        let line = format!("gcc -shared -fPIC {name}.c -o {name}.so");
        workspace.run(&line).silent_success();
    }
    for line in [
        "gcc -fplugin=./plugin.so -fplugin-arg-plugin-level=3 -O2 -c a.c -o out/a.o",
        "clang -fplugin=./clang-plugin.so -O2 -c a.c -o out/a.o",
    ] {
        let local = workspace.run(line).success();
        assert_eq!(local.stderr, "the plugin is here\n", "{line}");
        let expect = outputs(&workspace, &["out/a.o"]);
        remove(&workspace, &["out/a.o"]);
        remote(&workspace, line);
        assert_eq!(
            workspace.distcc(line).success().stderr,
            local.stderr,
            "{line}"
        );
        assert_eq!(outputs(&workspace, &["out/a.o"]), expect, "{line}");
    }
    let line = "gcc -fplugin=./plugin.so -fplugin-arg-plugin-file=/x -c a.c -o out/a.o";
    let told = loud(&workspace, line).success();
    assert!(told.stderr.contains("runs locally: "), "{told:#?}");
}

#[test]
fn precompiled_headers_of_gcc_go_along() {
    let (workspace, _worker) = with_worker();
    workspace.write("pre.h", "#include <stdio.h>\n#define PRE 42\n");
    workspace.write(
        "p.c",
        "#include \"pre.h\"\nint p(void) { puts(\"\"); return PRE; }\n",
    );
    workspace.run("gcc -g -O2 pre.h").silent_success();
    // It has to be the precompiled one that is read.
    workspace.write("pre.h", "#error \"not precompiled\"\n");
    for line in [
        "gcc -g -O2 -Winvalid-pch -c p.c -o out/p.o",
        "gcc -g -O2 -include pre.h -c a.c -o out/p.o",
    ] {
        workspace.run(line).success();
        let expect = outputs(&workspace, &["out/p.o"]);
        remove(&workspace, &["out/p.o"]);
        remote(&workspace, line);
        assert_eq!(outputs(&workspace, &["out/p.o"]), expect, "{line}");
    }
    // With other options it is of no use.
    let line = "gcc -O0 -c p.c -o out/p.o";
    let told = loud(&workspace, line);
    assert!(!told.status.success(), "{told:#?}");
    assert!(told.stderr.contains("runs locally: "), "{told:#?}");
    assert_eq!(workspace.distcc(line).stderr, workspace.run(line).stderr);
}

/// Command lines that stay, with the reason.
const LOCAL_LINES: &[(&str, &str)] = &[
    (
        "gcc -S -x c-header sub/part.h -o out/p.s",
        "makes a precompiled header",
    ),
    (
        "g++ -std=c++20 -fmodules-ts -x c++-header sub/part.h",
        "modules",
    ),
    ("g++ -std=c++20 -fmodule-header sub/part.h", "modules"),
    ("g++ -MD -O0 sub/part.h", "the dependency file"),
    (
        "clang -x c-header sub/part.h -o out/p.h.pch",
        "Clang records the times of files",
    ),
    (
        "clang -include pre.h -c p.c -o out/p.o",
        "Clang looks at the times of the files",
    ),
    (
        "clang -include-pch pre.h.pch -c p.c -o out/p.o",
        "names a precompiled header",
    ),
    ("gcc -MD -MF out/x.d -c a.c p.c", "several source files"),
    ("gcc -shared -fPIC a.c -o out/a.so", "it links"),
    ("g++ -std=c++20 -fmodules-ts -c p.cc -o out/p.o", "modules"),
];

#[test]
fn what_stays_says_why() {
    let (workspace, worker) = with_worker();
    workspace.write("pre.h", "#define PRE 42\n");
    workspace.write("p.c", "int p(void) { return 1; }\n");
    workspace.write("p.cc", "int p() { return 1; }\n");
    workspace
        .run("clang -x c-header pre.h -o pre.h.pch")
        .silent_success();
    for (line, reason) in LOCAL_LINES {
        let told = loud(&workspace, line).success();
        // Linking is nobody's concern, even for those who want to hear everything.
        assert!(
            told.stderr.contains("runs locally: ") || reason.contains("links"),
            "{told:#?}"
        );
        assert!(
            told.stderr.contains(reason) || reason.contains("links"),
            "{line}: {told:#?}"
        );
    }
    assert_eq!(worker.jobs_so_far(), 0);
}

/// Terminals, with their width and variables.
const TERMINALS: &[(u16, &[(&str, &str)])] = &[
    (200, &[("TERM", "xterm")]),
    (200, &[("TERM", "xterm-256color")]),
    (40, &[("TERM", "xterm")]),
    (200, &[("TERM", "dumb")]),
    (200, &[]),
    (200, &[("TERM", "screen"), ("COLUMNS", "60")]),
    (0, &[("TERM", "vt100"), ("GCC_COLORS", "")]),
];

#[test]
fn messages_look_as_on_the_users_terminal() {
    let (workspace, worker) = with_worker();
    workspace.write(
        "w.c",
        "int f(int a_rather_long_parameter, int another_one) { int unused; return a_rather_long_parameter = another_one; }\n",
    );
    for (columns, variables) in TERMINALS {
        for line in [
            "gcc -Wall -c w.c -o out/w.o",
            "gcc -g -Wall -c w.c -o out/w.o",
            "clang -g -Wall -c w.c -o out/w.o",
            "gcc -fdiagnostics-color=never -Wall -c w.c -o out/w.o",
        ] {
            let on_terminal = |mut command: std::process::Command| {
                command.envs(variables.iter().copied());
                e2e::terminal::run_on_terminal(command, *columns)
            };
            let expect = on_terminal(workspace.line(line));
            let object = workspace.read("out/w.o");
            assert!(expect.contains("unused"), "{line}: {expect}");
            let mut command = workspace.command(programs::distcc());
            command.args(line.split(' '));
            assert_eq!(
                on_terminal(command),
                expect,
                "{columns} {variables:?} {line}"
            );
            assert!(object == workspace.read("out/w.o"), "{line}");
        }
    }
    assert!(worker.jobs_so_far() > 0);
    let seen = |line: &str, variables: &[(&str, &str)]| {
        let mut command = workspace.command(programs::distcc());
        command.args(line.split(' ')).env("DISTCC_VERBOSE", "1");
        command.envs(variables.iter().copied());
        e2e::terminal::run_on_terminal(command, 200)
    };
    let line = "gcc -Wall -c w.c -o out/w.o";
    for variables in [[("TERM", "xterm")], [("TERM", "xterm-256color")]] {
        let told = seen(line, &variables);
        assert!(
            told.contains("completed ok") && told.contains("\x1b["),
            "{told}"
        );
    }
    let told = seen(
        "gcc -g -Wall -c w.c -o out/w.o",
        &[("TERM", "xterm-256color")],
    );
    assert!(
        told.contains("may look different on this terminal"),
        "{told}"
    );
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

/// With room for it in the cache and without.
#[test]
fn a_large_object_is_whole_and_known_again_if_it_could_be_kept() {
    for (size, can_be_kept) in [("100M", true), ("2M", false)] {
        let (workspace, _worker) = with_worker();
        workspace.write("big.c", "int big[2000000] = {1};\nconst int v = V;\n");
        let compile = |value: &str| {
            let args = ["gcc", value, "-c", "big.c", "-o", "out/big.o"];
            let mut command = workspace.command(programs::distcc());
            command.args(args).env("DISTCC_VERBOSE", "1");
            command
                .env("FARCC_CACHE", "1")
                .env("FARCC_CACHE_SIZE", size);
            let outcome = run(&mut command).success();
            let object = workspace.read("out/big.o");
            let line = format!("gcc {value} -c big.c -o out/here.o");
            workspace.run(&line).success();
            assert!(object == workspace.read("out/here.o"), "{outcome:#?}");
            outcome.stderr.contains("known from an earlier compile")
        };
        assert!(!compile("-DV=1"));
        assert_eq!(compile("-DV=1"), can_be_kept, "{size}");
        assert!(!compile("-DV=2"));
        // Another command with the same object, which the cache has already.
        assert!(!compile("-DV=2+0"));
        std::fs::write(workspace.src("out/big.o"), "spoilt").unwrap();
        assert_eq!(compile("-DV=1"), can_be_kept, "{size}");
    }
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
    // And the test compile of the toolchain.
    assert_eq!(worker.wait_for_jobs(3), 3);
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

/// Runs gcc, without optimisation where there is a password file: on this machine, and not in a worker's input root.
const TWO_FACED_COMPILER: &str = "#include <unistd.h>\n\
    int main(int argc, char **argv)\n\
    {\n\
        char *words[64] = {\"gcc\"};\n\
        int count = 1;\n\
        while (count < argc && count < 60) { words[count] = argv[count]; count++; }\n\
        if (access(\"/etc/passwd\", F_OK) == 0) words[count++] = \"-O0\";\n\
        return execv(\"/usr/bin/gcc\", words);\n\
    }\n";

#[test]
fn a_compiler_that_makes_something_else_on_a_worker_is_found_out_before_it_is_used() {
    let (workspace, worker) = with_worker();
    workspace.write("cc.c", TWO_FACED_COMPILER);
    workspace
        .run("gcc -O1 cc.c -o ../bin/gcc-twofaced")
        .success();
    let line = "gcc-twofaced -O2 -c a.c -o out/a.o";
    workspace.run(line).success();
    let expect = workspace.read("out/a.o");
    for _ in 0..2 {
        let outcome = loud(&workspace, line);
        assert!(outcome.status.success(), "{outcome:#?}");
        assert!(
            outcome.stderr.contains("another object there"),
            "{outcome:#?}"
        );
        assert!(workspace.read("out/a.o") == expect);
    }
    // Others are compiled there as ever.
    remote(&workspace, "gcc -c a.c -o out/a.o");
    assert!(worker.jobs_so_far() >= 3);
}

/// The last failure that is kept, as `farcc explain --last-failure` tells it.
fn last_failure(workspace: &Workspace) -> String {
    let mut command = workspace.command(programs::farcc());
    command.args(["explain", "--last-failure"]);
    run(&mut command).success().stdout
}

#[test]
fn a_compile_that_lacks_a_file_there_is_made_here_and_kept() {
    let (workspace, _worker) = with_worker();
    workspace.write("data.bin", "1234");
    // The assembler puts the words together; the scan cannot.
    workspace.write("hidden.c", "asm(\".inc\" \"bin \\\"data.bin\\\"\");\n");
    let local = workspace.run("gcc -c hidden.c -o out/here.o").success();
    assert_eq!(local.stderr, "");
    let outcome = loud(&workspace, "gcc -c hidden.c -o out/there.o");
    assert!(
        outcome.stderr.contains("did not find a file"),
        "{outcome:#?}"
    );
    let object = |name: &str| std::fs::read(workspace.src(name)).unwrap();
    assert!(object("out/here.o") == object("out/there.o"));
    let kept = last_failure(&workspace);
    assert!(kept.contains("for a file that was not there"), "{kept}");
    for part in ["hidden.c", "data.bin", "-c hidden.c -o out/there.o"] {
        assert!(kept.contains(part), "{part}: {kept}");
    }
}

/// Has GCC say that it has read one file more. Whether a list is written shows in whether there is one.
const READING_PLUGIN: &str = "int plugin_is_GPL_compatible;\nextern void *parse_in;\n\
    void add(void *, const char *) __asm__(\"_Z12deps_add_depP6mkdepsPKc\");\n\
    void *list(void *) __asm__(\"_Z12cpp_get_depsP10cpp_reader\");\n\
    void register_callback(const char *, int, void (*)(void *, void *), void *);\n\
    static void end(void *a, void *b) { void *it = list(parse_in); if (it) add(it, \"surprise.h\"); }\n\
    int plugin_init(void *a, void *b) { register_callback(\"it\", 5, end, 0); return !a + !b; }\n";

#[test]
fn a_compile_that_reads_there_what_the_scan_has_not_found_is_made_here_and_kept() {
    let (workspace, _worker) = with_worker();
    workspace.write("plugin.c", READING_PLUGIN);
    workspace.write("surprise.h", "");
    workspace
        .run("gcc -shared -fPIC plugin.c -o plugin.so")
        .silent_success();
    for (line, names) in [
        (
            "gcc -fplugin=./plugin.so -c a.c -o out/a.o",
            &["out/a.o"][..],
        ),
        (
            "gcc -fplugin=./plugin.so -MMD -c a.c -o out/a.o",
            &["out/a.o", "out/a.d"],
        ),
    ] {
        workspace.run(line).success();
        let expect = outputs(&workspace, names);
        remove(&workspace, names);
        let outcome = loud(&workspace, line);
        let told = "read a file that the scan had not found";
        assert!(outcome.stderr.contains(told), "{outcome:#?}");
        assert_eq!(outputs(&workspace, names), expect, "{line}");
        let kept = last_failure(&workspace);
        assert!(kept.contains("read surprise.h on a worker"), "{kept}");
        assert!(kept.contains(line.split_once(' ').unwrap().1), "{kept}");
    }
}
