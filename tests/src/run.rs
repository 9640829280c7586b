//! Runs a child to its end, with everything that it wrote, but never for ever.

use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use crate::HANG_GUARD;

/// How a child ended and what it wrote.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Status as `wait` tells it.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// The exit code as a shell shows it.
    #[must_use]
    pub fn code(&self) -> i32 {
        let signal = || self.status.signal().map(|signal| 128 + signal);
        self.status.code().or_else(signal).unwrap_or(-1)
    }

    /// Fails the test unless the child succeeded.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.status.success(), "{self:#?}");
        self
    }

    /// Fails the test unless the child succeeded and complained about nothing.
    ///
    /// # Panics
    /// It did not.
    #[track_caller]
    pub fn silent_success(self) -> Self {
        assert!(self.status.success() && self.stderr.is_empty(), "{self:#?}");
        self
    }
}

/// A child in a process group of its own, which is killed with it when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Option<mpsc::Receiver<Vec<u8>>>,
    stderr: Option<mpsc::Receiver<Vec<u8>>>,
    text: String,
}

/// Runs a command to its end.
///
/// # Panics
/// It cannot be started, or it hangs.
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    Running::start(command).finish()
}

impl Running {
    /// Starts a command; what it writes is collected.
    ///
    /// # Panics
    /// It cannot be started.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let text = format!("{command:?}");
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start {text}: {error}"),
        };
        Self {
            stdout: child.stdout.take().map(collect),
            stderr: child.stderr.take().map(collect),
            child,
            text,
        }
    }

    /// The child's process id, also that of its group.
    ///
    /// # Panics
    /// Never: process ids are positive.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let id = i32::try_from(self.child.id()).expect("process ids are positive");
        Pid::from_raw(id).expect("process ids are not zero")
    }

    /// Sends a signal to the child and all its descendants that stayed in its group, as a
    /// terminal does.
    ///
    /// # Panics
    /// The group is gone.
    pub fn signal_group(&self, signal: Signal) {
        rustix::process::kill_process_group(self.pid(), signal).expect("the group is there");
    }

    /// Waits for the end of the child and of what it wrote.
    ///
    /// # Panics
    /// It hangs, or somebody keeps its standard output or error open.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        let deadline = Instant::now() + HANG_GUARD;
        assert!(
            wait_for_exit(self.pid(), HANG_GUARD),
            "hangs: {}",
            self.text
        );
        let status = self.child.wait().expect("a child can be waited for");
        let collected = |receiver: Option<mpsc::Receiver<Vec<u8>>>, what| {
            let left = deadline.saturating_duration_since(Instant::now());
            match receiver.expect("taken once").recv_timeout(left) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(_) => panic!("{what} is kept open after the end of {}", self.text),
            }
        };
        let stdout = collected(self.stdout.take(), "standard output");
        let stderr = collected(self.stderr.take(), "standard error");
        Outcome {
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _gone = rustix::process::kill_process_group(self.pid(), Signal::KILL);
            let _status = self.child.wait();
        }
    }
}

fn collect(mut from: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _what_there_is = from.read_to_end(&mut bytes);
        let _nobody_asks = send.send(bytes);
    });
    receive
}

/// Does something that waits for another process, such as opening a named pipe.
///
/// # Panics
/// The other process never comes.
#[track_caller]
pub fn guarded<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let _nobody_asks = send.send(wait());
    });
    match receive.recv_timeout(HANG_GUARD) {
        Ok(value) => value,
        Err(_) => panic!("what was waited for does not happen"),
    }
}

/// Waits until a process has ended. `false` if it runs on after `patience`.
#[must_use]
pub fn wait_for_exit(pid: Pid, patience: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).expect("a deadline fits");
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("cannot wait for {pid:?}: {error}"),
        }
    }
}
