//! Paths that scans ask about, and what is known of them.
//!
//! Every path is a node with a number. Within one scan a node is looked at once. Between scans a path that was absent
//! stays so as long as its directory is unchanged, which is looked at once for all that is missing in it; whatever
//! exists is looked at again, unless both scans are of one [`Moment`] or what was seen holds for an era that still
//! lasts. A directory's *epoch* is a number that changes whenever the directory may have changed.
//! Scans are numbered, and every node knows in which one it was last seen to be another: what an earlier scan concluded
//! holds while that is not after it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::files::{Files, Found, Holds, Moment, NO_ERA, Stamp};
use crate::hash::FastMap;
use crate::limits::VAIN_LOOKS;
use crate::listing::Listed;
use crate::names::{Name, Names};
use crate::report::FileName;

/// A path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) u32);

/// The epoch of what is not a directory.
const NO_DIRECTORY: u64 = 0;

#[derive(Debug)]
struct Node {
    /// Absolute path: the working directory and a slash before a relative one. Not normalised, since `..` after a
    /// symbolic link must be left to the kernel.
    path: Arc<Path>,
    /// Where the compiler's spelling starts in `path`.
    cut: u32,
    parent: Option<NodeId>,
    /// The last scan that asked.
    checked: u32,
    /// When it was looked at.
    looked: Moment,
    /// In which era what was seen holds.
    era: u64,
    /// The last scan that saw something else here than the scan before: another file, a directory, nothing.
    moved: u32,
    /// The same, or a file with another content.
    changed: u32,
    found: Found,
    settled: bool,
    /// Epoch of the parent when the path was seen to be absent.
    absent_in: Option<u64>,
    /// Of a directory that something was looked for in.
    dir: Option<Box<Directory>>,
}

/// What is known of a directory, for what is looked for in it.
#[derive(Debug)]
struct Directory {
    epoch: u64,
    stamp: Stamp,
    /// In this epoch.
    listed: Listed,
}

/// All paths.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    roots: FastMap<(Name, u32), NodeId>,
    children: FastMap<(NodeId, Name), NodeId>,
    scan: u32,
    last_epoch: u64,
    bytes: usize,
    /// Names looked for in vain in a directory before it is read.
    pub(crate) vain_looks: u32,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            roots: FastMap::default(),
            children: FastMap::default(),
            scan: 0,
            last_epoch: NO_DIRECTORY,
            bytes: 0,
            vain_looks: VAIN_LOOKS,
        }
    }

    /// Starts a scan: everything must be looked at again.
    pub(crate) fn start_scan(&mut self) {
        self.scan += 1;
    }

    /// The number of this scan, from 1.
    pub(crate) fn scan(&self) -> u32 {
        self.scan
    }

    /// A path as written on the command line.
    pub(crate) fn root(&mut self, cwd: &[u8], spelled: &[u8], names: &mut Names) -> NodeId {
        let absolute = spelled.first() == Some(&b'/');
        let (path, cut) = if absolute {
            (spelled.to_vec(), 0)
        } else {
            (join(cwd, spelled), cwd.len() + 1)
        };
        let cut = u32::try_from(cut).expect("paths are short");
        let key = (names.intern(&path), cut);
        if let Some(&node) = self.roots.get(&key) {
            return node;
        }
        let parent = match spelled.iter().rposition(|&b| b == b'/') {
            Some(0) | None if absolute => None,
            Some(slash) => Some(self.root(cwd, &spelled[..slash], names)),
            None if spelled.is_empty() => None,
            None => Some(self.root(cwd, b"", names)),
        };
        let node = self.add(path, cut, parent);
        self.roots.insert(key, node);
        node
    }

    /// A header looked for in a directory. An absolute name is itself.
    pub(crate) fn child(&mut self, dir: NodeId, header: Name, names: &mut Names) -> NodeId {
        if let Some(&node) = self.children.get(&(dir, header)) {
            return node;
        }
        let text = names.text(header).to_vec();
        let node = if text.first() == Some(&b'/') {
            self.root(b"", &text, names)
        } else {
            let parent = match text.iter().rposition(|&b| b == b'/') {
                None => dir,
                Some(slash) => {
                    let above = names.intern(&text[..slash]);
                    self.child(dir, above, names)
                }
            };
            let base = &self.nodes[dir.0 as usize];
            let (path, cut) = (join(base.path.as_os_str().as_bytes(), &text), base.cut);
            self.add(path, cut, Some(parent))
        };
        self.children.insert((dir, header), node);
        node
    }

    fn add(&mut self, path: Vec<u8>, cut: u32, parent: Option<NodeId>) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).expect("memory is bounded far below this"));
        self.bytes += path.len() + size_of::<Node>() + 32;
        self.nodes.push(Node {
            path: Arc::from(Path::new(OsStr::from_bytes(&path))),
            cut,
            parent,
            checked: 0,
            looked: Moment::OWN,
            era: NO_ERA,
            moved: 0,
            changed: 0,
            found: Found::Absent,
            settled: false,
            absent_in: None,
            dir: None,
        });
        id
    }

    /// The directory that the text of a path says it is in, where the compiler looks for quoted headers.
    pub(crate) fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.nodes[node.0 as usize].parent
    }

    /// The absolute path.
    pub(crate) fn path(&self, node: NodeId) -> &Arc<Path> {
        &self.nodes[node.0 as usize].path
    }

    /// Both of its names.
    pub(crate) fn name(&self, node: NodeId) -> FileName {
        let it = &self.nodes[node.0 as usize];
        FileName {
            path: Arc::clone(&it.path),
            cut: it.cut,
        }
    }

    /// The path as the compiler would spell it.
    pub(crate) fn spelled(&self, node: NodeId) -> &[u8] {
        let it = &self.nodes[node.0 as usize];
        it.path
            .as_os_str()
            .as_bytes()
            .get(it.cut as usize..)
            .unwrap_or_default()
    }

    /// Looks at a path, once in a scan.
    pub(crate) fn look(&mut self, node: NodeId, files: &mut dyn Files) -> Found {
        let it = &self.nodes[node.0 as usize];
        if it.checked == self.scan {
            return it.found;
        }
        let (moment, era) = (files.moment(), files.era());
        let is_in_era = it.era == era && era != NO_ERA;
        if it.settled && (is_in_era || it.looked.is_shared_with(moment)) {
            let it = &mut self.nodes[node.0 as usize];
            it.checked = self.scan;
            return it.found;
        }
        let (known_absent, parent) = (it.absent_in, it.parent);
        // The directory is looked at before what is in it: a file that appears between the two is then at worst seen
        // with the older stamp of the directory, and looked for again by the next scan.
        let maybe_absent =
            it.checked == 0 || !matches!(it.found, Found::File(_) | Found::Dir(_) | Found::Null);
        let above = if maybe_absent {
            parent.map(|parent| self.epoch(parent, files))
        } else {
            None
        };
        let is_nowhere = maybe_absent
            && parent.is_some_and(|parent| self.nodes[parent.0 as usize].found == Found::Absent);
        let is_still_absent = known_absent.is_some() && known_absent == above;
        let is_absent = is_nowhere
            || is_still_absent
            || (maybe_absent && self.is_not_listed(node, parent, files));
        let (found, holds) = match parent {
            Some(parent) if is_absent => {
                let above = self.nodes[parent.0 as usize].era;
                let holds = if above == era && era != NO_ERA {
                    Holds::InEra
                } else {
                    Holds::WhileSame
                };
                (Found::Absent, holds)
            }
            _ => files.look(&self.nodes[node.0 as usize].path),
        };
        if found == Found::Absent && !is_absent {
            self.looked_in_vain(parent);
        }
        let settled = holds != Holds::ThisScan;
        let it = &mut self.nodes[node.0 as usize];
        // What was not settled may have changed without getting another stamp.
        if it.checked == 0 || it.found != found || !it.settled || !settled {
            let same_kind = match (it.found, found) {
                (Found::File(_), Found::File(_)) => true,
                (Found::Dir(old), Found::Dir(new)) => (old.dev, old.ino) == (new.dev, new.ino),
                (old, new) => old == new,
            };
            if it.checked == 0 || !same_kind {
                it.moved = self.scan;
            }
            it.changed = self.scan;
        }
        it.checked = self.scan;
        it.looked = moment;
        it.era = if holds == Holds::InEra { era } else { NO_ERA };
        it.found = found;
        it.settled = settled;
        it.absent_in = if found == Found::Absent { above } else { None };
        found
    }

    /// Looks at a path, and says the last scan that saw something else there, whatever is in the file or directory.
    pub(crate) fn moved(&mut self, node: NodeId, files: &mut dyn Files) -> u32 {
        self.look(node, files);
        self.nodes[node.0 as usize].moved
    }

    /// The same, counting other content of a file.
    pub(crate) fn changed(&mut self, node: NodeId, files: &mut dyn Files) -> u32 {
        self.look(node, files);
        self.nodes[node.0 as usize].changed
    }

    /// Whether the last look at a node may be relied upon in later scans.
    pub(crate) fn is_settled(&self, node: NodeId) -> bool {
        self.nodes[node.0 as usize].settled
    }

    /// The epoch of a directory, which is looked at if it was not in this scan.
    fn epoch(&mut self, node: NodeId, files: &mut dyn Files) -> u64 {
        let fresh = self.nodes[node.0 as usize].checked != self.scan;
        let found = self.look(node, files);
        let it = &mut self.nodes[node.0 as usize];
        match found {
            Found::Dir(stamp) => {
                let may_have_changed = fresh && !it.settled;
                match &it.dir {
                    Some(dir) if dir.stamp == stamp && !may_have_changed => dir.epoch,
                    _ => {
                        self.last_epoch += 1;
                        let new = Directory {
                            epoch: self.last_epoch,
                            stamp,
                            listed: it
                                .dir
                                .as_ref()
                                .map_or(Listed::Vain(0), |old| old.listed.after_change()),
                        };
                        let old = it.dir.replace(Box::new(new));
                        self.bytes -= old.map_or(0, |old| old.listed.memory());
                        self.last_epoch
                    }
                }
            }
            Found::Dangling | Found::Unreadable => {
                // What a dangling link leads to can appear without a change anywhere that is looked at.
                self.last_epoch += 1;
                self.last_epoch
            }
            _ => NO_DIRECTORY,
        }
    }

    /// Whether the names in the directory of a path, which was looked at in this scan, say that there is nothing.
    fn is_not_listed(
        &mut self,
        node: NodeId,
        parent: Option<NodeId>,
        files: &mut dyn Files,
    ) -> bool {
        let Some(parent) = parent.map(|parent| parent.0 as usize) else {
            return false;
        };
        let is_dir = matches!(self.nodes[parent].found, Found::Dir(_));
        let Some(mut dir) = self.nodes[parent].dir.take_if(|_| is_dir) else {
            return false;
        };
        let path = self.nodes[node.0 as usize].path.as_os_str().as_bytes();
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
        let before = dir.listed.memory();
        let read = || files.names(&self.nodes[parent].path);
        let lacks = dir.listed.lacks(name, self.vain_looks, read);
        self.bytes = self.bytes + dir.listed.memory() - before;
        self.nodes[parent].dir = Some(dir);
        lacks
    }

    fn looked_in_vain(&mut self, parent: Option<NodeId>) {
        let parent = parent.and_then(|parent| self.nodes[parent.0 as usize].dir.as_mut());
        if let Some(dir) = parent {
            dir.listed.in_vain();
        }
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.bytes + (self.roots.len() + self.children.len()) * 24
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + name.len() + 1);
    path.extend_from_slice(dir);
    if name.is_empty() {
        return path;
    }
    if dir.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    use super::*;

    #[derive(Default)]
    struct Fake {
        at: BTreeMap<Vec<u8>, Found>,
        looks: usize,
        lists: usize,
        moment: Moment,
        era: u64,
        /// What is below it is watched.
        watched: &'static str,
    }

    impl Files for Fake {
        fn moment(&self) -> Moment {
            self.moment
        }

        fn era(&self) -> u64 {
            self.era
        }

        fn look(&mut self, path: &Path) -> (Found, Holds) {
            self.looks += 1;
            let found = self.at.get(path.as_os_str().as_bytes()).copied();
            let is_watched = self.era != NO_ERA && path.starts_with(self.watched);
            let holds = [Holds::WhileSame, Holds::InEra][usize::from(is_watched)];
            (found.unwrap_or(Found::Absent), holds)
        }

        fn read(&mut self, _: &Path, _: u64) -> Option<Vec<u8>> {
            None
        }

        fn names(&mut self, dir: &Path) -> Option<Vec<OsString>> {
            self.lists += 1;
            let paths = self
                .at
                .keys()
                .map(|path| Path::new(OsStr::from_bytes(path)));
            let inside = paths.filter(|path| path.parent() == Some(dir));
            Some(
                inside
                    .map(|path| path.file_name().unwrap().into())
                    .collect(),
            )
        }

        fn link(&mut self, _: &Path) -> Option<Vec<u8>> {
            None
        }
    }

    fn stamp(n: u64) -> Stamp {
        Stamp {
            ino: n,
            ..Stamp::default()
        }
    }

    #[test]
    fn what_is_missing_costs_one_look_at_its_directory() {
        let (mut names, mut tree, mut files) = (Names::new(), Tree::new(), Fake::default());
        files.at.insert(b"/w".to_vec(), Found::Dir(stamp(9)));
        files.at.insert(b"/w/inc".to_vec(), Found::Dir(stamp(1)));
        let dir = tree.root(b"/w", b"inc", &mut names);
        let headers: Vec<_> = ["a.h", "sys/b.h", "sys/c.h"]
            .iter()
            .map(|name| {
                let name = names.intern(name.as_bytes());
                tree.child(dir, name, &mut names)
            })
            .collect();
        for round in 0..3 {
            tree.start_scan();
            files.looks = 0;
            assert!(
                headers
                    .iter()
                    .all(|&it| tree.look(it, &mut files) == Found::Absent)
            );
            if round > 0 {
                assert_eq!(files.looks, 1, "only the directory");
            }
        }
        files.at.insert(b"/w/inc".to_vec(), Found::Dir(stamp(2)));
        files
            .at
            .insert(b"/w/inc/sys".to_vec(), Found::Dir(stamp(3)));
        files
            .at
            .insert(b"/w/inc/sys/c.h".to_vec(), Found::File(stamp(4)));
        tree.start_scan();
        assert_eq!(tree.look(headers[1], &mut files), Found::Absent);
        assert_eq!(tree.look(headers[2], &mut files), Found::File(stamp(4)));
        assert_eq!(tree.spelled(headers[2]), b"inc/sys/c.h");
        assert_eq!(&**tree.path(headers[2]), Path::new("/w/inc/sys/c.h"));
    }

    #[test]
    fn a_directory_is_read_once_for_all_that_is_not_in_it() {
        let (mut names, mut tree, mut files) = (Names::new(), Tree::new(), Fake::default());
        files.at.insert(b"/w".to_vec(), Found::Dir(stamp(9)));
        files
            .at
            .insert(b"/w/there.h".to_vec(), Found::File(stamp(1)));
        let mut node = |tree: &mut Tree, name: &str| tree.root(b"/w", name.as_bytes(), &mut names);
        let many = (0..100).map(|n| node(&mut tree, &format!("{n}.h")));
        let many: Vec<NodeId> = many.collect();
        let there = node(&mut tree, "there.h");
        tree.start_scan();
        for &it in &many[..99] {
            assert_eq!(tree.look(it, &mut files), Found::Absent);
        }
        let looks = 1 + VAIN_LOOKS as usize;
        assert_eq!((files.looks, files.lists), (looks, 1));
        assert_eq!(tree.look(there, &mut files), Found::File(stamp(1)));
        files.at.insert(b"/w/99.h".to_vec(), Found::File(stamp(2)));
        files.at.insert(b"/w".to_vec(), Found::Dir(stamp(8)));
        tree.start_scan();
        assert_eq!(tree.look(many[99], &mut files), Found::File(stamp(2)));
        assert_eq!(tree.look(many[98], &mut files), Found::Absent);
        assert_eq!(files.lists, 1, "what was read is not what is there now");
    }

    #[test]
    fn scans_of_one_moment_share_looks() {
        let (mut names, mut tree, mut files) = (Names::new(), Tree::new(), Fake::default());
        files.at.insert(b"/w".to_vec(), Found::Dir(stamp(9)));
        files.at.insert(b"/w/a.h".to_vec(), Found::File(stamp(1)));
        let there = tree.root(b"/w", b"a.h", &mut names);
        let missing = tree.root(b"/w", b"b.h", &mut names);
        let mut look = |files: &mut Fake| {
            tree.start_scan();
            files.looks = 0;
            let found = (tree.look(there, files), tree.look(missing, files));
            (found, files.looks)
        };
        files.moment = Moment::OWN.next();
        let first = (Found::File(stamp(1)), Found::Absent);
        assert_eq!(look(&mut files), (first, 3));
        assert_eq!(look(&mut files), (first, 0));
        files.at.insert(b"/w/a.h".to_vec(), Found::File(stamp(2)));
        files.at.insert(b"/w/b.h".to_vec(), Found::File(stamp(3)));
        files.at.insert(b"/w".to_vec(), Found::Dir(stamp(8)));
        files.moment = files.moment.next();
        let second = (Found::File(stamp(2)), Found::File(stamp(3)));
        assert_eq!(look(&mut files), (second, 3));
        files.moment = Moment::OWN;
        assert_eq!(look(&mut files).1, 2);
        assert_eq!(look(&mut files).1, 2, "nothing is shared");
    }

    #[test]
    fn what_is_watched_is_looked_at_once_in_an_era() {
        let (mut names, mut tree, mut files) = (Names::new(), Tree::new(), Fake::default());
        (files.era, files.watched) = (1, "/usr");
        for dir in ["/usr", "/w"] {
            files.at.insert(dir.into(), Found::Dir(stamp(9)));
        }
        files.at.insert(b"/usr/a.h".to_vec(), Found::File(stamp(1)));
        files.at.insert(b"/w/a.h".to_vec(), Found::File(stamp(2)));
        let paths = ["/usr/a.h", "/usr/b.h", "/usr/no/c.h", "/w/a.h"];
        let nodes = paths.map(|path| tree.root(b"", path.as_bytes(), &mut names));
        let mut look = |files: &mut Fake| {
            tree.start_scan();
            files.looks = 0;
            let found = nodes.map(|node| tree.look(node, files));
            (found, files.looks)
        };
        let there = |n| Found::File(stamp(n));
        let first = [there(1), Found::Absent, Found::Absent, there(2)];
        assert_eq!(look(&mut files).0, first);
        assert_eq!(look(&mut files), (first, 1), "only what is not watched");
        for path in ["/usr/a.h", "/usr/b.h"] {
            files.at.insert(path.into(), there(7));
        }
        files.at.insert(b"/usr".to_vec(), Found::Dir(stamp(8)));
        assert_eq!(look(&mut files).0, first, "nobody has told of it yet");
        files.era = 2;
        let second = [there(7), there(7), Found::Absent, there(2)];
        assert_eq!(look(&mut files).0, second);
        assert_eq!(look(&mut files), (second, 1));
        files.era = NO_ERA;
        assert!(look(&mut files).1 > 1, "nobody watches any more");
    }

    #[test]
    fn spellings_are_those_of_the_compiler() {
        let (mut names, mut tree) = (Names::new(), Tree::new());
        let source = tree.root(b"/w", b"src/a.c", &mut names);
        let dir = tree.parent(source).unwrap();
        assert_eq!(tree.spelled(dir), b"src");
        let bare = tree.root(b"/w", b"a.c", &mut names);
        let here = tree.parent(bare).unwrap();
        assert_eq!(tree.spelled(here), b"");
        let header = names.intern(b"x.h");
        let found = tree.child(here, header, &mut names);
        assert_eq!(
            (tree.spelled(found), tree.path(found)),
            (&b"x.h"[..], &Arc::from(Path::new("/w/x.h")))
        );
        let absolute = names.intern(b"/usr/x.h");
        let found = tree.child(here, absolute, &mut names);
        assert_eq!(tree.spelled(found), b"/usr/x.h");
    }
}
