//! Includes: finding the file, and entering it.

use super::{Here, Use, Walk};
use crate::expand::{self, Stop};
use crate::limits::{INCLUDE_DEPTH_MAX, INCLUDES_MAX};
use crate::names::Name;
use crate::parsed::{How, TextId, Unfollowed};
use crate::report::{Doubt, Why};
use crate::scanner::Reading;
use crate::search::{At, Unreadable, Wanted};
use crate::state::{Binding, Bound, Outcome};
use crate::tree::NodeId;

impl Walk<'_> {
    pub(super) fn find(&mut self, wanted: Wanted, here: Here) -> Option<(NodeId, At)> {
        let primary = self.depth == 0;
        let (path, mut world) = self.world();
        let found = path.find(wanted, (here.node, here.at, primary), &mut world);
        self.readable(found)
    }

    pub(super) fn readable<T>(&mut self, found: Result<Option<T>, Unreadable>) -> Option<T> {
        found.unwrap_or_else(|Unreadable(node)| {
            let name = String::from_utf8_lossy(self.scanner.tree.spelled(node)).into_owned();
            self.out.doubts.push(Doubt::Unreadable(name));
            None
        })
    }

    pub(super) fn missing(&mut self, header: Name) {
        if self.scanner.state.is_unsure() {
            return;
        }
        let name = String::from_utf8_lossy(self.scanner.store.names.text(header)).into_owned();
        self.out.doubts.push(Doubt::Missing(name));
        // The compiler stops here.
        self.stopped = true;
    }

    pub(super) fn include(&mut self, header: Name, angled: bool, how: How, here: &Here, line: u32) {
        let wanted = Wanted {
            header,
            angled,
            next: how == How::Next,
        };
        if self.first {
            self.precompiled(wanted, here);
        }
        let found = if how == How::Embed {
            let (path, mut world) = self.world();
            let found = path.find_embed(wanted, here.node, &mut world);
            self.readable(found)
        } else {
            self.find(wanted, *here)
        };
        match found {
            Some((node, at)) => {
                let it = Use {
                    node,
                    from: Some(here.index),
                    line,
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
        line: u32,
        ways: &mut usize,
    ) {
        let tokens = self.scanner.store.text(text);
        let place = self.place(here, false);
        match self.expand(&tokens, place) {
            Ok((tokens, _)) => match expand::header_name(&tokens, &mut self.scanner.store) {
                Some((header, angled)) => self.include(header, angled, how, here, line),
                None if how == How::Embed => {}
                None => self.computed_doubt(text, here, line),
            },
            Err(Stop::Several(name)) => self.computed_ways(name, (text, how, line), here, ways),
            Err(_) => self.computed_doubt(text, here, line),
        }
    }

    /// Tries a computed include with every definition that a macro may have.
    pub(super) fn computed_ways(
        &mut self,
        name: Name,
        (text, how, line): (TextId, How, u32),
        here: &Here,
        ways: &mut usize,
    ) {
        let Bound::Several(set) = self.scanner.state.get(name).unpack() else {
            return self.computed_doubt(text, here, line);
        };
        let alternatives = self.scanner.state.alternatives(set).to_vec();
        let mark = self.scanner.state.start_unsure();
        let mut outcomes = Vec::new();
        for binding in alternatives {
            match ways.checked_sub(1) {
                Some(left) => *ways = left,
                None => {
                    self.computed_doubt(text, here, line);
                    break;
                }
            }
            self.scanner.state.set(name, binding);
            self.computed(text, how, here, line, ways);
            outcomes.push(self.scanner.state.end_group(mark));
        }
        self.scanner.state.join(&outcomes);
    }

    pub(super) fn computed_doubt(&mut self, text: TextId, here: &Here, line: u32) {
        let operand = String::from_utf8_lossy(self.scanner.store.text_bytes(text)).into_owned();
        let file = String::from_utf8_lossy(self.scanner.tree.spelled(here.node)).into_owned();
        let doubt = Doubt::Computed(format!("{file}:{line}: {operand}"));
        if !self.out.doubts.contains(&doubt) {
            self.out.doubts.push(doubt);
        }
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
        let parsed = match self
            .scanner
            .parsed(self.files, node, self.mode, Reading::Source)
        {
            Ok(parsed) => parsed,
            Err(doubt) => return self.out.doubts.push(doubt),
        };
        let mut unsure = false;
        if parsed.once || how == How::Import || self.imports {
            self.imports |= how == How::Import;
            let once = self.scanner.once(node, self.family);
            match self.scanner.state.is_defined(self.scanner.state.get(once)) {
                Some(true) => return,
                Some(false) => {}
                None => unsure = true,
            }
            if how == How::Import {
                self.scanner.state.set(once, Binding::MARKED);
            }
        }
        if self.depth >= INCLUDE_DEPTH_MAX {
            if !self.scanner.state.is_unsure() {
                self.limit("INCLUDE_DEPTH_MAX");
            }
            return;
        }
        self.depth += 1;
        let mark = unsure.then(|| self.scanner.state.start_unsure());
        let mut here = Here {
            node,
            at,
            index,
            renamed: None,
        };
        self.note_dates(&parsed);
        self.directives(&parsed, &mut here);
        if let Some(mark) = mark {
            let outcome = self.scanner.state.end_group(mark);
            self.scanner.state.join(&[outcome, Outcome::new()]);
        }
        self.depth -= 1;
    }

    /// A file that the assembler reads.
    pub(super) fn assembler(&mut self, file: Name, source: bool, here: &Here, line: u32) {
        let working = self.here;
        let (path, mut world) = self.world();
        let found = path.find_assembler(file, working, &mut world);
        let Some(node) = self.readable(found) else {
            return;
        };
        let fresh = !self.used.contains_key(&node);
        let it = Use {
            node,
            from: Some(here.index),
            line,
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
            Err(doubt) => self.out.doubts.push(doubt),
        }
    }

    /// The same with a name that macros make.
    pub(super) fn assembler_computed(
        &mut self,
        text: TextId,
        source: bool,
        here: &Here,
        line: u32,
    ) {
        let tokens = self.scanner.store.text(text);
        let place = self.place(here, false);
        if let Ok((tokens, _)) = self.expand(&tokens, place)
            && let Some((file, false)) = expand::header_name(&tokens, &mut self.scanner.store)
        {
            return self.assembler(file, source, here, line);
        }
        self.unfollowed(Unfollowed::AssemblerOperand, here, line);
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
            let (path, mut world) = self.world();
            let found = path.find_named(header, here, &mut world);
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
            from: Some(from),
            line: 0,
            why: Why::Precompiled,
        });
    }

    fn directory_of_precompiled(&mut self, wanted: Wanted, beside: Option<NodeId>) {
        let (path, mut world) = self.world();
        if let Some(node) = path.find_directory(wanted, beside, &mut world) {
            let name = String::from_utf8_lossy(self.scanner.tree.spelled(node)).into_owned();
            self.out.doubts.push(Doubt::Precompiled(name));
        }
    }
}
