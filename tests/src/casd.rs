//! buildbox-casd on loopback: a server of the Remote Execution API that nobody here wrote.
//!
//! By itself it is the control of tests whose subject is our server. In front of another server it
//! is a cache that many teams put on each machine.

use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal};

use crate::log::Log;
use crate::run::wait_for_exit;
use crate::server::{PORTS_TRIED_MAX, free_port};
use crate::workspace::Workspace;
use crate::{HANG_GUARD, foreign};

/// What its runner shows to actions besides their inputs: this machine's compilers, and the links
/// to them as they are where `/usr` is all there is.
const SHOWN: &[&str] = &[
    "/usr:/usr",
    "/usr/lib:/lib",
    "/usr/lib64:/lib64",
    "/usr/bin:/bin",
    "/etc/alternatives:/etc/alternatives",
];

/// A running casd, ended when dropped.
#[derive(Debug)]
pub struct Casd {
    child: Child,
    port: u16,
    log: Arc<Log>,
}

impl Casd {
    /// Starts one that stores and executes.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    #[track_caller]
    pub fn executing(workspace: &Workspace) -> Self {
        let mut args = vec![
            format!("--buildbox-run={}", foreign::runner().display()),
            "--jobs=4".to_owned(),
        ];
        args.extend(
            SHOWN
                .iter()
                .map(|pair| format!("--runner-arg=--ro-bind-mount={pair}")),
        );
        Self::start(workspace, &foreign::casd_1_3(), &args)
    }

    /// Starts one that stores, and passes on what it does not have and everything that is to be
    /// executed.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    #[track_caller]
    pub fn in_front_of(workspace: &Workspace, program: &Path, address: &str) -> Self {
        let services = ["cas", "ac", "exec"];
        let args = services.map(|service| format!("--{service}-remote=http://{address}"));
        Self::start(workspace, program, &args)
    }

    #[track_caller]
    fn start(workspace: &Workspace, program: &Path, args: &[String]) -> Self {
        for _ in 0..PORTS_TRIED_MAX {
            let port = free_port();
            let mut command = workspace.command(program);
            command
                .arg(format!("--bind=127.0.0.1:{port}"))
                .arg("--log-level=info")
                .args(args)
                .arg(workspace.root().join(format!("casd-{port}")))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            let mut child = command.spawn().expect("casd can be started");
            let log = Log::follow(child.stderr.take().expect("it is a pipe"));
            let mut casd = Self { child, port, log };
            if casd.log.wait_for(|line| line.contains("listening on")) {
                return casd;
            }
            casd.stop();
            let log = casd.log.text();
            assert!(log.contains("bind"), "casd does not start:\n{log}");
        }
        panic!("no free port after {PORTS_TRIED_MAX} attempts");
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it in order: killed, it would leave the folders of its actions behind.
    ///
    /// # Panics
    /// It hangs.
    pub fn stop(&mut self) {
        let id = i32::try_from(self.child.id()).expect("process ids are positive");
        let pid = Pid::from_raw(id).expect("process ids are not zero");
        if matches!(self.child.try_wait(), Ok(None)) {
            let _gone = rustix::process::kill_process(pid, Signal::TERM);
            let is_over = wait_for_exit(pid, HANG_GUARD);
            if !is_over {
                let _gone = self.child.kill();
            }
            self.child.wait().expect("a child can be waited for");
        }
        self.log.wait_for_end();
    }
}

impl Drop for Casd {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            self.log.show(&format!("casd on port {}", self.port));
        }
    }
}
