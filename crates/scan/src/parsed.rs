//! What is kept of a source file: its directives, and the few other things in it that make a compile read files.

use crate::mode::Mode;
use crate::names::Name;

/// A line to be tokenised when it is first needed; an index into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TextId(pub(crate) u32);

/// A macro definition; an index into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DefId(pub(crate) u32);

/// What sort of include a directive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// `#include`.
    Include,
    /// `#include_next`.
    Next,
    /// `#import`: once only.
    Import,
    /// `#embed`: the bytes are wanted, not the directives.
    Embed,
    /// `#pragma GCC dependency`: only looked at.
    Dependency,
}

/// A directive that matters. `next` is the index of the next directive of the same conditional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Directive {
    /// `#define`.
    Define { name: Name, def: DefId },
    /// `#undef`.
    Undef(Name),
    /// `#if`.
    If { text: TextId, next: u32 },
    /// `#ifdef`, `#if defined X`.
    Ifdef { name: Name, next: u32 },
    /// `#ifndef`, `#if !defined X`.
    Ifndef { name: Name, next: u32 },
    /// `#elif`.
    Elif { text: TextId, next: u32 },
    /// `#elifdef`, and with `negated` `#elifndef`.
    Elifdef {
        name: Name,
        negated: bool,
        next: u32,
    },
    /// `#else`.
    Else { next: u32 },
    /// `#endif`.
    Endif,
    /// An include of a name in quotes or, with `angled`, in angle brackets.
    Include {
        header: Name,
        angled: bool,
        how: How,
    },
    /// An include whose operand is made by macros.
    Computed { text: TextId, how: How },
    /// `.incbin`, or with `source` `.include`, of the assembler.
    Asm { file: Name, source: bool },
    /// The same with an operand made by macros.
    AsmComputed { text: TextId, source: bool },
    /// `#pragma once`.
    Once,
    /// `#pragma push_macro("X")`.
    Push(Name),
    /// `#pragma pop_macro("X")`.
    Pop(Name),
    /// `#pragma GCC push_options`.
    PushOptions,
    /// `#pragma GCC pop_options`.
    PopOptions,
    /// `#pragma GCC target` and `optimize`, which may define macros of the compiler.
    SetOptions {
        target: Option<Target>,
        optimize: bool,
    },
    /// `#line N "file"`; the name as it would be spelled by `__FILE__`, quotes included, or empty if made by macros.
    Line(Name),
    /// Something that this scanner does not follow.
    Doubt(Unfollowed),
}

/// What `#pragma GCC target` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// An index into [`TARGETS`](crate::toolchain::TARGETS).
    Known(u8),
    /// Anything else.
    Other,
}

/// Constructs that make a compile read files in ways that are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unfollowed {
    /// C++ modules, header units, Clang modules.
    Modules,
    /// `_Pragma` that changes macros.
    PragmaOperator,
    /// `.incbin` or `.include` whose operand is not a plain literal.
    AssemblerOperand,
    /// `#pragma GCC pch_preprocess`.
    PchPreprocess,
}

/// A file, read once.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    pub(crate) directives: Vec<Directive>,
    /// Line of each directive, from 1.
    pub(crate) lines: Vec<u32>,
    /// How the file was cut, as far as it matters to it.
    pub(crate) mode: Mode,
    /// The flags of a mode that matter to it.
    pub(crate) matters: Mode,
    /// There is a `#pragma once`.
    pub(crate) once: bool,
    pub(crate) date: bool,
    pub(crate) time: bool,
    pub(crate) timestamp: bool,
    /// Hash of the content, if there is a `#pragma once`: it holds for equal files too.
    pub(crate) content: u64,
}

impl Parsed {
    /// Whether parsing in a mode would give the same.
    pub(crate) fn is_for(&self, mode: Mode) -> bool {
        mode.within(self.matters) == self.mode
    }

    /// Whether a scan cannot tell two files apart but by the numbers of their lines.
    pub(crate) fn does_the_same(&self, other: &Self) -> bool {
        let flags = |it: &Self| (it.date, it.time, it.timestamp, it.mode, it.matters);
        flags(self) == flags(other) && self.directives == other.directives
    }

    /// Bytes held, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.directives.len() * (size_of::<Directive>() + 4) + 200
    }
}
