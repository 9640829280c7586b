//! `farcc agent` as a process: found by its socket, alone, and gone without a trace.

use crate::space::{Answer, Space};
use std::fs;
use std::io::Read as _;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// An agent that was started by hand.
struct Agent {
    process: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(space: &Space) -> Self {
        let process = space
            .command("farcc", &["agent"])
            .env_remove("FARCC_IDLE_SECONDS")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The only way to learn that a program listens is to try; each try fails at once.
        let deadline = Instant::now() + Duration::from_secs(60);
        let socket = loop {
            if let Some(path) = socket_in(space)
                && let Ok(guest) = UnixStream::connect(&path)
            {
                wait_until_dismissed(guest);
                break path;
            }
            assert!(Instant::now() < deadline, "the agent does not listen");
            std::thread::yield_now();
        };
        Self { process, socket }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = self.process.kill();
        self.process.wait().unwrap();
    }
}

/// A guest who wants nothing is dismissed by an agent that is ready.
fn wait_until_dismissed(mut guest: UnixStream) {
    guest.shutdown(Shutdown::Write).unwrap();
    assert_eq!(guest.read(&mut [0; 1]).unwrap_or(0), 0);
}

fn socket_in(space: &Space) -> Option<PathBuf> {
    let entries = fs::read_dir(space.path("distcc")).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(|path| {
        path.extension()
            .is_some_and(|extension| extension == "sock")
    })
}

#[test]
fn a_second_agent_is_refused_and_status_sees_the_first() {
    let space = Space::new();
    let agent = Agent::start(&space);
    let second = space.run("farcc", &["agent"]);
    assert_eq!(second.code, Some(102));
    assert!(second.stderr.contains("an agent already serves this user"));
    let mut farcc = space.command("farcc", &["status"]);
    let status = Answer::of(farcc.env("DISTCC_HOSTS", "box1")).success();
    assert!(status.stdout.starts_with("agent runs\n"), "{status:?}");
    assert!(status.stdout.contains(agent.socket.to_str().unwrap()));
}

#[test]
fn an_agent_that_is_told_to_leave_takes_its_socket_along() {
    let space = Space::new();
    let mut agent = Agent::start(&space);
    kill_process(Pid::from_child(&agent.process), Signal::TERM).unwrap();
    assert!(agent.process.wait().unwrap().success());
    assert!(!agent.socket.exists());
}

#[test]
fn a_number_that_is_no_socket_is_refused() {
    let space = Space::new();
    let answer = space.run("farcc", &["agent", "--listen-fd", "77"]);
    assert_eq!(answer.code, Some(102));
    assert!(
        answer
            .stderr
            .contains("descriptor 77 is not an open socket")
    );
}

/// The agent that `farcc run` starts by itself answers it, and leaves when it is idle.
#[test]
fn run_starts_an_agent_that_leaves_by_itself() {
    let space = Space::new();
    let answer = space.run("farcc", &["run", "--", "true"]).success();
    let said = "no compile came through distcc";
    assert!(answer.stderr.contains(said), "{answer:?}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while socket_in(&space).is_some() {
        assert!(Instant::now() < deadline, "the agent does not leave");
        std::thread::yield_now();
    }
}
