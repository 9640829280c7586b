//! Emptying directories that jobs wrote into: they may have left folders without permissions.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::StoreError;

/// Makes sure that the directory is there and has nothing in it.
pub(crate) fn empty_dir(dir: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("empty", dir, source);
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created.map_err(failed),
    }
    for entry in fs::read_dir(dir).map_err(failed)? {
        remove(&entry.map_err(failed)?).map_err(failed)?;
    }
    Ok(())
}

fn remove(entry: &fs::DirEntry) -> io::Result<()> {
    let path = entry.path();
    if !entry.file_type()?.is_dir() {
        return fs::remove_file(path);
    }
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            permit(&path)?;
            fs::remove_dir_all(&path)
        }
        removed => removed,
    }
}

/// Makes every folder below writable for its owner, without following links.
fn permit(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            permit(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_permissions_are_removed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("work");
        let inner = dir.join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("file"), "x").unwrap();
        std::os::unix::fs::symlink("/", inner.join("link")).unwrap();
        for path in [&inner, &dir.join("a")] {
            fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        }
        empty_dir(&dir).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        empty_dir(&temp.path().join("new")).unwrap();
    }
}
