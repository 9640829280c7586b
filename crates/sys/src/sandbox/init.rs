//! The first process of a job: makes the job's world, runs its command, reports.
//!
//! A freshly forked copy of the spawner, with one thread. Everything that a client may have
//! chosen (names, links, contents) is touched only after this process has entered the job's root
//! and given up all privileges.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal, setrlimit};

use super::message::{End, Message};
use super::root::Template;

use super::spec::{JobLimits, Place, Places, Received};
use super::step;
use crate::child;
use crate::fd_passing::send_with_fds;

/// User and group as which jobs see themselves: any but 0, which would get capabilities again by
/// running a program.
const INNER_ID: u32 = 1000;

/// Why there is no [`End`].
enum Failure {
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

/// Runs the job and ends this process. `dir` stands for `/` if there is no template.
pub(super) fn run(template: Option<&Template>, dir: &Path, socket: &OwnedFd, request: File) -> ! {
    let keep = [socket.as_raw_fd(), request.as_raw_fd()];
    child::close_all_but(&[0, 1, 2, keep[0].min(keep[1]), keep[0].max(keep[1])]);
    child::reset_signals();
    if template.is_some() {
        let _ends_with = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    } else {
        let _own_group = rustix::process::setpgid(None, None);
        child::end_group_with_parent();
    }
    let mut files = Vec::new();
    let message = match execute(template, dir, request, &mut files) {
        Ok(end) => Message::Ended(end).encode(),
        Err(Failure::Program(why)) => Message::NoProgram(&why).encode(),
        Err(Failure::Other(error)) => Message::Failed(&error.to_string()).encode(),
    };
    let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    let _server_is_gone = send_with_fds(socket, &message, &fds);
    if template.is_none() {
        // Whatever the command left behind in the background.
        child::kill_group(rustix::process::getpid());
    }
    std::process::exit(0)
}

fn execute(
    template: Option<&Template>,
    dir: &Path,
    mut request: File,
    files: &mut Vec<File>,
) -> Result<End, Failure> {
    let mut bytes = Vec::new();
    step("read the job", request.read_to_end(&mut bytes))?;
    drop(request);
    let garbled = || io::Error::other("the job is garbled");
    let (job, places) = Received::decode(&bytes).ok_or_else(garbled)?;
    let root = match template {
        Some(template) => {
            map_identity(INNER_ID, INNER_ID)?;
            forbid_nested_namespaces();
            template.enter(&job.limits, &job.overlays)?;
            give_up_privileges()?;
            Root::Own
        }
        None => Root::Below(dir.to_path_buf()),
    };
    root.make(&job, &places)?;
    drop(bytes);
    let (stdout, stderr) = (root.unnamed_file()?, root.unnamed_file()?);
    set_limits(&job.limits, template.is_some())?;

    let end = run_command(&root, &job, &stdout, &stderr)?;
    files.extend([stdout, stderr]);
    let mut outputs = Vec::with_capacity(end.outputs.len());
    for path in &job.outputs {
        let file = root.output(path);
        outputs.push(file.is_some());
        files.extend(file);
    }
    Ok(End { outputs, ..end })
}

/// Runs the command to its end and takes with it what it left running.
fn run_command(root: &Root, job: &Received, stdout: &File, stderr: &File) -> Result<End, Failure> {
    let mut command = Command::new(&job.program);
    if let Some((name, args)) = job.argv.split_first() {
        command.arg0(name).args(args);
    }
    command
        .env_clear()
        .env("TMPDIR", root.path(Path::new("/tmp"))?)
        .envs(job.env.iter().map(|(name, value)| (name, value)))
        .current_dir(root.path(&job.cwd)?)
        .stdin(Stdio::null())
        .stdout(step("share standard output", stdout.try_clone())?)
        .stderr(step("share standard error", stderr.try_clone())?);
    let started = command.spawn().map_err(|error| {
        Failure::Program(format!("cannot run {}: {error}", job.program.display()))
    })?;
    let pid = i64::from(started.id());
    loop {
        let ended = step("wait for the command", child::wait_any())?
            .ok_or_else(|| io::Error::other("the command was lost"))?;
        if i64::from(ended.pid) != pid {
            continue;
        }
        child::kill_all_others_of_namespace();
        if *root == Root::Own {
            while matches!(child::wait_any(), Ok(Some(_))) {}
        }
        return Ok(End {
            wait_status: ended.status,
            cpu: ended.cpu,
            rss_kib_max: ended.rss_kib_max,
            outputs: Vec::new(),
        });
    }
}

/// Maps one user and group of the parent namespace, and so this process, to [`INNER_ID`].
pub(super) fn map_identity(uid: u32, gid: u32) -> io::Result<()> {
    // Giving up root has made the files in /proc/self root's.
    let _owned_already = rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable);
    // Denied already where the parent namespace does so.
    let _denied = fs::write("/proc/self/setgroups", "deny");
    let write = |file: &str, outer: u32| {
        let mut file = File::options().write(true).open(file)?;
        file.write_all(format!("{INNER_ID} {outer} 1\n").as_bytes())
    };
    step("write /proc/self/gid_map", write("/proc/self/gid_map", gid))?;
    step("write /proc/self/uid_map", write("/proc/self/uid_map", uid))
}

/// In a namespace of its own the job could be privileged again, and reach more of the kernel.
fn forbid_nested_namespaces() {
    // Containers may mount this read-only; the job's root protects without it.
    let _best_effort = fs::write("/proc/sys/user/max_user_namespaces", "0");
}

fn give_up_privileges() -> io::Result<()> {
    use rustix::thread::{
        CapabilitySet, CapabilitySets, remove_capability_from_bounding_set, set_capabilities,
        set_no_new_privs,
    };
    step("set no-new-privileges", set_no_new_privs(true))?;
    for capability in CapabilitySet::all().iter() {
        // Those that this kernel does not know cannot be had either.
        let _unknown = remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySet::empty();
    let none = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    step("give up capabilities", set_capabilities(None, none))?;
    // The job has the same user: it must not be able to trace this process, which holds the
    // server's socket.
    let behavior = DumpableBehavior::NotDumpable;
    step(
        "forbid tracing",
        rustix::process::set_dumpable_behavior(behavior),
    )
}

fn set_limits(limits: &JobLimits, is_own_namespace: bool) -> io::Result<()> {
    let set = |resource, soft: u64, hard: u64| {
        let allowed = rustix::process::getrlimit(resource)
            .maximum
            .unwrap_or(u64::MAX);
        let limit = Rlimit {
            current: Some(soft.min(allowed)),
            maximum: Some(hard.min(allowed)),
        };
        step("set resource limits", setrlimit(resource, limit))
    };
    set(Resource::Core, 0, 0)?;
    set(
        Resource::Fsize,
        limits.files_bytes_max,
        limits.files_bytes_max,
    )?;
    set(
        Resource::Nofile,
        limits.open_files_max,
        limits.open_files_max,
    )?;
    if let Some(seconds) = limits.cpu_seconds_max {
        set(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    }
    // Elsewhere this would count all processes of the user.
    if is_own_namespace {
        set(Resource::Nproc, limits.processes_max, limits.processes_max)?;
    }
    Ok(())
}

/// Where the job's `/` is for this process.
#[derive(Debug, PartialEq, Eq)]
enum Root {
    /// It is this process's own.
    Own,
    /// A directory among others of the server: nothing that a client named may lead out of it.
    Below(PathBuf),
}

impl Root {
    /// The path for this process.
    fn path(&self, path: &Path) -> io::Result<PathBuf> {
        match self {
            Root::Own => Ok(path.to_path_buf()),
            Root::Below(dir) => {
                let inner = path.strip_prefix("/").unwrap_or(path);
                if inner
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)))
                {
                    Ok(dir.join(inner))
                } else {
                    Err(io::Error::other(format!(
                        "{} leads out of the job",
                        path.display()
                    )))
                }
            }
        }
    }

    fn make(&self, job: &Received, places: &Places<'_>) -> io::Result<()> {
        let tmp = self.path(Path::new("/tmp"))?;
        fs::create_dir_all(tmp)?;
        places.for_each(|place| {
            let (Place::Dir(path) | Place::File { path, .. } | Place::Link { path, .. }) = place;
            step(
                format_args!("create {}", path.display()),
                self.create(&place),
            )
        })?;
        let dirs = job.outputs.iter().filter_map(|path| path.parent());
        for dir in dirs.chain([job.cwd.as_path()]) {
            let made = self.path(dir).and_then(fs::create_dir_all);
            step(format_args!("create {}", dir.display()), made)?;
        }
        Ok(())
    }

    fn create(&self, place: &Place<'_>) -> io::Result<()> {
        match place {
            Place::Dir(path) => fs::create_dir_all(self.path(path)?),
            Place::File { path, content } => {
                let mut file = self.replace(path, |path| {
                    // Never an existing file or what a link leads to.
                    File::options().write(true).create_new(true).open(path)
                })?;
                file.write_all(content)
            }
            Place::Link { path, target } => match self {
                Root::Own => self.replace(path, |path| std::os::unix::fs::symlink(target, path)),
                Root::Below(_) => Err(io::Error::other("links need a sandbox")),
            },
        }
    }

    fn replace<T>(&self, path: &Path, create: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
        let path = self.path(path)?;
        let mut result = create(&path);
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            result = create(&path);
        }
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
            fs::remove_file(&path)?;
            result = create(&path);
        }
        result
    }

    /// A file without a name that counts against the job's limit.
    fn unnamed_file(&self) -> io::Result<File> {
        let dir = self.path(Path::new("/"))?;
        let flags = rustix::fs::OFlags::TMPFILE.bits().cast_signed();
        let mut options = File::options();
        let opened = options
            .read(true)
            .write(true)
            .custom_flags(flags)
            .mode(0o600)
            .open(dir);
        step(
            "make a file for the command's messages",
            opened.or_else(|_| crate::memory_file("text")),
        )
    }

    /// An output, if it is a regular file.
    fn output(&self, path: &Path) -> Option<File> {
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let path = self.path(path).ok()?;
        let flags = flags.bits().cast_signed();
        let file = File::options()
            .read(true)
            .custom_flags(flags)
            .open(path)
            .ok()?;
        let is_regular = file
            .metadata()
            .is_ok_and(|data| data.is_file() && data.nlink() > 0);
        is_regular.then_some(file)
    }
}
