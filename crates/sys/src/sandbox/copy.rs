//! Copies of prepared trees, where the kernel does not let jobs have them without.
//!
//! Directories, regular files and links; nothing else is in such a tree. Links are copied as they
//! are and never followed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;

use super::step;

/// Most levels of directories within each other.
const DEPTH_MAX: usize = 256;

/// Copies what is in the directory `from` into the directory `to`, which exists. The copies are
/// the job's own and writable.
pub(super) fn tree(from: &Path, to: &Path) -> io::Result<()> {
    copy_directory(from, to, DEPTH_MAX)
}

fn copy_directory(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::other("too many directories within each other"));
    }
    let what = format!("copy {}", from.display());
    let what = &*what;
    for entry in step(what, fs::read_dir(from))? {
        let entry = step(what, entry)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = step(what, entry.file_type())?;
        let copied = if kind.is_dir() {
            fs::create_dir(&target)
        } else if kind.is_symlink() {
            fs::read_link(&source).and_then(|link| symlink(link, &target))
        } else {
            copy_file(&source, &target)
        };
        let is_dir = |path: &Path| fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
        match copied {
            // A directory that the job gets anyway.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_dir(&target) => {}
            other => step(what, other)?,
        }
        if kind.is_dir() && is_dir(&target) {
            copy_directory(&source, &target, depth - 1)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mode = source.metadata()?.permissions().mode() & 0o777 | 0o200;
    let mut options = File::options();
    let mut target = options.write(true).create_new(true).mode(mode).open(to)?;
    io::copy(&mut source, &mut target).map(drop)
}
