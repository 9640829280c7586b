//! The end of an agent.

use std::process::{Command, Stdio};
use std::time::Duration;

use wire::{ToAgent, ToShim};

use crate::server::{Does, Server};
use crate::world::{SOCKET, World};

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn an_idle_agent_leaves_and_takes_its_socket_along() {
    let mut world = World::with_idle(SHORT);
    world.compile("", "-c a.c").pretend().run().is_local();
    world.join();
    assert!(!world.distcc_dir().join(SOCKET).exists());
}

#[test]
fn a_busy_agent_and_a_watched_one_stay() {
    let mut world = World::with_idle(SHORT);
    let mut shim = world.compile("", "a.o -o prog").ask();
    assert!(matches!(shim.hear(), Some(ToShim::RunLocal { .. })));
    let watch = world.watch();
    std::thread::sleep(3 * SHORT);
    drop(shim);
    watch.ended();
    std::thread::sleep(3 * SHORT);
    assert!(world.distcc_dir().join(SOCKET).exists());
    drop(watch);
    world.join();
}

#[test]
fn draining_finishes_what_runs_and_serves_who_waits() {
    let mut world = World::new();
    let server = Server::new(Does::Wait);
    let watch = world.watch();
    let job = world.compile(&server.host(1), "-c a.c").text("x").spawn();
    server.request();
    drop(world.send(&ToAgent::Drain));
    while world.distcc_dir().join(SOCKET).exists() {
        std::thread::yield_now();
    }
    server.go.send(()).unwrap();
    job.join().unwrap().is_remote();
    assert!(watch.ended().local.is_none());
    assert!(watch.ends());
    world.join();
}

/// Directory of the agent that [`an_agent_of_its_own`] becomes.
const AGENT_DIR: &str = "FARCC_TEST_AGENT_DIR";

/// Not a test: what the next one starts as a process, since signals are for whole processes.
#[test]
fn an_agent_of_its_own() {
    if let Some(dir) = std::env::var_os(AGENT_DIR) {
        let listener = sys::socket::listen(dir.as_ref(), SOCKET).unwrap();
        agent::run(listener, World::config(dir.as_ref(), Duration::MAX)).unwrap();
    }
}

#[test]
fn a_signal_to_end_drains() {
    let world = World::without_agent();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leave::an_agent_of_its_own"])
        .env(AGENT_DIR, world.distcc_dir())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let socket = world.distcc_dir().join(SOCKET);
    while sys::socket::connect(&world.distcc_dir(), SOCKET).is_err() {
        std::thread::yield_now();
    }
    let server = Server::new(Does::Wait);
    let job = world.compile(&server.host(1), "-c a.c").text("x").spawn();
    server.request();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    while socket.exists() {
        std::thread::yield_now();
    }
    server.go.send(()).unwrap();
    job.join().unwrap().is_remote();
    assert!(child.wait().unwrap().success());
}

#[test]
fn shims_that_arrive_while_it_leaves_are_served_by_it_or_by_nobody() {
    // The rendezvous of real shims: whoever cannot connect starts an agent of his own.
    for _ in 0..20 {
        let mut world = World::with_idle(Duration::from_millis(1));
        let mut served = 0;
        while let Ok(Some(stream)) = sys::rendezvous::connect_if_alive(&world.distcc_dir(), SOCKET)
        {
            drop(stream);
            let probe = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                world.compile("", "-c a.c").pretend()
            }));
            let Ok(compile) = probe else { break };
            compile.run().is_local();
            served += 1;
            if served == 50 {
                break;
            }
        }
        world.join();
    }
}

#[test]
fn a_successors_socket_is_left_alone() {
    let mut world = World::with_idle(SHORT);
    let mut shim = world.compile("", "a.o -o prog").ask();
    assert!(matches!(shim.hear(), Some(ToShim::RunLocal { .. })));
    // The kernel's clock for files is coarse; real agents live longer than one of its ticks.
    let socket = world.distcc_dir().join(SOCKET);
    let born = |path: &std::path::Path| std::fs::metadata(path).unwrap().created().unwrap();
    let probe = world.write("probe", "");
    while born(&probe) <= born(&socket) {
        std::fs::remove_file(&probe).unwrap();
        std::fs::write(&probe, "").unwrap();
    }
    std::fs::remove_file(&socket).unwrap();
    let successor = sys::socket::listen(&world.distcc_dir(), SOCKET).unwrap();
    drop(shim);
    world.join();
    assert!(world.distcc_dir().join(SOCKET).exists());
    drop(successor);
}

#[test]
fn a_vanished_directory_is_no_trouble() {
    let mut world = World::with_idle(SHORT);
    let mut shim = world.compile("", "a.o -o prog").ask();
    assert!(matches!(shim.hear(), Some(ToShim::RunLocal { .. })));
    std::fs::remove_dir_all(world.distcc_dir()).unwrap();
    drop(shim);
    world.join();
}
