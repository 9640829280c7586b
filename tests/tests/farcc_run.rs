//! `farcc run -- COMMAND`: any build, distributed without being told how.

use rustix::process::Signal;

use e2e::corpus::{self, LUA};
use e2e::programs::{self, Kind};
use e2e::run::{Outcome, Running, guarded, run};
use e2e::server::Server;
use e2e::workspace::Workspace;

fn farcc_run(workspace: &Workspace, args: &[&str]) -> Outcome {
    run(workspace.command(programs::farcc()).arg("run").args(args))
}

fn with_server() -> (Workspace, Server) {
    let mut workspace = Workspace::new();
    let server = Server::start(&workspace, Kind::Ours);
    workspace.set_hosts(server.host());
    (workspace, server)
}

#[test]
fn a_build_that_knows_nothing_of_distcc_is_distributed() {
    let (workspace, server) = with_server();
    corpus::copy(LUA, &workspace.src("lua")).unwrap();
    let makefile = "all: $(patsubst %.c,%.o,$(wildcard l*.c))\n";
    workspace.write("lua/Makefile", makefile);
    let sources = std::fs::read_dir(workspace.src("lua")).unwrap();
    let units = sources
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .path()
                .extension()
                .is_some_and(|end| end == "c")
        })
        .count();
    let args = [
        "--json",
        "summary.json",
        "--",
        "make",
        "-s",
        "-j8",
        "-C",
        "lua",
    ];
    let outcome = farcc_run(&workspace, &args).success();
    assert_eq!(server.wait_for_jobs(units), units);
    let told = format!("{units} of {units} jobs ran on other machines");
    assert!(outcome.stderr.contains(&told), "{outcome:#?}");
    let json = String::from_utf8(workspace.read("summary.json")).unwrap();
    assert!(json.contains(&format!("\"jobs\":{units}")), "{json}");
}

#[test]
fn local_jobs_are_listed_with_their_reason() {
    let (workspace, _server) = with_server();
    workspace.write("main.c", "int main(void) { return 0; }\n");
    let outcome = farcc_run(&workspace, &["gcc", "main.c", "-o", "main"]).success();
    assert!(outcome.stderr.contains("local: link"), "{outcome:#?}");
}

#[test]
fn the_exit_code_is_the_commands() {
    let (workspace, _server) = with_server();
    assert_eq!(farcc_run(&workspace, &["sh", "-c", "exit 7"]).code(), 7);
    assert_eq!(
        farcc_run(&workspace, &["sh", "-c", "kill -TERM $$"]).code(),
        128 + 15
    );
    assert_eq!(farcc_run(&workspace, &["no-such-command"]).code(), 127);
}

#[test]
fn signals_are_passed_on() {
    let (workspace, _server) = with_server();
    run(&mut workspace.line("mkfifo go")).success();
    let script = "trap 'exit 9' TERM; echo >go; while :; do read line <go; done";
    let mut command = workspace.command(programs::farcc());
    let running = Running::start(command.args(["run", "--quiet", "sh", "-c", script]));
    // Waits until the command has set its trap.
    let fifo = workspace.src("go");
    let _said = guarded(|| std::fs::read(fifo).unwrap());
    rustix::process::kill_process(running.pid(), Signal::TERM).unwrap();
    // The shell's `read` waits for a writer; the trap runs when it returns.
    drop(
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(workspace.src("go")),
    );
    assert_eq!(running.finish().code(), 9);
}

#[test]
fn a_build_runs_although_farcc_cannot_help() {
    let workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    let mut command = workspace.command(programs::farcc());
    command.args(["run", "--", "gcc", "-c", "a.c"]);
    // Nothing can be made there.
    let outcome = run(command.env("DISTCC_DIR", "/proc/self/nowhere")).success();
    assert!(outcome.stderr.contains("warning"), "{outcome:#?}");
    assert!(workspace.src("a.o").exists());
}
