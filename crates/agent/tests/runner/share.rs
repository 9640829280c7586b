//! One `DISTCC_DIR` with stock programs and other agents.

use std::fs::File;
use std::process::Command;

use rustix::fs::{FlockOperation, fcntl_lock};
use wire::event::{EventKind, JobPhase};

use crate::server::{Does, Server};
use crate::world::World;

fn slot_file(world: &World, server: &Server, slot: u32) -> File {
    let dir = world.distcc_dir().join("lock");
    std::fs::create_dir_all(&dir).unwrap();
    let port = server.address.port();
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join(format!("cpu_tcp_127.0.0.1_{port}_{slot}")))
        .unwrap()
}

/// Stock's own kind of lock.
fn posix_lock(file: &File) -> bool {
    fcntl_lock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[test]
fn a_slot_in_use_is_locked_for_stock_clients() {
    let world = World::new();
    let server = Server::new(Does::Wait);
    let job = world.compile(&server.host(2), "-c a.c").text("").spawn();
    server.request();
    assert!(!posix_lock(&slot_file(&world, &server, 0)));
    assert!(posix_lock(&slot_file(&world, &server, 1)));
    server.go.send(()).unwrap();
    job.join().unwrap().is_remote();
    assert!(posix_lock(&slot_file(&world, &server, 0)));
}

#[test]
fn a_slot_that_a_stock_client_holds_is_not_used() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    let watch = world.watch();
    let theirs = slot_file(&world, &server, 0);
    assert!(posix_lock(&theirs));
    world
        .compile(&server.host(2), "-c a.c")
        .text("")
        .run()
        .is_remote();
    assert_eq!(watch.phase(JobPhase::Send).1, 1);

    // With all slots taken the job waits until one is free.
    let job = world.compile(&server.host(1), "-c b.c").text("").spawn();
    while !matches!(&watch.next().kind, EventKind::Started { file, .. } if file == "b.c") {}
    assert!(server.arrived.try_iter().count() == 1);
    drop(theirs);
    job.join().unwrap().is_remote();
}

#[test]
fn hosts_that_stock_gave_up_on_are_left_alone_and_so_are_ours() {
    let world = World::new();
    let (server, bad) = (Server::new(Does::Compile), Server::new(Does::HangUp));
    let lock_dir = world.distcc_dir().join("lock");
    std::fs::create_dir_all(&lock_dir).unwrap();
    let backoff = |server: &Server| {
        lock_dir.join(format!("backoff_tcp_127.0.0.1_{}_0", server.address.port()))
    };
    std::fs::write(backoff(&server), "x").unwrap();
    let done = world.compile(&server.host(1), "-c a.c").text("").run();
    done.is_local();
    // Without a cool-down period nobody cares.
    let done = world
        .compile(&server.host(1), "-c a.c")
        .env("DISTCC_BACKOFF_PERIOD", "0")
        .env("DISTCC_FALLBACK", "0")
        .text("")
        .run();
    done.is_remote();
    assert!(!backoff(&server).exists(), "it works, so it is forgiven");

    world
        .compile(&bad.host(1), "-c a.c")
        .text("")
        .run()
        .is_local();
    assert_eq!(std::fs::read(backoff(&bad)).unwrap(), b"x");
}

#[test]
fn stock_monitor_shows_our_jobs() {
    let world = World::new();
    let watch = world.watch();
    let server = Server::new(Does::Wait);
    let job = world
        .compile(&server.host(2), "-c dir/a.c")
        .text("")
        .spawn();
    server.request();
    watch.phase(JobPhase::Compile);
    let monitor = || {
        let output = Command::new("distccmon-text")
            .env("DISTCC_DIR", world.distcc_dir())
            .output()
            .expect("Debian's package distcc is installed");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let pid = std::process::id();
    assert_eq!(
        monitor(),
        format!(
            "{pid:6}  Compile     {:<30} {:>24}[0]\n\n",
            "a.c", "127.0.0.1"
        )
    );
    server.go.send(()).unwrap();
    job.join().unwrap().is_remote();
    watch.ended();
    assert_eq!(monitor(), "\n");
}

#[test]
fn a_directory_that_cannot_be_written_is_no_obstacle() {
    let world = World::new();
    let server = Server::new(Does::Compile);
    for name in ["lock", "state"] {
        // Not even root makes a directory where a file is.
        std::fs::write(world.distcc_dir().join(name), "").unwrap();
    }
    world
        .compile(&server.host(1), "-c a.c")
        .text("")
        .run()
        .is_remote();
    world
        .compile(&server.host(1), "a.o -o b")
        .pretend()
        .run()
        .is_local();
}
