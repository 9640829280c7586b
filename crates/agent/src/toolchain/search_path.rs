//! Looking a program up in `PATH`, as the kernel's and the compilers' own searches do.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a search came upon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// The program, with the directory as `PATH` spells it.
    pub(super) hit: Option<PathBuf>,
    /// Where it would have been found first.
    pub(super) misses: Vec<PathBuf>,
}

/// The first program called `name` in the directories of `path` (relative ones below `cwd`) that is `wanted`.
pub(super) fn search(
    path: &OsStr,
    cwd: &Path,
    name: &OsStr,
    wanted: impl Fn(&Path) -> bool,
) -> Search {
    let mut search = Search::default();
    for dir in std::env::split_paths(path) {
        let candidate = dir.join(name);
        let absolute = cwd.join(&candidate);
        if !is_program(&absolute) {
            search.misses.push(absolute);
        } else if wanted(&absolute) {
            search.hit = Some(candidate);
            break;
        }
    }
    search
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// `PATH` without the directories that hold none of the programs: the same search in a root that holds nothing else.
pub(super) fn reduced(path: &OsStr, programs: &[PathBuf]) -> OsString {
    let mut kept: Vec<PathBuf> = Vec::new();
    for dir in std::env::split_paths(path) {
        let holds = programs
            .iter()
            .any(|program| program.parent() == Some(dir.as_path()));
        if holds && !kept.contains(&dir) {
            kept.push(dir);
        }
    }
    std::env::join_paths(kept).expect("they come from a list that was split at colons")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_hit_and_what_comes_before() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        for dir in ["a", "b", "c", "d"] {
            fs::create_dir(at(dir)).unwrap();
        }
        fs::write(at("a/as"), "").unwrap();
        for program in ["b/as", "c/as", "d/as"] {
            fs::write(at(program), "").unwrap();
            fs::set_permissions(at(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = std::env::join_paths(["a", "b", "c", "d"].map(at)).unwrap();
        let not_b = |path: &Path| path != at("b/as");
        let found = search(&path, temp.path(), OsStr::new("as"), not_b);
        assert_eq!(found.hit, Some(at("c/as")));
        assert_eq!(found.misses, [at("a/as")]);
        let found = search(OsStr::new("x:b"), temp.path(), OsStr::new("as"), |_| true);
        assert_eq!(found.hit, Some("b/as".into()));
        assert_eq!(found.misses, [at("x/as")]);
        let programs = [at("c/as"), at("a/gcc")];
        let expect = std::env::join_paths(["a", "c"].map(at)).unwrap();
        assert_eq!(reduced(&path, &programs), expect);
    }
}
