//! A shim that goes away takes its job with it, wherever that is.

use wire::ToShim;
use wire::event::{EventKind, JobPhase};

use crate::server::{Does, Server};
use crate::world::{HANG, World};

#[test]
fn the_host_sees_the_end_and_the_slot_is_free() {
    let world = World::new();
    let server = Server::new(Does::Wait);
    let hosts = server.host(1);
    let mut first = world.compile(&hosts, "-c a.c").ask();
    first.preprocess(b"first");
    server.request();
    let second = world.compile(&hosts, "-c b.c").text("second").spawn();
    drop(first);
    server
        .gone
        .recv_timeout(HANG)
        .expect("the host is not told");
    // The first request waits in the server too; both may go.
    server.request();
    server.go.send(()).unwrap();
    server.go.send(()).unwrap();
    second.join().unwrap().is_remote();
}

#[test]
fn jobs_vanish_in_every_state() {
    let world = World::new();
    let watch = world.watch();
    let server = Server::new(Does::Wait);
    let hosts = server.host(1);
    let ended = || while !matches!(watch.next().kind, EventKind::Ended(_)) {};

    drop(world.connect());
    // Before the preprocessor is done.
    let mut shim = world.compile(&hosts, "-c a.c").ask();
    assert!(matches!(shim.hear(), Some(ToShim::Preprocess { .. })));
    drop(shim);
    ended();
    // While another has the slot.
    let mut busy = world.compile(&hosts, "-c a.c").ask();
    busy.preprocess(b"x");
    server.request();
    let mut waiting = world.compile(&hosts, "-c b.c").ask();
    waiting.preprocess(b"x");
    drop(waiting);
    ended();
    // As the local compiler.
    let mut local = world.compile(&hosts, "b.o -o b").ask();
    assert!(matches!(local.hear(), Some(ToShim::RunLocal { .. })));
    drop(local);
    ended();
    drop(busy);
    ended();

    // Nothing is held any more.
    server.go.send(()).unwrap();
    server.go.send(()).unwrap();
    world.compile(&hosts, "-c a.c").text("").run().is_remote();
    ended();
    let states = std::fs::read_dir(world.distcc_dir().join("state")).unwrap();
    let left: Vec<_> = states.map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn ssh_is_killed_with_its_job() {
    let world = World::new();
    let watch = world.watch();
    let pid_file = world.temp.path().join("pid");
    let mut shim = world
        .compile("@far", "-c a.c")
        .env(
            "DISTCC_SSH",
            format!(
                "sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000'",
                pid_file.display()
            ),
        )
        .ask();
    shim.preprocess(b"x");
    watch.phase(JobPhase::Compile);
    let pid = loop {
        if let Ok(text) = std::fs::read_to_string(&pid_file) {
            break text.trim().to_owned();
        }
        std::thread::yield_now();
    };
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    assert!(process.exists());
    drop(shim);
    let start = std::time::Instant::now();
    while process.exists() {
        assert!(start.elapsed() < HANG, "ssh lives on");
        std::thread::yield_now();
    }
}

#[test]
fn nonsense_ends_the_conversation_only() {
    let world = World::new();
    for bytes in [&b"\xff\xff\xff\xff"[..], b"\x02\0\0\0\xff\xff", b"\0\0\0\0"] {
        let stream = world.connect();
        sys::fd_passing::send_all_with_fds(&stream, bytes, &[]).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut &stream, &mut answer).unwrap_or_default();
        assert!(answer.is_empty());
    }
    world.compile("", "-c a.c").pretend().run().is_local();
}
