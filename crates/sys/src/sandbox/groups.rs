//! Control groups, by which the kernel counts and limits what whole jobs use (version 2).
//!
//! A service manager that delegates its service's group (systemd: `Delegate=yes`) lets the service
//! make groups below it. A group may either hold processes or hand its controllers down, so the
//! server moves itself aside first:
//!
//! ```text
//! …/distccd.service           no processes any more
//! …/distccd.service/server    server and spawner
//! …/distccd.service/jobs/N    one job at a time
//! ```
//!
//! Groups are used again, as making one costs the kernel more than a job. A group keeps being
//! charged for files in memory that outlive their job, as while the server reads its outputs; one
//! with much of that is given up rather than used again.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat};

use super::spec::JobLimits;
use super::step;

/// Where the server goes.
const SERVER: &str = "server";

/// Where jobs' groups are.
const JOBS: &str = "jobs";

/// Bytes that may still be charged to a group that is used again: too few to be missed.
const CHARGED_BYTES_MAX: u64 = 16 << 20;

/// Bytes of any of the kernel's files here.
const TEXT_BYTES_MAX: u64 = 64 << 10;

/// Takes over the control group that a service manager has delegated to this process, and returns
/// the directory for [`super::Config::groups`]. To be called while this process is the only one in
/// its group.
///
/// # Errors
/// Says why there is no group to be had. Nothing is changed then, and nothing is amiss: memory is
/// limited in other ways.
pub fn take_control_group() -> io::Result<PathBuf> {
    let own = step(
        "read /proc/self/cgroup",
        fs::read_to_string("/proc/self/cgroup"),
    )?;
    let mounts = step(
        "read /proc/self/mountinfo",
        fs::read_to_string("/proc/self/mountinfo"),
    )?;
    let group = directory_of(&own, &mounts)
        .ok_or_else(|| io::Error::other("there are no control groups of version 2"))?;
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    if !controllers.split_whitespace().any(|name| name == "memory") {
        return Err(io::Error::other("control groups do not count memory here"));
    }
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    if processes.trim() != std::process::id().to_string() {
        let text = "this process shares its control group with others";
        return Err(io::Error::other(text));
    }
    let server = group.join(SERVER);
    let made = make_directory(&server);
    step(format_args!("make {}", server.display()), made)?;
    let taken = fs::write(server.join("cgroup.procs"), "0").and_then(|()| hand_down(&group));
    let jobs = group.join(JOBS);
    let taken = taken
        .and_then(|()| make_directory(&jobs))
        .and_then(|()| hand_down(&jobs));
    if taken.is_err() {
        let _back = fs::write(group.join("cgroup.procs"), "0");
        let _gone = (fs::remove_dir(&jobs), fs::remove_dir(&server));
    }
    step(format_args!("divide {}", group.display()), taken)?;
    Ok(jobs)
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Lets groups in this one have their own limits.
fn hand_down(group: &Path) -> io::Result<()> {
    let file = group.join("cgroup.subtree_control");
    fs::write(&file, "+memory")?;
    // The number of processes is limited in another way as well.
    let _if_there = fs::write(&file, "+pids");
    Ok(())
}

/// The directory of a process's control group, by the texts of `/proc/self/cgroup` and
/// `/proc/self/mountinfo`.
fn directory_of(own: &str, mounts: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounts.lines().find_map(|line| {
        let (fields, kind) = line.split_once(" - ")?;
        let mut fields = fields.split(' ').skip(3);
        let (root, mount_point) = (fields.next()?, fields.next()?);
        let inner = Path::new(path).strip_prefix(root).ok()?;
        kind.starts_with("cgroup2 ")
            .then(|| Path::new(mount_point).join(inner))
    })
}

/// Jobs' groups, as the spawner makes them.
#[derive(Debug)]
pub(super) struct Groups {
    dir: OwnedFd,
    made: u64,
}

/// One job's group.
#[derive(Debug)]
pub(super) struct Group {
    dir: OwnedFd,
    name: String,
    /// Whether the job's first process is in it from the start.
    pub(super) is_entered: bool,
}

impl Groups {
    pub(super) fn open(dir: &Path) -> io::Result<Groups> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(dir, flags, Mode::empty());
        Ok(Groups {
            dir: step(format_args!("open {}", dir.display()), opened)?,
            made: 0,
        })
    }

    pub(super) fn make(&mut self) -> io::Result<Group> {
        let name = format!("{}-{}", std::process::id(), self.made);
        self.made += 1;
        let made = mkdirat(&self.dir, &*name, Mode::from_raw_mode(0o755));
        step("make a control group", made)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = step(
            "open a control group",
            openat(&self.dir, &*name, flags, Mode::empty()),
        )?;
        let group = Group {
            dir,
            name,
            is_entered: true,
        };
        // All of the job is killed, and only then is it known why.
        step(
            "set up a control group",
            group.write("memory.oom.group", "1"),
        )?;
        // There may be no swap to be counted.
        let _if_there = group.write("memory.swap.max", "0");
        Ok(group)
    }

    /// Whether a group whose job is over is as good as new.
    pub(super) fn is_clean(&self, group: &Group) -> bool {
        let number = |text: String| text.trim().parse::<u64>().ok();
        if group.read("memory.current").ok().and_then(number) <= Some(CHARGED_BYTES_MAX) {
            return true;
        }
        // Most of it can be had back at any time; not so what is in files of jobs.
        let state = group.read("memory.stat").unwrap_or_default();
        count(&state, "shmem").is_some_and(|bytes| bytes <= CHARGED_BYTES_MAX)
    }

    /// Removes a group whose job is over.
    pub(super) fn remove(&self, group: &Group) {
        let _still_there = unlinkat(&self.dir, &*group.name, AtFlags::REMOVEDIR);
    }
}

impl Group {
    /// Moves this process into the group, if it is not there yet, and limits what is in it.
    pub(super) fn enter(&self, limits: &JobLimits) -> io::Result<()> {
        if !self.is_entered {
            step("enter a control group", self.write("cgroup.procs", "0"))?;
        }
        let memory = limits
            .memory_bytes_max
            .map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
        step("limit the job's memory", self.write("memory.max", &memory))?;
        // With its first process.
        let processes = limits.processes_max.saturating_add(1).to_string();
        let _if_there = self.write("pids.max", &processes);
        Ok(())
    }

    /// Where the kernel tells how often the group has been killed for want of memory, and how
    /// often that was so far.
    pub(super) fn kills(&self) -> io::Result<(File, u64)> {
        let file = self.open("memory.events", OFlags::RDONLY)?;
        let kills = kills(&file)?;
        Ok((file, kills))
    }

    fn read(&self, name: &str) -> io::Result<String> {
        read(&self.open(name, OFlags::RDONLY)?)
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        self.open(name, OFlags::WRONLY)?.write_all(text.as_bytes())
    }

    fn open(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let opened = openat(&self.dir, name, flags | OFlags::CLOEXEC, Mode::empty());
        Ok(opened?.into())
    }
}

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// How many processes of a group have been killed for want of memory, by its `memory.events`.
pub(super) fn kills(mut events: &File) -> io::Result<u64> {
    io::Seek::rewind(&mut events)?;
    Ok(count(&read(events)?, "oom_kill").unwrap_or(0))
}

fn read(file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.take(TEXT_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// The number after a name at the start of a line.
fn count(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found() {
        let of = |own, mounts| directory_of(own, mounts).map(PathBuf::into_os_string);
        let plain = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        let own = "0::/system.slice/distccd.service\n";
        assert_eq!(
            of(own, plain),
            Some("/sys/fs/cgroup/system.slice/distccd.service".into())
        );
        let inner = "30 23 0:26 /system.slice /cg rw - cgroup2 cgroup2 rw\n";
        assert_eq!(of(own, inner), Some("/cg/distccd.service".into()));
        assert_eq!(of("0::/user.slice\n", inner), None);
        let mixed = "31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(of("4:memory:/x\n0::/y\n", mixed), None);
        let mixed = format!("{mixed}30 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        assert_eq!(
            of("4:memory:/x\n0::/y\n", &mixed),
            Some("/sys/fs/cgroup/unified/y".into())
        );
        assert_eq!(of("4:memory:/x\n", &mixed), None);
    }

    #[test]
    fn counts_are_found() {
        let events = "low 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!(count(events, "oom_kill"), Some(2));
        assert_eq!(count(events, "oom"), Some(3));
        assert_eq!(count(events, "o"), None);
    }
}
