//! What is done while headers are visited, in order: places looked at, files used, files asked for.
//!
//! A visit of a header is a stretch of this trail, as is the whole compile; whoever remembers one takes a copy of the
//! stretch. Visits are nested, so that nothing is taken off the trail before the scan ends.

use crate::limits::TRAIL_STEPS_MAX;
use crate::lookups::LookupId;
use crate::stamps::Stamps;
use crate::tree::NodeId;
use crate::walk::Use;

/// Something looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Look {
    /// A path.
    Node(NodeId),
    /// A header in a search path.
    Lookup(LookupId),
}

/// Everything done in a scan.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    looks: Vec<Look>,
    uses: Vec<Use>,
    probes: Vec<NodeId>,
    full: bool,
    seen: (Stamps, Stamps),
}

/// A point on the trail.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    looks: usize,
    uses: usize,
    probes: usize,
}

/// What a stretch of the trail rests on, every one once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grounds {
    pub(crate) nodes: Box<[NodeId]>,
    pub(crate) lookups: Box<[LookupId]>,
}

impl Trail {
    pub(crate) fn clear(&mut self) {
        self.looks.clear();
        self.uses.clear();
        self.probes.clear();
        self.full = false;
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            looks: self.looks.len(),
            uses: self.uses.len(),
            probes: self.probes.len(),
        }
    }

    /// Whether something is missing, so that nothing can be concluded.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    fn has_room(&mut self) -> bool {
        self.full |= self.looks.len() + self.uses.len() + self.probes.len() > TRAIL_STEPS_MAX;
        !self.full
    }

    pub(crate) fn look(&mut self, look: Look) {
        if self.has_room() {
            self.looks.push(look);
        }
    }

    pub(crate) fn use_file(&mut self, it: Use) {
        if self.has_room() {
            self.uses.push(it);
        }
    }

    pub(crate) fn probe(&mut self, node: NodeId) {
        if self.has_room() {
            self.probes.push(node);
        }
    }

    /// Files used since a mark, also those that were used before, each once.
    pub(crate) fn uses_since(&mut self, mark: Mark) -> Vec<Use> {
        let seen = &mut self.seen.0;
        seen.clear();
        let uses = self.uses[mark.uses..].iter();
        uses.filter(|it| seen.insert(it.node.0)).copied().collect()
    }

    /// Files asked for since a mark, each once.
    pub(crate) fn probes_since(&mut self, mark: Mark) -> Vec<NodeId> {
        let seen = &mut self.seen.0;
        seen.clear();
        let probes = self.probes[mark.probes..].iter();
        probes.filter(|it| seen.insert(it.0)).copied().collect()
    }

    /// What the stretch since a mark rests on.
    pub(crate) fn grounds_since(&mut self, mark: Mark) -> Grounds {
        let (seen_nodes, seen_lookups) = &mut self.seen;
        seen_nodes.clear();
        seen_lookups.clear();
        let (mut nodes, mut lookups) = (Vec::new(), Vec::new());
        for look in &self.looks[mark.looks..] {
            match *look {
                Look::Node(node) if seen_nodes.insert(node.0) => nodes.push(node),
                Look::Lookup(lookup) if seen_lookups.insert(lookup.0) => lookups.push(lookup),
                _ => {}
            }
        }
        Grounds {
            nodes: nodes.into(),
            lookups: lookups.into(),
        }
    }

    /// Adds what a remembered stretch rests on.
    pub(crate) fn rest_on(&mut self, nodes: &[NodeId], lookups: &[LookupId]) {
        if !self.has_room() {
            return;
        }
        self.looks
            .extend(nodes.iter().map(|&node| Look::Node(node)));
        self.looks
            .extend(lookups.iter().map(|&lookup| Look::Lookup(lookup)));
    }
}

impl Grounds {
    pub(crate) fn memory(&self) -> usize {
        self.nodes.len() * size_of::<NodeId>() + self.lookups.len() * size_of::<LookupId>()
    }
}
