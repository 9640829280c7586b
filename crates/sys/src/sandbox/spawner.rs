//! The process that starts jobs, and the server's handles to it and to them.

use std::fs::{self, File};
use std::io::{self, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, pidfd_send_signal};

use super::init;
use super::root::Template;
use super::spec::JobSpec;
use super::step;
use crate::child::{self, Forked};
use crate::fd_passing::{recv_with_fds, send_with_fds};

/// Most bytes of one message between the processes: a job's end, or an error's text.
const MESSAGE_BYTES_MAX: usize = 4096;

/// How long a killed job's process may take to be gone.
const DEATH_TIME_MAX: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// How a job is kept from the rest of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// Namespaces of its own: it sees compilers and its own files.
    Namespaces,
    /// Nothing but a process group; its files go below this directory, in which each job gets a
    /// directory of its own that stands for `/` in the job's paths.
    None {
        /// An existing directory.
        scratch: PathBuf,
    },
}

/// How jobs are run.
#[derive(Debug, Clone)]
pub struct Config {
    /// What keeps them apart.
    pub isolation: Isolation,
    /// Absolute paths, without links in them, that jobs see read-only besides the system's
    /// directories of programs and libraries.
    pub visible: Vec<PathBuf>,
}

/// The server's handle to the spawner; dropping it ends the spawner and with it every job.
#[derive(Debug)]
pub struct Spawner {
    control: OwnedFd,
    isolation: Isolation,
    /// Numbers the directories of jobs without namespaces.
    started: std::cell::Cell<u64>,
}

/// The flags of the spawner's own namespaces. That of names is only made here: jobs cannot change
/// it, having no privilege.
const SPAWNER_FLAGS: i32 = JOB_FLAGS | libc::CLONE_NEWUTS;

/// The flags of each job's namespaces.
const JOB_FLAGS: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC;

impl Spawner {
    /// Forks the spawner and waits until it is ready. To be called while the process has one
    /// thread and little memory, after it has become the user that is to run the jobs.
    ///
    /// # Errors
    /// Says which step failed; that of entering new namespaces fails where the kernel or the
    /// container's policy forbids them.
    pub fn start(config: &Config) -> io::Result<Spawner> {
        let (ours, theirs) = message_pair()?;
        let flags = match config.isolation {
            Isolation::Namespaces => SPAWNER_FLAGS,
            Isolation::None { .. } => 0,
        };
        let identity = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let forked = step("create namespaces for jobs", child::fork_with(flags))?;
        let Forked::Parent { .. } = forked else {
            run(config, identity, &theirs)
        };
        drop(theirs);
        let mut answer = [0; MESSAGE_BYTES_MAX];
        let len = recv_with_fds(&ours, &mut answer, &mut Vec::new())?;
        match Message::parse(&answer[..len]) {
            Some(Message::Started) => {}
            Some(Message::Failed(why)) => return Err(io::Error::other(why)),
            _ => return Err(io::Error::other("the spawner died at once")),
        }
        let isolation = config.isolation.clone();
        Ok(Spawner {
            control: ours,
            isolation,
            started: std::cell::Cell::new(0),
        })
    }

    /// Starts a job. What becomes of it, a failure to start included, comes through the handle.
    ///
    /// # Errors
    /// There is no memory or descriptor left for the request, or the spawner is dead.
    pub fn spawn(&self, job: &JobSpec<'_>) -> io::Result<RunningJob> {
        let mut request = crate::memory_file("job")?;
        step("store the job's input", job.encode(&mut request))?;
        request.rewind()?;
        let (ours, theirs) = message_pair()?;
        let scratch = match &self.isolation {
            Isolation::Namespaces => None,
            Isolation::None { scratch } => Some(self.make_scratch(scratch)?),
        };
        let dir = scratch.as_ref().map_or(Path::new(""), |scratch| &scratch.0);
        let message = Message::Run(dir).encode();
        let sent = send_with_fds(&self.control, &message, &[theirs.as_fd(), request.as_fd()]);
        step("reach the spawner", sent)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok(RunningJob {
            socket: ours,
            process: None,
            is_killed: false,
            scratch,
        })
    }

    /// Readable when the spawner is dead; then no job can run any more.
    #[must_use]
    pub fn death(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    fn make_scratch(&self, parent: &Path) -> io::Result<Scratch> {
        let number = self.started.get();
        self.started.set(number + 1);
        let name = format!("distccd_{}_{number}", std::process::id());
        let path = parent.join(name);
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        step(format_args!("make {}", path.display()), made)?;
        Ok(Scratch(path))
    }
}

/// Both ends keep message boundaries and see the other's end.
fn message_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// A directory that goes with its job.
#[derive(Debug)]
struct Scratch(PathBuf);

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
    /// It was killed from outside.
    Gone,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// As `wait` tells: exit code times 256, or the signal that killed it.
    pub wait_status: i32,
    /// CPU time of all its processes that were waited for.
    pub cpu: Duration,
    /// Largest resident memory of any of its processes, in KiB.
    pub rss_kib_max: u64,
    /// What it wrote to its standard output.
    pub stdout: File,
    /// What it wrote to its standard error.
    pub stderr: File,
    /// The wanted outputs, in the order of the job's list; `None` if it is no regular file.
    pub outputs: Vec<Option<File>>,
}

impl RunningJob {
    /// Takes the next event without waiting for it. After anything but
    /// [`JobEvent::Started`] there is nothing more.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if nothing has happened: the handle becomes readable.
    pub fn try_event(&mut self) -> io::Result<JobEvent> {
        let mut message = [0; MESSAGE_BYTES_MAX];
        let mut fds = Vec::new();
        let len = match recv_with_fds(&self.socket, &mut message, &mut fds) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            other => other?,
        };
        match Message::parse(&message[..len]) {
            Some(Message::Started) => {
                self.process = fds.pop();
                if self.is_killed {
                    self.kill();
                }
                Ok(JobEvent::Started)
            }
            Some(Message::Ended(end)) => Ok(JobEvent::Finished(end.with_files(fds)?)),
            Some(Message::NoProgram(why)) => Ok(JobEvent::NoProgram(why.to_owned())),
            Some(Message::Failed(why)) => Ok(JobEvent::Failed(why.to_owned())),
            _ => Ok(JobEvent::Gone),
        }
    }

    /// Kills every process of the job. Its handle becomes readable when that is done.
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
                self.process = fds.pop();
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

/// What the processes tell each other; one message each, most with open files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// Server to spawner: run this. With the job's socket and its description.
    Run(&'a Path),
    /// Spawner to server: ready; or, for a job: it exists, with its process.
    Started,
    /// Init to server: the command has ended. With its output files.
    Ended(End),
    /// Init to server: the program cannot be run.
    NoProgram(&'a str),
    /// Anything to server: it cannot be done.
    Failed(&'a str),
}

/// The numbers of an [`Outcome`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) wait_status: i32,
    pub(super) cpu: Duration,
    pub(super) rss_kib_max: u64,
    /// For each wanted output whether it comes with the message.
    pub(super) outputs: Vec<bool>,
}

impl End {
    fn with_files(self, fds: Vec<OwnedFd>) -> io::Result<Outcome> {
        let mut files = fds.into_iter().map(File::from);
        let mut next = || {
            files
                .next()
                .ok_or(io::Error::from(io::ErrorKind::InvalidData))
        };
        let (stdout, stderr) = (next()?, next()?);
        let outputs = self
            .outputs
            .iter()
            .map(|&is_there| is_there.then(&mut next).transpose());
        Ok(Outcome {
            wait_status: self.wait_status,
            cpu: self.cpu,
            rss_kib_max: self.rss_kib_max,
            outputs: outputs.collect::<io::Result<_>>()?,
            stdout,
            stderr,
        })
    }
}

impl<'a> Message<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Message::Run(dir) => [b"R", dir.as_os_str().as_encoded_bytes()].concat(),
            Message::Started => b"S".to_vec(),
            Message::Failed(why) => text(*b"F", why),
            Message::NoProgram(why) => text(*b"N", why),
            Message::Ended(end) => {
                let mut message = vec![b'E'];
                message.extend_from_slice(&end.wait_status.to_le_bytes());
                let micros = u64::try_from(end.cpu.as_micros()).unwrap_or(u64::MAX);
                message.extend_from_slice(&micros.to_le_bytes());
                message.extend_from_slice(&end.rss_kib_max.to_le_bytes());
                message.extend(end.outputs.iter().map(|&is_there| u8::from(is_there)));
                message
            }
        }
    }

    pub(super) fn parse(message: &'a [u8]) -> Option<Message<'a>> {
        use std::os::unix::ffi::OsStrExt;
        let (kind, rest) = message.split_first()?;
        match kind {
            b'R' => Some(Message::Run(Path::new(std::ffi::OsStr::from_bytes(rest)))),
            b'S' => Some(Message::Started),
            b'F' => Some(Message::Failed(read_text(rest)?)),
            b'N' => Some(Message::NoProgram(read_text(rest)?)),
            b'E' => {
                let (status, rest) = rest.split_first_chunk()?;
                let (micros, rest) = rest.split_first_chunk()?;
                let (rss, rest) = rest.split_first_chunk()?;
                Some(Message::Ended(End {
                    wait_status: i32::from_le_bytes(*status),
                    cpu: Duration::from_micros(u64::from_le_bytes(*micros)),
                    rss_kib_max: u64::from_le_bytes(*rss),
                    outputs: rest.iter().map(|&is_there| is_there != 0).collect(),
                }))
            }
            _ => None,
        }
    }
}

fn text(kind: [u8; 1], why: &str) -> Vec<u8> {
    let mut message = [&kind, why.as_bytes()].concat();
    message.truncate(MESSAGE_BYTES_MAX);
    message
}

/// A text that may have been cut within a character.
fn read_text(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
    }
}

/// The life of the spawner.
fn run(config: &Config, identity: (u32, u32), control: &OwnedFd) -> ! {
    let _ends_with = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let ready = prepare(config, identity, control);
    let answer = match &ready {
        Ok(_) => Message::Started.encode(),
        Err(error) => Message::Failed(&error.to_string()).encode(),
    };
    let told = send_with_fds(control, &answer, &[]);
    let (Ok(template), Ok(_)) = (ready, told) else {
        std::process::exit(1)
    };
    loop {
        let mut message = [0; MESSAGE_BYTES_MAX];
        let mut fds = Vec::new();
        let Ok(len @ 1..) = recv_with_fds(control, &mut message, &mut fds) else {
            // The server is gone.
            std::process::exit(0);
        };
        let Some(Message::Run(dir)) = Message::parse(&message[..len]) else {
            continue;
        };
        let Ok([socket, request]) = <[OwnedFd; 2]>::try_from(fds) else {
            continue;
        };
        start_job(template.as_ref(), dir, &socket, request);
    }
}

fn start_job(template: Option<&Template>, dir: &Path, socket: &OwnedFd, request: OwnedFd) {
    let flags = template.map_or(0, |_| JOB_FLAGS);
    let (message, pidfd) = match child::fork_with(flags) {
        Ok(Forked::Child) => init::run(template, dir, socket, File::from(request)),
        Ok(Forked::Parent { pid, pidfd }) => {
            if template.is_none() {
                // Both sides do so, whoever comes first: a kill of the group must find it.
                let _by_itself = rustix::process::setpgid(Some(pid), Some(pid));
            }
            (Message::Started.encode(), Some(pidfd))
        }
        Err(error) => {
            let why = format!("cannot create a process for the job: {error}");
            (Message::Failed(&why).encode(), None)
        }
    };
    let fds: Vec<_> = pidfd.iter().map(AsFd::as_fd).collect();
    let _server_is_gone = send_with_fds(socket, &message, &fds);
}

/// Makes the new process into the spawner.
fn prepare(
    config: &Config,
    (uid, gid): (u32, u32),
    control: &OwnedFd,
) -> io::Result<Option<Template>> {
    // Standard error stays for the message of a panic.
    child::close_all_but(&[2, control.as_raw_fd()]);
    // The lowest numbers are free now: these become standard input and output.
    for _ in 0..2 {
        let null = File::options().read(true).write(true).open("/dev/null");
        let _kept = step("open /dev/null", null)?.into_raw_fd();
    }
    child::reset_signals();
    // An interrupt from the terminal is the server's business.
    let _own_group = rustix::process::setpgid(None, None);
    child::forget_children();
    match &config.isolation {
        Isolation::None { .. } => Ok(None),
        Isolation::Namespaces => {
            init::map_identity(uid, gid)?;
            let _cosmetic = rustix::system::sethostname(b"farcc");
            Template::build(&config.visible).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive() {
        let end = End {
            wait_status: 256,
            cpu: Duration::from_micros(12),
            rss_kib_max: 7,
            outputs: vec![true, false],
        };
        for message in [
            Message::Run(Path::new("/d")),
            Message::Run(Path::new("")),
            Message::Started,
            Message::Failed("why"),
            Message::NoProgram("gcc"),
            Message::Ended(end),
        ] {
            let bytes = message.encode();
            assert_eq!(Message::parse(&bytes), Some(message));
        }
        assert_eq!(Message::parse(b""), None);
        assert_eq!(Message::parse(b"E12"), None);
    }
}
