//! Mounting, in the few ways that the sandbox needs, with errors that say what was mounted where.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount, mount_bind_recursive};

use super::step;

/// Mounts a tmpfs.
pub(super) fn mount_tmpfs(path: &Path, options: &str) -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let options = CString::new(options).map_err(io::Error::other)?;
    let what = format_args!("mount a tmpfs on {}", path.display());
    step(what, mount("tmpfs", path, "tmpfs", flags, &*options))
}

/// Shows `lower` at `target`, with changes kept below `layer`, whose directories are made here
/// where they are missing.
pub(super) fn mount_overlay(lower: &Path, layer: &Path, target: &Path) -> io::Result<()> {
    let (upper, work) = (layer.join(UPPER), layer.join("work"));
    for dir in [&upper, &work] {
        step("make an overlay's directories", fs::create_dir_all(dir))?;
    }
    let is_plain = |path: &Path| {
        let bytes = path.as_os_str().as_encoded_bytes();
        !bytes.iter().any(|byte| b":,\\\"".contains(byte))
    };
    if ![lower, layer].into_iter().all(is_plain) {
        let text = format!("{} has a name that cannot be mounted", lower.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr",
        lower.display(),
        upper.display(),
        work.display()
    );
    let options = CString::new(options).map_err(io::Error::other)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let what = format_args!("mount an overlay on {}", target.display());
    step(what, mount("overlay", target, "overlay", flags, &*options))
}

/// Name of the directory in an overlay's layer that holds the changes.
pub(super) const UPPER: &str = "upper";

/// Shows a directory or file, with everything mounted in it, in a second place.
pub(super) fn bind(source: &Path, target: &Path) -> io::Result<()> {
    let what = format_args!("bind {} to {}", source.display(), target.display());
    step(what, mount_bind_recursive(source, target))
}

pub(super) fn bind_read_only(source: &Path, target: &Path, flags: MountFlags) -> io::Result<()> {
    make_mount_point(source, target)?;
    bind(source, target)?;
    read_only(target, flags)
}

pub(super) fn make_mount_point(source: &Path, target: &Path) -> io::Result<()> {
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
pub(super) fn read_only(path: &Path, flags: MountFlags) -> io::Result<()> {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | flags;
    let recursive = set_recursively(path, flags);
    let result = recursive.or_else(|_| {
        rustix::mount::mount_remount(path, MountFlags::BIND | flags, c"").map_err(io::Error::from)
    });
    step(format_args!("make {} read-only", path.display()), result)
}

fn set_recursively(path: &Path, flags: MountFlags) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
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

/// A directory within which paths are followed: nothing named by a stranger leads out of it.
#[derive(Debug)]
pub(super) struct Enclosure {
    dir: OwnedFd,
    path: PathBuf,
}

impl Enclosure {
    /// `path` is absolute and has no links in it.
    pub(super) fn open(path: &Path) -> io::Result<Enclosure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty());
        Ok(Enclosure {
            dir: step(format_args!("open {}", path.display()), dir)?,
            path: path.to_path_buf(),
        })
    }

    /// The path that it was opened by.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Is there a directory at this path, without links on the way?
    pub(super) fn has_directory(&self, path: &Path) -> bool {
        let no_links = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        path.as_os_str().is_empty() || self.open_directory(path, no_links).is_ok()
    }

    /// Is nothing in this directory? There must be one.
    pub(super) fn is_empty(&self, path: &Path) -> io::Result<bool> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let dir = self.open_within(path, flags, resolve)?;
        for entry in Dir::new(dir)? {
            let name = entry?;
            if name.file_name() != c"." && name.file_name() != c".." {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes a directory, with those above it, where it is missing. `path` is relative, or
    /// absolute as seen by somebody whose `/` this is; links are followed the same way. Returns
    /// its real path relative to this directory: one without links and `..`.
    pub(super) fn make_directory(&self, path: &Path) -> io::Result<PathBuf> {
        let path = path.strip_prefix("/").unwrap_or(path);
        let made = self.directory(path);
        step(format_args!("make directory {}", path.display()), made)
    }

    fn directory(&self, path: &Path) -> io::Result<PathBuf> {
        let is_plain = path
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if path.as_os_str().is_empty() {
            return Ok(PathBuf::new());
        }
        let no_links = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        if is_plain && self.open_directory(path, no_links).is_ok() {
            return Ok(path.to_path_buf());
        }
        let mut so_far = PathBuf::new();
        let mut dir = None;
        for part in path.components() {
            so_far.push(part);
            let open = || self.open_directory(&so_far, ResolveFlags::IN_ROOT);
            let next = open().or_else(|error| {
                if error != Errno::NOENT {
                    return Err(error);
                }
                let above = dir.as_ref().unwrap_or(&self.dir);
                match mkdirat(above, part.as_os_str(), Mode::from_raw_mode(0o777)) {
                    // A link that leads nowhere.
                    Ok(()) | Err(Errno::EXIST) => open(),
                    Err(error) => Err(error),
                }
            });
            dir = Some(next?);
        }
        let dir = dir.as_ref().unwrap_or(&self.dir);
        let real = super::path_of(dir.as_fd())?;
        let inner = real.strip_prefix(&self.path).map_err(io::Error::other)?;
        Ok(inner.to_path_buf())
    }

    fn open_directory(&self, path: &Path, resolve: ResolveFlags) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        self.open_within(path, flags, resolve)
    }

    /// Opens something in this directory; `resolve` says how paths are kept in it.
    pub(super) fn open_within(
        &self,
        path: &Path,
        flags: OFlags,
        resolve: ResolveFlags,
    ) -> rustix::io::Result<OwnedFd> {
        /// The kernel gives up on a `..` whenever anything on the machine is renamed or mounted
        /// at that moment.
        const ATTEMPTS: usize = 10_000;
        let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
        let mut result = Err(Errno::AGAIN);
        for _ in 0..ATTEMPTS {
            result = openat2(&self.dir, path, flags, Mode::empty(), resolve);
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        result
    }
}
