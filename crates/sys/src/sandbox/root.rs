//! The file system that a job sees, made by the job's own first process.
//!
//! In the job's mount namespace, a copy of the spawner's (`template`), a tmpfs of limited size is
//! mounted on `/J`: all that the job writes is in there. Its root is put together on `/N`, gets a
//! `/proc` of its own, and becomes `/`; then the rest is gone.
//!
//! *This machine's programs*: `/N` is a directory of `/J`, so writable, which is where a client's
//! own paths go, with the template's directories bound into it. One into which the client has
//! files to put is covered by an overlay, whose writable layer is in `/J` again.
//!
//! *A prepared tree*: see `input_root`.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, unmount};

use super::input_root::show_tree;
use super::mounts::{
    Enclosure, UPPER, bind, make_mount_point, mount_overlay, mount_tmpfs, read_only,
};
use super::spec::{InputRoot, JobRoot, MountedAt, Received, Writable};
use super::step;
use super::template::{Base, DEV, Proc, Template, make_link, mount_proc_as};

/// The job's memory.
pub(super) const MEMORY: &str = "/J";

/// What becomes the job's `/`.
const ROOT: &str = "/N";

/// Where a root that is no prepared tree lies in the job's memory.
const OWN: &str = "/J/root";

/// Why there is no job with a prepared tree.
pub(super) const NO_TREES: &str = "this sandbox was started without prepared trees";

impl Template {
    /// Makes the job's root and enters it. The process must be the first of new user, mount and
    /// PID namespaces below the spawner's. Returns the directory that is the job's memory.
    pub(super) fn enter(&self, job: &Received) -> io::Result<OwnedFd> {
        let (bytes, files) = (job.limits.files_bytes_max, job.limits.files_max);
        let options = format!("mode=0755,size={bytes},nr_inodes={files}");
        mount_tmpfs(Path::new(MEMORY), &options)?;
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        let memory = rustix::fs::open(MEMORY, flags, rustix::fs::Mode::empty());
        let memory = step("open the job's memory", memory)?;
        match &job.root {
            JobRoot::Machine => {
                lay_out(&self.machine, &job.overlays)?;
                make_tmp(&Path::new(OWN).join("tmp"))?;
                bind(Path::new(OWN), Path::new(ROOT))?;
            }
            JobRoot::Input(input) => {
                if !self.has_trees {
                    return Err(io::Error::other(NO_TREES));
                }
                self.mount_input(input, job)?;
            }
        }
        bind(Path::new(DEV), &Path::new(ROOT).join("dev"))?;
        self.mount_proc();
        step("enter the job's root", rustix::process::chdir(ROOT))?;
        let entered = rustix::process::pivot_root(".", ".");
        step("enter the job's root", entered)?;
        let left = unmount(".", UnmountFlags::DETACH);
        step("leave the spawner's root", left)?;
        step("enter the job's root", rustix::process::chdir("/"))?;
        Ok(memory)
    }

    fn mount_proc(&self) {
        if self.proc != Proc::None {
            let proc = Path::new(ROOT).join("proc");
            let mount = |form| mount_proc_as(form, &proc, MountFlags::RDONLY);
            let _get_along_without = mount(self.proc).or_else(|_| mount(Proc::Full));
        }
    }

    fn mount_input(&self, input: &InputRoot, job: &Received) -> io::Result<()> {
        let root = Path::new(ROOT);
        let path = match &input.at {
            MountedAt::Root => return show_tree(self, input, job, root),
            MountedAt::Path(path) => path.strip_prefix("/").unwrap_or(path),
        };
        lay_out(self.other.as_ref().unwrap_or(&self.machine), &[])?;
        make_tmp(&Path::new(OWN).join("tmp"))?;
        let own = Path::new(OWN);
        let at = Enclosure::open(own)?.make_directory(path)?;
        if at.as_os_str().is_empty() {
            return Err(io::Error::other("the input root has no name in the root"));
        }
        bind(own, root)?;
        if input.writable != Writable::All {
            read_only(root, MountFlags::NODEV)?;
            bind(&own.join("tmp"), &root.join("tmp"))?;
        }
        show_tree(self, input, job, &root.join(at))
    }
}

/// Makes a root of a machine's directories in the job's memory.
fn lay_out(base: &Base, overlays: &[PathBuf]) -> io::Result<()> {
    let root = Path::new(OWN);
    for dir in ["dev", "proc"] {
        let made = fs::create_dir_all(root.join(dir));
        step(format_args!("make /{dir}"), made)?;
    }
    for (name, target) in &base.links {
        make_link(target, &root.join(name))?;
    }
    for name in &base.bound {
        let (source, target) = (base.dir.join(name), root.join(name));
        make_mount_point(&source, &target)?;
        let below = overlays.iter().filter_map(|dir| dir.strip_prefix("/").ok());
        let mut wanted = below.filter(|dir| dir.starts_with(name)).peekable();
        if wanted.peek().is_some() {
            cover(name, &source, &target, wanted)?;
        } else {
            bind(&source, &target)?;
        }
    }
    Ok(())
}

/// Covers the bound directory `name` by a layer in the job's memory, in which the `wanted`
/// directories below it are made first: so the job owns them and may write there, while all that
/// the server has in them is still seen.
fn cover<'a>(
    name: &Path,
    source: &Path,
    target: &Path,
    wanted: impl Iterator<Item = &'a Path>,
) -> io::Result<()> {
    let layer = Path::new(MEMORY).join("layers").join(name);
    let owned = wanted
        .filter_map(|dir| dir.strip_prefix(name).ok())
        .filter(|dir| {
            dir.components()
                .all(|part| matches!(part, Component::Normal(_)))
        });
    for dir in owned {
        let made = fs::create_dir_all(layer.join(UPPER).join(dir));
        step("make an overlay's directories", made)?;
    }
    let covered = mount_overlay(source, &layer, target);
    step(
        format_args!("lay the client's files over {}", name.display()),
        covered,
    )
}

fn make_tmp(path: &Path) -> io::Result<()> {
    step(
        "make /tmp",
        fs::DirBuilder::new()
            .mode(0o777)
            .recursive(true)
            .create(path),
    )?;
    let mode = fs::Permissions::from_mode(0o1777);
    step("make /tmp", fs::set_permissions(path, mode))
}
