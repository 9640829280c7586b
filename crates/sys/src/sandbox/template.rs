//! What all jobs' roots are made from.
//!
//! At start the spawner, in a mount namespace of its own, collects what jobs may see and drops
//! everything else of the machine out of its sight:
//!
//! ```text
//! /T       this machine's: usr, etc/ld.so.cache, …, each bound read-only, without set-uid
//! /R       the same of another root, if there is one
//! /dev     null, zero, …
//! /S       the server's prepared trees, read-only
//! /J /M /N where a job's memory, its merged tree and its root get mounted (`root`)
//! /proc    of the spawner's PID namespace
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    unmount,
};

use super::mounts::{bind_read_only, mount_overlay, mount_tmpfs, read_only};
use super::spawner::Config;
use super::step;

/// Directories and files of the server that compilers need, as absolute paths. What does not
/// exist is left out; top-level links (`/lib` to `usr/lib`) are made again as links.
const VISIBLE: &[&str] = &[
    "/bin",
    "/etc/alternatives", // Debian's choice of cc and gcc
    "/etc/clang",        // Gentoo's configuration files of clang
    "/etc/env.d/gcc",    // read by Gentoo's gcc wrapper
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/gnu/store", // Guix
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store", // NixOS
    "/sbin",
    "/usr",
];

/// Devices without which ordinary programs fail. Bound from the server: nobody can make device
/// nodes in a user namespace.
const DEVICES: &[&str] = &["full", "null", "random", "urandom", "zero"];

/// Links that belong into `/dev`.
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    // Both are the job's own memory.
    ("shm", "/tmp"),
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
];

/// What a root has of its own although an alternative root's directory has entries of that name.
const OWN: &[&str] = &["dev", "proc", "sys", "tmp"];

/// The directory of the server that jobs see read-only and in which this path lies; `None` if it
/// is a path of the job's own. Such a directory can be in [`super::JobSpec::overlays`].
#[must_use]
pub fn server_directory(path: &Path) -> Option<PathBuf> {
    let top: PathBuf = path.components().take(2).collect();
    // `/lib` may be a link into `/usr`.
    let linked = VISIBLE.iter().any(|visible| top == Path::new(visible));
    let target = linked.then(|| fs::read_link(&top).ok()).flatten();
    let path = match target {
        Some(target) => Path::new("/")
            .join(target)
            .join(path.strip_prefix(&top).ok()?),
        None => path.to_path_buf(),
    };
    // Made of single files, as one.
    let etc = Path::new("/etc");
    if path.starts_with(etc) {
        return Some(etc.to_path_buf());
    }
    let found = VISIBLE
        .iter()
        .map(Path::new)
        .find(|visible| path.starts_with(visible));
    found.map(Path::to_path_buf)
}

/// How much of `/proc` a job gets: the most modest form that this kernel and its surroundings
/// (containers mask parts of `/proc`) let an unprivileged namespace have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proc {
    /// Its processes and nothing of the machine.
    Processes,
    /// All of it.
    Full,
    /// None: compilers get along, Clang finds itself by its first argument then.
    None,
}

/// Directories and links at the top of a root.
#[derive(Debug, Default)]
pub(super) struct Base {
    /// Where the directories are.
    pub(super) dir: PathBuf,
    /// Links, at the top or far outside: path without the leading slash, what it says.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
    /// Paths to bind, without the leading slash; no entry lies below another.
    pub(super) bound: Vec<PathBuf>,
}

/// What the spawner has collected.
#[derive(Debug)]
pub(super) struct Template {
    /// What is bound from this machine.
    pub(super) machine: Base,
    /// What is bound from another root's directory.
    pub(super) other: Option<Base>,
    /// Whether there are trees of the server's at [`TREES`].
    pub(super) has_trees: bool,
    /// Whether this kernel lets an ordinary user mount overlays.
    pub(super) has_overlay: bool,
    pub(super) proc: Proc,
}

/// Where the server's trees are.
pub(super) const TREES: &str = "/S";

/// Where devices are.
pub(super) const DEV: &str = "/dev";

/// Where a benchmark's stand-in for compilers is. Every root has a `/dev` without any of the job's
/// doing, so showing it there costs a job nothing.
#[cfg(feature = "stand-in")]
pub const STAND_IN_DIR: &str = "/dev/stand-in";

impl Template {
    /// Makes the spawner's own root. The process must be the first of a new user, mount and PID
    /// namespace.
    pub(super) fn build(config: &Config) -> io::Result<Template> {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        step("make mounts private", mount_change("/", private))?;
        // Any directory will do to stand in for a moment; what it holds stays reachable below
        // `/old`.
        mount_tmpfs(Path::new("/tmp"), "mode=0755,size=1m")?;
        for dir in ["old", "T", "T/etc", "R", "S", "J", "M", "N", "dev", "proc"] {
            let made = fs::create_dir(Path::new("/tmp").join(dir));
            step("make directories", made)?;
        }
        step(
            "enter new root",
            rustix::process::pivot_root("/tmp", "/tmp/old"),
        )?;
        step("enter new root", rustix::process::chdir("/"))?;

        let proc = mount_proc(Path::new("/proc"));
        bind_devices(config)?;
        let mut machine = Base {
            dir: PathBuf::from("/T"),
            ..Base::default()
        };
        mount_tmpfs(Path::new("/T/etc"), "mode=0755,size=64k")?;
        for path in VISIBLE
            .iter()
            .map(Path::new)
            .chain(config.visible.iter().map(PathBuf::as_path))
        {
            machine.add(path)?;
        }
        machine.seal_etc()?;
        let other = config.root.as_deref().map(Base::other).transpose()?;
        if let Some(trees) = &config.trees {
            bind_read_only(&old(trees), Path::new(TREES), MountFlags::NODEV)?;
        }
        step("leave old root", unmount("/old", UnmountFlags::DETACH))?;
        Ok(Template {
            machine,
            other,
            has_trees: config.trees.is_some(),
            has_overlay: can_overlay(),
            proc,
        })
    }
}

/// Where an absolute path of the machine is while the spawner's root is built.
fn old(path: &Path) -> PathBuf {
    Path::new("/old").join(path.strip_prefix("/").unwrap_or(path))
}

impl Base {
    /// Makes one path of the server visible.
    fn add(&mut self, path: &Path) -> io::Result<()> {
        let name = path.strip_prefix("/").unwrap_or(path);
        if name.as_os_str().is_empty() || self.bound.iter().any(|there| name.starts_with(there)) {
            return Ok(());
        }
        let source = old(path);
        let Ok(kind) = fs::symlink_metadata(&source) else {
            return Ok(());
        };
        // To bind a link would be to bind what it leads to, by paths of the wrong root.
        if kind.is_symlink() {
            let target = step("read link", fs::read_link(&source))?;
            // `/etc` is the template's own, see `seal_etc`.
            if name.starts_with("etc") {
                return make_link(&target, &self.dir.join(name));
            }
            self.links.push((name.to_path_buf(), target));
            return Ok(());
        }
        bind_read_only(&source, &self.dir.join(name), MountFlags::NODEV)?;
        // Files in `/etc` come with it, see `seal_etc`.
        if !name.starts_with("etc") {
            self.bound.push(name.to_path_buf());
        }
        Ok(())
    }

    /// Makes `/etc`, which is the template's own, read-only, with what is bound in it.
    fn seal_etc(&mut self) -> io::Result<()> {
        read_only(&self.dir.join("etc"), MountFlags::NODEV)?;
        self.bound.push(PathBuf::from("etc"));
        Ok(())
    }

    /// All that is at the top of another root's directory.
    fn other(dir: &Path) -> io::Result<Base> {
        let mut base = Base {
            dir: PathBuf::from("/R"),
            ..Base::default()
        };
        let read = step(
            format_args!("read {}", dir.display()),
            fs::read_dir(old(dir)),
        )?;
        for entry in read {
            let entry = step(format_args!("read {}", dir.display()), entry)?;
            let name = PathBuf::from(entry.file_name());
            if OWN.iter().any(|own| name == Path::new(own)) {
                continue;
            }
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                let target = step("read link", fs::read_link(entry.path()))?;
                base.links.push((name, target));
            } else {
                bind_read_only(&entry.path(), &base.dir.join(&name), MountFlags::NODEV)?;
                base.bound.push(name);
            }
        }
        Ok(base)
    }
}

#[cfg_attr(
    not(feature = "stand-in"),
    allow(
        unused_variables,
        reason = "only a benchmark's build has more than devices"
    )
)]
fn bind_devices(config: &Config) -> io::Result<()> {
    let dev = Path::new(DEV);
    mount_tmpfs(dev, "mode=0755,size=16k")?;
    for device in DEVICES {
        let source = Path::new("/old/dev").join(device);
        bind_read_only(&source, &dev.join(device), MountFlags::NOEXEC)?;
    }
    for (name, target) in DEVICE_LINKS {
        step("make links in /dev", symlink(target, dev.join(name)))?;
    }
    #[cfg(feature = "stand-in")]
    step("make the stand-in's place", fs::create_dir(STAND_IN_DIR))?;
    read_only(dev, MountFlags::NOEXEC)?;
    #[cfg(feature = "stand-in")]
    if let Some(stand_in) = &config.stand_in {
        // After the rest: what is in it is to be run.
        bind_read_only(&old(stand_in), Path::new(STAND_IN_DIR), MountFlags::NODEV)?;
    }
    Ok(())
}

/// Makes a link and the directories above it.
pub(super) fn make_link(target: &Path, link: &Path) -> io::Result<()> {
    let above = link.parent().unwrap_or(Path::new("/"));
    step("make links", fs::create_dir_all(above))?;
    step("make links", symlink(target, link))
}

/// Can such a process mount an overlay as jobs need it?
fn can_overlay() -> bool {
    let trial = || {
        mount_tmpfs(Path::new("/J"), "mode=0700,size=64k")?;
        fs::DirBuilder::new().mode(0o700).create("/J/lower")?;
        let mounted = mount_overlay(
            Path::new("/J/lower"),
            Path::new("/J/layer"),
            Path::new("/M"),
        );
        mounted.and_then(|()| Ok(unmount("/M", UnmountFlags::DETACH)?))
    };
    let can: io::Result<()> = trial();
    let _undone = unmount("/J", UnmountFlags::DETACH);
    can.is_ok()
}

/// Mounts the least of `/proc` that works.
fn mount_proc(path: &Path) -> Proc {
    // The spawner itself needs all of it where possible, to write its jobs' identity maps.
    for form in [Proc::Full, Proc::Processes] {
        let writable = MountFlags::empty();
        if mount_proc_as(form, path, writable).is_ok() {
            let trial = || mount_proc_as(Proc::Processes, Path::new("/N"), MountFlags::RDONLY);
            return if form == Proc::Full && trial().is_ok() {
                let _undone = unmount("/N", UnmountFlags::DETACH);
                Proc::Processes
            } else {
                form
            };
        }
    }
    // The old one will do for the spawner: it sees itself in there.
    let _best_effort = mount_bind_recursive("/old/proc", path);
    Proc::None
}

/// `access`: read-only or not. Jobs have nothing to write there; by it they could make themselves
/// less of a candidate when memory runs out.
pub(super) fn mount_proc_as(form: Proc, path: &Path, access: MountFlags) -> io::Result<()> {
    let flags = access | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = if form == Proc::Processes {
        c"subset=pid"
    } else {
        c""
    };
    Ok(mount("proc", path, "proc", flags, options)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(VISIBLE.is_sorted());
        assert!(DEVICES.is_sorted());
        assert!(DEVICE_LINKS.is_sorted());
    }

    #[test]
    fn paths_of_the_server_are_told_from_the_jobs_own() {
        let of = |path| server_directory(Path::new(path)).map(PathBuf::into_os_string);
        assert_eq!(of("/usr/include/x.h"), Some("/usr".into()));
        assert_eq!(of("/etc/x/y.h"), Some("/etc".into()));
        assert_eq!(of("/home/user/x.h"), None);
        assert_eq!(of("/usrx/x.h"), None);
        if fs::read_link("/lib").is_ok_and(|target| target == Path::new("usr/lib")) {
            assert_eq!(of("/lib/x.h"), Some("/usr".into()));
        }
    }
}
