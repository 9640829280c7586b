//! The user's agent, seen from outside: where its socket is, how to reach it and how to start it.
//!
//! The shim does the same in its own crate, so that it links nothing else; both go through
//! `sys::rendezvous`, which makes sure that there is one agent.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys::{detach, realm, rendezvous};
use wire::limits::AGENT_START_MS_MAX;
use wire::socket_name::{Realm, socket_name};

use crate::world::World;

/// The agent cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Neither `DISTCC_DIR` nor `HOME` is set.
    #[error("neither DISTCC_DIR nor HOME is set")]
    NoDirectory,
    /// No agent answers and none can be started.
    #[error("failed to reach the agent in `{}`", .dir.display())]
    Unreachable {
        /// The directory of its socket.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Where the agent of this user and realm listens.
#[derive(Debug, Clone)]
pub(crate) struct AgentSocket {
    pub(crate) dir: PathBuf,
    pub(crate) name: String,
}

impl AgentSocket {
    /// The socket at a path that another program chose.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_owned();
        let dir = path.parent()?.to_owned();
        Some(Self { dir, name })
    }

    /// From the environment: `$DISTCC_DIR`, else `~/.distcc`.
    pub(crate) fn new(world: &World) -> Result<Self, AgentError> {
        let dir = distcc_dir(world).ok_or(AgentError::NoDirectory)?;
        let numbers = realm::current();
        let realm = Realm {
            mount_ns: numbers.mount_ns,
            net_ns: numbers.net_ns,
            pid_ns: numbers.pid_ns,
            root_dev: numbers.root_dev,
            root_ino: numbers.root_ino,
        };
        let uid = rustix::process::getuid().as_raw();
        let name = socket_name(uid, &realm);
        Ok(Self { dir, name })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join(&self.name)
    }

    /// Connects to the agent if it runs.
    pub(crate) fn connect_if_alive(&self) -> Result<Option<UnixStream>, AgentError> {
        rendezvous::connect_if_alive(&self.dir, &self.name).map_err(|source| self.failed(source))
    }

    /// Connects to the agent, which is started if it does not run.
    pub(crate) fn connect_or_start(
        &self,
        world: &World,
        farcc: &Path,
    ) -> Result<UnixStream, AgentError> {
        let deadline = Duration::from_millis(AGENT_START_MS_MAX);
        rendezvous::connect_or_start(&self.dir, &self.name, deadline, |listener| {
            self.start(world, farcc, listener)
        })
        .map_err(|source| self.failed(source))
    }

    /// Creates the socket, for an agent in this process; `None` if another agent runs.
    pub(crate) fn listen(&self) -> Result<Option<UnixListener>, AgentError> {
        let deadline = Duration::from_millis(AGENT_START_MS_MAX);
        let mut created = None;
        rendezvous::connect_or_start(&self.dir, &self.name, deadline, |listener| {
            created = Some(listener);
            Ok(())
        })
        .map_err(|source| self.failed(source))?;
        Ok(created)
    }

    /// Starts the agent as the shim does: with few variables, because each job brings its own, and
    /// without what the build preloads.
    fn start(&self, world: &World, farcc: &Path, listener: UnixListener) -> io::Result<()> {
        let env: Vec<(OsString, OsString)> = world
            .vars
            .iter()
            .filter(|(name, _)| wire::environment::is_for_agent(name.as_encoded_bytes()))
            .cloned()
            .collect();
        let fd = detach::HANDED_FD.to_string();
        let path = self.path();
        let args = [
            OsStr::new("agent"),
            OsStr::new("--listen-fd"),
            OsStr::new(&fd),
            OsStr::new("--socket"),
            path.as_os_str(),
        ];
        detach::spawn_detached(farcc, &args, &env, OwnedFd::from(listener))
    }

    fn failed(&self, source: io::Error) -> AgentError {
        AgentError::Unreachable {
            dir: self.dir.clone(),
            source,
        }
    }
}

/// distcc's directory for hosts, locks and states, as an absolute path.
pub(crate) fn distcc_dir(world: &World) -> Option<PathBuf> {
    let dir = world
        .path_var("DISTCC_DIR")
        .or_else(|| Some(world.path_var("HOME")?.join(".distcc")))?;
    std::path::absolute(dir).ok()
}
