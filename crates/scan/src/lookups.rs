//! Headers looked for in search paths, remembered from compile to compile.
//!
//! Compiles of one project include the same headers. What looking for one in a path found is kept once for all paths
//! that begin with the directories that were looked into, with all the places that were looked at. A lookup is checked
//! once in a scan: each of its places is looked at again, and only if something else is there now is the header looked
//! for anew. What rests on a lookup can then ask whether it has changed since.

use crate::files::Found;
use crate::hash::FastMap;
use crate::names::Name;
use crate::paths::{PathId, Paths, Prefix};
use crate::search::{At, Unreadable, World, is_file};
use crate::trail::Look;
use crate::tree::NodeId;

/// A header in a search path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LookupId(pub(crate) u32);

/// The file, and which directory of the path it is in.
type Answer = Result<Option<(NodeId, u32)>, Unreadable>;

#[derive(Debug)]
struct Lookup {
    /// Every place looked at, in order; the last is that of the file, if there is one.
    places: Box<[NodeId]>,
    answer: Answer,
    /// One of the paths that it is for.
    path: PathId,
    start: u32,
    header: Name,
    /// The scan that checked it last.
    checked: u32,
    /// The last scan that found something else in one of the places.
    moved: u32,
}

/// How many directories of their paths the lookups of one header have needed: each is a bit, the last of them stands
/// for all above.
#[derive(Debug, Clone, Copy, Default)]
struct Depths(u64);

/// All search paths, and what was looked for in them.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    pub(crate) paths: Paths,
    all: Vec<Lookup>,
    by_prefix: FastMap<(Prefix, u32, Name), LookupId>,
    depths: FastMap<(u32, Name), Depths>,
    places: usize,
}

/// A visit of an earlier scan that is asked for again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again {
    pub(crate) scan: u32,
    /// The search path it was made with, and the one of now.
    pub(crate) from: PathId,
    pub(crate) to: PathId,
}

impl Depths {
    const LAST: u32 = u64::BITS - 1;

    fn add(&mut self, depth: u32) {
        self.0 |= 1 << depth.min(Self::LAST);
    }

    /// Each of them, in order, up to the length of a path.
    fn up_to(self, whole: u32) -> impl Iterator<Item = u32> {
        let has = move |depth: u32| self.0 & (1 << depth.min(Self::LAST)) != 0;
        (self.0.trailing_zeros()..=whole).filter(move |&depth| has(depth))
    }
}

impl Lookups {
    /// The header in the path from its entry `start` on.
    pub(crate) fn in_path(
        &mut self,
        path: PathId,
        start: u32,
        header: Name,
        world: &mut World<'_>,
    ) -> Result<Option<(NodeId, At)>, Unreadable> {
        let id = self.find_or_add(path, start, header, world);
        world.trail.look(Look::Lookup(id));
        let answer = self.all[id.0 as usize].answer?;
        Ok(answer.map(|(file, index)| (file, At::Entry(index))))
    }

    /// Looks again at what a lookup rests on, once in a scan; the last scan that found something else there.
    pub(crate) fn moved(&mut self, id: LookupId, world: &mut World<'_>) -> u32 {
        self.check(id, world);
        self.all[id.0 as usize].moved
    }

    /// The lookup that stands for one of an earlier visit, if it finds what that found.
    pub(crate) fn again(
        &mut self,
        id: LookupId,
        again: Again,
        world: &mut World<'_>,
    ) -> Option<LookupId> {
        let Again { scan, from, to } = again;
        if from == to {
            return (self.moved(id, world) <= scan).then_some(id);
        }
        let was = &self.all[id.0 as usize];
        let start = self.paths.start_in(was.start, from, to)?;
        if start == was.start && self.is_for(id, to) {
            return (self.moved(id, world) <= scan).then_some(id);
        }
        let (header, answer) = (was.header, was.answer.ok()?);
        // It is not asked for again: what it found then is all that is wanted.
        if was.moved > scan {
            return None;
        }
        let id = self.find_or_add(to, start, header, world);
        let is = self.all[id.0 as usize].answer.ok()?;
        (is.map(|it| it.0) == answer.map(|it| it.0)).then_some(id)
    }

    /// A lookup that was checked in this scan.
    fn find_or_add(
        &mut self,
        path: PathId,
        start: u32,
        header: Name,
        world: &mut World<'_>,
    ) -> LookupId {
        while let Some(id) = self.get(path, start, header) {
            self.check(id, world);
            if self.is_for(id, path) {
                return id;
            }
        }
        self.add(path, start, header, world)
    }

    fn get(&self, path: PathId, start: u32, header: Name) -> Option<LookupId> {
        let depths = self.depths.get(&(start, header))?;
        let mut prefixes = depths
            .up_to(self.paths.whole(path))
            .filter_map(|depth| self.paths.prefix(path, depth));
        prefixes.find_map(|prefix| self.by_prefix.get(&(prefix, start, header)).copied())
    }

    /// Whether a lookup is one in this path too.
    fn is_for(&self, id: LookupId, path: PathId) -> bool {
        let it = &self.all[id.0 as usize];
        it.path == path || Some(self.prefix(it)) == self.paths.prefix(path, self.depth(it))
    }

    /// How many directories its answer depends on.
    fn depth(&self, it: &Lookup) -> u32 {
        match it.answer {
            Ok(Some((_, index))) => index + 1,
            Ok(None) | Err(_) => self.paths.whole(it.path),
        }
    }

    fn prefix(&self, it: &Lookup) -> Prefix {
        let prefix = self.paths.prefix(it.path, self.depth(it));
        prefix.expect("not deeper than its own path")
    }

    /// Lets a lookup be found.
    fn list(&mut self, id: LookupId) {
        let it = &self.all[id.0 as usize];
        let (start, header, depth) = (it.start, it.header, self.depth(it));
        let key = (self.prefix(it), start, header);
        self.by_prefix.entry(key).or_insert(id);
        self.depths.entry((start, header)).or_default().add(depth);
    }

    /// Lets it be found no more.
    fn unlist(&mut self, id: LookupId) {
        let it = &self.all[id.0 as usize];
        let key = (self.prefix(it), it.start, it.header);
        if self.by_prefix.get(&key) == Some(&id) {
            self.by_prefix.remove(&key);
        }
    }

    fn check(&mut self, id: LookupId, world: &mut World<'_>) {
        let it = &mut self.all[id.0 as usize];
        let scan = world.tree.scan();
        if it.checked == scan {
            return;
        }
        let last = it.checked;
        let mut places = it.places.iter();
        if places.all(|&node| world.tree.moved(node, world.files) <= last) {
            it.checked = scan;
            return;
        }
        let (path, start, header) = (it.path, it.start, it.header);
        let (places, answer) = self.look(path, start, header, world);
        self.unlist(id);
        let it = &mut self.all[id.0 as usize];
        (it.places, it.answer) = (places, answer);
        (it.checked, it.moved) = (scan, scan);
        self.list(id);
    }

    fn add(&mut self, path: PathId, start: u32, header: Name, world: &mut World<'_>) -> LookupId {
        let (places, answer) = self.look(path, start, header, world);
        let scan = world.tree.scan();
        let id = LookupId(u32::try_from(self.all.len()).expect("memory is bounded far below this"));
        self.places += places.len();
        self.all.push(Lookup {
            places,
            answer,
            path,
            start,
            header,
            checked: scan,
            moved: scan,
        });
        self.list(id);
        id
    }

    fn look(
        &self,
        path: PathId,
        start: u32,
        header: Name,
        world: &mut World<'_>,
    ) -> (Box<[NodeId]>, Answer) {
        let dirs = &self.paths.get(path).dirs;
        let mut places = Vec::with_capacity(dirs.len());
        let text = world.names.text(header);
        let folder = text
            .iter()
            .rposition(|&b| b == b'/')
            .map(|at| text[..at].to_vec());
        let folder = folder.map(|text| world.names.intern(&text));
        for (index, &dir) in (0u32..).zip(dirs).skip(start as usize) {
            // Nothing is in a folder that is not there, which one look tells for all of its headers.
            if let Some(folder) = folder {
                let folder = world.tree.child(dir, folder, world.names);
                if world.tree.look(folder, world.files) == Found::Absent {
                    places.push(folder);
                    continue;
                }
            }
            let file = world.tree.child(dir, header, world.names);
            places.push(file);
            match is_file(file, world) {
                Ok(true) => return (places.into(), Ok(Some((file, index)))),
                Ok(false) => {}
                Err(unreadable) => return (places.into(), Err(unreadable)),
            }
        }
        (places.into(), Ok(None))
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.all.len() * (size_of::<Lookup>() + 40) + self.places * size_of::<NodeId>()
    }
}
