//! Finds the real compiler behind a name.
//!
//! `PATH` often leads back here: masquerade directories hold links to this program. An entry that
//! is this very file, or that ends at a program called `distcc`, is never the compiler. When this
//! program was called by the compiler's name, everything up to and including the directory it
//! was found in is taken off `PATH`, so that the compiler's own sub-programs do not come back.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::invocation::file_name;

/// Where the compiler is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// As the compiler is to be called: the first word that it sees.
    pub(crate) name: OsString,
    /// The file to execute.
    pub(crate) path: PathBuf,
    /// `PATH` for the compiler, where it differs from ours.
    pub(crate) path_var: Option<OsString>,
}

/// Why there is no compiler.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotFound {
    /// No such program.
    Missing(OsString),
    /// The name given with a path is this program.
    Recursion(OsString),
}

/// Device and inode of this program's file.
pub(crate) type FileId = (u64, u64);

/// Finds the compiler for `name`, as given (explicit) or as this program was called (masquerade).
pub(crate) fn find(
    name: &OsStr,
    masquerade: bool,
    path_var: &OsStr,
    me: Option<FileId>,
) -> Result<Found, NotFound> {
    let has_slash = name.as_bytes().contains(&b'/');
    if has_slash && !masquerade {
        let path = PathBuf::from(name);
        if is_distcc(&path, me) {
            return Err(NotFound::Recursion(name.into()));
        }
        return Ok(Found {
            name: name.into(),
            path,
            path_var: None,
        });
    }
    let base = file_name(name);
    let mut rest = path_var;
    let mut after_me = None;
    let called_in = has_slash.then(|| Path::new(name).parent()).flatten();
    while let Some((dir, tail)) = split_path(rest) {
        rest = tail;
        let candidate = Path::new(if dir.is_empty() { OsStr::new(".") } else { dir }).join(base);
        if !is_executable(&candidate) {
            continue;
        }
        if is_distcc(&candidate, me) || called_in.is_some_and(|own| own == Path::new(dir)) {
            after_me = Some(tail);
            continue;
        }
        // A directory before the masquerade directory, such as ccache's, has called us: the
        // compiler lies behind it. Seen only when this program lies further on as well.
        if masquerade && after_me.is_none() && leads_back(tail, base, me) {
            continue;
        }
        let path_var = match after_me {
            Some(trimmed) if masquerade => Some(trimmed.to_owned()),
            _ => None,
        };
        return Ok(Found {
            name: base.into(),
            path: candidate,
            path_var,
        });
    }
    Err(NotFound::Missing(base.into()))
}

/// Whether this program is found under `base` in one of the directories.
fn leads_back(mut dirs: &OsStr, base: &OsStr, me: Option<FileId>) -> bool {
    while let Some((dir, tail)) = split_path(dirs) {
        dirs = tail;
        let candidate = Path::new(dir).join(base);
        if is_executable(&candidate) && is_distcc(&candidate, me) {
            return true;
        }
    }
    false
}

/// The first directory of a search path, and the rest. An empty path has no directories.
fn split_path(path_var: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let bytes = path_var.as_bytes();
    if bytes.is_empty() {
        return None;
    }
    let (dir, tail) = match bytes.iter().position(|&byte| byte == b':') {
        Some(colon) => (&bytes[..colon], &bytes[colon + 1..]),
        None => (bytes, &bytes[bytes.len()..]),
    };
    Some((OsStr::from_bytes(dir), OsStr::from_bytes(tail)))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

fn is_distcc(path: &Path, me: Option<FileId>) -> bool {
    if fs::metadata(path).is_ok_and(|meta| Some((meta.dev(), meta.ino())) == me) {
        return true;
    }
    // Another copy or another implementation of this program: only links need a second look.
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink())
        && fs::canonicalize(path).is_ok_and(|real| real.file_name() == Some(OsStr::new("distcc")))
}

/// This program's own file.
pub(crate) fn own_file() -> Option<FileId> {
    fs::metadata("/proc/self/exe")
        .ok()
        .map(|meta| (meta.dev(), meta.ino()))
}

/// Where `farcc` is: `$FARCC_PROGRAM`, beside this program, in `../lib/farcc` or `../libexec` of
/// it, else wherever `PATH` has it.
pub(crate) fn farcc_program() -> OsString {
    if let Some(path) = std::env::var_os("FARCC_PROGRAM") {
        return path;
    }
    let own = fs::read_link("/proc/self/exe").unwrap_or_default();
    let dir = own.parent().unwrap_or(Path::new(""));
    let places = ["farcc", "../lib/farcc/farcc", "../libexec/farcc"];
    let found = places
        .iter()
        .map(|place| dir.join(place))
        .find(|path| is_executable(path));
    let found = found.or_else(|| in_path("farcc"));
    OsString::from_vec(
        found
            .unwrap_or_else(|| "farcc".into())
            .into_os_string()
            .into_vec(),
    )
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path_var = std::env::var_os("PATH")?;
    std::env::split_paths(&path_var)
        .map(|dir| dir.join(name))
        .find(|path| is_executable(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct Dirs(tempfile::TempDir);

    impl Dirs {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }
        fn dir(&self, name: &str) -> PathBuf {
            let dir = self.0.path().join(name);
            fs::create_dir_all(&dir).unwrap();
            dir
        }
        fn program(&self, dir: &str, name: &str) -> PathBuf {
            let path = self.dir(dir).join(name);
            fs::write(&path, "#!/bin/sh\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        }
        fn path_var(&self, dirs: &[&str]) -> OsString {
            std::env::join_paths(dirs.iter().map(|dir| self.0.path().join(dir))).unwrap()
        }
    }

    fn id(path: &Path) -> Option<FileId> {
        fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
    }

    #[test]
    fn masquerade_finds_what_follows_and_trims_path() {
        let dirs = Dirs::new();
        let me = dirs.program("bin", "distcc");
        let real = dirs.program("usr", "gcc");
        symlink(&me, dirs.dir("masq").join("gcc")).unwrap();
        let path_var = dirs.path_var(&["masq", "bin", "usr"]);
        let found = find(OsStr::new("gcc"), true, &path_var, id(&me)).unwrap();
        assert_eq!(found.path, real);
        assert_eq!(found.path_var, Some(dirs.path_var(&["bin", "usr"])));
    }

    #[test]
    fn ccache_before_distcc_is_not_the_compiler() {
        let dirs = Dirs::new();
        let me = dirs.program("bin", "distcc");
        let real = dirs.program("usr", "gcc");
        dirs.program("ccache", "gcc");
        symlink(&me, dirs.dir("masq").join("gcc")).unwrap();
        let path_var = dirs.path_var(&["ccache", "masq", "usr"]);
        for name in [OsString::from("gcc"), dirs.dir("masq").join("gcc").into()] {
            let found = find(&name, true, &path_var, id(&me)).unwrap();
            assert_eq!(found.path, real);
            assert_eq!(found.path_var, Some(dirs.path_var(&["usr"])));
        }
    }

    #[test]
    fn explicit_names_skip_masquerade_links() {
        let dirs = Dirs::new();
        let me = dirs.program("bin", "distcc");
        let real = dirs.program("usr", "gcc");
        symlink(&me, dirs.dir("masq").join("gcc")).unwrap();
        let path_var = dirs.path_var(&["masq", "usr"]);
        let found = find(OsStr::new("gcc"), false, &path_var, id(&me)).unwrap();
        assert_eq!(
            found,
            Found {
                name: "gcc".into(),
                path: real,
                path_var: None
            }
        );
    }

    #[test]
    fn another_distcc_is_no_compiler_either() {
        let dirs = Dirs::new();
        let me = dirs.program("bin", "distcc");
        let other = dirs.program("other", "distcc");
        symlink(&other, dirs.dir("masq").join("gcc")).unwrap();
        let path_var = dirs.path_var(&["masq"]);
        let missing = find(OsStr::new("gcc"), false, &path_var, id(&me));
        assert_eq!(missing, Err(NotFound::Missing("gcc".into())));
        let link = dirs.dir("masq").join("gcc");
        let recursion = find(link.as_os_str(), false, &path_var, id(&me));
        assert_eq!(recursion, Err(NotFound::Recursion(link.into())));
    }

    #[test]
    fn paths_are_taken_as_they_are() {
        let found = find(OsStr::new("./my/gcc"), false, OsStr::new("/usr/bin"), None).unwrap();
        assert_eq!(found.path, Path::new("./my/gcc"));
    }
}
