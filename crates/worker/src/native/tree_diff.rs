//! What has to be done to make one tree of files into another.
//!
//! To build a tree of four hundred links and to remove it costs more than ten milliseconds; but
//! the trees of two compiles of one project differ in a few dozen files. So trees that jobs are
//! done with are kept, and made into what the next ones need.
//!
//! Pure: says what is to be done, in an order in which it can be done.

use std::sync::Arc;

use store::Digest;

use super::folder::{Entry, Folder};

/// One thing to be done. Paths are relative to the tree's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Remove a file or link.
    Remove(&'a str),
    /// Remove a directory, which is empty by now.
    RemoveDir(&'a str),
    /// Make a directory.
    MakeDir(&'a str),
    /// Put a file there.
    File {
        path: &'a str,
        digest: &'a Digest,
        is_executable: bool,
    },
    /// Make a symbolic link.
    Link { path: &'a str, target: &'a str },
}

/// A tree: a directory, but for some places in it at which directories are empty, since other
/// trees are shown there.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// `None`: nothing is there yet.
    pub(super) root: Option<Arc<Folder>>,
    /// Sorted.
    pub(super) holes: Arc<[String]>,
}

impl Layout {
    pub(super) fn empty() -> Layout {
        Layout {
            root: None,
            holes: Arc::new([]),
        }
    }

    fn view(&self) -> View<'_> {
        View {
            folder: self.root.as_deref(),
            holes: &self.holes,
        }
    }
}

/// One directory of a layout, with the holes in it.
#[derive(Debug, Clone, Copy)]
struct View<'a> {
    folder: Option<&'a Folder>,
    /// Paths from the root of the layout.
    holes: &'a [String],
}

impl<'a> View<'a> {
    const NOTHING: View<'static> = View {
        folder: None,
        holes: &[],
    };

    fn entries(self) -> &'a [(reapi::Name, Entry)] {
        self.folder.map_or(&[], |folder| &folder.entries)
    }

    /// What is below, at this path.
    fn below(self, folder: &'a Folder, path: &str) -> View<'a> {
        if self.holes.is_empty() {
            return View {
                folder: Some(folder),
                holes: &[],
            };
        }
        if self.holes.iter().any(|hole| hole == path) {
            return View::NOTHING;
        }
        let is_below = |hole: &String| {
            hole.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let start = self.holes.iter().position(is_below);
        let holes = start.map_or(&[][..], |start| {
            let len = self.holes[start..].iter().take_while(|hole| is_below(hole));
            &self.holes[start..start + len.count()]
        });
        View {
            folder: Some(folder),
            holes,
        }
    }

    fn is_same(self, other: View<'_>) -> bool {
        let digest = |view: View<'_>| view.folder.map(|folder| folder.digest);
        digest(self) == digest(other) && self.holes == other.holes
    }
}

/// Tells `step` what makes `old` into `new`; it may stop by returning an error.
pub(super) fn diff<E>(
    old: &Layout,
    new: &Layout,
    mut step: impl FnMut(Step<'_>) -> Result<(), E>,
) -> Result<(), E> {
    Walk {
        path: String::new(),
        step: &mut step,
    }
    .directory(old.view(), new.view())
}

/// How many steps it takes, if not more than `steps_max`.
pub(super) fn distance(old: &Layout, new: &Layout, steps_max: usize) -> Option<usize> {
    let mut steps = 0;
    let counted = diff(old, new, |_| {
        steps += 1;
        if steps > steps_max { Err(()) } else { Ok(()) }
    });
    counted.ok().map(|()| steps)
}

struct Walk<'s, S> {
    path: String,
    step: &'s mut S,
}

impl<S, E> Walk<'_, S>
where
    S: FnMut(Step<'_>) -> Result<(), E>,
{
    /// Makes what is in one directory into what is in another one.
    fn directory(&mut self, old: View<'_>, new: View<'_>) -> Result<(), E> {
        if old.is_same(new) {
            return Ok(());
        }
        let (mut olds, mut news) = (
            old.entries().iter().peekable(),
            new.entries().iter().peekable(),
        );
        loop {
            let (before, after) = match (olds.peek(), news.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => (olds.next(), None),
                (None, Some(_)) => (None, news.next()),
                (Some((a, _)), Some((b, _))) => match a.cmp(b) {
                    std::cmp::Ordering::Less => (olds.next(), None),
                    std::cmp::Ordering::Greater => (None, news.next()),
                    std::cmp::Ordering::Equal => (olds.next(), news.next()),
                },
            };
            let Some((name, _)) = before.or(after) else {
                return Ok(());
            };
            let len = self.path.len();
            if len > 0 {
                self.path.push('/');
            }
            self.path.push_str(name.as_str());
            let done = self.entry(
                (before.map(|(_, entry)| entry), old),
                (after.map(|(_, entry)| entry), new),
            );
            self.path.truncate(len);
            done?;
        }
    }

    /// Makes what is at the current path, in these directories, into what should be there.
    fn entry(
        &mut self,
        (before, old): (Option<&Entry>, View<'_>),
        (after, new): (Option<&Entry>, View<'_>),
    ) -> Result<(), E> {
        match (before, after) {
            (Some(Entry::Folder(before)), Some(Entry::Folder(after))) => {
                let (old, new) = (old.below(before, &self.path), new.below(after, &self.path));
                return self.directory(old, new);
            }
            (Some(before), Some(after)) if before == after => return Ok(()),
            _ => {}
        }
        match before {
            None => {}
            Some(Entry::Folder(before)) => {
                self.directory(old.below(before, &self.path), View::NOTHING)?;
                (self.step)(Step::RemoveDir(&self.path))?;
            }
            Some(_) => (self.step)(Step::Remove(&self.path))?,
        }
        match after {
            None => Ok(()),
            Some(Entry::Folder(after)) => {
                (self.step)(Step::MakeDir(&self.path))?;
                self.directory(View::NOTHING, new.below(after, &self.path))
            }
            Some(Entry::File {
                digest,
                is_executable,
            }) => (self.step)(Step::File {
                path: &self.path,
                digest,
                is_executable: *is_executable,
            }),
            Some(Entry::Link(target)) => (self.step)(Step::Link {
                path: &self.path,
                target,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::tests::{blob, tree};
    use super::*;
    use std::collections::BTreeMap;

    fn layout(lines: &[&str], holes: &[&str]) -> Layout {
        Layout {
            root: Some(tree(lines)),
            holes: holes.iter().map(ToString::to_string).collect(),
        }
    }

    /// A file system in miniature, which refuses what a real one would.
    #[derive(Debug, Clone, Default, PartialEq, Eq)]
    struct Disk(BTreeMap<String, String>);

    impl Disk {
        fn apply(&mut self, old: &Layout, new: &Layout) -> usize {
            let mut steps = 0;
            let done = diff(old, new, |step| {
                steps += 1;
                self.step(step)
            });
            assert_eq!(done, Ok(()));
            assert_eq!(distance(old, new, steps), Some(steps));
            assert!(steps == 0 || distance(old, new, steps - 1).is_none());
            steps
        }

        fn step(&mut self, step: Step<'_>) -> Result<(), String> {
            let mut add = |path: &str, what: String| {
                if let Some((parent, _)) = path.rsplit_once('/') {
                    assert_eq!(
                        self.0.get(parent).map(String::as_str),
                        Some("dir"),
                        "{path}"
                    );
                }
                assert_eq!(self.0.insert(path.into(), what), None, "{path} is there");
            };
            match step {
                Step::MakeDir(path) => add(path, "dir".into()),
                Step::File {
                    path,
                    digest,
                    is_executable,
                } => add(path, format!("{digest} {is_executable}")),
                Step::Link { path, target } => add(path, format!("-> {target}")),
                Step::Remove(path) => {
                    let what = self.0.remove(path);
                    assert!(what.is_some_and(|what| what != "dir"), "{path}");
                }
                Step::RemoveDir(path) => {
                    assert_eq!(self.0.remove(path).as_deref(), Some("dir"), "{path}");
                    let below = format!("{path}/");
                    assert!(!self.0.keys().any(|path| path.starts_with(&below)));
                }
            }
            Ok(())
        }
    }

    fn made(layout: &Layout) -> Disk {
        let mut disk = Disk::default();
        disk.apply(&Layout::empty(), layout);
        disk
    }

    #[test]
    fn a_tree_is_made() {
        let disk = made(&layout(&["a/b=1", "a/p*=2", "l>x/y", "e/"], &[]));
        let expected = [
            ("a".to_owned(), "dir".to_owned()),
            ("a/b".to_owned(), format!("{} false", blob("1"))),
            ("a/p".to_owned(), format!("{} true", blob("2"))),
            ("e".to_owned(), "dir".to_owned()),
            ("l".to_owned(), "-> x/y".to_owned()),
        ];
        assert_eq!(disk.0, BTreeMap::from(expected));
    }

    #[test]
    fn holes_are_empty_directories() {
        let disk = made(&layout(&["a/b/c=1", "a/d=2", "ab=3"], &["a/b"]));
        assert_eq!(disk.0.keys().collect::<Vec<_>>(), ["a", "a/b", "a/d", "ab"]);
    }

    #[test]
    fn little_is_done_for_little() {
        let one = layout(&["u/a=1", "u/b=2", "v/c=3", "v/x*=4"], &[]);
        let two = layout(&["u/a=1", "u/b=9", "v/c=3", "v/x*=4"], &[]);
        let mut disk = made(&one);
        assert_eq!(disk.apply(&one, &two), 2);
        assert_eq!(disk, made(&two));
        assert_eq!(disk.apply(&two, &two), 0);
    }

    #[test]
    fn any_tree_becomes_any_other() {
        let trees = [
            layout(&[], &[]),
            layout(&["a=1"], &[]),
            layout(&["a*=1"], &[]),
            layout(&["a>1"], &[]),
            layout(&["a/"], &[]),
            layout(&["a/b/c=1", "a/b/d=1", "b/c=2"], &[]),
            layout(&["a/b/c=1", "a/b/d=1", "b/c=2"], &["a/b"]),
            layout(&["a/b/c=1", "a/b/d=1", "b/c=2"], &["a", "b"]),
            layout(&["a/b/c=1", "a/b/d=2", "b/c=2"], &["b"]),
            layout(&["a/b/c/d=1", "a/b>c", "a/b.c=1"][..1], &["a/b/c"]),
            layout(&["a/b>c", "a/b.c=1", "a-b/c=7"], &["a-b"]),
        ];
        for old in &trees {
            for new in &trees {
                let mut disk = made(old);
                disk.apply(old, new);
                assert_eq!(disk, made(new), "{old:?} to {new:?}");
            }
        }
    }
}
