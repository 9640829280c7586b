//! The tables that parsed files share: spellings, macro definitions, and lines not yet cut into tokens.

use std::sync::Arc;

use crate::hash;
use crate::names::{Name, Names};
use crate::parsed::{DefId, Mode, TextId};
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
}

#[derive(Debug)]
struct Line<T> {
    start: u32,
    len: u32,
    mode: Mode,
    cut: Option<Arc<T>>,
}

/// Shared tables; indices into them stay valid until everything is forgotten at once.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) names: Names,
    arena: Vec<u8>,
    texts: Vec<Line<Vec<Token>>>,
    defs: Vec<Line<Macro>>,
    cut_tokens: usize,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            names: Names::new(),
            arena: Vec::new(),
            texts: Vec::new(),
            defs: Vec::new(),
            cut_tokens: 0,
        }
    }

    /// Keeps a line for later.
    pub(crate) fn add_text(&mut self, line: &[u8], mode: Mode) -> TextId {
        let it = Self::line(&mut self.arena, line, mode);
        self.texts.push(it);
        TextId(index(self.texts.len() - 1))
    }

    /// Keeps a definition: everything after the name of the macro.
    pub(crate) fn add_def(&mut self, rest: &[u8], mode: Mode) -> DefId {
        let it = Self::line(&mut self.arena, rest, mode);
        self.defs.push(it);
        DefId(index(self.defs.len() - 1))
    }

    fn line<T>(arena: &mut Vec<u8>, text: &[u8], mode: Mode) -> Line<T> {
        let start = index(arena.len());
        arena.extend_from_slice(text);
        Line {
            start,
            len: index(text.len()),
            mode,
            cut: None,
        }
    }

    /// The bytes of a definition.
    pub(crate) fn def_bytes(&self, def: DefId) -> &[u8] {
        let it = &self.defs[def.0 as usize];
        &self.arena[it.start as usize..][..it.len as usize]
    }

    /// The bytes of a line.
    pub(crate) fn text_bytes(&self, text: TextId) -> &[u8] {
        let it = &self.texts[text.0 as usize];
        &self.arena[it.start as usize..][..it.len as usize]
    }

    /// The tokens of a line.
    pub(crate) fn text(&mut self, text: TextId) -> Arc<Vec<Token>> {
        let it = &mut self.texts[text.0 as usize];
        if let Some(cut) = &it.cut {
            return Arc::clone(cut);
        }
        let bytes = &self.arena[it.start as usize..][..it.len as usize];
        let cut = Arc::new(token::cut(bytes, it.mode, &mut self.names));
        self.cut_tokens += cut.len() + 8;
        it.cut = Some(Arc::clone(&cut));
        cut
    }

    /// A definition that has been looked at before, without sharing it.
    pub(crate) fn known_def(&self, def: DefId) -> Option<&Macro> {
        self.defs[def.0 as usize].cut.as_deref()
    }

    /// A definition, cut.
    pub(crate) fn def(&mut self, def: DefId) -> Arc<Macro> {
        let it = &mut self.defs[def.0 as usize];
        if let Some(cut) = &it.cut {
            return Arc::clone(cut);
        }
        let bytes = &self.arena[it.start as usize..][..it.len as usize];
        let cut = Arc::new(token::cut_macro(bytes, it.mode, &mut self.names));
        self.cut_tokens += cut.body.len() + 16;
        it.cut = Some(Arc::clone(&cut));
        cut
    }

    /// Hash of the bytes of a definition, the same for equal definitions.
    pub(crate) fn def_hash(&self, def: DefId) -> u64 {
        hash::bytes64(self.def_bytes(def))
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.names.memory()
            + self.arena.len()
            + (self.texts.len() + self.defs.len()) * size_of::<Line<Macro>>()
            + self.cut_tokens * size_of::<Token>()
    }
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("memory is bounded far below this")
}
