//! Compiles in odd surroundings: ignored signals, missing directories. What works for a compiler
//! works through the client, and what the client itself cannot work with is named.

use e2e::programs::{self, Kind};
use e2e::run::run;
use e2e::server::Server;
use e2e::workspace::Workspace;

fn with_server() -> (Workspace, Server) {
    let mut workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    let server = Server::start(&workspace, Kind::Ours);
    workspace.set_hosts(server.host());
    (workspace, server)
}

/// Whoever ignores it hands that on to everything it starts.
#[test]
fn an_ignored_sigchld_is_no_obstacle() {
    let (workspace, server) = with_server();
    let mut command = workspace.command("env");
    command.arg("--ignore-signal=CHLD").arg(programs::distcc());
    run(command.args(["gcc", "-c", "a.c"])).silent_success();
    assert_eq!(server.wait_for_jobs(1), 1);
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    let missing = workspace.root().join("missing/distcc");
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-c", "a.c"]);
    let outcome = run(command.env("DISTCC_DIR", &missing)).success();
    let expected = format!("DISTCC_DIR is {}: No such file", missing.display());
    assert!(outcome.stderr.contains(&expected), "{outcome:#?}");
}

/// A shell's `ulimit -f` counts blocks of 512 or 1024 bytes; the object has more than one.
#[test]
fn a_limit_on_the_size_of_files_leaves_nothing_half_written() {
    let (workspace, _server) = with_server();
    let lines: String = (0..200)
        .map(|n| format!("int number_{n} = {n};\n"))
        .collect();
    workspace.write("a.i", &lines);
    // An agent without the limit.
    workspace.distcc("gcc -c a.c").silent_success();
    let script = |command: &str| format!("ulimit -c 0; ulimit -f 1; {command} -c a.i -o b.o");
    let limited = |command: &str| {
        let mut shell = workspace.command("sh");
        run(shell.args(["-c", &script(command)]))
    };
    let local = limited("gcc");
    let distcc = format!("{} gcc", programs::distcc().display());
    let remote = limited(&distcc);
    assert_ne!(local.code(), 0, "{local:#?}");
    assert_eq!(remote.code(), local.code(), "{remote:#?}");
    let mut names: Vec<_> = std::fs::read_dir(workspace.src(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["a.c", "a.i", "a.o"]);
}
