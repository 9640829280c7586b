//! A directory with an agent in it.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::Duration;

use agent::Config;
use tempfile::TempDir;
use wire::event::{Ended, Event, EventKind, JobPhase};
use wire::{ToAgent, frame};

use crate::shim::Compile;

/// Nothing in these tests takes this long unless it hangs.
pub(crate) const HANG: Duration = Duration::from_secs(60);

pub(crate) const SOCKET: &str = "agent.sock";

pub(crate) struct World {
    pub(crate) temp: TempDir,
    agent: Option<JoinHandle<()>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_idle(Duration::from_secs(3600))
    }

    pub(crate) fn with_idle(idle: Duration) -> Self {
        let mut world = Self::without_agent();
        let config = Self::config(&world.distcc_dir(), idle);
        let listener = sys::socket::listen(&config.dir, SOCKET).unwrap();
        world.agent = Some(std::thread::spawn(move || {
            agent::run(listener, config).unwrap();
        }));
        world
    }

    pub(crate) fn without_agent() -> Self {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("src")).unwrap();
        std::fs::create_dir(temp.path().join("distcc")).unwrap();
        Self { temp, agent: None }
    }

    pub(crate) fn config(dir: &Path, idle: Duration) -> Config {
        Config {
            dir: dir.into(),
            socket_name: SOCKET.into(),
            idle,
            system_hosts: dir.join("no-system-hosts"),
            log_path: Some(dir.join("agent.log")),
            cache: None,
        }
    }

    pub(crate) fn distcc_dir(&self) -> PathBuf {
        self.temp.path().join("distcc")
    }

    pub(crate) fn src(&self) -> PathBuf {
        self.temp.path().join("src")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.src().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn connect(&self) -> UnixStream {
        sys::socket::connect(&self.distcc_dir(), SOCKET).unwrap()
    }

    /// A compile as a shim asks for it, with this host list.
    pub(crate) fn compile(&self, hosts: &str, args: &str) -> Compile {
        Compile::new(self, args).env("DISTCC_HOSTS", hosts)
    }

    pub(crate) fn watch(&self) -> Watch {
        let stream = self.connect();
        sys::fd_passing::send_all_with_fds(
            &stream,
            &frame::encode(&ToAgent::Watch(None).to_payload()),
            &[],
        )
        .unwrap();
        Watch::new(stream)
    }

    pub(crate) fn send(&self, message: &ToAgent) -> UnixStream {
        let stream = self.connect();
        let bytes = frame::encode(&message.to_payload());
        sys::fd_passing::send_all_with_fds(&stream, &bytes, &[]).unwrap();
        stream
    }

    /// Waits until the agent has left by itself.
    pub(crate) fn join(&mut self) {
        let agent = self.agent.take().unwrap();
        let (done, wait) = mpsc::channel();
        std::thread::spawn(move || {
            agent.join().unwrap();
            done.send(()).unwrap();
        });
        wait.recv_timeout(HANG).expect("the agent does not leave");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.agent.is_some() && !std::thread::panicking() {
            drop(self.send(&ToAgent::Drain));
            self.join();
        }
    }
}

/// Events as they come.
pub(crate) struct Watch {
    events: Receiver<Event>,
    stream: UnixStream,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stream
            .shutdown(std::net::Shutdown::Both)
            .unwrap_or_default();
    }
}

impl Watch {
    fn new(mut stream: UnixStream) -> Self {
        let (sender, events) = mpsc::channel();
        let ours = stream.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = Vec::new();
            let mut chunk = [0; 4096];
            loop {
                while let Some((payload, used)) = frame::split(&buffer).unwrap() {
                    let event = Event::from_payload(payload).unwrap();
                    buffer.drain(..used);
                    if sender.send(event).is_err() {
                        return;
                    }
                }
                match std::io::Read::read(&mut stream, &mut chunk) {
                    Ok(0) | Err(_) => return,
                    Ok(len) => buffer.extend_from_slice(&chunk[..len]),
                }
            }
        });
        Self {
            events,
            stream: ours,
        }
    }

    pub(crate) fn next(&self) -> Event {
        self.events.recv_timeout(HANG).expect("no more events")
    }

    /// The end of the next job that ends.
    pub(crate) fn ended(&self) -> Ended {
        loop {
            if let EventKind::Ended(ended) = self.next().kind {
                return ended;
            }
        }
    }

    /// Waits until a job enters a phase; returns host and slot.
    pub(crate) fn phase(&self, wanted: JobPhase) -> (String, u32) {
        loop {
            if let EventKind::Phase { phase, host, slot } = self.next().kind
                && phase == wanted
            {
                return (host, slot);
            }
        }
    }

    /// Whether the stream has ended, after what is left in it.
    pub(crate) fn ends(&self) -> bool {
        loop {
            match self.events.recv_timeout(HANG) {
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return true,
                Err(mpsc::RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

pub(crate) fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
