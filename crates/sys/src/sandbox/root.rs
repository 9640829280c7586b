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
//! *A prepared tree*: an overlay shows the server's tree with changes kept in `/J`. Shared trees
//! are bound into it, or, where the job may write, are overlays as well. If all of it may be
//! changed, that is the job's view. Else the whole is mounted on `/M`, and the view is `/M` once
//! more, but read-only, on which the directories that may be changed are bound from `/M`:
//!
//! ```text
//! /M            overlay of /S/tree and /J/0
//! /M/usr        /S/toolchain, read-only
//! /N            /M read-only, /N/usr with it
//! /N/out        /M/out
//! ```
//!
//! Everything in a tree is a stranger's choice, so paths are followed as the job would follow
//! them, never out of the tree ([`Enclosure`]).

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, unmount};

use super::copy;
use super::mounts::{
    Enclosure, UPPER, bind, make_mount_point, mount_overlay, mount_tmpfs, read_only,
};
use super::spec::{InputRoot, JobRoot, MountedAt, Received, Writable};
use super::step;
use super::template::{Base, DEV, Proc, TREES, Template, make_link, mount_proc_as};

/// The job's memory.
const MEMORY: &str = "/J";

/// Where a tree is put together of which not everything may be changed.
const MERGED: &str = "/M";

/// What becomes the job's `/`.
const ROOT: &str = "/N";

/// Where a root that is no prepared tree lies in the job's memory.
const OWN: &str = "/J/root";

/// Why there is no job with a prepared tree.
pub(super) const NO_TREES: &str = "this sandbox was started without prepared trees";

/// What a prepared tree used as `/` gets besides.
const OWN_DIRS: &[(&str, u32)] = &[("dev", 0o755), ("proc", 0o755), ("tmp", 0o1777)];

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
            MountedAt::Root => return self.mount_tree(input, root, OWN_DIRS, job),
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
        self.mount_tree(input, &root.join(at), &[], job)
    }

    /// Mounts a tree as the job sees it on `view`. `dirs` are made at its top, with these modes.
    fn mount_tree(
        &self,
        input: &InputRoot,
        view: &Path,
        dirs: &[(&str, u32)],
        job: &Received,
    ) -> io::Result<()> {
        let merged = match &input.writable {
            Writable::All => view,
            Writable::Directories(_) => Path::new(MERGED),
        };
        let mut layers = 0;
        let mut layer = || {
            let layer = Path::new(MEMORY).join(layers.to_string());
            layers += 1;
            layer
        };
        let first = layer();
        for (name, mode) in dirs {
            let dir = first.join(UPPER).join(name);
            let mut builder = fs::DirBuilder::new();
            step("make directories", builder.recursive(true).create(&dir))?;
            let set = fs::set_permissions(&dir, fs::Permissions::from_mode(*mode));
            step("make directories", set)?;
        }
        self.mount_layer(&input.tree, &first, merged)?;
        let enclosure = Enclosure::open(merged)?;
        for shared in &input.shared {
            let at = enclosure.make_directory(&shared.at)?;
            if at != shared.at {
                let text = format!("a link leads to the place of {}", shared.at.display());
                return Err(io::Error::other(text));
            }
            let target = merged.join(&at);
            if is_writable(&input.writable, &at) {
                self.mount_layer(&shared.tree, &layer(), &target)?;
            } else {
                show(&shared.tree, bind(&tree(&shared.tree)?, &target))?;
            }
        }
        for dir in inner_dirs(input, job) {
            enclosure.make_directory(dir)?;
        }
        let Writable::Directories(writable) = &input.writable else {
            return Ok(());
        };
        let tmp = dirs.iter().map(|(name, _)| Path::new(*name));
        let tmp = tmp.filter(|name| *name == Path::new("tmp"));
        let mut real = Vec::with_capacity(writable.len() + 1);
        for dir in writable.iter().map(PathBuf::as_path).chain(tmp) {
            real.push(enclosure.make_directory(dir)?);
        }
        bind(merged, view)?;
        read_only(view, MountFlags::NODEV)?;
        // The outer ones first, which would hide the inner ones.
        real.sort();
        for dir in &real {
            bind(&merged.join(dir), &view.join(dir))?;
        }
        Ok(())
    }

    /// Shows a tree with changes kept in a layer.
    fn mount_layer(&self, name: &Path, layer: &Path, target: &Path) -> io::Result<()> {
        let source = tree(name)?;
        if self.has_overlay {
            return show(name, mount_overlay(&source, layer, target));
        }
        let copy = layer.join(UPPER);
        step("make directories", fs::create_dir_all(&copy))?;
        show(name, copy::tree(&source, &copy))?;
        bind(&copy, target)
    }
}

/// Says in an error which tree was being made visible.
fn show(tree: &Path, result: io::Result<()>) -> io::Result<()> {
    step(format_args!("show the tree {}", tree.display()), result)
}

/// A tree of the server's, by its name in the job's description.
fn tree(name: &Path) -> io::Result<PathBuf> {
    let is_plain = name
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if is_plain && !name.as_os_str().is_empty() {
        return Ok(Path::new(TREES).join(name));
    }
    let text = format!("{} is no name of a prepared tree", name.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// May anything at or in `dir` be changed?
fn is_writable(writable: &Writable, dir: &Path) -> bool {
    match writable {
        Writable::All => true,
        Writable::Directories(dirs) => dirs
            .iter()
            .any(|writable| writable.starts_with(dir) || dir.starts_with(writable)),
    }
}

/// Directories of the tree that the job needs: its own and those of its outputs.
fn inner_dirs<'a>(input: &'a InputRoot, job: &'a Received) -> impl Iterator<Item = &'a Path> {
    let at = match &input.at {
        MountedAt::Root => Path::new("/"),
        MountedAt::Path(path) => path,
    };
    let outputs = job.outputs.iter().filter_map(|path| path.parent());
    outputs
        .chain([job.cwd.as_path()])
        .filter_map(move |dir| dir.strip_prefix(at).ok())
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
