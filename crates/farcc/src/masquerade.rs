//! A directory of links named like compilers that all lead to the `distcc` program.
//!
//! Put in front of `PATH` it makes any build call distcc. The system's own directory
//! (`../lib/distcc` beside the programs, kept by `update-distcc-symlinks`) serves when it is
//! complete; otherwise one is made below the user's cache. Such a directory is named by a digest
//! of what it holds and never changes afterwards, so builds with different compilers in their
//! `PATH` can run at the same time.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::compilers;
use crate::world::World;

/// Where programs are looked for when `PATH` is not set.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";

/// No masquerade directory can be had.
#[derive(Debug, thiserror::Error)]
pub enum MasqueradeError {
    /// The client program is not installed.
    #[error("the program `{}` is missing", .0.display())]
    NoShim(PathBuf),
    /// `PATH` names no compiler.
    #[error("no compiler found in PATH")]
    NoCompiler,
    /// The links could not be made.
    #[error("failed to make compiler links in `{}`", .path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The environment's part that makes a build use distcc.
#[derive(Debug)]
pub(crate) struct Masquerade {
    /// The directory of links.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests look into it"))]
    dir: PathBuf,
    /// `PATH` with that directory in its place.
    pub(crate) path: OsString,
    /// Removes the directory when dropped, if it was made for one build only.
    _temporary: Option<tempfile::TempDir>,
}

/// Finds or makes the masquerade directory for the compilers in `PATH`.
///
/// # Errors
/// See [`MasqueradeError`].
pub(crate) fn prepare(world: &World, programs: &Path) -> Result<Masquerade, MasqueradeError> {
    let shim = programs.join("distcc");
    let shim = fs::canonicalize(&shim).map_err(|_| MasqueradeError::NoShim(shim))?;
    let path = world
        .path_var("PATH")
        .unwrap_or_else(|| PATH_DEFAULT.into());
    let search = SearchPath::read(path.as_os_str());
    if search.compilers.is_empty() {
        return Err(MasqueradeError::NoCompiler);
    }
    let installed = programs.join("../lib/distcc");
    let (dir, temporary) = if is_complete(&installed, &search.compilers, &shim) {
        let dir = fs::canonicalize(&installed).map_err(at(&installed))?;
        (dir, None)
    } else {
        user_dir(world, &search.compilers, &shim)?
    };
    Ok(Masquerade {
        path: search.with(&dir),
        dir,
        _temporary: temporary,
    })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> MasqueradeError {
    let path = path.to_owned();
    move |source| MasqueradeError::Io { path, source }
}

/// What a `PATH` says about compilers.
struct SearchPath {
    /// The directories to keep; other masquerade directories of distcc are left out, because the
    /// compile would be distributed a second time.
    dirs: Vec<PathBuf>,
    /// How many of them stay in front: up to the last one of ccache, which must come before
    /// distcc to be of use.
    in_front: usize,
    /// Names of the compilers.
    compilers: BTreeSet<String>,
}

impl SearchPath {
    fn read(path: &OsStr) -> Self {
        let mut read = Self {
            dirs: Vec::new(),
            in_front: 0,
            compilers: BTreeSet::new(),
        };
        for dir in std::env::split_paths(path) {
            let names = if dir.is_absolute() {
                compilers::names_in(&dir)
            } else {
                BTreeSet::new()
            };
            match owner(&dir, &names) {
                Owner::Distcc => continue,
                Owner::Ccache => read.in_front = read.dirs.len() + 1,
                Owner::Compilers => read.compilers.extend(names),
            }
            read.dirs.push(dir);
        }
        read
    }

    fn with(&self, masquerade: &Path) -> OsString {
        let (front, back) = self.dirs.split_at(self.in_front);
        let dirs = front
            .iter()
            .map(PathBuf::as_path)
            .chain([masquerade])
            .chain(back.iter().map(PathBuf::as_path));
        let mut path = OsString::new();
        for (index, dir) in dirs.enumerate() {
            if index > 0 {
                path.push(":");
            }
            path.push(dir);
        }
        path
    }
}

/// Whose names a directory holds.
enum Owner {
    Compilers,
    Ccache,
    Distcc,
}

fn owner(dir: &Path, names: &BTreeSet<String>) -> Owner {
    let targets = names
        .iter()
        .filter_map(|name| fs::canonicalize(dir.join(name)).ok());
    for target in targets {
        match target.file_name().map(OsStr::as_bytes) {
            Some(b"distcc") => return Owner::Distcc,
            Some(b"ccache") => return Owner::Ccache,
            _ => {}
        }
    }
    Owner::Compilers
}

/// Whether a directory has a link to the shim for every compiler.
fn is_complete(dir: &Path, names: &BTreeSet<String>, shim: &Path) -> bool {
    names
        .iter()
        .all(|name| fs::canonicalize(dir.join(name)).is_ok_and(|target| target == shim))
}

type DirOrTemporary = (PathBuf, Option<tempfile::TempDir>);

fn user_dir(
    world: &World,
    names: &BTreeSet<String>,
    shim: &Path,
) -> Result<DirOrTemporary, MasqueradeError> {
    let cache = world
        .path_var("XDG_CACHE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| Some(world.path_var("HOME")?.join(".cache")));
    if let Some(cache) = cache
        && let Ok(dir) = cached_dir(&cache.join("farcc/masquerade"), names, shim)
        && !dir.as_os_str().as_bytes().contains(&b':')
    {
        return Ok((dir, None));
    }
    let parent = world.path_var("TMPDIR").unwrap_or_else(|| "/tmp".into());
    let temporary = tempfile::Builder::new()
        .prefix("farcc-masquerade-")
        .tempdir_in(&parent)
        .map_err(at(&parent))?;
    fill(temporary.path(), names, shim).map_err(at(temporary.path()))?;
    Ok((temporary.path().to_owned(), Some(temporary)))
}

/// The directory for this set of names; made beside its place and renamed into it, so that
/// nobody ever sees it half full.
fn cached_dir(parent: &Path, names: &BTreeSet<String>, shim: &Path) -> io::Result<PathBuf> {
    let dir = parent.join(digest(names, shim));
    if is_complete(&dir, names, shim) {
        return Ok(dir);
    }
    fs::create_dir_all(parent)?;
    let fresh = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(parent)?;
    fill(fresh.path(), names, shim)?;
    fs::set_permissions(fresh.path(), PERMISSIONS_OF_DIR.into_permissions())?;
    if fs::rename(fresh.path(), &dir).is_err() && !is_complete(&dir, names, shim) {
        // Somebody deleted links there; nothing else removes or changes them.
        fill(&dir, names, shim)?;
    }
    Ok(dir)
}

/// Mode of a masquerade directory: others may use it too.
const PERMISSIONS_OF_DIR: Mode = Mode(0o755);

struct Mode(u32);

impl Mode {
    fn into_permissions(self) -> fs::Permissions {
        use std::os::unix::fs::PermissionsExt as _;
        fs::Permissions::from_mode(self.0)
    }
}

fn fill(dir: &Path, names: &BTreeSet<String>, shim: &Path) -> io::Result<()> {
    for name in names {
        match symlink(shim, dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Sixteen hexadecimal digits for a set of links (FNV-1a; nobody gains by a collision in a
/// directory of his own).
fn digest(names: &BTreeSet<String>, shim: &Path) -> String {
    let parts = names.iter().map(String::as_bytes);
    let bytes = parts.chain([shim.as_os_str().as_bytes()]);
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in bytes.flat_map(|part| part.iter().chain(b"\0")) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A machine in a directory: programs in `bin`, the client's own in `opt/bin`.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            machine.program("opt/bin/distcc");
            machine.program("bin/gcc");
            machine.program("bin/ls");
            machine
        }

        fn at(&self, path: &str) -> PathBuf {
            fs::canonicalize(self.0.path()).unwrap().join(path)
        }

        fn program(&self, path: &str) {
            let path = self.at(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn link(&self, from: &str, to: &str) {
            let from = self.at(from);
            fs::create_dir_all(from.parent().unwrap()).unwrap();
            symlink(self.at(to), from).unwrap();
        }

        fn prepare(&self, path: &[&str]) -> Result<Masquerade, MasqueradeError> {
            let mut world = World::default();
            let dirs = path.iter().map(|dir| self.at(dir));
            world.set_var("PATH", std::env::join_paths(dirs).unwrap());
            world.set_var("HOME", self.at("home"));
            world.set_var("TMPDIR", self.0.path());
            prepare(&world, &self.at("opt/bin"))
        }
    }

    fn links_of(masquerade: &Masquerade) -> Vec<String> {
        let entries = fs::read_dir(&masquerade.dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn links_the_compilers_of_path_to_the_shim() {
        let machine = Machine::new();
        machine.program("other/clang");
        let masquerade = machine.prepare(&["bin", "other"]).unwrap();
        assert_eq!(links_of(&masquerade), ["clang", "gcc"]);
        let shim = fs::canonicalize(masquerade.dir.join("gcc")).unwrap();
        assert_eq!(shim, machine.at("opt/bin/distcc"));
        assert!(
            masquerade
                .dir
                .starts_with(machine.at("home/.cache/farcc/masquerade"))
        );
    }

    #[test]
    fn stands_first_in_path_and_is_used_again() {
        let machine = Machine::new();
        let first = machine.prepare(&["bin"]).unwrap();
        let dirs: Vec<PathBuf> = std::env::split_paths(&first.path).collect();
        assert_eq!(dirs, [first.dir.clone(), machine.at("bin")]);
        assert_eq!(machine.prepare(&["bin"]).unwrap().dir, first.dir);
        let parent = first.dir.parent().unwrap();
        assert_eq!(fs::read_dir(parent).unwrap().count(), 1);
    }

    #[test]
    fn deleted_links_come_back() {
        let machine = Machine::new();
        let first = machine.prepare(&["bin"]).unwrap();
        fs::remove_file(first.dir.join("gcc")).unwrap();
        let second = machine.prepare(&["bin"]).unwrap();
        assert_eq!(second.dir, first.dir);
        assert_eq!(links_of(&second), ["gcc"]);
    }

    #[test]
    fn a_complete_installed_directory_is_used() {
        let machine = Machine::new();
        machine.link("opt/lib/distcc/gcc", "opt/bin/distcc");
        let masquerade = machine.prepare(&["bin"]).unwrap();
        assert_eq!(masquerade.dir, machine.at("opt/lib/distcc"));
    }

    #[test]
    fn an_incomplete_installed_directory_is_not() {
        let machine = Machine::new();
        machine.link("opt/lib/distcc/gcc", "opt/bin/distcc");
        machine.program("bin/g++");
        let masquerade = machine.prepare(&["bin"]).unwrap();
        assert_eq!(links_of(&masquerade), ["g++", "gcc"]);
    }

    #[test]
    fn ccache_stays_in_front_and_another_distcc_goes() {
        let machine = Machine::new();
        machine.program("usr/ccache");
        machine.link("ccache-links/gcc", "usr/ccache");
        machine.program("stock/distcc");
        machine.link("stock-links/gcc", "stock/distcc");
        let masquerade = machine
            .prepare(&["stock-links", "ccache-links", "bin"])
            .unwrap();
        let dirs: Vec<PathBuf> = std::env::split_paths(&masquerade.path).collect();
        let expected = [
            machine.at("ccache-links"),
            masquerade.dir.clone(),
            machine.at("bin"),
        ];
        assert_eq!(dirs, expected);
    }

    #[test]
    fn without_a_writable_cache_a_temporary_directory_serves_one_build() {
        let machine = Machine::new();
        fs::write(machine.at("home"), "not a directory").unwrap();
        let masquerade = machine.prepare(&["bin"]).unwrap();
        let dir = masquerade.dir.clone();
        assert!(dir.join("gcc").exists());
        drop(masquerade);
        assert!(!dir.exists());
    }

    #[test]
    fn says_what_is_missing() {
        let machine = Machine::new();
        fs::create_dir(machine.at("empty")).unwrap();
        let error = machine.prepare(&["empty"]).unwrap_err();
        assert_eq!(error.to_string(), "no compiler found in PATH");
        fs::remove_file(machine.at("opt/bin/distcc")).unwrap();
        let error = machine.prepare(&["bin"]).unwrap_err();
        assert!(error.to_string().ends_with("opt/bin/distcc` is missing"));
    }
}
