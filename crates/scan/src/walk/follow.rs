//! Following the directives of one file, group by group.

use super::{Here, Spot, Walk};
use crate::limits::{COMPUTED_WAYS_MAX, DIRECTIVES_MAX};
use crate::names::{self, Name};
use crate::parsed::{Directive, Parsed, Unfollowed};
use crate::report::Doubt;
use crate::state::{Binding, Outcome};
use crate::toolchain::Family;

/// A conditional that is open.
#[derive(Debug)]
enum Open {
    /// One of its groups was followed.
    Taken,
    /// None was.
    Waiting,
    /// Its value is not known: every group is followed.
    Unsure {
        mark: usize,
        outcomes: Vec<Outcome>,
        /// A group is being followed.
        inside: bool,
        /// One of its groups is certainly followed by the compiler.
        complete: bool,
    },
}

impl Walk<'_> {
    /// Follows the directives of a file.
    pub(super) fn directives(&mut self, parsed: &Parsed, here: &mut Here) {
        let mut open: Vec<Open> = Vec::new();
        let mut at = 0;
        let mut steps = 0;
        while let Some(&directive) = parsed.directives.get(at) {
            if self.stopped {
                break;
            }
            steps += 1;
            let line = parsed.lines[at];
            at += 1;
            let spot = Spot {
                number: u32::try_from(at).expect("files are shorter than 4 GiB"),
                line,
            };
            match directive {
                Directive::Define { name, def } => {
                    // GCC and Clang refuse to redefine this one.
                    if name != names::DEFINED {
                        self.scanner.state.set(name, Binding::def(def));
                    }
                }
                Directive::Undef(name) => self.scanner.state.set(name, Binding::UNDEFINED),
                Directive::If { next, .. }
                | Directive::Ifdef { next, .. }
                | Directive::Ifndef { next, .. } => {
                    let value = self.condition(directive, here, spot);
                    at = self.start(directive, value, next, at, &mut open);
                }
                Directive::Elif { next, .. }
                | Directive::Elifdef { next, .. }
                | Directive::Else { next } => {
                    at = self.middle(directive, next, at, &mut open, (here, spot));
                }
                Directive::Endif => self.end(&mut open),
                Directive::Include {
                    header,
                    angled,
                    how,
                } => self.include(header, angled, how, here, spot),
                Directive::Computed { text, how } => {
                    let mut ways = COMPUTED_WAYS_MAX;
                    self.computed(text, how, here, spot, &mut ways);
                }
                _ => self.other(directive, here, spot),
            }
        }
        while !open.is_empty() {
            self.end(&mut open);
        }
        self.out.work.directives += steps;
        if self.out.work.directives > DIRECTIVES_MAX {
            self.limit("DIRECTIVES_MAX");
        }
    }

    pub(super) fn other(&mut self, directive: Directive, here: &mut Here, spot: Spot) {
        match directive {
            // Clang ignores it in the source itself.
            Directive::Once if self.family == Family::Gcc || self.depth > 0 => {
                if let Some(once) = self.once(here.node) {
                    self.scanner.state.set(once, Binding::MARKED);
                }
            }
            Directive::Push(name) => {
                let stack = self.stack_of(name);
                self.scanner.state.push(name, stack);
            }
            Directive::Pop(name) => {
                let stack = self.stack_of(name);
                self.scanner.state.pop(name, stack);
            }
            Directive::PushOptions => {
                for changed in self.scanner.state.changed() {
                    let stack = self.stack_of(changed);
                    self.scanner.state.push(changed, stack);
                }
            }
            Directive::PopOptions => {
                for changed in self.scanner.state.changed() {
                    let stack = self.stack_of(changed);
                    self.scanner.state.pop(changed, stack);
                }
            }
            Directive::SetOptions { target, optimize } if self.family == Family::Gcc => {
                self.scanner.state.set_options(target, optimize);
            }
            Directive::Line(name) => here.renamed = Some((name != names::EMPTY).then_some(name)),
            Directive::Asm { file, source } => self.assembler(file, source, here, spot),
            Directive::AsmComputed { text, source } => {
                self.assembler_computed(text, source, here, spot);
            }
            Directive::Doubt(what) => self.unfollowed(what, here, spot),
            _ => {}
        }
    }

    /// Notes something that is not followed.
    pub(super) fn unfollowed(&mut self, what: Unfollowed, here: &Here, spot: Spot) {
        let file = String::from_utf8_lossy(self.scanner.tree.spelled(here.node)).into_owned();
        self.doubt(Doubt::Unfollowed(what, format!("{file}:{}", spot.line)));
    }

    pub(super) fn stack_of(&mut self, name: Name) -> Name {
        let key = [b"\0stack ", self.scanner.store.names.text(name)].concat();
        self.scanner.store.names.intern(&key)
    }

    /// Starts a conditional; returns the index of the directive to go on with.
    fn start(
        &mut self,
        directive: Directive,
        value: Option<bool>,
        next: u32,
        at: usize,
        open: &mut Vec<Open>,
    ) -> usize {
        match value {
            Some(true) => open.push(Open::Taken),
            Some(false) => {
                open.push(Open::Waiting);
                return next as usize;
            }
            None => {
                let mark = self.scanner.state.start_unsure();
                open.push(Open::Unsure {
                    mark,
                    outcomes: Vec::new(),
                    inside: true,
                    complete: false,
                });
                self.refine(directive);
            }
        }
        at
    }

    /// Uses that a group is followed only if its condition holds.
    pub(super) fn refine(&mut self, directive: Directive) {
        let state = &mut self.scanner.state;
        match directive {
            Directive::Ifdef { name, .. }
            | Directive::Elifdef {
                name,
                negated: false,
                ..
            } => {
                let part = state.defined_part(state.get(name));
                state.set(name, part);
            }
            Directive::Ifndef { name, .. }
            | Directive::Elifdef {
                name,
                negated: true,
                ..
            } => {
                state.set(name, Binding::UNDEFINED);
            }
            _ => {}
        }
    }

    /// `#elif` or `#else`; returns the index of the directive to go on with.
    fn middle(
        &mut self,
        directive: Directive,
        next: u32,
        at: usize,
        open: &mut [Open],
        (here, spot): (&Here, Spot),
    ) -> usize {
        let next = next as usize;
        let Some(last) = open.last_mut() else {
            return at;
        };
        if let Open::Unsure {
            mark,
            outcomes,
            inside,
            complete,
        } = last
        {
            if std::mem::take(inside) {
                outcomes.push(self.scanner.state.end_group(*mark));
            }
            if *complete {
                return next;
            }
        } else if matches!(last, Open::Taken) {
            return next;
        }
        let value = match directive {
            Directive::Else { .. } => Some(true),
            _ => self.condition(directive, here, spot),
        };
        if value == Some(false) {
            return next;
        }
        match last {
            Open::Unsure {
                inside, complete, ..
            } => {
                *inside = true;
                *complete = value == Some(true);
                if value.is_none() {
                    self.refine(directive);
                }
            }
            waiting if value == Some(true) => *waiting = Open::Taken,
            waiting => {
                let mark = self.scanner.state.start_unsure();
                *waiting = Open::Unsure {
                    mark,
                    outcomes: Vec::new(),
                    inside: true,
                    complete: false,
                };
                self.refine(directive);
            }
        }
        at
    }

    fn end(&mut self, open: &mut Vec<Open>) {
        if let Some(Open::Unsure {
            mark,
            mut outcomes,
            inside,
            complete,
        }) = open.pop()
        {
            if inside {
                outcomes.push(self.scanner.state.end_group(mark));
            }
            if !complete {
                outcomes.push(Outcome::new());
            }
            self.scanner.state.join(&outcomes);
        }
    }
}
