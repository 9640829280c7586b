//! Headers looked for in search paths, remembered from compile to compile.
//!
//! Compiles of one project have a few search paths and include the same headers. Every path is kept once, and so is
//! what looking for a header in it found, with all the places that were looked at. A lookup is checked once in a scan:
//! each of its places is looked at again, and only if something else is there now is the header looked for anew. What
//! rests on a lookup can then ask whether it has changed since.

use std::sync::Arc;

use crate::files::Found;
use crate::hash::FastMap;
use crate::names::Name;
use crate::search::{At, SearchPath, Unreadable, World, is_file};
use crate::trail::Look;
use crate::tree::NodeId;

/// A search path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct PathId(u32);

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
    path: PathId,
    start: u32,
    header: Name,
    /// The scan that checked it last.
    checked: u32,
    /// The last scan that found something else in one of the places.
    moved: u32,
}

/// All search paths, and what was looked for in them.
#[derive(Debug, Default)]
pub(crate) struct Lookups {
    paths: Vec<Arc<SearchPath>>,
    by_path: FastMap<Arc<SearchPath>, PathId>,
    all: Vec<Lookup>,
    by_header: FastMap<(PathId, u32, Name), LookupId>,
    places: usize,
}

impl Lookups {
    /// The number of a search path.
    pub(crate) fn intern(&mut self, path: SearchPath) -> PathId {
        if let Some(&id) = self.by_path.get(&path) {
            return id;
        }
        let id = PathId(index(self.paths.len()));
        let path = Arc::new(path);
        self.paths.push(Arc::clone(&path));
        self.by_path.insert(path, id);
        id
    }

    pub(crate) fn path(&self, id: PathId) -> &SearchPath {
        &self.paths[id.0 as usize]
    }

    /// The header in the path from its entry `start` on.
    pub(crate) fn in_path(
        &mut self,
        path: PathId,
        start: u32,
        header: Name,
        world: &mut World<'_>,
    ) -> Result<Option<(NodeId, At)>, Unreadable> {
        let id = match self.by_header.get(&(path, start, header)) {
            Some(&id) => id,
            None => self.add(path, start, header, world),
        };
        world.trail.look(Look::Lookup(id));
        self.check(id, world);
        let answer = self.all[id.0 as usize].answer?;
        Ok(answer.map(|(file, index)| (file, At::Entry(index))))
    }

    /// Looks again at what a lookup rests on, once in a scan; the last scan that found something else there.
    pub(crate) fn moved(&mut self, id: LookupId, world: &mut World<'_>) -> u32 {
        self.check(id, world);
        self.all[id.0 as usize].moved
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
        let it = &mut self.all[id.0 as usize];
        (it.places, it.answer) = (places, answer);
        (it.checked, it.moved) = (scan, scan);
    }

    fn add(&mut self, path: PathId, start: u32, header: Name, world: &mut World<'_>) -> LookupId {
        let (places, answer) = self.look(path, start, header, world);
        let scan = world.tree.scan();
        let id = LookupId(index(self.all.len()));
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
        self.by_header.insert((path, start, header), id);
        id
    }

    fn look(
        &self,
        path: PathId,
        start: u32,
        header: Name,
        world: &mut World<'_>,
    ) -> (Box<[NodeId]>, Answer) {
        let mut places = Vec::new();
        let text = world.names.text(header);
        let folder = text
            .iter()
            .rposition(|&b| b == b'/')
            .map(|at| text[..at].to_vec());
        let folder = folder.map(|text| world.names.intern(&text));
        let dirs = (0u32..).zip(&self.path(path).dirs);
        for (index, &dir) in dirs.skip(start as usize) {
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
        self.all.len() * (size_of::<Lookup>() + 24) + self.places * size_of::<NodeId>()
    }
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("memory is bounded far below this")
}
