//! The process that starts jobs, and the server's handle to it.

use std::fs::{self, File};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::Signal;

use super::filter::Filter;
use super::groups::Groups;
use super::init;
use super::job::{RunningJob, Scratch};
use super::message::{MESSAGE_BYTES_MAX, Message};
use super::privileges::map_identity;
use super::seats::{Seat, Seats};
use super::spec::JobSpec;
use super::step;
use super::template::Template;
use crate::child::{self, Forked};
use crate::fd_passing::{recv_with_fds, send_with_fds};

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
    /// A directory whose entries are what jobs with an [`super::MountedAt::Path`] see at the top of
    /// their root, instead of this machine's programs and libraries.
    pub root: Option<PathBuf>,
    /// An existing directory below which the server prepares trees for jobs
    /// ([`super::InputRoot`]). All of it must lie in one file system.
    pub trees: Option<PathBuf>,
    /// Where control groups for jobs can be made ([`super::take_control_group`]).
    pub groups: Option<PathBuf>,
    /// A directory that jobs see as [`super::STAND_IN_DIR`]: for benchmarks.
    #[cfg(feature = "stand-in")]
    pub stand_in: Option<PathBuf>,
}

/// What the spawner holds for all jobs.
#[derive(Debug)]
pub(super) struct World {
    /// What roots are made from, if jobs get one of their own.
    pub(super) template: Option<Template>,
    /// Where trees are, if jobs get no root of their own.
    pub(super) trees: Option<PathBuf>,
    /// What isolated jobs run under, if this kernel and architecture have it.
    pub(super) filter: Option<Filter>,
}

/// The server's handle to the spawner; dropping it ends the spawner and with it every job.
#[derive(Debug)]
pub struct Spawner {
    control: OwnedFd,
    isolation: Isolation,
    notes: Vec<String>,
}

/// The flags of the spawner's own namespaces. That of names is only made here: jobs cannot change
/// it, having no privilege. Those of the network it makes for jobs (`networks`).
const SPAWNER_FLAGS: i32 = JOB_FLAGS | libc::CLONE_NEWUTS | libc::CLONE_NEWNET;

/// The flags of each job's namespaces.
const JOB_FLAGS: i32 =
    libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC;

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
        let notes = match Message::parse(&answer[..len]) {
            Some(Message::Started(notes)) => notes.lines().map(str::to_owned).collect(),
            Some(Message::Failed(why)) => return Err(io::Error::other(why)),
            _ => return Err(io::Error::other("the spawner died at once")),
        };
        Ok(Spawner {
            control: ours,
            isolation: config.isolation.clone(),
            notes,
        })
    }

    /// What this kernel does not let the sandbox do, a sentence each, and what follows from it.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
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
            Isolation::None { scratch } => Some(Self::make_scratch(scratch)?),
        };
        let dir = scratch
            .as_ref()
            .map_or(Path::new(""), |scratch| scratch.path());
        let message = Message::Run(dir).encode();
        let sent = send_with_fds(&self.control, &message, &[theirs.as_fd(), request.as_fd()]);
        step("reach the spawner", sent)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok(RunningJob::new(ours, scratch))
    }

    /// Readable when the spawner is dead; then no job can run any more.
    #[must_use]
    pub fn death(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// A new directory that nobody else can have foreseen the name of.
    fn make_scratch(parent: &Path) -> io::Result<Scratch> {
        // The standard library's only source of random numbers.
        let random = RandomState::new().build_hasher().finish();
        let path = parent.join(format!("distccd_{}_{random:016x}", std::process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        step(format_args!("make {}", path.display()), made)?;
        Ok(Scratch::new(path))
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

/// The life of the spawner.
fn run(config: &Config, identity: (u32, u32), control: &OwnedFd) -> ! {
    let _ends_with = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let ready = prepare(config, identity, control);
    let answer = match &ready {
        Ok((world, _)) => Message::Started(&world.notes().join("\n")).encode(),
        Err(error) => Message::Failed(&error.to_string()).encode(),
    };
    let told = send_with_fds(control, &answer, &[]);
    let (Ok((world, mut seats)), Ok(_)) = (ready, told) else {
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
        start_job(&world, &mut seats, dir, &socket, request);
    }
}

/// Starts a job and tells the server so, or why not.
fn start_job(world: &World, seats: &mut Seats, dir: &Path, socket: &OwnedFd, request: OwnedFd) {
    let is_isolated = world.template.is_some();
    let seat = is_isolated.then(|| seats.take()).transpose();
    let kills = |seat: &Seat| seat.group.as_ref()?.kills().ok();
    let forked = seat.and_then(|mut seat| {
        let kills = seat.as_ref().and_then(kills);
        Ok((fork(&mut seat)?, seat, kills))
    });
    let (message, fds) = match forked {
        Ok((Forked::Child, seat, _)) => {
            let group = seat.and_then(|seat| seat.group);
            init::run(world, group, dir, socket, File::from(request))
        }
        Ok((Forked::Parent { pid, pidfd }, seat, kills)) => {
            match seat {
                Some(seat) => seats.lend(seat, &pidfd),
                // Both sides do so, whoever comes first: a kill of the group must find it.
                None => drop(rustix::process::setpgid(Some(pid), Some(pid))),
            }
            let (file, count) = kills.unzip();
            let count = count.map_or_else(String::new, |count| count.to_string());
            let fds = [Some(pidfd), file.map(OwnedFd::from)];
            (Message::Started(&count).encode(), fds)
        }
        Err(error) => {
            let why = format!("cannot create a process for the job: {error}");
            (Message::Failed(&why).encode(), [None, None])
        }
    };
    let fds: Vec<_> = fds.iter().flatten().map(AsFd::as_fd).collect();
    let _server_is_gone = send_with_fds(socket, &message, &fds);
}

/// Makes a job's first process.
fn fork(seat: &mut Option<Seat>) -> io::Result<Forked> {
    let flags = if seat.is_some() { JOB_FLAGS } else { 0 };
    let Some(Seat {
        group: Some(group), ..
    }) = seat
    else {
        return child::fork_again(flags);
    };
    group.is_entered = true;
    match child::fork_into(flags, group.as_fd()) {
        // Kernels before 5.7, filters of containers.
        Err(error) if is_unknown(&error) => {
            group.is_entered = false;
            child::fork_again(flags)
        }
        other => other,
    }
}

fn is_unknown(error: &io::Error) -> bool {
    let unknown = [libc::ENOSYS, libc::EPERM, libc::EINVAL, libc::E2BIG];
    error
        .raw_os_error()
        .is_some_and(|error| unknown.contains(&error))
}

/// Makes the new process into the spawner.
fn prepare(
    config: &Config,
    (uid, gid): (u32, u32),
    control: &OwnedFd,
) -> io::Result<(World, Seats)> {
    // Standard error stays for the message of a panic.
    child::close_all_but(&[2, control.as_raw_fd()]);
    // The lowest numbers are free now: these become standard input and output.
    for _ in 0..2 {
        let null = File::options().read(true).write(true).open("/dev/null");
        let _kept = step("open /dev/null", null)?.into_raw_fd();
    }
    child::reset_signals();
    // An interrupt from the terminal is the server's business, and jobs have no terminal.
    let _own_session = rustix::process::setsid();
    child::forget_children();
    let mut groups = None;
    let template = match &config.isolation {
        Isolation::None { .. } => None,
        Isolation::Namespaces => {
            map_identity(uid, gid)?;
            let _cosmetic = rustix::system::sethostname(b"farcc");
            // Out of sight afterwards.
            groups = config.groups.as_deref().map(Groups::open).transpose()?;
            Some(Template::build(config)?)
        }
    };
    let world = World {
        template,
        trees: config.trees.clone(),
        filter: Filter::new(groups.is_some()),
    };
    Ok((world, Seats::new(groups)))
}

impl World {
    /// What is to be known at start.
    fn notes(&self) -> Vec<&'static str> {
        let mut notes = Vec::new();
        let Some(template) = &self.template else {
            return notes;
        };
        if self.filter.is_none() {
            notes.push(
                "there is no filter of system calls for this kernel or architecture: \
                 jobs reach all of the kernel that ordinary users reach",
            );
        }
        if template.has_trees && !template.has_overlay {
            notes.push(
                "this kernel lets ordinary users mount no overlays (it takes Linux 5.11): \
                 inputs of jobs are copied, which costs time and memory",
            );
        }
        notes
    }
}
