//! The tables that parsed files share: spellings, macro definitions, and lines not yet cut into tokens.
//!
//! Lines are kept once: definitions with the same text have the same number, so that comparing what macros stand for is
//! comparing numbers, whatever file, compiler or compile they come from.

use std::sync::Arc;

use crate::hash;
use crate::mode::Mode;
use crate::names::{Name, Names};
use crate::parsed::{DefId, TextId};
use crate::token::{self, Token};

/// A macro, cut into tokens when it is first expanded.
#[derive(Debug)]
pub(crate) struct Macro {
    /// Parameter names, for a macro that is called like a function.
    pub(crate) params: Option<Vec<Name>>,
    /// Whether the last parameter takes all remaining arguments.
    pub(crate) variadic: bool,
    pub(crate) body: Vec<Token>,
    /// The value of a body that is one integer literal.
    pub(crate) number: Option<crate::value::Int>,
    /// There is a `##` in the body.
    pub(crate) pastes: bool,
}

#[derive(Debug)]
struct Line<T> {
    start: u32,
    len: u32,
    mode: Mode,
    cut: Option<Arc<T>>,
}

/// Lines of one kind, each kept once.
#[derive(Debug)]
struct Lines<T> {
    all: Vec<Line<T>>,
    /// Open addressing, a power of two long; a line's number plus one, 0 where free.
    slots: Vec<u32>,
}

impl<T> Lines<T> {
    fn new() -> Self {
        Self {
            all: Vec::new(),
            slots: vec![0; 1 << 10],
        }
    }

    fn intern(&mut self, arena: &mut Vec<u8>, text: &[u8], mode: Mode) -> u32 {
        let mode = mode.of_line(text);
        let mask = self.slots.len() - 1;
        let mut at = hash::bytes32(text) as usize & mask;
        while self.slots[at] != 0 {
            let number = self.slots[at] - 1;
            let line = &self.all[number as usize];
            if line.len as usize == text.len() && line.mode == mode && line.bytes(arena) == text {
                return number;
            }
            at = (at + 1) & mask;
        }
        let number = index(self.all.len());
        self.all.push(Line {
            start: index(arena.len()),
            len: index(text.len()),
            mode,
            cut: None,
        });
        arena.extend_from_slice(text);
        self.slots[at] = number + 1;
        if self.all.len() * 2 > self.slots.len() {
            self.grow(arena);
        }
        number
    }

    fn grow(&mut self, arena: &[u8]) {
        let len = self.slots.len() * 2;
        let mask = len - 1;
        let mut slots = vec![0; len];
        for (number, line) in (1u32..).zip(&self.all) {
            let mut at = hash::bytes32(line.bytes(arena)) as usize & mask;
            while slots[at] != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = number;
        }
        self.slots = slots;
    }

    fn memory(&self) -> usize {
        self.all.len() * size_of::<Line<T>>() + self.slots.len() * 4
    }
}

impl<T> Line<T> {
    fn bytes<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.start as usize..][..self.len as usize]
    }
}

/// Shared tables; indices into them stay valid until everything is forgotten at once.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) names: Names,
    arena: Vec<u8>,
    texts: Lines<Vec<Token>>,
    defs: Lines<Macro>,
    cut_tokens: usize,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            names: Names::new(),
            arena: Vec::new(),
            texts: Lines::new(),
            defs: Lines::new(),
            cut_tokens: 0,
        }
    }

    /// Keeps a line for later.
    pub(crate) fn add_text(&mut self, line: &[u8], mode: Mode) -> TextId {
        TextId(self.texts.intern(&mut self.arena, line, mode))
    }

    /// Keeps a definition: everything after the name of the macro.
    pub(crate) fn add_def(&mut self, rest: &[u8], mode: Mode) -> DefId {
        DefId(self.defs.intern(&mut self.arena, rest, mode))
    }

    /// The bytes of a line.
    pub(crate) fn text_bytes(&self, text: TextId) -> &[u8] {
        self.texts.all[text.0 as usize].bytes(&self.arena)
    }

    /// The tokens of a line.
    pub(crate) fn text(&mut self, text: TextId) -> Arc<Vec<Token>> {
        let it = &mut self.texts.all[text.0 as usize];
        if let Some(cut) = &it.cut {
            return Arc::clone(cut);
        }
        let cut = Arc::new(token::cut(it.bytes(&self.arena), it.mode, &mut self.names));
        self.cut_tokens += cut.len() + 8;
        it.cut = Some(Arc::clone(&cut));
        cut
    }

    /// A definition that has been looked at before, without sharing it.
    pub(crate) fn known_def(&self, def: DefId) -> Option<&Macro> {
        self.defs.all[def.0 as usize].cut.as_deref()
    }

    /// A definition, cut.
    pub(crate) fn def(&mut self, def: DefId) -> Arc<Macro> {
        let it = &mut self.defs.all[def.0 as usize];
        if let Some(cut) = &it.cut {
            return Arc::clone(cut);
        }
        let cut = token::cut_macro(it.bytes(&self.arena), it.mode, &mut self.names);
        let cut = Arc::new(cut);
        self.cut_tokens += cut.body.len() + 16;
        it.cut = Some(Arc::clone(&cut));
        cut
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.names.memory()
            + self.arena.len()
            + self.texts.memory()
            + self.defs.memory()
            + self.cut_tokens * size_of::<Token>()
    }
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("memory is bounded far below this")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_have_one_number() {
        let mut store = Store::new();
        let cxx = Mode {
            raw_strings: true,
            separators: true,
            cxx: true,
            ..Mode::default()
        };
        let many: Vec<DefId> = (0..5000)
            .map(|n: u32| store.add_def(n.to_string().as_bytes(), Mode::default()))
            .collect();
        for (n, def) in many.iter().enumerate() {
            assert_eq!(store.add_def(n.to_string().as_bytes(), cxx), *def);
        }
        let number = |store: &mut Store, mode| store.add_text(b"1'0", mode);
        assert_ne!(number(&mut store, cxx), number(&mut store, Mode::default()));
    }
}
