//! Which file the compiler is, and by which name to call it in a root.
//!
//! Both families find their directories by their own name: called `gcc` or `clang`, they look themselves up in `PATH`,
//! and the directory where they believe to be shows in the paths of headers, so in dependency files and debug
//! information. In a root the compiler is called by the path that this search finds here, which has the same effect and
//! does not depend on the rest of `PATH`. When the search finds something else under that name (this program's or a
//! compiler cache's link), the root gets a link to the compiler there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::search_path::search;
use super::why::NoToolchain;
use super::{Call, path_variable};

/// Programs that stand under the names of compilers and run the one that follows in `PATH`. Sorted.
const WRAPPERS: &[&str] = &["ccache", "distcc", "farcc", "icecc", "sccache"];

/// A compiler and how to call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compiler {
    /// The file to run here; absolute.
    pub(super) path: PathBuf,
    /// The name it is called by here.
    pub(super) argv0: OsString,
    /// The name to call it by in a root: a path, relative to the working directory only if it is so here.
    pub(super) name_in_root: OsString,
    /// A link that the root must have at this path, to the compiler.
    pub(super) link: Option<PathBuf>,
    /// Where a program would change the answer.
    pub(super) misses: Vec<PathBuf>,
}

/// Finds out what a compile's compiler is.
///
/// # Errors
/// There is none, or only wrappers.
pub(super) fn find(call: &Call<'_>) -> Result<Compiler, NoToolchain> {
    let path = call.cwd.join(call.compiler_path);
    let real = fs::canonicalize(&path).map_err(|error| NoToolchain::unreadable(&path, error))?;
    if let Some(wrapper) = wrapper(&real) {
        return behind(call, &path, wrapper);
    }
    let argv0 = call.compiler.to_owned();
    if argv0.as_bytes().contains(&b'/') {
        return Ok(Compiler {
            path,
            name_in_root: argv0.clone(),
            argv0,
            link: None,
            misses: Vec::new(),
        });
    }
    let search_path = path_variable(call.env);
    let found = search(search_path, call.cwd, &argv0, |_| true);
    let hit = found.hit.map(|hit| call.cwd.join(hit));
    let is_other = |hit: &PathBuf| fs::canonicalize(hit).ok().as_ref() != Some(&real);
    Ok(Compiler {
        name_in_root: hit.as_ref().unwrap_or(&path).clone().into_os_string(),
        link: hit.filter(is_other),
        misses: found.misses,
        path,
        argv0,
    })
}

/// The compiler that a wrapper runs, in the way in which it does: by its path.
fn behind(call: &Call<'_>, path: &Path, wrapper: &str) -> Result<Compiler, NoToolchain> {
    let search_path = path_variable(call.env);
    let name = path.file_name().unwrap_or_default();
    let is_compiler =
        |path: &Path| fs::canonicalize(path).is_ok_and(|real| self::wrapper(&real).is_none());
    let found = search(search_path, call.cwd, name, is_compiler);
    let Some(hit) = found.hit.filter(|_| name != wrapper) else {
        return Err(NoToolchain::Wrapper {
            path: path.to_owned(),
            wrapper: wrapper.to_owned(),
        });
    };
    let path = call.cwd.join(hit);
    Ok(Compiler {
        argv0: path.clone().into_os_string(),
        name_in_root: path.clone().into_os_string(),
        link: None,
        misses: found.misses,
        path,
    })
}

fn wrapper(real: &Path) -> Option<&'static str> {
    let name = real.file_name()?;
    WRAPPERS
        .iter()
        .find(|known| name == OsStr::new(known))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolchain::Sources;
    use std::os::unix::fs::{PermissionsExt, symlink};

    struct World {
        temp: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            let temp = tempfile::tempdir().unwrap();
            for program in ["bin/gcc-12", "bin/ccache", "bin/distcc"] {
                let path = temp.path().join(program);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, "").unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            for (target, link) in [
                ("gcc-12", "bin/gcc"),
                ("../bin/ccache", "ccache/gcc"),
                ("../bin/ccache", "ccache/other"),
                ("../bin/distcc", "masquerade/gcc"),
            ] {
                let path = temp.path().join(link);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                symlink(target, path).unwrap();
            }
            Self { temp }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.temp.path().join(path)
        }

        fn find(&self, argv0: &str, path: &str, dirs: &[&str]) -> Result<Compiler, NoToolchain> {
            let dirs = std::env::join_paths(dirs.iter().map(|dir| self.at(dir))).unwrap();
            find(&Call {
                compiler: OsStr::new(argv0),
                compiler_path: &self.at(path),
                args: &[],
                cwd: self.temp.path(),
                env: &[("PATH".into(), dirs)],
                sources: Sources::Any,
            })
        }
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(WRAPPERS.is_sorted());
    }

    #[test]
    fn by_name_and_by_path() {
        let world = World::new();
        let it = world.find("gcc", "bin/gcc", &["none", "bin"]).unwrap();
        assert_eq!(it.name_in_root, world.at("bin/gcc"));
        assert_eq!((it.link, it.misses), (None, vec![world.at("none/gcc")]));
        let it = world.find("bin/gcc", "bin/gcc", &["none"]).unwrap();
        assert_eq!(it.name_in_root, "bin/gcc");
        assert_eq!(it.path, world.at("bin/gcc"));
    }

    #[test]
    fn what_stands_before_the_compiler_becomes_a_link() {
        let world = World::new();
        let it = world
            .find("gcc", "bin/gcc", &["masquerade", "bin"])
            .unwrap();
        assert_eq!(it.name_in_root, world.at("masquerade/gcc"));
        assert_eq!(it.link, Some(world.at("masquerade/gcc")));
        assert_eq!(it.path, world.at("bin/gcc"));
    }

    #[test]
    fn the_compiler_behind_a_cache() {
        let world = World::new();
        let dirs = ["ccache", "masquerade", "bin"];
        let it = world.find("gcc", "ccache/gcc", &dirs).unwrap();
        assert_eq!(it.path, world.at("bin/gcc"));
        assert_eq!(it.argv0, world.at("bin/gcc"));
        let error = world.find("other", "ccache/other", &dirs).unwrap_err();
        assert_eq!(error.code(), "toolchain-wrapper");
        assert!(world.find("ccache", "bin/ccache", &dirs).is_err());
    }
}
