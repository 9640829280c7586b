//! A control group: the kernel adds up what all processes in it use, also those that nobody waits
//! for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;

/// A group with a name of its own, removed when dropped; its processes must have ended by then.
#[derive(Debug)]
pub(crate) struct ControlGroup {
    dir: PathBuf,
}

impl ControlGroup {
    /// Makes a group below the root of the unified hierarchy; needs root.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let dir = hierarchy()?.join(format!("farcc-{}-{name}", std::process::id()));
        fs::create_dir(&dir)
            .map_err(|error| format!("cannot make {} (needs root): {error}", dir.display()))?;
        Ok(Self { dir })
    }

    /// Where it is: what writes its number to `cgroup.procs` in there is in the group.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Takes a process and its descendants in; what they start later belongs to it as well.
    pub(crate) fn take(&self, head: Pid) -> Result<(), String> {
        for pid in crate::cpu::family(head)? {
            let moved = fs::write(self.dir.join("cgroup.procs"), pid.to_string());
            // One that has just ended need not be moved.
            if let Err(error) = moved
                && error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error())
            {
                return Err(format!("cannot move process {pid}: {error}"));
            }
        }
        Ok(())
    }

    /// User and system time of all processes that have ever been in it.
    pub(crate) fn cpu(&self) -> Result<Duration, String> {
        let path = self.dir.join("cpu.stat");
        let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let usage = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        let micros = usage.and_then(|number| number.parse().ok());
        micros
            .map(Duration::from_micros)
            .ok_or_else(|| format!("{} tells no usage", path.display()))
    }

    /// The most memory that one of its processes had at a time, of those that are running now; 0 if none is.
    pub(crate) fn largest_memory(&self) -> u64 {
        let pids = fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        let pids = pids
            .lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?));
        // One that ends now is not asked any more.
        let sizes = pids.filter_map(|pid| crate::cpu::peak_memory(pid).ok());
        sizes.max().unwrap_or(0)
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // The kernel takes a moment to see a killed process off.
        const ATTEMPTS: usize = 10_000;
        let _last_ones = fs::write(self.dir.join("cgroup.kill"), "1");
        for _ in 0..ATTEMPTS {
            if fs::remove_dir(&self.dir).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Where the unified hierarchy is mounted.
fn hierarchy() -> Result<PathBuf, String> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, path, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(path))
    });
    mount.ok_or_else(|| "no cgroup2 file system is mounted".to_owned())
}
