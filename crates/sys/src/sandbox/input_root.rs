//! Prepared trees, as a job sees them.
//!
//! Where all of it may be changed, an overlay shows the server's tree with changes kept in the
//! job's memory, and shared trees in it are overlays as well.
//!
//! Where only some directories may be changed, the tree itself is the view, read-only, with
//! directories of the job's memory on it:
//!
//! ```text
//! /N            /S/tree, read-only
//! /N/usr        /S/toolchain, read-only
//! /N/out        /J/1: empty, or an overlay if there is something in /S/tree/out
//! ```
//!
//! The kernel finds files in an overlay more slowly, as it looks for each in several places and
//! forgets all that it found with the job: for 400 headers that is several milliseconds. So it is
//! worth to go without; but then every directory that something is mounted on must be in the tree
//! already, and no link may lead to it. Where that is not so, everything is put together as an
//! overlay on `/M`, and the view is `/M` once more, read-only, with its directories that may be
//! changed bound on it from `/M`.
//!
//! Everything in a tree is a stranger's choice, so paths are followed as the job would follow
//! them, never out of the tree ([`Enclosure`]).

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::mount::MountFlags;

use super::copy;
use super::mounts::{Enclosure, UPPER, bind, mount_overlay, read_only};
use super::root::MEMORY;
use super::spec::{InputRoot, MountedAt, Received, Writable};
use super::step;
use super::template::{TREES, Template};

/// Where a tree is put together of which not everything may be changed.
const MERGED: &str = "/M";

/// What a tree that is the job's `/` gets besides.
const OWN_DIRS: &[&str] = &["dev", "proc", TMP];

/// The one among these that the job may change.
const TMP: &str = "tmp";
const TMP_MODE: u32 = 0o1777;

/// Mounts a job's tree on `view`.
pub(super) fn show_tree(
    template: &Template,
    input: &InputRoot,
    job: &Received,
    view: &Path,
) -> io::Result<()> {
    let own_dirs = match input.at {
        MountedAt::Root => OWN_DIRS,
        MountedAt::Path(_) => &[],
    };
    let mut show = Show {
        input,
        own_dirs,
        has_overlay: template.has_overlay,
        layers: 0,
    };
    let inner = inner_dirs(input, job);
    let Writable::Directories(writable) = &input.writable else {
        return show.merged(view, &inner);
    };
    let mut changed: Vec<&Path> = writable.iter().map(PathBuf::as_path).collect();
    changed.extend(own_dirs.iter().filter(|dir| **dir == TMP).map(Path::new));
    // Outer ones first, which would hide inner ones.
    changed.sort_unstable();
    if let Some(mounts) = show.plan(&changed, &inner)? {
        return show.directly(view, mounts, &[changed, inner].concat());
    }
    let merged = Path::new(MERGED);
    show.merged(merged, &inner)?;
    let enclosure = Enclosure::open(merged)?;
    let mut real = Vec::with_capacity(changed.len());
    for dir in changed {
        real.push(enclosure.make_directory(dir)?);
    }
    bind(merged, view)?;
    read_only(view, MountFlags::NODEV)?;
    real.sort_unstable();
    for dir in &real {
        bind(&merged.join(dir), &view.join(dir))?;
    }
    Ok(())
}

/// Directories of the tree that the job needs: its own and those of its outputs.
fn inner_dirs<'a>(input: &'a InputRoot, job: &'a Received) -> Vec<&'a Path> {
    let at = match &input.at {
        MountedAt::Root => Path::new("/"),
        MountedAt::Path(path) => path,
    };
    let outputs = job.outputs.iter().filter_map(|path| path.parent());
    let dirs = outputs.chain([job.cwd.as_path()]);
    let mut inner: Vec<&Path> = dirs.filter_map(|dir| dir.strip_prefix(at).ok()).collect();
    inner.sort_unstable();
    inner.dedup();
    inner
}

/// What is mounted on a view.
#[derive(Debug)]
enum Mount<'a> {
    /// A shared tree, as it is.
    Shared { tree: PathBuf, at: &'a Path },
    /// An empty directory of the job's.
    Empty { at: &'a Path },
    /// A directory of the server's with changes.
    Changed { source: PathBuf, at: &'a Path },
}

/// How a tree is shown.
#[derive(Debug)]
struct Show<'a> {
    input: &'a InputRoot,
    own_dirs: &'static [&'static str],
    has_overlay: bool,
    /// Directories of the job's memory that are in use.
    layers: u32,
}

impl<'a> Show<'a> {
    fn layer(&mut self) -> PathBuf {
        self.layers += 1;
        Path::new(MEMORY).join(self.layers.to_string())
    }

    /// What to mount on the tree itself, if it has a place for everything. `changed`: what the job
    /// may change, sorted.
    fn plan(&self, changed: &[&'a Path], inner: &[&Path]) -> io::Result<Option<Vec<Mount<'a>>>> {
        // A directory within another that may be changed needs nothing.
        let mut outer: Vec<&'a Path> = Vec::with_capacity(changed.len());
        for dir in changed {
            if !outer.iter().any(|outer| dir.starts_with(outer)) {
                outer.push(dir);
            }
        }
        let sources = Sources::open(self.input)?;
        let is_changed = |dir: &Path| outer.iter().any(|outer| dir.starts_with(outer));
        let shared = self.input.shared.iter().map(|one| &*one.at);
        let own = self.own_dirs.iter().map(Path::new);
        let has_mount_points = own.chain(shared).all(|dir| sources.top.has_directory(dir))
            && outer
                .iter()
                .all(|dir| !dir.as_os_str().is_empty() && sources.has(dir));
        if !has_mount_points || !inner.iter().all(|dir| is_changed(dir) || sources.has(dir)) {
            return Ok(None);
        }
        let mut mounts = Vec::with_capacity(sources.shared.len() + outer.len());
        for (at, opened) in &sources.shared {
            let tree = opened.path().to_path_buf();
            if !is_changed(at) {
                mounts.push(Mount::Shared { tree, at });
            } else if !outer.contains(at) {
                mounts.push(Mount::Changed { source: tree, at });
            }
        }
        for at in outer {
            let (opened, path) = sources.place(at);
            mounts.push(if opened.is_empty(path)? {
                Mount::Empty { at }
            } else {
                let source = opened.path().join(path);
                Mount::Changed { source, at }
            });
        }
        mounts.sort_by_key(Mount::at);
        Ok(Some(mounts))
    }

    /// Shows the tree itself, with these on it.
    fn directly(&mut self, view: &Path, mounts: Vec<Mount<'a>>, inner: &[&Path]) -> io::Result<()> {
        show(&self.input.tree, bind(&tree(&self.input.tree)?, view))?;
        for mount in mounts {
            let target = view.join(mount.at());
            match mount {
                Mount::Shared { tree, .. } => bind(&tree, &target)?,
                Mount::Changed { source, .. } => self.change(&source, &target)?,
                Mount::Empty { at } => {
                    let dir = self.layer();
                    step("make a directory", fs::create_dir(&dir))?;
                    if self.own_dirs.contains(&TMP) && at == Path::new(TMP) {
                        set_mode(&dir, TMP_MODE)?;
                    }
                    bind(&dir, &target)?;
                }
            }
        }
        let enclosure = Enclosure::open(view)?;
        for dir in inner {
            enclosure.make_directory(dir)?;
        }
        Ok(())
    }

    /// Puts everything together so that the job's changes go to its memory.
    fn merged(&mut self, merged: &Path, inner: &[&Path]) -> io::Result<()> {
        let layer = self.layer();
        for name in self.own_dirs {
            let dir = layer.join(UPPER).join(name);
            step("make directories", fs::create_dir_all(&dir))?;
            if *name == TMP {
                set_mode(&dir, TMP_MODE)?;
            }
        }
        let lower = tree(&self.input.tree)?;
        show(&self.input.tree, self.mount_layer(&lower, &layer, merged))?;
        let enclosure = Enclosure::open(merged)?;
        for shared in &self.input.shared {
            let at = enclosure.make_directory(&shared.at)?;
            if at != shared.at {
                let text = format!("a link leads to the place of {}", shared.at.display());
                return Err(io::Error::other(text));
            }
            let (source, target) = (tree(&shared.tree)?, merged.join(&at));
            let shown = if is_writable(&self.input.writable, &at) {
                self.change(&source, &target)
            } else {
                bind(&source, &target)
            };
            show(&shared.tree, shown)?;
        }
        for dir in inner {
            enclosure.make_directory(dir)?;
        }
        Ok(())
    }

    /// Shows a directory with changes kept in memory.
    fn change(&mut self, source: &Path, target: &Path) -> io::Result<()> {
        let layer = self.layer();
        self.mount_layer(source, &layer, target)
    }

    fn mount_layer(&self, source: &Path, layer: &Path, target: &Path) -> io::Result<()> {
        if self.has_overlay {
            return mount_overlay(source, layer, target);
        }
        let copy = layer.join(UPPER);
        step("make directories", fs::create_dir_all(&copy))?;
        copy::tree(source, &copy)?;
        bind(&copy, target)
    }
}

/// The server's directories of one job.
#[derive(Debug)]
struct Sources<'a> {
    top: Enclosure,
    /// With their places.
    shared: Vec<(&'a Path, Enclosure)>,
}

impl<'a> Sources<'a> {
    fn open(input: &'a InputRoot) -> io::Result<Sources<'a>> {
        let open = |name: &Path| show(name, Enclosure::open(&tree(name)?));
        let shared = input.shared.iter();
        Ok(Sources {
            top: open(&input.tree)?,
            shared: shared
                .map(|one| Ok((&*one.at, open(&one.tree)?)))
                .collect::<io::Result<_>>()?,
        })
    }

    /// The directory that is seen in a place, and the path in it.
    fn place<'p>(&self, dir: &'p Path) -> (&Enclosure, &'p Path) {
        let within = self.shared.iter().filter_map(|(at, opened)| {
            let inner = dir.strip_prefix(at).ok()?;
            Some((opened, inner))
        });
        // The innermost.
        within
            .min_by_key(|(_, inner)| inner.as_os_str().len())
            .unwrap_or((&self.top, dir))
    }

    /// Is there such a directory, without links on the way?
    fn has(&self, dir: &Path) -> bool {
        let (opened, path) = self.place(dir);
        opened.has_directory(path)
    }
}

impl<'a> Mount<'a> {
    fn at(&self) -> &'a Path {
        let (Mount::Shared { at, .. } | Mount::Empty { at } | Mount::Changed { at, .. }) = self;
        at
    }
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let set = fs::set_permissions(path, fs::Permissions::from_mode(mode));
    step("make directories", set)
}

/// Says in an error which tree was being made visible.
fn show<T>(tree: &Path, result: io::Result<T>) -> io::Result<T> {
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
