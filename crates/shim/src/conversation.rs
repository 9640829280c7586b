//! The line to the agent: finding or starting it, frames there and back.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys::{fd_passing, rendezvous};
use wire::limits::{AGENT_DEATH_MS_MAX, AGENT_SILENCE_MS_MAX, AGENT_START_MS_MAX};
use wire::socket_name::{Realm, socket_name};
use wire::{JobRequest, ToAgent, ToShim, frame};

use crate::compiler::farcc_program;

/// Bytes asked for at once. Answers are short; outputs travel as open files.
const READ_BYTES: usize = 16 * 1024;

/// An open conversation.
#[derive(Debug)]
pub(crate) struct Agent {
    socket: UnixStream,
    received: Vec<u8>,
    files: Vec<OwnedFd>,
}

impl Agent {
    /// Connects to the agent, starting it if there is none, and sends the job. One that leaves in
    /// this very moment is replaced.
    pub(crate) fn reach(job: &JobRequest) -> io::Result<Self> {
        match Self::try_to_reach(job) {
            Err(error) if is_gone(&error) => Self::try_to_reach(job),
            outcome => outcome,
        }
    }

    fn try_to_reach(job: &JobRequest) -> io::Result<Self> {
        let mut agent = Self {
            socket: connect()?,
            received: Vec::new(),
            files: Vec::new(),
        };
        match agent.send(&job.to_payload(), &[]) {
            Ok(()) => Ok(agent),
            Err(error) => {
                agent.wait_for_death();
                Err(error)
            }
        }
    }

    /// Sends a message and the files that go with it.
    pub(crate) fn say(&mut self, message: &ToAgent, files: &[&File]) -> io::Result<()> {
        self.send(&message.to_payload(), files)
    }

    fn send(&mut self, payload: &[u8], files: &[&File]) -> io::Result<()> {
        let fds: Vec<_> = files.iter().map(|file| file.as_fd()).collect();
        fd_passing::send_all_with_fds(&self.socket, &frame::encode(payload), &fds)
    }

    /// Waits for the next answer and the files that go with it.
    pub(crate) fn next(&mut self) -> io::Result<(ToShim, Vec<File>)> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        loop {
            if let Some((payload, used)) = frame::split(&self.received).map_err(invalid)? {
                let answer = ToShim::from_payload(payload).map_err(invalid)?;
                self.received.drain(..used);
                let count = answer.file_count();
                if count > self.files.len() {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "files are missing",
                    ));
                }
                let files = self.files.drain(..count).map(File::from).collect();
                return Ok((answer, files));
            }
            self.receive()?;
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let start = self.received.len();
        self.received.resize(start + READ_BYTES, 0);
        let outcome =
            fd_passing::recv_with_fds(&self.socket, &mut self.received[start..], &mut self.files);
        self.received
            .truncate(start + *outcome.as_ref().unwrap_or(&0));
        match outcome {
            Ok(0) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended")),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "it is silent"))
            }
            Err(error) => Err(error),
        }
    }

    /// Once the line has broken: whoever connects now reaches a successor.
    pub(crate) fn wait_for_death(&self) {
        let patience = Duration::from_millis(AGENT_DEATH_MS_MAX);
        rendezvous::wait_for_death(&self.socket, patience);
    }

    /// An agent that is silent for so long is broken: the next shim starts another.
    pub(crate) fn give_up(self) {
        let silence = Duration::from_millis(AGENT_SILENCE_MS_MAX);
        let deadline = Duration::from_millis(AGENT_START_MS_MAX);
        // Whoever cannot remove its socket waits for it once more.
        drop(
            distcc_dir()
                .and_then(|dir| rendezvous::give_up_on(&dir, &agent_name(), silence, deadline)),
        );
    }

    /// Leaves the socket open in the compiler that this process becomes.
    pub(crate) fn keep_across_exec(&self) -> io::Result<()> {
        sys::exec::keep_across_exec(&self.socket)
    }
}

fn connect() -> io::Result<UnixStream> {
    let dir = distcc_dir()?;
    let name = agent_name();
    let deadline = Duration::from_millis(AGENT_START_MS_MAX);
    let socket = rendezvous::connect_or_start(&dir, &name, deadline, |listener| {
        start_agent(&dir, &name, listener.into())
    });
    let socket = socket.map_err(|error| {
        let text = format!("DISTCC_DIR is {}: {error}", dir.display());
        io::Error::new(error.kind(), text)
    })?;
    socket.set_read_timeout(Some(Duration::from_millis(AGENT_SILENCE_MS_MAX)))?;
    Ok(socket)
}

fn agent_name() -> String {
    socket_name(sys::realm::user_id(), &realm())
}

/// Whether the agent at the other end has left or died.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// `$DISTCC_DIR`, else `~/.distcc`.
fn distcc_dir() -> io::Result<PathBuf> {
    if let Some(dir) = std::env::var_os("DISTCC_DIR").filter(|dir| !dir.is_empty()) {
        return std::path::absolute(dir);
    }
    match std::env::var_os("HOME").filter(|home| !home.is_empty()) {
        Some(home) => std::path::absolute(Path::new(&home).join(".distcc")),
        None => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "neither DISTCC_DIR nor HOME is set",
        )),
    }
}

fn realm() -> Realm {
    let sys::realm::RealmNumbers {
        mount_ns,
        net_ns,
        pid_ns,
        root_dev,
        root_ino,
    } = sys::realm::current();
    Realm {
        mount_ns,
        net_ns,
        pid_ns,
        root_dev,
        root_ino,
    }
}

fn start_agent(dir: &Path, name: &str, listener: OwnedFd) -> io::Result<()> {
    let program = farcc_program();
    let env: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(key, _)| wire::environment::is_for_agent(key.as_encoded_bytes()))
        .collect();
    let socket_path = dir.join(name);
    let fd = sys::detach::HANDED_FD.to_string();
    let args = ["agent", "--listen-fd", &fd, "--socket"].map(OsStr::new);
    let args: Vec<&OsStr> = args.into_iter().chain([socket_path.as_os_str()]).collect();
    sys::detach::spawn_detached(Path::new(&program), &args, &env, listener).map_err(|error| {
        let program = Path::new(&program).display();
        io::Error::new(error.kind(), format!("cannot start {program}: {error}"))
    })
}
