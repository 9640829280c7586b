//! Visits of headers, kept to be done again: when a header is met with the macros that it looked at standing for what
//! they did then, and all that was looked at in the file system is as it was, what it did is done in one go.
//!
//! A visit holds everything that happened until the header's end, in headers that it includes too. So that a chain of
//! headers does not keep the same again and again, one is only kept if it took at least twice as much as the largest
//! that is kept inside it. What is kept is bounded; what was not of use lately goes first.

use std::sync::Arc;

use crate::hash::FastMap;
use crate::limits::{VISITS_BYTES_MAX, VISITS_PER_HEADER_MAX};
use crate::lookups::PathId;
use crate::mode::Mode;
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

/// All visits that are kept.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    by_node: FastMap<NodeId, Vec<Kept>>,
    bytes: usize,
    /// The scan in which room was made last.
    swept: u32,
}

impl Visits {
    /// Visits of a header, the last used first.
    pub(crate) fn of(&self, node: NodeId) -> usize {
        self.by_node.get(&node).map_or(0, Vec::len)
    }

    /// One of them.
    pub(crate) fn get(&self, node: NodeId, index: usize) -> Option<&Arc<Visit>> {
        Some(&self.by_node.get(&node)?.get(index)?.1)
    }

    /// One of them is done again.
    pub(crate) fn used(&mut self, node: NodeId, index: usize, scan: u32) {
        if let Some(list) = self.by_node.get_mut(&node) {
            list[index].0 = scan;
            list[..=index].rotate_right(1);
        }
    }

    /// One of them does not hold any more.
    pub(crate) fn remove(&mut self, node: NodeId, index: usize) {
        if let Some(list) = self.by_node.get_mut(&node) {
            self.bytes -= list.remove(index).1.memory();
        }
    }

    /// Keeps a visit.
    pub(crate) fn add(&mut self, visit: Visit) {
        let scan = visit.scan;
        self.bytes += visit.memory();
        let list = self.by_node.entry(visit.meeting.node).or_default();
        if list.len() >= VISITS_PER_HEADER_MAX
            && let Some((_, oldest)) = list.pop()
        {
            self.bytes -= oldest.memory();
        }
        list.insert(0, (scan, Arc::new(visit)));
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
        self.by_node.retain(|_, list| {
            list.retain(&keep);
            bytes += list.iter().map(|it| it.1.memory()).sum::<usize>();
            !list.is_empty()
        });
        self.bytes = bytes;
    }

    /// Forgets all visits.
    pub(crate) fn forget(&mut self) {
        self.by_node.clear();
        self.bytes = 0;
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.bytes
    }
}
