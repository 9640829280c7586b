//! Visits of headers as units of remembering: where one starts, whether an earlier one can be done again instead, and
//! what is kept of it at its end.

use std::sync::Arc;

use super::{Use, UseIndex, Walk};
use crate::limits::{DIRECTIVES_MAX, INCLUDE_DEPTH_MAX, INCLUDES_MAX};
use crate::lookups::{Again, LookupId};
use crate::mode::Mode;
use crate::parsed::Parsed;
use crate::report::Dates;
use crate::search::{At, World};
use crate::trail;
use crate::tree::NodeId;
use crate::visits::{Cost, Meeting, Visit, VisitUse};
use crate::{macro_log, reads::Desk};

/// A visit that may be kept when it ends.
#[derive(Debug)]
pub(super) struct Frame {
    meeting: Meeting,
    macros: macro_log::Mark,
    trail: trail::Mark,
    start: Cost,
    /// What the visit around this one has so far.
    around: Inner,
    taints: u32,
    answers_used: u32,
}

/// What is collected in a visit on the way.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inner {
    dates: Dates,
    matters: Mode,
    /// Deepest nesting of includes.
    deepest: u32,
    /// Steps of the largest visit inside that is kept.
    largest_kept: u64,
}

impl Walk<'_> {
    fn meeting(&self, node: NodeId, at: At) -> Meeting {
        Meeting {
            node,
            at,
            path: self.path,
            elifdef: self.elifdef,
        }
    }

    /// Whether visits that start here depend on nothing but what a visit remembers.
    fn is_plain(&self) -> bool {
        !(self.first || self.imports || self.stopped || self.scanner.state.is_changed())
    }

    /// Does an earlier visit of a header again, if there is one that fits.
    pub(super) fn replay(&mut self, node: NodeId, at: At) -> bool {
        let count = self.scanner.visits.of(node);
        if count == 0 || !self.is_plain() {
            return false;
        }
        let meeting = self.meeting(node, at);
        let mut index = 0;
        while let Some(visit) = self.scanner.visits.get(node, index) {
            let paths = &self.scanner.lookups.paths;
            let fits = meeting.is_like(&visit.meeting)
                && paths.are_alike(visit.meeting.path, self.path)
                && visit.mode == self.mode.within(visit.matters)
                && visit.toolchain.is_none_or(|it| it == self.toolchain)
                && self.can_afford(&visit.cost)
                && visit.effect.fits(&self.scanner.state);
            if !fits {
                index += 1;
                continue;
            }
            let visit = Arc::clone(visit);
            let files = visit.uses.iter().map(|it| it.node).chain([node]);
            let again = Again {
                scan: visit.scan,
                from: visit.meeting.path,
                to: self.path,
            };
            let nodes = visit.grounds.nodes.iter().copied();
            let lookups = visit.grounds.lookups.iter().copied();
            if self.holds(nodes, lookups, files, again) {
                let scan = self.scanner.tree.scan();
                self.scanner.visits.used(node, index, scan);
                self.apply(&visit);
                return true;
            }
            if again.from == again.to {
                self.scanner.visits.remove(node, index);
            } else {
                index += 1;
            }
        }
        false
    }

    /// Whether no limit would be met.
    fn can_afford(&self, cost: &Cost) -> bool {
        let work = &self.out.work;
        work.includes + cost.includes <= INCLUDES_MAX
            && work.directives + cost.directives <= DIRECTIVES_MAX
            && cost.tokens <= self.tokens_left
            && self.depth + cost.depth < INCLUDE_DEPTH_MAX
    }

    /// Whether everything that a conclusion of an earlier scan rests on is as it was: what was looked at, and the files
    /// that were used. The lookups that it rests on now are then in [`Scanner::again`](crate::Scanner).
    pub(super) fn holds(
        &mut self,
        mut nodes: impl Iterator<Item = NodeId>,
        lookups: impl Iterator<Item = LookupId>,
        mut used: impl Iterator<Item = NodeId>,
        again: Again,
    ) -> bool {
        let scan = again.scan;
        let scanner = &mut *self.scanner;
        let mut world = World {
            tree: &mut scanner.tree,
            names: &mut scanner.store.names,
            files: self.files,
            trail: &mut scanner.trail,
        };
        let moved = |node, world: &mut World<'_>| world.tree.moved(node, world.files);
        if !nodes.all(|node| moved(node, &mut world) <= scan) {
            return false;
        }
        scanner.again.clear();
        for it in lookups {
            let Some(it) = scanner.lookups.again(it, again, &mut world) else {
                return false;
            };
            scanner.again.push(it);
        }
        let mut desk = Desk {
            tree: &mut scanner.tree,
            store: &mut scanner.store,
            files: self.files,
        };
        used.all(|node| scanner.reads.is_as_in(&mut desk, node, self.mode, scan))
    }

    fn apply(&mut self, visit: &Visit) {
        visit.effect.apply(&mut self.scanner.state);
        let (trail, lookups) = (&mut self.scanner.trail, &self.scanner.again);
        trail.rest_on(&visit.grounds.nodes, lookups);
        for it in &visit.uses {
            let from = self.scanner.used.get(it.from).and_then(UseIndex::new);
            self.note_use(Use {
                node: it.node,
                from,
                spot: it.spot,
                why: it.why,
            });
        }
        for &node in &visit.probes {
            self.note_probe(node);
        }
        self.add_dates(visit.dates);
        self.inner.matters = self.inner.matters.or(visit.matters);
        self.inner.deepest = self.inner.deepest.max(self.depth + visit.cost.depth);
        self.answers_used += u32::from(visit.toolchain.is_some());
        self.tokens_left -= visit.cost.tokens;
        self.out.work.includes += visit.cost.includes;
        self.out.work.directives += visit.cost.directives;
        self.out.work.visits_replayed += 1;
    }

    /// Starts a visit of a header.
    pub(super) fn start_visit(&mut self, node: NodeId, at: At) -> Option<Frame> {
        if !self.is_plain() || self.scanner.state.is_unsure() {
            return None;
        }
        let meeting = self.meeting(node, at);
        let inner = Inner {
            deepest: self.depth,
            ..Inner::default()
        };
        Some(Frame {
            meeting,
            macros: self.scanner.state.log.start(),
            trail: self.scanner.trail.mark(),
            start: self.spent(),
            around: std::mem::replace(&mut self.inner, inner),
            taints: self.taints(),
            answers_used: self.answers_used,
        })
    }

    fn spent(&self) -> Cost {
        Cost {
            includes: self.out.work.includes,
            directives: self.out.work.directives,
            tokens: self.tokens_left,
            depth: self.depth,
        }
    }

    /// Grows whenever something happens that cannot be done again from what a visit remembers.
    fn taints(&self) -> u32 {
        self.tainted + self.scanner.state.unsure_seen()
    }

    /// Ends a visit, and keeps it if it is worth it.
    pub(super) fn end_visit(&mut self, frame: Frame) {
        let inner = self.inner;
        let spent = self.spent();
        let cost = Cost {
            includes: spent.includes - frame.start.includes,
            directives: spent.directives - frame.start.directives,
            tokens: frame.start.tokens - spent.tokens,
            depth: inner.deepest - frame.start.depth,
        };
        let steps = cost.directives + u64::from(cost.includes);
        let mut kept = inner.largest_kept;
        let is_certain = self.taints() == frame.taints
            && self.is_plain()
            && !self.scanner.state.log.is_full()
            && !self.scanner.trail.is_full();
        if is_certain
            && self.is_worth_keeping(frame.meeting.node, steps, inner.largest_kept)
            && self.keep(&frame, cost, inner)
        {
            kept = steps;
        }
        self.scanner.state.log.end(frame.macros);
        self.inner = Inner {
            dates: frame.around.dates.or(inner.dates),
            matters: frame.around.matters.or(inner.matters),
            deepest: frame.around.deepest.max(inner.deepest),
            largest_kept: frame.around.largest_kept.max(kept),
        };
    }

    /// Less is followed as fast as compared, and what is kept inside is not kept once more.
    fn is_worth_keeping(&mut self, node: NodeId, steps: u64, largest_kept: u64) -> bool {
        match self.scanner.visit_steps_min {
            0 => true,
            least => steps >= least.max(2 * largest_kept) && self.scanner.visits.wants(node),
        }
    }

    fn keep(&mut self, frame: &Frame, cost: Cost, inner: Inner) -> bool {
        let Some(effect) = self.scanner.state.since(frame.macros) else {
            return false;
        };
        let trail = &mut self.scanner.trail;
        let mut uses: Vec<VisitUse> = Vec::new();
        for it in trail.uses_since(frame.trail) {
            let Some(from) = it.from.and_then(|from| self.uses.get(from.get())) else {
                return false;
            };
            uses.push(VisitUse {
                node: it.node,
                from: from.node,
                spot: it.spot,
                why: it.why,
            });
        }
        let matters = Mode {
            cxx: true,
            ..inner.matters
        };
        let visit = Visit {
            meeting: frame.meeting,
            toolchain: (self.answers_used != frame.answers_used).then_some(self.toolchain),
            mode: self.mode.within(matters),
            matters,
            effect,
            grounds: trail.grounds_since(frame.trail),
            uses: uses.into(),
            probes: trail.probes_since(frame.trail).into(),
            dates: inner.dates,
            cost,
            scan: self.scanner.tree.scan(),
        };
        self.scanner.visits.add(visit);
        true
    }

    /// Notes that what follows depends on how a file was cut.
    pub(super) fn note_matters(&mut self, parsed: &Parsed) {
        self.inner.matters = self.inner.matters.or(parsed.matters);
    }

    /// Notes that includes are nested so deeply.
    pub(super) fn note_depth(&mut self) {
        self.inner.deepest = self.inner.deepest.max(self.depth);
    }

    /// Notes macros of the date.
    pub(super) fn add_dates(&mut self, dates: Dates) {
        self.out.dates = self.out.dates.or(dates);
        self.inner.dates = self.inner.dates.or(dates);
    }
}
