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
    /// The group that bounds what the same processes use, where that is another one.
    bound: Option<PathBuf>,
}

/// How often the kernel counts anew what a bounded group has used, in microseconds: short, so that what waits for its
/// share waits no longer than on a slower processor.
const PERIOD_MICROS: usize = 10_000;

impl ControlGroup {
    /// Makes a group below the root of the unified hierarchy; needs root.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        let dir = hierarchy()?.join(format!("farcc-{}-{name}", std::process::id()));
        fs::create_dir(&dir)
            .map_err(|error| format!("cannot make {} (needs root): {error}", dir.display()))?;
        Ok(Self { dir, bound: None })
    }

    /// Makes one whose processes have so many hundredths of one processor, as if it were a slower one.
    pub(crate) fn with_share(name: &str, percent: usize) -> Result<Self, String> {
        let mut group = Self::new(name)?;
        let quota = PERIOD_MICROS * percent / 100;
        if group.dir.join("cpu.max").exists() {
            write(&group.dir, "cpu.max", &format!("{quota} {PERIOD_MICROS}"))?;
            return Ok(group);
        }
        // The kernel's first kind of groups bounds processors wherever the second does not.
        let of_processors = mounted(|kind, options| kind == "cgroup" && options.contains(&"cpu"));
        let of_processors = of_processors.ok_or("no cgroup file system bounds processors")?;
        let name = group.dir.file_name().unwrap_or_default();
        let dir = of_processors.join(name);
        fs::create_dir(&dir).map_err(|error| format!("cannot make {}: {error}", dir.display()))?;
        group.bound = Some(dir.clone());
        write(&dir, "cpu.cfs_period_us", &PERIOD_MICROS.to_string())?;
        write(&dir, "cpu.cfs_quota_us", &quota.to_string())?;
        Ok(group)
    }

    /// For `sh -c`: enters the group whose [`Self::list`] is the first argument, and becomes the command in the others.
    pub(crate) const ENTER: &str =
        r#"for it in $0; do echo $$ >"$it/cgroup.procs" || exit 1; done; exec "$@""#;

    /// Its directories, with a blank between them.
    pub(crate) fn list(&self) -> String {
        let dirs: Vec<_> = self.dirs().map(Path::to_string_lossy).collect();
        dirs.join(" ")
    }

    fn dirs(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.dir)
            .chain(&self.bound)
            .map(PathBuf::as_path)
    }

    /// Takes a process and its descendants in; what they start later belongs to it as well.
    pub(crate) fn take(&self, head: Pid) -> Result<(), String> {
        for pid in crate::cpu::family(head)? {
            for dir in self.dirs() {
                let moved = fs::write(dir.join("cgroup.procs"), pid.to_string());
                // One that has just ended need not be moved.
                if let Err(error) = moved
                    && error.raw_os_error() != Some(rustix::io::Errno::SRCH.raw_os_error())
                {
                    return Err(format!("cannot move process {pid}: {error}"));
                }
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
        let dirs: Vec<&Path> = self.dirs().collect();
        for _ in 0..ATTEMPTS {
            let is_gone = |dir: &&Path| fs::remove_dir(dir).is_ok() || !dir.exists();
            if dirs.iter().all(is_gone) {
                return;
            }
            std::thread::yield_now();
        }
    }
}

fn write(dir: &Path, file: &str, text: &str) -> Result<(), String> {
    let path = dir.join(file);
    fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Where the unified hierarchy is mounted.
fn hierarchy() -> Result<PathBuf, String> {
    let mount = mounted(|kind, _| kind == "cgroup2");
    mount.ok_or_else(|| "no cgroup2 file system is mounted".to_owned())
}

/// Where a file system of a kind and with options is mounted.
fn mounted(is_it: impl Fn(&str, &[&str]) -> bool) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let options: Vec<&str> = options.split(',').collect();
        is_it(kind, &options).then(|| PathBuf::from(path))
    })
}
