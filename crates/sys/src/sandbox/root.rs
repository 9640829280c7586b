//! The file system that a job sees.
//!
//! Made in two steps. At start the spawner, in a mount namespace of its own, collects what every
//! job may read in a *template* and drops everything else of the machine out of its sight:
//!
//! ```text
//! /T       template: usr, etc/ld.so.cache, dev/null, …, each bound read-only, without set-uid
//! /N       where a job's root gets mounted, in the job's own mount namespace
//! /proc    of the spawner's PID namespace
//! ```
//!
//! For each job, a new namespace gets a tmpfs of limited size on `/N`, the template's entries bound
//! into it, a `/proc` of its own; then `/N` becomes `/` and the rest is gone. So the job's root is
//! writable where nothing of the server is bound, which is where the client's own paths go. A
//! bound directory into which the client has files to put is covered by an overlay, whose writable
//! layer is that tmpfs again.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    unmount,
};

use super::spec::JobLimits;
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
    ("stderr", "/proc/self/fd/2"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
];

/// Where layers of overlays lie in a job's root. The job may touch them: they are its own.
const LAYERS: &str = ".layers";

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
enum Proc {
    /// Its processes and nothing of the machine.
    Processes,
    /// All of it.
    Full,
    /// None: compilers get along, Clang finds itself by its first argument then.
    None,
}

/// What each job's root is made from.
#[derive(Debug)]
pub(super) struct Template {
    /// Links, at the top or far outside: path without the leading slash, what it says.
    links: Vec<(PathBuf, PathBuf)>,
    /// Paths to bind, without the leading slash; no entry lies below another.
    bound: Vec<PathBuf>,
    proc: Proc,
}

impl Template {
    /// Makes the spawner's own root. The process must be the first of a new user, mount and PID
    /// namespace. `extra` are absolute paths that jobs see besides [`VISIBLE`].
    pub(super) fn build(extra: &[PathBuf]) -> io::Result<Template> {
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        step("make mounts private", mount_change("/", private))?;
        // Any directory will do to stand in for a moment; what it holds stays reachable below
        // `/old`.
        mount_tmpfs(Path::new("/tmp"), "mode=0755,size=1m")?;
        let dirs = ["old", "T", "T/dev", "T/etc", "N", "proc"];
        for dir in dirs {
            step(
                "make directories",
                fs::create_dir(Path::new("/tmp").join(dir)),
            )?;
        }
        step(
            "enter new root",
            rustix::process::pivot_root("/tmp", "/tmp/old"),
        )?;
        step("enter new root", rustix::process::chdir("/"))?;

        let proc = mount_proc(Path::new("/proc"));
        let mut template = Template {
            links: Vec::new(),
            bound: Vec::new(),
            proc,
        };
        template.bind_devices()?;
        for path in VISIBLE
            .iter()
            .map(Path::new)
            .chain(extra.iter().map(PathBuf::as_path))
        {
            template.add(path)?;
        }
        template.seal("etc", MountFlags::NODEV)?;
        step("leave old root", unmount("/old", UnmountFlags::DETACH))?;
        Ok(template)
    }

    /// Makes one path of the server visible.
    fn add(&mut self, path: &Path) -> io::Result<()> {
        let name = path.strip_prefix("/").unwrap_or(path);
        if name.as_os_str().is_empty() || self.bound.iter().any(|there| name.starts_with(there)) {
            return Ok(());
        }
        let source = Path::new("/old").join(name);
        let Ok(kind) = fs::symlink_metadata(&source) else {
            return Ok(());
        };
        // To bind a link would be to bind what it leads to, by paths of the wrong root.
        if kind.is_symlink() {
            let target = step("read link", fs::read_link(&source))?;
            // `/etc` is the template's own, see `seal`.
            if name.starts_with("etc") {
                return make_link(&target, &Path::new("/T").join(name));
            }
            self.links.push((name.to_path_buf(), target));
            return Ok(());
        }
        let target = Path::new("/T").join(name);
        bind_read_only(&source, &target, MountFlags::NODEV)?;
        // Files in `/etc` come with it, see `seal`.
        if !name.starts_with("etc") {
            self.bound.push(name.to_path_buf());
        }
        Ok(())
    }

    fn bind_devices(&mut self) -> io::Result<()> {
        for device in DEVICES {
            let source = Path::new("/old/dev").join(device);
            bind_read_only(
                &source,
                &Path::new("/T/dev").join(device),
                MountFlags::NOEXEC,
            )?;
        }
        for (name, target) in DEVICE_LINKS {
            step(
                "make links in /dev",
                symlink(target, Path::new("/T/dev").join(name)),
            )?;
        }
        self.seal("dev", MountFlags::NOEXEC)
    }

    /// Makes a directory of the template itself a read-only mount, with what is bound in it.
    fn seal(&mut self, name: &str, flags: MountFlags) -> io::Result<()> {
        let path = Path::new("/T").join(name);
        step("bind", mount_bind_recursive(&path, &path))?;
        read_only(&path, flags)?;
        self.bound.push(PathBuf::from(name));
        Ok(())
    }

    /// Makes the job's root and enters it. The process must be the first of new user, mount and
    /// PID namespaces below the spawner's.
    pub(super) fn enter(&self, limits: &JobLimits, overlays: &[PathBuf]) -> io::Result<()> {
        let root = Path::new("/N");
        let (bytes, files) = (limits.files_bytes_max, limits.files_max);
        mount_tmpfs(root, &format!("mode=0755,size={bytes},nr_inodes={files}"))?;
        for (name, target) in &self.links {
            make_link(target, &root.join(name))?;
        }
        for name in &self.bound {
            let (source, target) = (Path::new("/T").join(name), root.join(name));
            let below = overlays.iter().filter_map(|dir| dir.strip_prefix("/").ok());
            let mut wanted = below.filter(|dir| dir.starts_with(name)).peekable();
            if wanted.peek().is_some() {
                overlay(root, name, wanted)?;
                continue;
            }
            make_mount_point(&source, &target)?;
            let bound = mount_bind_recursive(&source, &target);
            step(format_args!("bind /{}", name.display()), bound)?;
        }
        let tmp = root.join("tmp");
        step("make /tmp", fs::create_dir_all(&tmp))?;
        step(
            "make /tmp",
            fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777)),
        )?;
        let proc = root.join("proc");
        step("make /proc", fs::create_dir_all(&proc))?;
        if self.proc != Proc::None {
            let _get_along_without =
                mount_proc_as(self.proc, &proc).or_else(|_| mount_proc_as(Proc::Full, &proc));
        }
        step("enter the job's root", rustix::process::chdir(root))?;
        step(
            "enter the job's root",
            rustix::process::pivot_root(".", "."),
        )?;
        step(
            "leave the spawner's root",
            unmount(".", UnmountFlags::DETACH),
        )?;
        step("enter the job's root", rustix::process::chdir("/"))
    }
}

/// Makes a link and the directories above it.
fn make_link(target: &Path, link: &Path) -> io::Result<()> {
    let above = link.parent().unwrap_or(Path::new("/"));
    step("make links", fs::create_dir_all(above))?;
    step("make links", symlink(target, link))
}

fn mount_tmpfs(path: &Path, options: &str) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let options = std::ffi::CString::new(options).expect("no zero byte among numbers");
    let what = format_args!("mount a tmpfs on {}", path.display());
    step(
        what,
        mount("tmpfs", path, "tmpfs", flags, options.as_c_str()),
    )
}

/// Mounts the least of `/proc` that works.
fn mount_proc(path: &Path) -> Proc {
    // The spawner itself needs all of it where possible, to write its jobs' identity maps.
    for form in [Proc::Full, Proc::Processes] {
        if mount_proc_as(form, path).is_ok() {
            return if form == Proc::Full && mount_proc_as(Proc::Processes, Path::new("/N")).is_ok()
            {
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

fn mount_proc_as(form: Proc, path: &Path) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = if form == Proc::Processes {
        c"subset=pid"
    } else {
        c""
    };
    Ok(mount("proc", path, "proc", flags, options)?)
}

/// Covers the bound directory `name` by a layer in the job's own tmpfs, in which the `wanted`
/// directories below it are made first: so the job owns them and may write there, while all that
/// the server has in them is still seen.
fn overlay<'a>(root: &Path, name: &Path, wanted: impl Iterator<Item = &'a Path>) -> io::Result<()> {
    let (source, target) = (Path::new("/T").join(name), root.join(name));
    let layers = root.join(LAYERS).join(name);
    let (upper, work) = (layers.join("upper"), layers.join("work"));
    let owned = wanted
        .filter_map(|dir| dir.strip_prefix(name).ok())
        .filter(|dir| {
            dir.components()
                .all(|part| matches!(part, Component::Normal(_)))
        })
        .map(|dir| upper.join(dir));
    for dir in owned.chain([upper.clone(), work.clone(), target.clone()]) {
        step("make an overlay's directories", fs::create_dir_all(dir))?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr",
        source.display(),
        upper.display(),
        work.display()
    );
    let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let what = format_args!("lay the client's files over {}", name.display());
    step(
        what,
        mount("overlay", target, "overlay", flags, options.as_c_str()),
    )
}

fn bind_read_only(source: &Path, target: &Path, flags: MountFlags) -> io::Result<()> {
    make_mount_point(source, target)?;
    let what = format_args!("bind {}", source.display());
    step(what, mount_bind_recursive(source, target))?;
    read_only(target, flags)
}

fn make_mount_point(source: &Path, target: &Path) -> io::Result<()> {
    let is_dir = step("look at a mount's source", fs::metadata(source))?.is_dir();
    let made = if is_dir {
        fs::create_dir_all(target)
    } else {
        target
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| {
                fs::File::options()
                    .create(true)
                    .append(true)
                    .open(target)
                    .map(drop)
            })
    };
    step(format_args!("make mount point {}", target.display()), made)
}

/// Makes a mount, and where the kernel can do so (5.12) everything mounted below, read-only and
/// without set-uid programs, besides the given `flags`.
fn read_only(path: &Path, flags: MountFlags) -> io::Result<()> {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | flags;
    let recursive = set_recursively(path, flags);
    let result = recursive.or_else(|_| {
        rustix::mount::mount_remount(path, MountFlags::BIND | flags, c"").map_err(io::Error::from)
    });
    step(format_args!("make {} read-only", path.display()), result)
}

fn set_recursively(path: &Path, flags: MountFlags) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    let attributes = libc::mount_attr {
        attr_set: [
            (MountFlags::RDONLY, libc::MOUNT_ATTR_RDONLY),
            (MountFlags::NOSUID, libc::MOUNT_ATTR_NOSUID),
            (MountFlags::NODEV, libc::MOUNT_ATTR_NODEV),
            (MountFlags::NOEXEC, libc::MOUNT_ATTR_NOEXEC),
        ]
        .into_iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .fold(0, |set, (_, attribute)| set | attribute),
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // JUSTIFICATION: rustix has no `mount_setattr`.
    // SAFETY: path and attributes are valid for the call, and the size told is theirs.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
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
