//! What goes wrong in real networks and on real machines. Each time the build ends as a local
//! build would: same exit code, same objects, nothing half-written, nothing left running.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::process::Signal;

use e2e::corpus::{self, LUA};
use e2e::peer::{Manner, Peer};
use e2e::programs::{self, Kind, STOCK_SERVER, have};
use e2e::run::{Outcome, Running, run};
use e2e::server::Server;
use e2e::workspace::Workspace;

use crate::held::Held;

const SOURCE: &str = "#include <stdio.h>\nint hello(void) { return puts(\"hello\"); }\n";

/// Seconds without an answer after which a host is given up, where a test waits for that.
const IO_TIMEOUT: &str = "1";

fn one_source() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("a.c", SOURCE);
    workspace.run("gcc -c a.c -o local.o").success();
    workspace
}

fn compile(workspace: &Workspace, env: &[(&str, &str)]) -> Outcome {
    let mut command = workspace.command(programs::distcc());
    command.args(["gcc", "-c", "a.c", "-o", "a.o"]);
    run(command.envs(env.iter().copied()))
}

/// Names in a directory.
fn names(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// The compile has ended as a local one does, and nothing else lies about.
#[track_caller]
fn check_as_local(workspace: &Workspace, outcome: &Outcome, what: &str) {
    assert_eq!(outcome.code(), 0, "{what}: {outcome:#?}");
    let same = workspace.read("a.o") == workspace.read("local.o");
    assert!(same, "{what}: another object");
    let expected = ["a.c", "a.o", "local.o"].map(str::to_owned);
    assert_eq!(
        names(&workspace.src("")),
        BTreeSet::from(expected),
        "{what}"
    );
    std::fs::remove_file(workspace.src("a.o")).unwrap();
}

#[test]
fn a_server_that_never_answers() {
    let mut workspace = one_source();
    let peer = Peer::start(Manner::Silent);
    workspace.set_hosts(peer.host());
    let outcome = compile(&workspace, &[("DISTCC_IO_TIMEOUT", IO_TIMEOUT)]);
    assert_eq!(peer.connections(), 1);
    check_as_local(&workspace, &outcome, "silent");
    assert!(outcome.stderr.contains("Warning"), "{outcome:#?}");
}

#[test]
fn a_server_that_hangs_up_at_once() {
    let mut workspace = one_source();
    let peer = Peer::start(Manner::Close);
    workspace.set_hosts(peer.host());
    let outcome = compile(&workspace, &[]);
    check_as_local(&workspace, &outcome, "close");
}

#[test]
fn answers_that_are_none() {
    for words in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"DONE00000009",
        b"DONE00000001STATffffffff",
        b"DONE00000001STAT00000000SERRffffffff",
        b"DONE00000001STAT00000000SERR00000000SOUT00000000DOTO7fffffff",
        b"DONE00000001STAT00000000SOUT00000000SERR00000000DOTO00000000",
        b"DONE0000000zSTAT00000000",
    ] {
        let mut workspace = one_source();
        let peer = Peer::start(Manner::Say(words));
        workspace.set_hosts(peer.host());
        let outcome = compile(&workspace, &[("DISTCC_IO_TIMEOUT", IO_TIMEOUT)]);
        check_as_local(&workspace, &outcome, &String::from_utf8_lossy(words));
    }
}

/// Cuts at and around the borders of all packets, and within large ones.
fn check_cuts(manner: impl Fn(u16, usize) -> Manner, bytes: &[usize]) {
    if !have(STOCK_SERVER) {
        return;
    }
    let mut workspace = one_source();
    let server = Server::start(&workspace, Kind::Stock);
    for options in ["", ",lzo"] {
        for &bytes in bytes {
            let peer = Peer::start(manner(server.port(), bytes));
            workspace.set_hosts(peer.host() + options);
            let outcome = compile(&workspace, &[]);
            check_as_local(&workspace, &outcome, &format!("cut{options} at {bytes}"));
            assert!(outcome.stderr.contains("Warning"), "{bytes}: {outcome:#?}");
        }
    }
}

#[test]
fn requests_cut_in_every_state() {
    // DIST, ARGC, the arguments, DOTI and within the text.
    let bytes = [
        0, 1, 11, 12, 13, 23, 24, 25, 36, 50, 56, 60, 100, 120, 150, 1000, 4000,
    ];
    check_cuts(|port, bytes| Manner::CutRequest { port, bytes }, &bytes);
}

#[test]
fn replies_cut_in_every_state() {
    // DONE, STAT, SERR, SOUT, DOTO and within the object.
    let bytes = [
        0, 1, 11, 12, 13, 23, 24, 35, 36, 37, 48, 49, 59, 60, 61, 100, 500,
    ];
    check_cuts(|port, bytes| Manner::CutReply { port, bytes }, &bytes);
}

#[test]
fn the_next_host_takes_over() {
    let mut workspace = one_source();
    let peer = Peer::start(Manner::Close);
    let server = Server::start(&workspace, Kind::Ours);
    workspace.set_hosts(format!("{} {}", peer.host(), server.host()));
    let outcome = compile(&workspace, &[]);
    check_as_local(&workspace, &outcome, "next host");
    server.wait_for_jobs(1);
}

#[test]
fn a_remote_compiler_killed_by_a_signal() {
    if !have(STOCK_SERVER) {
        return;
    }
    let mut workspace = one_source();
    let compiler = workspace.script("x86_64-linux-gnu-gcc", "#!/bin/sh\nkill -KILL $$\n");
    let path = format!("{}:/usr/bin:/bin", compiler.parent().unwrap().display());
    let env = [("DISTCCD_PATH", path.as_str())];
    let server = Server::start_with(&workspace, Kind::Stock, &[], &env);
    workspace.set_hosts(server.host());
    let outcome = compile(&workspace, &[("PATH", "/usr/bin:/bin")]);
    check_as_local(&workspace, &outcome, "killed there");
    // Also where the user wants no second compile of what the server refused.
    let env = [("PATH", "/usr/bin:/bin"), ("DISTCC_SKIP_LOCAL_RETRY", "1")];
    let outcome = compile(&workspace, &env);
    check_as_local(&workspace, &outcome, "killed there, no retry");
}

#[test]
fn a_local_compiler_killed_by_a_signal() {
    let workspace = one_source();
    let dying = workspace.script("dying-gcc", "#!/bin/sh\nkill -SEGV $$\n");
    let mut command = workspace.command(programs::distcc());
    let outcome = run(command.arg(dying).args(["-c", "a.c", "-o", "a.o"]));
    assert_eq!(outcome.code(), 128 + 11, "{outcome:#?}");
    assert!(!workspace.src("a.o").exists());
}

#[test]
fn an_output_that_cannot_be_written() {
    let mut workspace = one_source();
    let server = Server::start(&workspace, Kind::Ours);
    workspace.set_hosts(server.host());
    // Not even root can make files there.
    let line = "gcc -c a.c -o /proc/a.o";
    let local = workspace.run(line);
    let ours = workspace.distcc(line);
    assert_eq!(ours.code(), local.code(), "{ours:#?}");
    assert_ne!(ours.code(), 0);
}

/// A file system of a few pages, in a mount namespace of its own.
#[test]
fn a_full_disk() {
    if !have("unshare") {
        return;
    }
    let mut workspace = one_source();
    let server = Server::start(&workspace, Kind::Ours);
    workspace.set_hosts(server.host());
    let array = "const char big[200000] = \"x\";\n";
    workspace.write("big.c", array);
    std::fs::create_dir(workspace.src("full")).unwrap();
    let is_root = rustix::process::getuid().is_root();
    let flags = if is_root { "-m" } else { "-Urm" };
    let shell = |line: &str| {
        let mut command = workspace.command("/usr/bin/unshare");
        run(command.args([flags, "sh", "-c", line]))
    };
    let mount = "mount -t tmpfs -o size=16k none full";
    let may_mount = shell(mount);
    assert_eq!(
        may_mount.code(),
        0,
        "no mount namespaces here: {may_mount:#?}"
    );
    let compile = |compiler: &str| {
        shell(&format!(
            "{mount} && {compiler} -c big.c -o full/big.o; code=$?; ls -A full; exit $code"
        ))
    };
    let local = compile("gcc");
    let ours = compile(&format!("{} gcc", programs::distcc().display()));
    assert_ne!(local.code(), 0);
    assert_eq!(ours.code(), local.code(), "{ours:#?}");
    assert_eq!(ours.stdout, local.stdout, "files are left");
}

/// A project being built with more jobs than slots.
struct Build {
    running: Option<Running>,
    server: Server,
    workspace: Workspace,
    objects: BTreeSet<String>,
}

const MAKEFILE: &str = "all: $(patsubst %.c,%.o,$(wildcard l*.c))\nCFLAGS = -O1 -DLUA_USE_POSIX\n";

impl Build {
    /// Starts it and waits until it is well under way.
    fn start() -> Self {
        let mut workspace = Workspace::new();
        corpus::copy(LUA, &workspace.src("lua")).unwrap();
        workspace.write("lua/Makefile", MAKEFILE);
        let server = Server::start(&workspace, Kind::Ours);
        workspace.set_hosts(server.host());
        let objects: BTreeSet<String> = names(&workspace.src("lua"))
            .iter()
            .filter_map(|name| Some(format!("{}.o", name.strip_suffix(".c")?)))
            .collect();
        let mut make = workspace.line("make -k -j8 -C lua");
        make.arg(format!("CC={} gcc", programs::distcc().display()));
        let running = Some(Running::start(&mut make));
        server.wait_for_jobs(3);
        Self {
            running,
            server,
            workspace,
            objects,
        }
    }

    fn finish(&mut self) -> Outcome {
        self.running.take().unwrap().finish()
    }

    /// What was made, without sources.
    fn made(&self) -> BTreeSet<String> {
        let is_source = |name: &String| name.ends_with(".c") || name.ends_with(".h");
        let all = names(&self.workspace.src("lua"));
        all.into_iter()
            .filter(|name| !is_source(name) && name != "Makefile")
            .collect()
    }

    /// All objects that there are equal those of a plain local build; nothing else is there.
    fn check_objects(&self) {
        let dir = self.workspace.src("lua");
        let made = self.made();
        assert!(made.is_subset(&self.objects), "{made:?}");
        let take = |name: &String| {
            let bytes = std::fs::read(dir.join(name)).unwrap();
            std::fs::remove_file(dir.join(name)).unwrap();
            bytes
        };
        let ours: Vec<_> = made.iter().map(take).collect();
        self.workspace.run("make -s -j2 -C lua CC=gcc").success();
        for (name, bytes) in made.iter().zip(ours) {
            assert!(take(name) == bytes, "another {name}");
        }
    }

    fn check_complete(&mut self) {
        let outcome = self.finish();
        assert_eq!(outcome.code(), 0, "{outcome:#?}");
        assert_eq!(self.made(), self.objects);
        self.check_objects();
    }
}

#[test]
fn a_server_killed_in_mid_build() {
    let mut build = Build::start();
    build.server.kill();
    build.check_complete();
}

#[test]
fn an_agent_killed_in_mid_build() {
    let mut build = Build::start();
    let agents = build.workspace.agents();
    assert_eq!(agents.len(), 1);
    rustix::process::kill_process(agents[0].pid, Signal::KILL).unwrap();
    build.check_complete();
}

#[test]
fn ctrl_c_in_mid_build() {
    let mut build = Build::start();
    let running = build.running.as_ref().unwrap();
    running.signal_group(Signal::INT);
    assert_ne!(build.finish().code(), 0);
    assert!(
        build.made().len() < build.objects.len(),
        "it was over already"
    );
    build.check_objects();
}

/// The compiler on the server ends as well: nobody holds the other end of its pipe any more.
#[test]
fn ctrl_c_reaches_the_server() {
    let Some(mut held) = Held::start(Kind::Ours) else {
        return;
    };
    held.running.signal_group(Signal::INT);
    let outcome = held.running.finish();
    assert_eq!(outcome.code(), 128 + 2, "{outcome:#?}");
    assert_eq!(
        names(&held.workspace.src("")),
        BTreeSet::from(["held.c".to_owned()])
    );
    // Only when its last reader has gone does writing fail.
    wait_until_nobody_reads(&mut held.go);
    held.workspace
        .distcc("gcc -E held.c -o /dev/null")
        .silent_success();
}

fn wait_until_nobody_reads(pipe: &mut std::fs::File) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let patience = Timespec::try_from(e2e::HANG_GUARD).unwrap();
    // POLLERR is always reported: the read end has been closed.
    let mut polled = [PollFd::new(&*pipe, PollFlags::empty())];
    let ready = poll(&mut polled, Some(&patience)).unwrap();
    assert_eq!(ready, 1, "the compiler on the server goes on");
}

#[test]
fn an_agent_killed_while_a_host_compiles_is_replaced() {
    let Some(held) = Held::start(Kind::Ours) else {
        return;
    };
    // The second compile of this job is not to wait for anything.
    let (fifo, free) = (
        held.workspace.root().join("go"),
        held.workspace.root().join("free"),
    );
    std::fs::write(&free, "").unwrap();
    std::fs::rename(free, fifo).unwrap();
    let killed = held.workspace.agents();
    for agent in &killed {
        rustix::process::kill_process(agent.pid, Signal::KILL).unwrap();
    }
    let outcome = held.running.finish().silent_success();
    assert_eq!(outcome.stdout, "");
    let agents = held.workspace.agents();
    assert_eq!(agents.len(), 1, "{agents:?}");
    assert_ne!(agents[0].pid, killed[0].pid);
    held.workspace.run("gcc -c held.c -o local.o").success();
    assert_eq!(
        held.workspace.read("held.o"),
        held.workspace.read("local.o")
    );
    drop(held.go);
}
