//! Which parts of an input root are shared with other actions, and which the job gets for itself.
//!
//! A large directory that comes again and again (a toolchain, an SDK) is built once and shown in
//! each job's tree by a mount. A directory in which the job writes outputs is not: but those in it
//! are.
//!
//! Pure: whether a directory comes again is the caller's word.

use std::sync::Arc;

use super::folder::{Entry, Folder};

/// Entries from which on a directory is worth a mount. Below, the tree that a job takes over from
/// an earlier one has it already.
pub(super) const SHARED_ENTRIES_MIN: u64 = 1000;

/// Most mounts of one job.
const SHARED_MAX: usize = 64;

/// A directory that is shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shared {
    /// Where, from the input root.
    pub(super) path: String,
    pub(super) folder: Arc<Folder>,
}

/// The directories to share, sorted by path, none in another. `writable` are paths from the root.
pub(super) fn shared(
    root: &Arc<Folder>,
    writable: &[&str],
    mut comes_again: impl FnMut(&Folder) -> bool,
) -> Vec<Shared> {
    let mut found = Vec::new();
    if root.totals.entries >= SHARED_ENTRIES_MIN {
        let mut path = String::new();
        walk(root, &mut path, writable, &mut comes_again, &mut found);
        found.sort_unstable_by(|a: &Shared, b| a.path.cmp(&b.path));
    }
    found
}

fn walk(
    folder: &Arc<Folder>,
    path: &mut String,
    writable: &[&str],
    comes_again: &mut impl FnMut(&Folder) -> bool,
    found: &mut Vec<Shared>,
) {
    for (name, entry) in &folder.entries {
        let Entry::Folder(below) = entry else {
            continue;
        };
        if below.totals.entries < SHARED_ENTRIES_MIN || found.len() >= SHARED_MAX {
            continue;
        }
        let len = path.len();
        if len > 0 {
            path.push('/');
        }
        path.push_str(name.as_str());
        let has_outputs = writable.iter().any(|dir| is_at_or_below(dir, path));
        // Asked in any case, so that what is in it counts as seen too.
        if comes_again(below) && !has_outputs {
            found.push(Shared {
                path: path.clone(),
                folder: Arc::clone(below),
            });
        } else {
            walk(below, path, writable, comes_again, found);
        }
        path.truncate(len);
    }
}

fn is_at_or_below(path: &str, dir: &str) -> bool {
    path.strip_prefix(dir)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::super::folder::tests::tree;
    use super::*;

    /// A tree with some small directories and some large ones.
    fn toolchain(large: &[&str]) -> Arc<Folder> {
        let files: Vec<String> = large
            .iter()
            .flat_map(|dir| (0..SHARED_ENTRIES_MIN).map(move |i| format!("{dir}/{i:04}={dir}")))
            .chain(["src/a.c=x".to_owned(), "usr/bin/cc*=y".to_owned()])
            .collect();
        tree(&files.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn check(root: &Arc<Folder>, writable: &[&str], again: &[&str], expected: &[&str]) {
        let known: Vec<_> = again.iter().map(|path| find(root, path)).collect();
        let found = shared(root, writable, |folder| {
            known.iter().any(|known| known.digest == folder.digest)
        });
        let paths: Vec<_> = found.iter().map(|shared| shared.path.as_str()).collect();
        assert_eq!(paths, expected);
        for shared in &found {
            assert_eq!(find(root, &shared.path), shared.folder);
        }
    }

    fn find(root: &Arc<Folder>, path: &str) -> Arc<Folder> {
        let parts = path.split('/');
        parts.fold(Arc::clone(root), |folder, name| match folder.get(name) {
            Some(Entry::Folder(below)) => Arc::clone(below),
            other => panic!("{path}: {other:?}"),
        })
    }

    #[test]
    fn the_outermost_directory_that_comes_again_is_shared() {
        let root = toolchain(&["usr/lib/gcc", "usr/include"]);
        check(&root, &[], &[], &[]);
        check(&root, &[], &["usr"], &["usr"]);
        check(&root, &[], &["usr/lib/gcc", "usr/lib"], &["usr/lib"]);
        let both = ["usr/include", "usr/lib/gcc"];
        check(&root, &[], &both, &both);
        check(&root, &[], &["src"], &[]);
    }

    #[test]
    fn a_directory_with_outputs_is_not_shared_but_what_is_in_it() {
        let root = toolchain(&["usr/lib/gcc", "usr/include"]);
        let again = ["usr", "usr/lib", "usr/include"];
        check(&root, &["usr"], &again, &["usr/include", "usr/lib"]);
        check(&root, &["usr/lib/gcc/x"], &again, &["usr/include"]);
        check(&root, &["usr/lib64"], &again, &["usr/include", "usr/lib"]);
        check(&root, &["src", "us"], &again, &["usr"]);
    }
}
