//! recc: a prefix of compiler commands that asks the action cache, then lets a server compile.

use std::process::Command;

use e2e::foreign;
use e2e::programs::have;
use e2e::run::{Outcome, run};
use e2e::workspace::Workspace;

use super::{Remote, WRONG, Whose, can_run, lua};

/// How recc says that it got no answer.
const UNREACHABLE_CODE: i32 = 102;

pub(super) struct Recc {
    pub(super) workspace: Workspace,
    /// Where recc believes the server to be.
    pub(super) address: String,
}

impl Recc {
    fn start(whose: Whose) -> Option<(Self, Remote)> {
        if !can_run(foreign::newest("recc"), whose) {
            return None;
        }
        let workspace = Workspace::new();
        let remote = Remote::start(&workspace, whose);
        let address = remote.address();
        Some((Self { workspace, address }, remote))
    }

    /// A command in `src`, with recc's settings.
    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = self.workspace.line(line);
        command
            .env("RECC_SERVER", format!("http://{}", self.address))
            .env("RECC_LOG_LEVEL", "info");
        command
    }

    /// A compiler's command line through recc.
    pub(super) fn compile(&self, line: &str) -> Outcome {
        let recc = foreign::newest("recc");
        run(&mut self.command(&format!("{} {line}", recc.display())))
    }

    /// Compiles Lua's units in `src/DIR`, a copy of `src/lua`.
    pub(super) fn make(&self, dir: &str, compiler: &str) -> Outcome {
        let mut make = self.command("make -s -j4");
        make.arg(format!("CC={compiler}"))
            .current_dir(self.workspace.src(dir));
        run(&mut make).success()
    }

    /// As [`Self::make`], through recc.
    pub(super) fn make_remotely(&self, dir: &str) -> Outcome {
        let recc = foreign::newest("recc");
        self.make(dir, &format!("{} /usr/bin/gcc", recc.display()))
    }
}

pub(super) fn executed(outcome: &Outcome) -> usize {
    let said = &outcome.stderr;
    said.matches("Remote execution finished with exit code")
        .count()
}

pub(super) fn from_cache(outcome: &Outcome) -> usize {
    outcome.stderr.matches("Action Cache hit for").count()
}

/// Lua and a makefile for it in `src/lua`, with a copy in `src/local`.
pub(super) fn write_lua(workspace: &Workspace) -> Vec<String> {
    let units = lua::write(workspace);
    let objects: Vec<String> = units.iter().map(|unit| format!("{unit}.o")).collect();
    let objects = objects.join(" ");
    let makefile = format!("CFLAGS = -DLUA_USE_POSIX -MMD\nall: {objects}\n");
    workspace.write("lua/Makefile", &makefile);
    workspace.run("cp -r lua local").silent_success();
    units
}

fn check_lua(whose: Whose) {
    let Some((recc, _remote)) = Recc::start(whose) else {
        return;
    };
    if !have("make") {
        return;
    }
    let units = write_lua(&recc.workspace);
    let first = recc.make_remotely("lua");
    assert_eq!(
        (executed(&first), from_cache(&first)),
        (units.len(), 0),
        "{first:#?}"
    );
    assert!(first.stderr.contains(lua::REMARK), "{first:#?}");
    recc.make("local", "/usr/bin/gcc");
    let workspace = &recc.workspace;
    lua::assert_same_objects(workspace, &units, "lua", "local");
    for unit in &units {
        let dependencies = |dir: &str| workspace.read(&format!("{dir}/{unit}.d"));
        assert!(
            dependencies("lua") == dependencies("local"),
            "{unit}.d differs"
        );
    }
    // Again, from nothing.
    for unit in &units {
        std::fs::remove_file(workspace.src(&format!("lua/{unit}.o"))).unwrap();
    }
    let second = recc.make_remotely("lua");
    assert_eq!(
        (executed(&second), from_cache(&second)),
        (0, units.len()),
        "{second:#?}"
    );
    assert!(second.stderr.contains(lua::REMARK), "{second:#?}");
    lua::assert_same_objects(workspace, &units, "lua", "local");
    let objects: Vec<String> = units.iter().map(|unit| format!("lua/{unit}.o")).collect();
    let line = format!("gcc {} -o program -lm", objects.join(" "));
    workspace.run(&line).silent_success();
    lua::assert_runs(workspace, &workspace.src("program"));
}

#[test]
fn a_project_and_its_repetition() {
    check_lua(Whose::Ours);
}

#[test]
fn a_project_and_its_repetition_on_casd() {
    check_lua(Whose::Casd);
}

fn check_error(whose: Whose) {
    let Some((recc, _remote)) = Recc::start(whose) else {
        return;
    };
    recc.workspace.write("wrong.c", WRONG.0);
    let line = "/usr/bin/gcc -c wrong.c -o wrong.o";
    let here = recc.workspace.run(line);
    for attempt in 1..=2 {
        let there = recc.compile(line);
        assert_eq!(there.code(), here.code(), "attempt {attempt}: {there:#?}");
        assert!(
            there.stderr.contains(WRONG.1),
            "attempt {attempt}: {there:#?}"
        );
        assert!(
            there.stderr.ends_with(&here.stderr),
            "{there:#?} is not {here:#?}"
        );
        assert!(!recc.workspace.src("wrong.o").exists());
    }
}

#[test]
fn a_compile_error_is_the_compilers() {
    check_error(Whose::Ours);
}

#[test]
fn a_compile_error_is_the_compilers_on_casd() {
    check_error(Whose::Casd);
}

#[test]
fn another_compiler_of_the_machine_is_found() {
    let Some((recc, _remote)) = Recc::start(Whose::Ours) else {
        return;
    };
    if !have("clang") {
        return;
    }
    recc.workspace.write(
        "a.c",
        "#include <stdio.h>\nint f(void) { return puts(__FILE__); }\n",
    );
    recc.workspace
        .run("/usr/bin/clang -O2 -c a.c -o here.o")
        .silent_success();
    let outcome = recc
        .compile("/usr/bin/clang -O2 -c a.c -o there.o")
        .success();
    assert_eq!(executed(&outcome), 1, "{outcome:#?}");
    assert_eq!(
        recc.workspace.read("there.o"),
        recc.workspace.read("here.o")
    );
}

/// What the compiler writes besides the object comes back too.
#[test]
fn further_outputs_come_back() {
    let Some((recc, _remote)) = Recc::start(Whose::Ours) else {
        return;
    };
    recc.workspace
        .write("sub/a.c", "int f(int x) { return x + 1; }\n");
    let line = "/usr/bin/gcc -g -gsplit-dwarf -c sub/a.c -o sub/a.o";
    let outputs = ["sub/a.o", "sub/a.dwo"];
    let outcome = recc.compile(line).success();
    assert_eq!(executed(&outcome), 1, "{outcome:#?}");
    for output in outputs {
        assert!(!recc.workspace.read(output).is_empty());
    }
}

#[test]
fn a_restarted_server_remembers() {
    let Some((mut recc, mut remote)) = Recc::start(Whose::Ours) else {
        return;
    };
    recc.workspace.write("a.c", "int f(void) { return 1; }\n");
    let line = "/usr/bin/gcc -c a.c -o a.o";
    let first = recc.compile(line).success();
    assert_eq!(executed(&first), 1, "{first:#?}");
    remote.kill();
    let again = Remote::start(&recc.workspace, Whose::Ours);
    recc.address = again.address();
    let object = recc.workspace.read("a.o");
    std::fs::remove_file(recc.workspace.src("a.o")).unwrap();
    let second = recc.compile(line).success();
    assert_eq!(
        (executed(&second), from_cache(&second)),
        (0, 1),
        "{second:#?}"
    );
    assert_eq!(recc.workspace.read("a.o"), object);
}

#[test]
fn a_dead_server_is_told_or_made_up_for() {
    let Some((recc, mut remote)) = Recc::start(Whose::Ours) else {
        return;
    };
    recc.workspace.write("a.c", "int f(void) { return 1; }\n");
    remote.kill();
    let line = "/usr/bin/gcc -c a.c -o a.o";
    let failed = recc.compile(line);
    assert_eq!(failed.code(), UNREACHABLE_CODE, "{failed:#?}");
    assert!(!recc.workspace.src("a.o").exists());
    let compile = format!("{} {line}", foreign::newest("recc").display());
    run(recc.command(&compile).env("RECC_FALLBACK_TO_LOCAL", "1")).success();
    assert!(recc.workspace.src("a.o").exists());
}
