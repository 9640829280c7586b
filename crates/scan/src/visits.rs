//! Visits of headers, kept to be done again: when a header is met with the macros that it looked at standing for what
//! they did then, and all that was looked at in the file system is as it was, what it did is done in one go.
//!
//! A visit holds everything that happened until the header's end, in headers that it includes too. So that a chain of
//! headers does not keep the same again and again, one is only kept if it took at least twice as much as the largest
//! that is kept inside it. What is kept is bounded; what was not of use lately goes first.

use std::sync::Arc;

use crate::hash::FastMap;
use crate::limits::{VISITS_BYTES_MAX, VISITS_LEFT_OUT, VISITS_MADE_FREELY, VISITS_PER_HEADER_MAX};
use crate::mode::Mode;
use crate::paths::PathId;
use crate::report::{Dates, Why};
use crate::scanner::ToolchainId;
use crate::search::At;
use crate::state::Effect;
use crate::trail::Grounds;
use crate::tree::NodeId;

/// How a header is met, apart from macros and files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meeting {
    pub(crate) node: NodeId,
    pub(crate) at: At,
    pub(crate) path: PathId,
    pub(crate) elifdef: bool,
}

impl Meeting {
    /// Whether what was done at another meeting may be done here, if the headers are found in this search path too. In
    /// which entry of the path this one was found only matters to `#include_next`, which goes by the directory.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let is_alike = match (self.at, other.at) {
            (At::Entry(_), At::Entry(_)) => true,
            (here, there) => here == there,
        };
        is_alike && (self.node, self.elifdef) == (other.node, other.elifdef)
    }
}

/// What it took, for the limits of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cost {
    pub(crate) includes: u32,
    pub(crate) directives: u64,
    pub(crate) tokens: u64,
    /// Nesting of includes below the header.
    pub(crate) depth: u32,
}

/// A file that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VisitUse {
    pub(crate) node: NodeId,
    pub(crate) from: NodeId,
    pub(crate) spot: u32,
    pub(crate) why: Why,
}

/// A visit.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) meeting: Meeting,
    /// Whose answers to questions were used.
    pub(crate) toolchain: Option<ToolchainId>,
    /// How files were cut, as far as it matters to them.
    pub(crate) mode: Mode,
    pub(crate) matters: Mode,
    pub(crate) effect: Effect,
    pub(crate) grounds: Grounds,
    pub(crate) uses: Box<[VisitUse]>,
    pub(crate) probes: Box<[NodeId]>,
    pub(crate) dates: Dates,
    pub(crate) cost: Cost,
    /// The scan that it is from.
    pub(crate) scan: u32,
}

impl Visit {
    fn memory(&self) -> usize {
        size_of::<Self>()
            + self.effect.memory()
            + self.grounds.memory()
            + self.uses.len() * size_of::<VisitUse>()
            + self.probes.len() * size_of::<NodeId>()
    }
}

/// A visit, and the last scan in which it was made or done again.
type Kept = (u32, Arc<Visit>);

/// The visits of one header.
#[derive(Debug, Default)]
struct OfHeader {
    kept: Vec<Kept>,
    /// How often one was made, was done again, and could have been made but was not.
    made: u32,
    done_again: u32,
    left_out: u32,
}

/// All visits that are kept.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    by_node: FastMap<NodeId, OfHeader>,
    bytes: usize,
    /// The scan in which room was made last.
    swept: u32,
}

impl Visits {
    /// How many visits of a header there are.
    pub(crate) fn of(&self, node: NodeId) -> usize {
        self.by_node.get(&node).map_or(0, |it| it.kept.len())
    }

    /// One of them, the last used first.
    pub(crate) fn get(&self, node: NodeId, index: usize) -> Option<&Arc<Visit>> {
        Some(&self.by_node.get(&node)?.kept.get(index)?.1)
    }

    /// One of them is done again.
    pub(crate) fn used(&mut self, node: NodeId, index: usize, scan: u32) {
        if let Some(it) = self.by_node.get_mut(&node) {
            it.done_again += 1;
            it.kept[index].0 = scan;
            it.kept[..=index].rotate_right(1);
        }
    }

    /// One of them does not hold any more.
    pub(crate) fn remove(&mut self, node: NodeId, index: usize) {
        if let Some(it) = self.by_node.get_mut(&node) {
            self.bytes -= it.kept.remove(index).1.memory();
        }
    }

    /// Whether another visit of a header is likely to be of use: a header that is met with other macros each time is
    /// followed as fast, and so only tried now and then.
    pub(crate) fn wants(&mut self, node: NodeId) -> bool {
        let it = self.by_node.entry(node).or_default();
        let is_useful = it.made < VISITS_MADE_FREELY || it.done_again >= it.made;
        it.left_out += u32::from(!is_useful);
        is_useful || it.left_out.is_multiple_of(VISITS_LEFT_OUT)
    }

    /// Keeps a visit.
    pub(crate) fn add(&mut self, visit: Visit) {
        let scan = visit.scan;
        self.bytes += visit.memory();
        let it = self.by_node.entry(visit.meeting.node).or_default();
        it.made += 1;
        if it.kept.len() >= VISITS_PER_HEADER_MAX
            && let Some((_, oldest)) = it.kept.pop()
        {
            self.bytes -= oldest.memory();
        }
        it.kept.insert(0, (scan, Arc::new(visit)));
        if self.bytes > VISITS_BYTES_MAX {
            self.sweep(scan);
        }
    }

    /// Makes room.
    fn sweep(&mut self, scan: u32) {
        let swept = std::mem::replace(&mut self.swept, scan);
        self.retain(|(used, visit)| *used > swept && *used > visit.scan);
        if self.bytes > VISITS_BYTES_MAX / 2 {
            self.forget();
        }
    }

    fn retain(&mut self, keep: impl Fn(&Kept) -> bool) {
        let mut bytes = 0;
        for it in self.by_node.values_mut() {
            it.kept.retain(&keep);
            bytes += it.kept.iter().map(|it| it.1.memory()).sum::<usize>();
        }
        self.bytes = bytes;
    }

    /// Forgets all visits.
    pub(crate) fn forget(&mut self) {
        self.by_node.clear();
        self.bytes = 0;
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.bytes + self.by_node.len() * size_of::<OfHeader>()
    }
}
