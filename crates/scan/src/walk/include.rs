//! Includes: finding the file, and entering it.

use super::{Here, Spot, Use, UseIndex, Walk};
use crate::expand::{self, Stop};
use crate::limits::{INCLUDE_DEPTH_MAX, INCLUDES_MAX};
use crate::names::Name;
use crate::parsed::{How, Parsed, TextId, Unfollowed};
use crate::reads::Reading;
use crate::report::{Doubt, Why};
use crate::search::{At, Unreadable, Wanted};
use crate::state::{Binding, Bound, Outcome};
use crate::tree::NodeId;

impl Walk<'_> {
    pub(super) fn find(&mut self, wanted: Wanted, here: Here) -> Option<(NodeId, At)> {
        let primary = self.depth == 0;
        let path = self.path;
        let (lookups, mut world) = self.world();
        let found = lookups.find(path, wanted, (here.node, here.at, primary), &mut world);
        self.readable(found)
    }

    pub(super) fn readable<T>(&mut self, found: Result<Option<T>, Unreadable>) -> Option<T> {
        found.unwrap_or_else(|Unreadable(node)| {
            let name = String::from_utf8_lossy(self.scanner.tree.spelled(node)).into_owned();
            self.doubt(Doubt::Unreadable(name));
            None
        })
    }

    pub(super) fn missing(&mut self, header: Name) {
        if self.scanner.state.is_unsure() {
            return;
        }
        let name = String::from_utf8_lossy(self.scanner.store.names.text(header)).into_owned();
        self.doubt(Doubt::Missing(name));
        // The compiler stops here.
        self.stopped = true;
    }

    pub(super) fn include(
        &mut self,
        header: Name,
        angled: bool,
        how: How,
        here: &Here,
        spot: Spot,
    ) {
        let wanted = Wanted {
            header,
            angled,
            next: how == How::Next,
        };
        if self.first {
            self.precompiled(wanted, here);
        }
        let found = if how == How::Embed {
            let path = self.path;
            let (lookups, mut world) = self.world();
            let found = lookups.find_embed(path, wanted, here.node, &mut world);
            self.readable(found)
        } else {
            self.find(wanted, *here)
        };
        match found {
            Some((node, at)) => {
                let it = Use {
                    node,
                    from: UseIndex::new(here.index),
                    spot: spot.number,
                    why: Why::Included(how),
                };
                self.enter(node, at, it, how);
            }
            None if matches!(how, How::Embed | How::Dependency) => {}
            None => self.missing(header),
        }
    }

    /// An include whose operand is made by macros.
    pub(super) fn computed(
        &mut self,
        text: TextId,
        how: How,
        here: &Here,
        spot: Spot,
        ways: &mut usize,
    ) {
        let tokens = self.scanner.store.text(text);
        let place = self.place(here, false);
        match self.expand(&tokens, place) {
            Ok((tokens, _)) => match expand::header_name(&tokens, &mut self.scanner.store) {
                Some((header, angled)) => self.include(header, angled, how, here, spot),
                None if how == How::Embed => {}
                None => self.computed_doubt(text, here, spot),
            },
            Err(Stop::Several(name)) => self.computed_ways(name, (text, how, spot), here, ways),
            Err(_) => self.computed_doubt(text, here, spot),
        }
    }

    /// Tries a computed include with every definition that a macro may have.
    pub(super) fn computed_ways(
        &mut self,
        name: Name,
        (text, how, spot): (TextId, How, Spot),
        here: &Here,
        ways: &mut usize,
    ) {
        let Bound::Several(set) = self.scanner.state.get(name).unpack() else {
            return self.computed_doubt(text, here, spot);
        };
        let alternatives = self.scanner.state.alternatives(set).to_vec();
        let mark = self.scanner.state.start_unsure();
        let mut outcomes = Vec::new();
        for binding in alternatives {
            match ways.checked_sub(1) {
                Some(left) => *ways = left,
                None => {
                    self.computed_doubt(text, here, spot);
                    break;
                }
            }
            self.scanner.state.set(name, binding);
            self.computed(text, how, here, spot, ways);
            outcomes.push(self.scanner.state.end_group(mark));
        }
        self.scanner.state.join(&outcomes);
    }

    pub(super) fn computed_doubt(&mut self, text: TextId, here: &Here, spot: Spot) {
        let operand = String::from_utf8_lossy(self.scanner.store.text_bytes(text)).into_owned();
        let file = String::from_utf8_lossy(self.scanner.tree.spelled(here.node)).into_owned();
        self.doubt(Doubt::Computed(format!("{file}:{}: {operand}", spot.line)));
    }

    /// Notes a file and follows its directives, unless it must not be entered again.
    pub(super) fn enter(&mut self, node: NodeId, at: At, it: Use, how: How) {
        // In a group that may not be compiled, it may not be the first after all.
        self.first &= it.why == Why::Always || self.scanner.state.is_unsure();
        let index = self.note_use(it);
        if matches!(how, How::Embed | How::Dependency) {
            return;
        }
        self.out.work.includes += 1;
        if self.out.work.includes > INCLUDES_MAX {
            return self.limit("INCLUDES_MAX");
        }
        let parsed = self
            .scanner
            .parsed(self.files, node, self.mode, Reading::Source);
        let parsed = match parsed {
            Ok(parsed) => parsed,
            Err(doubt) => return self.doubt(doubt),
        };
        self.note_matters(&parsed);
        let mut unsure = false;
        if parsed.once || how == How::Import || self.imports {
            if how == How::Import {
                self.imports = true;
                self.tainted += 1;
            }
            let Some(once) = self.once(node) else { return };
            let marked = self.scanner.state.read(once);
            match self.scanner.state.is_defined(marked) {
                Some(true) => return,
                Some(false) => {}
                None => unsure = true,
            }
            if how == How::Import {
                self.scanner.state.set(once, Binding::MARKED);
            }
        }
        self.note_depth();
        if self.depth >= INCLUDE_DEPTH_MAX {
            if !self.scanner.state.is_unsure() {
                self.limit("INCLUDE_DEPTH_MAX");
            }
            self.tainted += 1;
            return;
        }
        if unsure {
            let mark = self.scanner.state.start_unsure();
            self.visit(node, at, index, &parsed);
            let outcome = self.scanner.state.end_group(mark);
            self.scanner.state.join(&[outcome, Outcome::new()]);
        } else if !self.replay(node, at) {
            let frame = self.start_visit(node, at);
            self.visit(node, at, index, &parsed);
            if let Some(frame) = frame {
                self.end_visit(frame);
            }
        }
    }

    /// Follows the directives of a header.
    fn visit(&mut self, node: NodeId, at: At, index: usize, parsed: &Parsed) {
        self.depth += 1;
        let mut here = Here {
            node,
            at,
            index,
            renamed: None,
        };
        self.note_matters(parsed);
        self.note_dates(parsed);
        self.directives(parsed, &mut here);
        self.depth -= 1;
    }

    /// The mark of a file that must not be entered again.
    pub(super) fn once(&mut self, node: NodeId) -> Option<Name> {
        let (mode, family) = (self.mode, self.family);
        let (reads, mut desk) = self.scanner.desk(self.files);
        match reads.once(&mut desk, node, mode, family) {
            Ok(name) => Some(name),
            Err(doubt) => {
                self.doubt(doubt);
                None
            }
        }
    }

    /// A file that the assembler reads.
    pub(super) fn assembler(&mut self, file: Name, source: bool, here: &Here, spot: Spot) {
        let working = self.here;
        // Depends on the working directory, and on what was read by the assembler before.
        self.tainted += 1;
        let path = self.path;
        let (lookups, mut world) = self.world();
        let found = lookups.find_assembler(path, file, working, &mut world);
        let Some(node) = self.readable(found) else {
            return;
        };
        let fresh = self.scanner.used.get(node).is_none();
        let it = Use {
            node,
            from: UseIndex::new(here.index),
            spot: spot.number,
            why: Why::Assembler,
        };
        let index = self.note_use(it);
        if !source || !fresh || self.depth >= INCLUDE_DEPTH_MAX {
            return;
        }
        match self
            .scanner
            .parsed(self.files, node, self.mode, Reading::Assembler)
        {
            Ok(parsed) => {
                self.depth += 1;
                let mut here = Here {
                    node,
                    at: At::Nowhere,
                    index,
                    renamed: None,
                };
                self.directives(&parsed, &mut here);
                self.depth -= 1;
            }
            Err(doubt) => self.doubt(doubt),
        }
    }

    /// The same with a name that macros make.
    pub(super) fn assembler_computed(
        &mut self,
        text: TextId,
        source: bool,
        here: &Here,
        spot: Spot,
    ) {
        let tokens = self.scanner.store.text(text);
        let place = self.place(here, false);
        if let Ok((tokens, _)) = self.expand(&tokens, place)
            && let Some((file, false)) = expand::header_name(&tokens, &mut self.scanner.store)
        {
            return self.assembler(file, source, here, spot);
        }
        self.unfollowed(Unfollowed::AssemblerOperand, here, spot);
    }

    /// Precompiled headers that would be taken for the first header of the source.
    pub(super) fn precompiled(&mut self, wanted: Wanted, here: &Here) {
        for suffix in [&b".gch"[..], b".pch"] {
            let name = [self.scanner.store.names.text(wanted.header), suffix].concat();
            let header = self.scanner.store.names.intern(&name);
            let wanted = Wanted { header, ..wanted };
            if let Some((node, _)) = self.find(wanted, *here) {
                self.note_precompiled(node, here.index);
            }
            let beside = self.scanner.tree.parent(here.node);
            self.directory_of_precompiled(wanted, beside);
        }
    }

    /// The same for a header of the command line.
    pub(super) fn precompiled_beside(&mut self, header: Name, here: NodeId) {
        for suffix in [&b".gch"[..], b".pch"] {
            let name = [self.scanner.store.names.text(header), suffix].concat();
            let header = self.scanner.store.names.intern(&name);
            let path = self.path;
            let (lookups, mut world) = self.world();
            let found = lookups.find_named(path, header, here, &mut world);
            if let Some((node, _)) = self.readable(found) {
                self.note_precompiled(node, 0);
            }
            let wanted = Wanted {
                header,
                angled: false,
                next: false,
            };
            self.directory_of_precompiled(wanted, Some(here));
        }
    }

    fn note_precompiled(&mut self, node: NodeId, from: usize) {
        self.note_use(Use {
            node,
            from: UseIndex::new(from),
            spot: 0,
            why: Why::Precompiled,
        });
    }

    fn directory_of_precompiled(&mut self, wanted: Wanted, beside: Option<NodeId>) {
        let path = self.path;
        let (lookups, mut world) = self.world();
        if let Some(node) = lookups.find_directory(path, wanted, beside, &mut world) {
            let name = String::from_utf8_lossy(self.scanner.tree.spelled(node)).into_owned();
            self.doubt(Doubt::Precompiled(name));
        }
    }
}
