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
