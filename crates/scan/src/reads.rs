//! Files as they were last read: which directives are in them, for how long already, and the names made of them.
//!
//! One file can be parsed in several ways, for several languages, but only where that makes a difference. When a file
//! has changed and its directives have not, all conclusions from them still hold: that is why a reading knows the scan
//! since which it has been the same.

use std::sync::Arc;

use crate::files::{Files, Found, Stamp};
use crate::hash::FastMap;
use crate::limits::FILE_BYTES_MAX;
use crate::mode::Mode;
use crate::names::Name;
use crate::once::{OnceNames, OnceOf};
use crate::parse;
use crate::parsed::Parsed;
use crate::report::Doubt;
use crate::store::Store;
use crate::toolchain::Family;
use crate::tree::{NodeId, Tree};

/// What a file is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reading {
    Source,
    Assembler,
    Preprocessed,
}

/// A file at a path, read in one way.
#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    reading: Reading,
    /// The scan that may use it, when it may not be used in others.
    only_in: Option<u32>,
    parsed: Arc<Parsed>,
    /// The scan since which the directives have been the same.
    since: u32,
    once: OnceOf,
}

/// A parsed file, whatever its path.
type Read = (Stamp, Reading, Arc<Parsed>);

/// All files that were read.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// By node.
    entries: Vec<Vec<Entry>>,
    /// Parsed files by inode and device.
    by_inode: FastMap<(u64, u64), Vec<Read>>,
    once: OnceNames,
    bytes: usize,
}

/// What files are read with.
pub(crate) struct Desk<'a> {
    pub(crate) tree: &'a mut Tree,
    pub(crate) store: &'a mut Store,
    pub(crate) files: &'a mut dyn Files,
}

impl Reads {
    /// A file's directives.
    pub(crate) fn parsed(
        &mut self,
        desk: &mut Desk<'_>,
        node: NodeId,
        mode: Mode,
        reading: Reading,
    ) -> Result<Arc<Parsed>, Doubt> {
        let at = self.entry(desk, node, mode, reading)?;
        Ok(Arc::clone(&self.entries[node.0 as usize][at].parsed))
    }

    /// Index of the reading among those of the file.
    fn entry(
        &mut self,
        desk: &mut Desk<'_>,
        node: NodeId,
        mode: Mode,
        reading: Reading,
    ) -> Result<usize, Doubt> {
        let index = node.0 as usize;
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, Vec::new);
        }
        let found = desk.tree.look(node, desk.files);
        let stamp = match found {
            Found::File(stamp) => stamp,
            _ => Stamp::default(),
        };
        let scan = desk.tree.scan();
        let is_current = |it: &Entry| {
            (it.stamp, it.reading) == (stamp, reading)
                && it.parsed.is_for(mode)
                && it.only_in.is_none_or(|only| only == scan)
        };
        if let Some(at) = self.entries[index].iter().position(is_current) {
            return Ok(at);
        }
        let settled = desk.tree.is_settled(node) && found != Found::Null;
        let parsed = self.fetch(desk, node, (found, stamp, settled), mode, reading)?;
        let mut new = Entry {
            stamp,
            reading,
            only_in: (!settled).then_some(scan),
            parsed,
            since: scan,
            once: OnceOf::default(),
        };
        let list = &mut self.entries[index];
        let is_old = |it: &Entry| it.reading == reading && it.parsed.is_for(mode);
        let is_of_no_use = |it: &Entry| it.reading == reading && it.stamp != stamp;
        let at = list.iter().position(is_old);
        let Some(at) = at.or_else(|| list.iter().position(is_of_no_use)) else {
            list.push(new);
            return Ok(list.len() - 1);
        };
        let old = &list[at];
        let (was, is) = ((&old.stamp, &*old.parsed), (&new.stamp, &*new.parsed));
        if let Some(once) = self.once.keep(old.once, was, is) {
            new.once = once;
            if is_old(old) && old.parsed.does_the_same(&new.parsed) {
                new.since = old.since;
            }
        }
        list[at] = new;
        Ok(at)
    }

    /// The file from another path, or read.
    fn fetch(
        &mut self,
        desk: &mut Desk<'_>,
        node: NodeId,
        (found, stamp, settled): (Found, Stamp, bool),
        mode: Mode,
        reading: Reading,
    ) -> Result<Arc<Parsed>, Doubt> {
        let inode = (stamp.ino, stamp.dev);
        let same = |it: &&Read| (it.0, it.1) == (stamp, reading) && it.2.is_for(mode);
        let known = self.by_inode.get(&inode).filter(|_| settled);
        if let Some((.., parsed)) = known.and_then(|list| list.iter().find(same)) {
            return Ok(Arc::clone(parsed));
        }
        let parsed = read(desk, node, found, mode, reading)?;
        self.bytes += parsed.memory();
        if settled {
            let list = self.by_inode.entry(inode).or_default();
            list.retain(|it| it.0 == stamp);
            list.push((stamp, reading, Arc::clone(&parsed)));
        }
        Ok(parsed)
    }

    /// Whether a file that is still there does the same as it did in an earlier scan, for compiles in a mode.
    pub(crate) fn is_as_in(
        &mut self,
        desk: &mut Desk<'_>,
        node: NodeId,
        mode: Mode,
        scan: u32,
    ) -> bool {
        if desk.tree.changed(node, desk.files) <= scan {
            return true;
        }
        if desk.tree.moved(node, desk.files) > scan {
            return false;
        }
        // What was never read for its directives only has to be there.
        let list = self
            .entries
            .get(node.0 as usize)
            .map_or(&[][..], Vec::as_slice);
        let all = [Reading::Source, Reading::Assembler, Reading::Preprocessed];
        let is_read = all.map(|reading| list.iter().any(|it| it.reading == reading));
        let mut readings = all.into_iter().zip(is_read).filter(|it| it.1);
        readings.all(|(reading, _)| {
            let at = self.entry(desk, node, mode, reading);
            at.is_ok_and(|at| self.entries[node.0 as usize][at].since <= scan)
        })
    }

    /// The unspeakable name that is marked when a file must not be entered again.
    pub(crate) fn once(
        &mut self,
        desk: &mut Desk<'_>,
        node: NodeId,
        mode: Mode,
        family: Family,
    ) -> Result<Name, Doubt> {
        let at = self.entry(desk, node, mode, Reading::Source)?;
        let entry = &mut self.entries[node.0 as usize][at];
        let of = (&entry.stamp, &*entry.parsed);
        Ok(self
            .once
            .get(&mut entry.once, of, family, &mut desk.store.names))
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.bytes + self.entries.len() * size_of::<Vec<Entry>>()
    }
}

fn read(
    desk: &mut Desk<'_>,
    node: NodeId,
    found: Found,
    mode: Mode,
    reading: Reading,
) -> Result<Arc<Parsed>, Doubt> {
    let size = match found {
        Found::File(stamp) => stamp.size,
        _ => 0,
    };
    let bytes = match found {
        Found::Null => Vec::new(),
        Found::File(stamp) if stamp.size > FILE_BYTES_MAX => {
            return Err(Doubt::Limit("FILE_BYTES_MAX"));
        }
        _ => desk.files.read(desk.tree.path(node), size).ok_or_else(|| {
            let spelled = String::from_utf8_lossy(desk.tree.spelled(node));
            Doubt::Unreadable(spelled.into_owned())
        })?,
    };
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Doubt::Limit("FILE_BYTES_MAX"));
    }
    Ok(Arc::new(match reading {
        Reading::Source => parse::parse(bytes, mode, desk.store),
        Reading::Assembler => parse::parse_assembler(bytes, mode, desk.store),
        Reading::Preprocessed => parse::parse_preprocessed(bytes, mode, desk.store),
    }))
}
