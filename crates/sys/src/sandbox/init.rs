//! The first process of a job: makes the job's world, runs its command, reports.
//!
//! A freshly forked copy of the spawner, with one thread. Everything that a client may have
//! chosen (names, links, contents) is touched only after this process has entered the job's root
//! and given up all privileges.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use super::groups::Group;
use super::memory::{Seen, Watch};
use super::message::{Batch, End, Message};
use super::places::Root;
use super::privileges::{
    INNER_ID, forbid_nested_namespaces, give_up_privileges, map_identity, set_limits,
    volunteer_for_death,
};
use super::spawner::World;
use super::spec::{PATH_DEFAULT, Received};
use super::step;
use crate::child::{self, Waited};
use crate::fd_passing::{recv_with_fds, send_with_fds};

/// Why there is no [`End`].
enum Failure {
    /// There is nobody left to tell.
    ServerGone,
    /// The job used more memory than it may.
    OutOfMemory,
    /// The command's program cannot be run.
    Program(String),
    /// Anything else.
    Other(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Other(error)
    }
}

/// Runs the job and ends this process. `dir` stands for `/` if the job gets no root of its own.
/// `group` is the job's control group.
pub(super) fn run(
    world: &World,
    group: Option<Group>,
    dir: &Path,
    socket: &OwnedFd,
    request: File,
) -> ! {
    let mut keep = vec![0, 1, 2, socket.as_raw_fd(), request.as_raw_fd()];
    keep.extend(group.as_ref().map(|group| group.as_fd().as_raw_fd()));
    keep.sort_unstable();
    child::close_all_but(&keep);
    // The spawner, of which this is a copy, has reset all others.
    child::await_children();
    let is_isolated = world.template.is_some();
    if is_isolated {
        let _ends_with = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    } else {
        let _own_group = rustix::process::setpgid(None, None);
        child::end_group_with_parent();
        child::adopt_orphans();
    }
    volunteer_for_death();
    let message = match execute(world, group, dir, socket, request) {
        Ok(end) => Message::Ended(end).encode(),
        Err(Failure::Program(why)) => Message::NoProgram(&why).encode(),
        Err(Failure::Other(error)) => Message::Failed(&error.to_string()).encode(),
        Err(Failure::OutOfMemory) => Message::OutOfMemory.encode(),
        Err(Failure::ServerGone) => Vec::new(),
    };
    let _server_is_gone = send_with_fds(socket, &message, &[]);
    if !is_isolated {
        // Whatever the command left behind in the background.
        child::kill_group(rustix::process::getpid());
    }
    std::process::exit(0)
}

fn execute(
    world: &World,
    group: Option<Group>,
    dir: &Path,
    socket: &OwnedFd,
    mut request: File,
) -> Result<End, Failure> {
    let mut bytes = Vec::new();
    step("read the job", request.read_to_end(&mut bytes))?;
    drop(request);
    let garbled = || io::Error::other("the job is garbled");
    let (job, places) = Received::decode(&bytes).ok_or_else(garbled)?;
    let is_counted = group.is_some();
    if let Some(group) = group {
        group.enter(&job.limits)?;
    }
    let root = match &world.template {
        Some(template) => {
            map_identity(INNER_ID, INNER_ID)?;
            forbid_nested_namespaces();
            let memory = template.enter(&job)?;
            give_up_privileges()?;
            Root::Own(memory)
        }
        None => Root::Below(dir.to_path_buf()),
    };
    let cwd = root.make(&job, &places, world.trees.as_deref())?;
    drop(bytes);
    let texts = [root.unnamed_file()?, root.unnamed_file()?];
    step(
        "hand over the messages",
        send_with_fds(
            socket,
            &Message::Texts.encode(),
            &texts.each_ref().map(AsFd::as_fd),
        ),
    )?;
    set_limits(&job.limits, world.template.is_some())?;
    if let (Root::Own(_), Some(filter)) = (&root, &world.filter) {
        step("filter system calls", filter.load())?;
    }

    let watch = watch(&root, &job).filter(|_| !is_counted);
    let end = run_command(&root, &job, &cwd, texts, watch.as_ref())?;
    send_outputs(&root, &job, socket)?;
    Ok(end)
}

/// Runs the command to its end and takes with it what it left running.
fn run_command(
    root: &Root,
    job: &Received,
    cwd: &Path,
    [stdout, stderr]: [File; 2],
    watch: Option<&Watch<'_>>,
) -> Result<End, Failure> {
    step(
        format_args!("enter {}", job.cwd.display()),
        rustix::process::chdir(cwd),
    )?;
    let mut command = Command::new(find_program(job));
    if let Some((name, args)) = job.argv.split_first() {
        command.arg0(name).args(args);
    }
    command.env_clear();
    if job.adds_tmpdir {
        command.env("TMPDIR", root.path(Path::new("/tmp"))?);
    }
    command
        .envs(job.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr);
    let start = Instant::now();
    let started = command.spawn().map_err(|error| {
        Failure::Program(format!("cannot run {}: {error}", job.program.display()))
    })?;
    let ended = wait_for(started.id(), watch);
    let wall = start.elapsed();
    match root {
        Root::Own(_) => {
            child::kill_all_others_of_namespace();
            while matches!(child::wait_any(), Ok(Waited::Ended(_))) {}
        }
        Root::Below(_) => child::end_descendants(),
    }
    let usage = child::usage_of_children();
    Ok(End {
        wait_status: ended?,
        user: usage.user,
        system: usage.system,
        wall,
        rss_kib_max: usage.rss_kib_max,
    })
}

/// What watches the job's memory, if it is to be watched.
fn watch<'a>(root: &'a Root, job: &Received) -> Option<Watch<'a>> {
    match (root, job.limits.memory_bytes_max) {
        (Root::Own(files), Some(bytes_max)) => Some(Watch { bytes_max, files }),
        _ => None,
    }
}

/// Waits until the command has ended, and for whatever ends before it. Returns its status.
fn wait_for(command: u32, watch: Option<&Watch<'_>>) -> Result<i32, Failure> {
    let process = watch.map(|_| {
        let pid = i32::try_from(command).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(rustix::io::Errno::SRCH)?;
        pidfd_open(pid, PidfdFlags::empty())
    });
    let process = step("watch the command", process.transpose())?;
    let mut next_look = watch.map(|watch| Instant::now() + watch.first());
    loop {
        let waited = match (&process, next_look) {
            (Some(process), Some(at)) => {
                child::wait_any_for(process, at.saturating_duration_since(Instant::now()))
            }
            _ => child::wait_any(),
        };
        match step("wait for the command", waited)? {
            Waited::Ended(ended) if i64::from(ended.pid) == i64::from(command) => {
                return Ok(ended.status);
            }
            Waited::Childless => return Err(io::Error::other("the command was lost").into()),
            Waited::Ended(_) | Waited::TimedOut => {}
        }
        // However many processes come and go.
        if let (Some(watch), Some(at)) = (watch, next_look)
            && Instant::now() >= at
        {
            match watch.look() {
                Seen::TooMuch => return Err(Failure::OutOfMemory),
                Seen::Fine(next) => next_look = Some(Instant::now() + next),
            }
        }
    }
}

/// Where the program is. The directory of this process is the job's.
fn find_program(job: &Received) -> PathBuf {
    let name = job.program.as_os_str();
    if name.as_encoded_bytes().contains(&b'/') {
        return job.program.clone();
    }
    let path = job.env.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or(PATH_DEFAULT.as_ref(), |(_, path)| path.as_os_str());
    let found = std::env::split_paths(path)
        .map(|dir| Path::new(".").join(dir).join(name))
        .find(|path| {
            rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok_and(|()| path.is_file())
        });
    // What is not found is not run, and the kernel says why.
    found.unwrap_or_else(|| Path::new("/nonexistent").join(name))
}

/// Sends what the job left, a part at a time.
fn send_outputs(root: &Root, job: &Received, socket: &OwnedFd) -> Result<(), Failure> {
    let mut batch = Batch::default();
    for path in &job.outputs {
        if let Err(output) = batch.push(root.output(path)) {
            send_batch(std::mem::take(&mut batch), socket)?;
            let _fits = batch.push(output);
        }
    }
    if batch.sent.is_empty() {
        return Ok(());
    }
    send_batch(batch, socket)
}

fn send_batch(batch: Batch, socket: &OwnedFd) -> Result<(), Failure> {
    let fds: Vec<BorrowedFd<'_>> = batch.fds.iter().map(AsFd::as_fd).collect();
    step(
        "send the outputs",
        send_with_fds(socket, &Message::Outputs(batch.sent).encode(), &fds),
    )?;
    match recv_with_fds(socket, &mut [0], &mut Vec::new()) {
        Ok(1..) => Ok(()),
        _ => Err(Failure::ServerGone),
    }
}
