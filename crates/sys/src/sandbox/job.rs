//! The server's handle to a running job.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, pidfd_send_signal};

use super::groups;
use super::message::{End, MESSAGE_BYTES_MAX, Message};
use super::output::Output;
use crate::child;
use crate::fd_passing::{recv_with_fds, send_with_fds};

/// How long a killed job's process may take to be gone.
const DEATH_TIME_MAX: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// A directory that goes with its job.
#[derive(Debug)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(path: PathBuf) -> Scratch {
        Scratch(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _best_effort = fs::remove_dir_all(&self.0);
    }
}

/// The server's handle to a job; dropping it kills the job.
#[derive(Debug)]
pub struct RunningJob {
    socket: OwnedFd,
    process: Option<OwnedFd>,
    is_killed: bool,
    scratch: Option<Scratch>,
    /// Those that have arrived.
    outputs: Vec<Output>,
    /// Standard output and standard error, once the command is about to run.
    texts: Option<[File; 2]>,
    /// Where the kernel tells how often the job's control group was killed for want of memory, and
    /// how often that was when it started.
    kills: Option<(File, u64)>,
}

/// What is heard of a job.
#[derive(Debug)]
pub enum JobEvent {
    /// Its first process exists.
    Started,
    /// The command has ended.
    Finished(Outcome),
    /// Its program could not be run; says why.
    NoProgram(String),
    /// The job could not be set up; says why.
    Failed(String),
    /// It used more than [`super::JobLimits::memory_bytes_max`] and is dead.
    OutOfMemory,
    /// It was killed from outside.
    Gone,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// As `wait` tells: exit code times 256, or the signal that killed it.
    pub wait_status: i32,
    /// Time in which its processes computed.
    pub user: Duration,
    /// Time in which the kernel worked for them.
    pub system: Duration,
    /// From the command's start to its end.
    pub wall: Duration,
    /// Largest resident memory of any of its processes, in KiB.
    pub rss_kib_max: u64,
    /// What it wrote to its standard output.
    pub stdout: File,
    /// What it wrote to its standard error.
    pub stderr: File,
    /// The wanted outputs, in the order of the job's list.
    pub outputs: Vec<Output>,
}

impl Outcome {
    fn new(end: End, [stdout, stderr]: [File; 2], outputs: Vec<Output>) -> Outcome {
        Outcome {
            wait_status: end.wait_status,
            user: end.user,
            system: end.system,
            wall: end.wall,
            rss_kib_max: end.rss_kib_max,
            stdout,
            stderr,
            outputs,
        }
    }

    /// CPU time of all its processes.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

impl RunningJob {
    pub(super) fn new(socket: OwnedFd, scratch: Option<Scratch>) -> RunningJob {
        RunningJob {
            socket,
            process: None,
            is_killed: false,
            scratch,
            outputs: Vec::new(),
            texts: None,
            kills: None,
        }
    }

    /// Takes the next event without waiting for it. After anything but
    /// [`JobEvent::Started`] there is nothing more.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing has happened: the handle becomes readable.
    /// Anything else, as when descriptors have run out: the job is lost.
    pub fn try_event(&mut self) -> io::Result<JobEvent> {
        loop {
            let mut message = [0; MESSAGE_BYTES_MAX];
            let mut fds = Vec::new();
            let len = match recv_with_fds(&self.socket, &mut message, &mut fds) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
                other => other?,
            };
            return Ok(match Message::parse(&message[..len]) {
                Some(Message::Started(kills)) => {
                    self.started(kills, fds);
                    if self.is_killed {
                        self.kill();
                    }
                    JobEvent::Started
                }
                Some(Message::Outputs(sent)) => {
                    let mut fds = fds.into_iter();
                    for one in sent {
                        let lost = || {
                            io::Error::other("no descriptor left to take over the job's outputs")
                        };
                        self.outputs
                            .push(Output::receive(one, &mut fds).ok_or_else(lost)?);
                    }
                    let _gone = send_with_fds(&self.socket, &[1], &[]);
                    continue;
                }
                Some(Message::Texts) => {
                    let lost =
                        || io::Error::other("no descriptor left to take over the job's messages");
                    let texts = <[OwnedFd; 2]>::try_from(fds).map_err(|_| lost())?;
                    self.texts = Some(texts.map(File::from));
                    continue;
                }
                Some(Message::Ended(end)) => {
                    let untold = || io::Error::other("a job ended that had not begun");
                    let texts = self.texts.take().ok_or_else(untold)?;
                    let outputs = std::mem::take(&mut self.outputs);
                    JobEvent::Finished(Outcome::new(end, texts, outputs))
                }
                Some(Message::NoProgram(why)) => JobEvent::NoProgram(why.to_owned()),
                Some(Message::Failed(why)) => JobEvent::Failed(why.to_owned()),
                Some(Message::OutOfMemory) => JobEvent::OutOfMemory,
                _ if self.is_out_of_memory() => JobEvent::OutOfMemory,
                _ => JobEvent::Gone,
            });
        }
    }

    /// Takes over what comes with the news that the job exists.
    fn started(&mut self, kills: &str, fds: Vec<OwnedFd>) {
        let mut fds = fds.into_iter();
        self.process = fds.next();
        self.kills = fds.next().map(File::from).zip(kills.parse().ok());
    }

    /// Has the kernel killed it because it used more memory than it may?
    fn is_out_of_memory(&self) -> bool {
        let Some((file, before)) = &self.kills else {
            return false;
        };
        !self.is_killed && groups::kills(file).is_ok_and(|kills| kills > *before)
    }

    /// Kills the job and waits until it is dead: until then somebody may still be writing. The
    /// files of its standard output and standard error, if its command had begun.
    ///
    /// Blocks, for at most a second.
    pub fn kill_for_texts(mut self) -> Option<[File; 2]> {
        self.kill();
        if let Some(process) = &self.process {
            // With a PID namespace the first process is the last to be gone.
            let mut died = [PollFd::new(process, PollFlags::IN)];
            let _as_they_are = poll(&mut died, Some(&DEATH_TIME_MAX));
        }
        self.texts.take()
    }

    /// Kills every process of the job. Its handle becomes readable when that is under way.
    pub fn kill(&mut self) {
        self.is_killed = true;
        let Some(process) = &self.process else { return };
        if self.scratch.is_none() {
            let _dead_already = pidfd_send_signal(process, Signal::KILL);
            return;
        }
        // Without a PID namespace: the group first, as the group's leader keeps its number taken.
        if let Some(group) = pid_of(process) {
            child::kill_group(group);
        }
    }
}

impl AsFd for RunningJob {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for RunningJob {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        if self.process.is_none() {
            // It is being started at this very moment, or has failed to.
            let _blocking = rustix::io::ioctl_fionbio(&self.socket, false);
            let mut fds = Vec::new();
            let mut message = [0; MESSAGE_BYTES_MAX];
            if recv_with_fds(&self.socket, &mut message, &mut fds).is_ok() {
                self.process = fds.into_iter().next();
            }
        }
        self.kill();
        if let (Some(_), Some(process)) = (&self.scratch, &self.process) {
            // Before the directory is removed under its hands.
            let mut died = [PollFd::new(process, PollFlags::IN)];
            let _best_effort = poll(&mut died, Some(&DEATH_TIME_MAX));
        }
    }
}

/// The process that a descriptor stands for, while it has not been forgotten by the kernel.
fn pid_of(pidfd: &OwnedFd) -> Option<Pid> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    Pid::from_raw(pid.trim().parse().ok().filter(|&pid| pid > 1)?)
}
