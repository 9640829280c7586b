//! Puts a finished output in place: whole or not at all.
//!
//! GNU as removes an existing ordinary file or link of the output's name and creates the file
//! with mode 0666 less the umask. An empty file it writes to instead, so one that `mktemp` has
//! made stays private, and a link to nothing is followed. The same here, but the bytes go to a
//! file beside it first, which then takes the name. Everything goes through the C library, so
//! that a preloaded sandbox sees it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::signals::{FileSizeIsAnError, Hold};

/// Names tried for the file beside the output.
const TEMP_NAMES_MAX: u32 = 100;

/// Links followed; as many as Linux follows.
const LINKS_MAX: u32 = 40;

/// Writes `len` bytes of `source`, from its start, to `path`. Existing devices and pipes
/// (`-o /dev/null`) are written to, everything else is replaced.
///
/// # Errors
/// What opening, writing or renaming says; nothing of the new file is left then.
pub fn put(source: &File, len: u64, path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(meta) if !meta.is_file() => copy(source, len, &File::options().write(true).open(path)?),
        Ok(meta) if meta.len() == 0 => {
            let permissions = Some(meta.permissions());
            replace(source, len, &fs::canonicalize(path)?, permissions)
        }
        Ok(_) => replace(source, len, path, None),
        Err(_) => replace(source, len, &end_of_links(path), None),
    }
}

/// Copies `len` bytes of `source`, from its start, to where `target` stands.
///
/// # Errors
/// What reading or writing says; `UnexpectedEof` if `source` is shorter.
pub fn copy(source: &File, len: u64, target: &File) -> io::Result<()> {
    use std::io::{Read, Seek};
    let mut source = source;
    source.rewind()?;
    // The standard library turns this into copy_file_range or sendfile.
    let copied = io::copy(&mut source.take(len), &mut { target })?;
    if copied == len {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Where a file will be that is opened under this name and is not there yet.
fn end_of_links(path: &Path) -> PathBuf {
    let mut end = path.to_owned();
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&end) else {
            break;
        };
        end.pop();
        end.push(target);
    }
    end
}

fn replace(
    source: &File,
    len: u64,
    path: &Path,
    permissions: Option<fs::Permissions>,
) -> io::Result<()> {
    let _hold = Hold::new();
    let _no_signal = FileSizeIsAnError::new()?;
    let (file, beside) = create_beside(path)?;
    let written = copy(source, len, &file)
        .and_then(|()| permissions.map_or(Ok(()), |old| file.set_permissions(old)))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        drop(fs::remove_file(&beside));
    }
    written
}

fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let pid = std::process::id();
    for number in 0..TEMP_NAMES_MAX {
        let beside = path.with_file_name(OsString::from(format!(".farcc-{pid}-{number}")));
        match File::options().write(true).create_new(true).open(&beside) {
            Ok(file) => return Ok((file, beside)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn source(bytes: &[u8]) -> File {
        let mut file = crate::memory_file("source").unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn names(dir: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn replaces_files_and_links_and_leaves_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let old = temp.path().join("old.o");
        fs::write(&old, "old").unwrap();
        let twin = temp.path().join("twin.o");
        fs::hard_link(&old, &twin).unwrap();
        let link = temp.path().join("link.o");
        symlink("old.o", &link).unwrap();

        put(&source(b"new"), 3, &old).unwrap();
        put(&source(b"other"), 5, &link).unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"new");
        assert_eq!(fs::read(&twin).unwrap(), b"old");
        assert_eq!(fs::read(&link).unwrap(), b"other");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
        assert_eq!(names(temp.path()), ["link.o", "old.o", "twin.o"]);
    }

    #[test]
    fn an_empty_file_keeps_its_mode_and_a_link_to_nothing_its_place() {
        let temp = tempfile::tempdir().unwrap();
        let path = |name: &str| temp.path().join(name);
        fs::write(path("empty"), "").unwrap();
        fs::set_permissions(path("empty"), fs::Permissions::from_mode(0o640)).unwrap();
        fs::create_dir(path("dir")).unwrap();
        symlink("dir/second", path("first")).unwrap();
        symlink("../real.o", path("dir/second")).unwrap();

        put(&source(b"new"), 3, &path("empty")).unwrap();
        put(&source(b"new"), 3, &path("first")).unwrap();
        assert_eq!(fs::metadata(path("empty")).unwrap().mode() & 0o777, 0o640);
        assert_eq!(fs::read(path("real.o")).unwrap(), b"new");
        assert!(fs::symlink_metadata(path("first")).unwrap().is_symlink());
        assert_eq!(names(temp.path()), ["dir", "empty", "first", "real.o"]);
    }

    #[test]
    fn the_mode_follows_the_umask() {
        let temp = tempfile::tempdir().unwrap();
        let (ours, theirs) = (temp.path().join("ours"), temp.path().join("theirs"));
        put(&source(b""), 0, &ours).unwrap();
        fs::write(&theirs, "").unwrap();
        assert_eq!(
            fs::metadata(ours).unwrap().mode(),
            fs::metadata(theirs).unwrap().mode()
        );
    }

    #[test]
    fn failure_leaves_the_old_file_and_nothing_new() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a.o");
        fs::write(&path, "old").unwrap();
        let error = put(&source(b"short"), 99, &path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(temp.path()), ["a.o"]);
    }

    #[test]
    fn devices_are_written_to() {
        put(&source(b"gone"), 4, Path::new("/dev/null")).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(put(&source(b"x"), 1, Path::new("/dev/full")).is_err());
    }
}
