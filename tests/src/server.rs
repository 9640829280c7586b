//! Servers on loopback, stock's and ours.
//!
//! Both announce on standard error that they listen and write one summary line per job; this is
//! how they are waited for and how jobs are counted.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal};

use crate::log::Log;
use crate::programs::{self, Kind};
use crate::workspace::{Workspace, open_to_all};

/// Another process may take a port between finding it free and using it.
pub(crate) const PORTS_TRIED_MAX: usize = 10;

/// A running server, killed with all its processes when dropped.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    child: Child,
    port: u16,
    log: Arc<Log>,
    tmp: PathBuf,
}

impl Server {
    /// Starts a server that listens on a free port of 127.0.0.1 and waits until it is ready.
    ///
    /// # Panics
    /// It cannot be started or does not become ready.
    #[must_use]
    #[track_caller]
    pub fn start(workspace: &Workspace, kind: Kind) -> Self {
        Self::start_with(workspace, kind, &["--jobs", "4"], &[])
    }

    /// Starts a server with more arguments and variables.
    ///
    /// # Panics
    /// It cannot be started or does not become ready.
    #[must_use]
    #[track_caller]
    pub fn start_with(
        workspace: &Workspace,
        kind: Kind,
        args: &[&str],
        env: &[(&str, &str)],
    ) -> Self {
        for _ in 0..PORTS_TRIED_MAX {
            let port = free_port();
            let tmp = workspace.root().join(format!("server-{port}"));
            fs::create_dir_all(&tmp).expect("the workspace can be written");
            // The server gives up root.
            open_to_all(&tmp, 0o1777);
            let mut command = command(workspace, kind, &tmp);
            command
                .args(["--daemon", "--no-detach", "--log-stderr"])
                .args(["--log-level", "info", "--listen", "127.0.0.1"])
                .args(["--allow", "127.0.0.1", "--port", &port.to_string()])
                .args(args)
                .envs(env.iter().copied());
            let mut child = command.spawn().expect("the server can be started");
            let log = Log::follow(child.stderr.take().expect("it is a pipe"));
            let mut server = Self {
                kind,
                child,
                port,
                log,
                tmp,
            };
            if server.log.wait_for(|line| is_ready(kind, line)) {
                return server;
            }
            let log = server.kill();
            assert!(
                log.contains("Address already in use"),
                "the server does not start:\n{log}"
            );
        }
        panic!("no free port after {PORTS_TRIED_MAX} attempts");
    }

    /// The server in the form of the host list, spoken to in distcc's protocol: `127.0.0.1:PORT/4`, and `,stock` if it
    /// would rather speak another.
    #[must_use]
    pub fn host(&self) -> String {
        match self.kind {
            Kind::Stock => self.plain_host(),
            Kind::Ours => self.plain_host() + ",stock",
        }
    }

    /// The server in the form of the host list, without a word about the protocol.
    #[must_use]
    pub fn plain_host(&self) -> String {
        format!("127.0.0.1:{}/4", self.port)
    }

    /// The server as a worker in the form of the host list.
    #[must_use]
    pub fn native_host(&self) -> String {
        format!("127.0.0.1:{}/4,native", self.port)
    }

    /// Starts a worker that sees nothing of this machine: it has no compiler but those that it is sent.
    ///
    /// # Panics
    /// It cannot be started or does not become ready.
    #[must_use]
    #[track_caller]
    pub fn start_bare(workspace: &Workspace) -> Self {
        let bare = workspace.root().join("bare");
        fs::create_dir_all(&bare).expect("the workspace can be written");
        let bare = bare.to_string_lossy();
        Self::start_with(
            workspace,
            Kind::Ours,
            &["--jobs", "4", "--root", &bare],
            &[],
        )
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its directory for temporary files.
    #[must_use]
    pub fn tmp(&self) -> &Path {
        &self.tmp
    }

    /// Its process id, also that of its group.
    ///
    /// # Panics
    /// Never: process ids are positive.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let id = i32::try_from(self.child.id()).expect("process ids are positive");
        Pid::from_raw(id).expect("process ids are not zero")
    }

    /// Waits until this many jobs have ended well, then tells how many have.
    ///
    /// # Panics
    /// Fewer have ended after a long time, or the server has gone.
    #[track_caller]
    pub fn wait_for_jobs(&self, count: usize) -> usize {
        let mut seen = 0;
        let reached = count == 0
            || self.log.wait_for(|line| {
                seen += usize::from(is_job(line));
                seen >= count
            });
        assert!(reached, "{seen} of {count} jobs:\n{}", self.log.text());
        self.jobs_so_far()
    }

    /// How many jobs have ended well, as far as the log tells by now.
    #[must_use]
    pub fn jobs_so_far(&self) -> usize {
        let text = self.log.text();
        text.lines().filter(|line| is_job(line)).count()
    }

    /// Waits for a line in the log.
    ///
    /// # Panics
    /// It does not come.
    #[track_caller]
    pub fn wait_for_line(&self, part: &str) {
        let found = self.log.wait_for(|line| line.contains(part));
        assert!(found, "no `{part}` in:\n{}", self.log.text());
    }

    /// The log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Ends the server at once, with every process in its group, and returns its whole log.
    ///
    /// # Panics
    /// It cannot be waited for.
    pub fn kill(&mut self) -> String {
        let _gone = rustix::process::kill_process_group(self.pid(), Signal::KILL);
        self.child.wait().expect("a child can be waited for");
        self.log.wait_for_end();
        self.log.text()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _log = self.kill();
        if std::thread::panicking() {
            self.log.show(&format!("the server on port {}", self.port));
        }
    }
}

fn command(workspace: &Workspace, kind: Kind, tmp: &Path) -> Command {
    let program = match kind {
        Kind::Stock => PathBuf::from(programs::STOCK_SERVER),
        Kind::Ours => {
            let link = workspace.root().join("bin/distccd");
            // There from the second server on.
            let _exists = symlink(programs::farcc(), &link);
            link
        }
    };
    let mut command = workspace.command(program);
    command
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("TMPDIR", tmp)
        .env("FARCC_STORE", tmp.join("store"))
        .env_remove("DISTCC_HOSTS")
        .env_remove("DISTCC_DIR")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    command
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    address.port()
}

fn is_ready(kind: Kind, line: &str) -> bool {
    line.contains(match kind {
        Kind::Ours => "ready: ",
        Kind::Stock => "preforking daemon started",
    })
}

fn is_job(line: &str) -> bool {
    line.contains("COMPILE_OK")
}
