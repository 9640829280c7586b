//! Real compiles on Debian's own distccd.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::shim::How;
use crate::world::{HANG, World, read};

/// Stock distccd on a port of its own.
pub(crate) struct StockServer {
    child: Child,
    pub(crate) port: u16,
    _temp: tempfile::TempDir,
}

impl StockServer {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        // Started as root it becomes another user, who has to write there.
        std::fs::set_permissions(temp.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let child = Command::new("distccd")
            .args([
                "--daemon",
                "--no-detach",
                "--enable-tcp-insecure",
                "--allow",
                "127.0.0.1",
            ])
            .args([
                "--listen",
                "127.0.0.1",
                "--jobs",
                "2",
                "--log-level",
                "critical",
            ])
            .args(["--port", &port.to_string(), "--log-file"])
            .arg(temp.path().join("log"))
            .env("TMPDIR", temp.path())
            .stdin(Stdio::null())
            .spawn()
            .expect("Debian's package distcc is installed");
        let start = Instant::now();
        // It does not say when it listens.
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < HANG, "distccd does not listen");
            std::thread::yield_now();
        }
        Self {
            child,
            port,
            _temp: temp,
        }
    }
}

impl Drop for StockServer {
    fn drop(&mut self) {
        // SIGTERM, so that it ends its workers too.
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap_or_default();
        self.child.wait().unwrap();
    }
}

const SOURCE: &str =
    "#include <stdio.h>\n#include \"h.h\"\nint f(void) { return printf(\"%d\", H); }\n";

fn compile_both_ways(world: &World, hosts: &str, args: &str) {
    let out = world.src().join("out.o");
    let local = Command::new("/usr/bin/gcc")
        .args(args.split_whitespace())
        .current_dir(world.src())
        .output()
        .unwrap();
    assert!(local.status.success());
    let expect = read(&out);
    std::fs::remove_file(&out).unwrap();
    let watch = world.watch();
    let done = world.compile(hosts, args).run();
    done.is_remote();
    assert_eq!(watch.ended().local, None);
    assert_eq!(done.stderr, local.stderr, "{args}");
    assert!(read(&out) == expect, "objects differ: {args}");
}

#[test]
fn objects_equal_those_of_a_local_compile() {
    let server = StockServer::new();
    let world = World::new();
    world.write("a.c", SOURCE);
    world.write("h.h", "#define H 42\n");
    for option in ["", ",lzo"] {
        let hosts = format!("127.0.0.1:{}/2{option},stock", server.port);
        for args in [
            "-c a.c -o out.o",
            "-O2 -g -Wall -MD -MF a.d -c a.c -o out.o",
            "-O2 -march=native -c a.c -o out.o",
            "-S -O1 a.c -o out.o",
        ] {
            compile_both_ways(&world, &hosts, args);
        }
    }
    let deps = String::from_utf8(read(world.src().join("a.d"))).unwrap();
    assert!(
        deps.starts_with("out.o: a.c") && deps.contains("h.h"),
        "{deps}"
    );
}

#[test]
fn clang_too() {
    let server = StockServer::new();
    let world = World::new();
    world.write("a.c", "int f(int x) { return x + 1; }\n");
    let clang = |args: &str| {
        let hosts = format!("127.0.0.1:{},lzo,stock", server.port);
        let done = world
            .compile(&hosts, args)
            .compiler("clang", "/usr/bin/clang")
            .run();
        done.is_remote();
        read(world.src().join("out.o"))
    };
    let remote = clang("-O2 -c a.c -o out.o");
    let local = Command::new("/usr/bin/clang")
        .args(["-O2", "-c", "a.c", "-o", "out.o"])
        .current_dir(world.src())
        .status()
        .unwrap();
    assert!(local.success());
    assert!(read(world.src().join("out.o")) == remote);
}

#[test]
fn an_error_in_the_source_is_told_once_by_the_local_compiler() {
    let server = StockServer::new();
    let world = World::new();
    world.write("a.c", "int f(void) { return x; }\n");
    let hosts = format!("127.0.0.1:{},stock", server.port);
    let done = world.compile(&hosts, "-c a.c").run();
    assert_eq!(done.how, How::Local(256));
    let stderr = String::from_utf8(done.stderr.clone()).unwrap();
    assert_eq!(
        stderr.matches("'x' undeclared").count() + stderr.matches("‘x’ undeclared").count(),
        1,
        "{stderr}"
    );
    assert_eq!(
        done.warnings(),
        ["remote compilation of 'a.c' failed, retrying locally"]
    );
}

#[test]
fn stock_distccd_behind_ssh() {
    let world = World::new();
    world.write("a.c", "int f(int x) { return x + 1; }\n");
    // As root distccd becomes another user, who has to write there.
    let everybody = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(world.temp.path(), everybody).unwrap();
    let script = world.temp.path().join("ssh");
    let log = world.temp.path().join("log");
    // What ssh does, without going anywhere: drops `-l USER HOST` and runs the rest.
    let text = format!(
        "#!/bin/sh\nshift 3\nexec \"$@\" --log-file {}\n",
        log.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    for option in ["", ",lzo"] {
        let done = world
            .compile(
                &format!("me@far/1:/usr/bin/distccd{option}"),
                "-c a.c -o out.o",
            )
            .env("DISTCC_SSH", &script)
            .env("TMPDIR", world.temp.path())
            .run();
        done.is_remote();
        assert!(read(world.src().join("out.o")).starts_with(b"\x7fELF"));
    }
    assert!(log.exists());
}
