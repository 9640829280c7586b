//! The agent: there is one, it belongs to nobody's build, and it leaves.

use std::collections::HashSet;

use e2e::HANG_GUARD;
use e2e::programs::{self, Kind, have};
use e2e::run::{Running, guarded, run, wait_for_exit};
use e2e::server::Server;
use e2e::workspace::Workspace;

const SHIMS: usize = 200;

#[test]
fn two_hundred_shims_at_once_start_one_agent() {
    let mut workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    workspace.set_hosts("localhost/2");
    let shims: Vec<Running> = (0..SHIMS)
        .map(|number| {
            let mut command = workspace.command(programs::distcc());
            Running::start(command.args(["gcc", "-c", "a.c", "-o", &format!("{number}.o")]))
        })
        .collect();
    let mut agents = HashSet::new();
    for shim in shims {
        shim.finish().silent_success();
        agents.extend(workspace.agents().into_iter().map(|agent| agent.pid));
    }
    assert_eq!(agents.len(), 1);
    for number in 0..SHIMS {
        assert!(workspace.src(&format!("{number}.o")).exists());
    }
}

/// `run` waits for the end of the build's output as well, and would see an agent that holds it.
#[test]
fn the_agent_outlives_the_build_without_its_pipes() {
    let workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    workspace.distcc("gcc -c a.c").success();
    let agents = workspace.agents();
    assert_eq!(agents.len(), 1, "{agents:#?}");
    let open = std::fs::read_dir(format!("/proc/{}/fd", agents[0].pid.as_raw_nonzero()));
    let pipes: Vec<_> = open
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter(|target| target.to_string_lossy().starts_with("pipe:"))
        .collect();
    assert!(pipes.is_empty(), "{pipes:?}");
}

#[test]
fn the_agent_inherits_nothing_from_the_build() {
    let workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-c", "a.c"]);
    command
        .env("LD_PRELOAD", "/nonexistent/sandbox.so")
        .env("MAKEFLAGS", "-j4 --jobserver-auth=3,4");
    command
        .env("SANDBOX_ON", "1")
        .env("TMPDIR", workspace.tmp());
    run(&mut command).success();
    let agents = workspace.agents();
    let pid = agents[0].pid.as_raw_nonzero();
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let environment = String::from_utf8_lossy(&environment).into_owned();
    for name in [
        "LD_PRELOAD=",
        "MAKEFLAGS=",
        "SANDBOX_ON=",
        "TMPDIR=",
        "PWD=",
    ] {
        assert!(!environment.contains(name), "{name} in {environment:?}");
    }
    // Nor does it keep the build's directory from being unmounted.
    let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    assert_eq!(cwd, std::path::Path::new("/"));
}

#[test]
fn an_idle_agent_leaves_and_takes_its_socket_along() {
    let workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-c", "a.c"]);
    run(command.env("FARCC_IDLE_SECONDS", "1")).success();
    for agent in workspace.agents() {
        assert!(wait_for_exit(agent.pid, HANG_GUARD), "{agent:?}");
    }
    assert_eq!(
        e2e::agents::sockets(&workspace.distcc_dir()),
        [] as [std::path::PathBuf; 0]
    );
    // The next compile finds everything as if there had never been one.
    workspace.distcc("gcc -c a.c").silent_success();
    assert_eq!(workspace.agents().len(), 1);
}

#[test]
fn without_an_agent_the_compile_is_local_with_one_warning() {
    let workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-c", "a.c"]);
    let outcome = run(command.env("FARCC_PROGRAM", "/nonexistent/farcc")).success();
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
    assert!(workspace.src("a.o").exists());
}

#[test]
fn an_unwritable_distcc_dir_is_no_obstacle() {
    let workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-c", "a.c"]);
    // Even root cannot make files there.
    let outcome = run(command.env("DISTCC_DIR", "/proc/self/nowhere")).success();
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:#?}");
    assert!(workspace.src("a.o").exists());
}

#[test]
fn draining_lets_running_jobs_end() {
    let mut workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    let server = Server::start(&workspace, Kind::Ours);
    workspace.set_hosts(server.host());
    workspace.distcc("gcc -c a.c").silent_success();
    let fifo = workspace.src("go");
    run(workspace.line("mkfifo go").current_dir(workspace.src(""))).success();
    // A local compile that lasts until somebody writes to the pipe.
    let slow = workspace.script(
        "slow-gcc",
        "#!/bin/sh\ncat go >/dev/null\nexec gcc \"$@\"\n",
    );
    let mut command = workspace.command(programs::distcc());
    command.arg(slow).args(["-E", "a.c"]);
    let running = Running::start(&mut command);
    // Opening it for writing waits for the compile to open it for reading.
    let go = guarded(|| std::fs::OpenOptions::new().write(true).open(fifo).unwrap());
    e2e::agents::ask_to_leave(&workspace.distcc_dir());
    drop(go);
    running.finish().silent_success();
}

/// In a PID namespace of its own a build may belong to a process group that was made outside, and
/// the kernel then tells group 0: so it is in Portage's pid-sandbox.
#[test]
fn a_process_group_from_outside_the_pid_namespace() {
    if !have("unshare") {
        return;
    }
    let mut workspace = Workspace::new();
    workspace.write("a.c", "int a;\n");
    // Nobody listens there: a warning is due, and those are counted by process group.
    workspace.set_hosts("127.0.0.1:9");
    let mut command = workspace.command("/usr/bin/unshare");
    if !rustix::process::getuid().is_root() {
        command.arg("-Ur");
    }
    let distcc = programs::distcc();
    command
        .args(["--pid", "--fork", "--kill-child"])
        .arg(distcc);
    let outcome = run(command.args(["gcc", "-c", "a.c"])).success();
    assert!(outcome.stderr.contains("127.0.0.1:9"), "{outcome:#?}");
    assert!(!outcome.stderr.contains("agent"), "{outcome:#?}");
}
