//! The files that a client sent, and those that the job left, by their paths in the job's root.
//!
//! With a root of its own this process may use the paths as they are: whatever they say, they
//! cannot lead out. Without, the job's `/` is a directory among others of the server, and nothing
//! that a client named may lead out of that.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use rustix::io::Errno;

use super::copy;
use super::mounts::Enclosure;
use super::output::Output;
use super::root::NO_TREES;
use super::spec::{InputRoot, JobRoot, MountedAt, Place, Places, Received};
use super::step;

/// Where the job's `/` is for this process.
#[derive(Debug)]
pub(super) enum Root {
    /// It is this process's own. With the directory that is the job's memory.
    Own(OwnedFd),
    /// It is this directory.
    Below(PathBuf),
}

impl Root {
    /// The path for this process.
    pub(super) fn path(&self, path: &Path) -> io::Result<PathBuf> {
        match self {
            Root::Own(_) => Ok(path.to_path_buf()),
            Root::Below(dir) => {
                let inner = path.strip_prefix("/").unwrap_or(path);
                let is_plain = inner
                    .components()
                    .all(|part| matches!(part, Component::Normal(_)));
                if is_plain {
                    return Ok(dir.join(inner));
                }
                let text = format!("{} leads out of the job", path.display());
                Err(io::Error::other(text))
            }
        }
    }

    /// Makes what the job starts with. Returns its directory.
    pub(super) fn make(
        &self,
        job: &Received,
        places: &Places<'_>,
        trees: Option<&Path>,
    ) -> io::Result<PathBuf> {
        if let (Root::Below(dir), JobRoot::Input(input)) = (self, &job.root) {
            let trees = trees.ok_or_else(|| io::Error::other(NO_TREES))?;
            return copy_input(dir, trees, input, job);
        }
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
        self.path(&job.cwd)
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
                Root::Own(_) => self.replace(path, |path| std::os::unix::fs::symlink(target, path)),
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
    pub(super) fn unnamed_file(&self) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let opened = match self {
            Root::Own(memory) => openat(memory, ".", flags, mode),
            Root::Below(dir) => rustix::fs::open(dir, flags, mode),
        };
        step(
            "make a file for the command's messages",
            opened
                .map(File::from)
                .or_else(|_| crate::memory_file("text")),
        )
    }

    /// What the job left at a path.
    pub(super) fn output(&self, path: &Path) -> Output {
        match self {
            Root::Own(_) => Output::look(
                |flags| {
                    // Links of `/proc` to this process's own files are not among the outputs.
                    let resolve = ResolveFlags::NO_MAGICLINKS;
                    match openat2(CWD, path, flags, Mode::empty(), resolve) {
                        // Kernels before 5.6, filters of containers.
                        Err(Errno::NOSYS | Errno::PERM) => {
                            rustix::fs::open(path, flags, Mode::empty())
                        }
                        other => other,
                    }
                },
                || readlinkat(CWD, path, Vec::new()),
            ),
            Root::Below(dir) => output_below(dir, path),
        }
    }
}

fn output_below(dir: &Path, path: &Path) -> Output {
    let inner = path.strip_prefix("/").unwrap_or(path);
    let enclosure = match Enclosure::open(dir) {
        Ok(enclosure) => enclosure,
        Err(error) => return Output::Other(error.to_string()),
    };
    let beneath = ResolveFlags::BENEATH;
    Output::look(
        |flags| enclosure.open_within(inner, flags, beneath),
        || {
            let above = inner.parent().unwrap_or(Path::new(""));
            let name = inner.file_name().ok_or(Errno::NOENT)?;
            let above = if above.as_os_str().is_empty() {
                Path::new(".")
            } else {
                above
            };
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            readlinkat(
                enclosure.open_within(above, flags, beneath)?,
                name,
                Vec::new(),
            )
        },
    )
}

/// A prepared tree without a sandbox: a copy in the job's directory, as the job might write
/// through a link.
fn copy_input(dir: &Path, trees: &Path, input: &InputRoot, job: &Received) -> io::Result<PathBuf> {
    let MountedAt::Path(at) = &input.at else {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this server runs without a sandbox, and an input root that is used as / needs one",
        ));
    };
    let enclosure = Enclosure::open(dir)?;
    let top = dir.join(enclosure.make_directory(at)?);
    copy::tree(&trees.join(&input.tree), &top)?;
    let tree = Enclosure::open(&top)?;
    for shared in &input.shared {
        let at = tree.make_directory(&shared.at)?;
        copy::tree(&trees.join(&shared.tree), &top.join(at))?;
    }
    let outputs = job.outputs.iter().filter_map(|path| path.parent());
    for made in outputs.chain([Path::new("/tmp")]) {
        enclosure.make_directory(made)?;
    }
    Ok(dir.join(enclosure.make_directory(&job.cwd)?))
}
