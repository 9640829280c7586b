//! Macro expansion, exact, over lines that directives need: conditions and computed includes.
//!
//! The method is that of compilers: a stack of token lists being read, with the macro that each came from switched off
//! until the list is used up, and names met while switched off painted for ever. A macro of which only several
//! possible definitions are known stops the expansion ([`Stop::Several`]); the caller decides what to do then.

mod ask;
mod substitute;

use std::sync::Arc;

pub(crate) use ask::header_name;
use substitute::Arg;

use crate::limits::NESTING_MAX;
use crate::names::{self, Name};
use crate::state::{Binding, Bound, State};
use crate::store::{Macro, Store};
use crate::token::{Kind, Token, is_punct};

/// Why an expansion has no exact result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// This macro has several possible definitions.
    Several(Name),
    /// This macro may be anything.
    Anything(Name),
    /// The compiler would complain.
    Malformed,
    /// Too much work.
    Limit,
}

/// Where an expansion takes place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// What `__FILE__` spells, quotes included; `None` when unknown.
    pub(crate) file: Option<Name>,
    /// What `__BASE_FILE__` spells.
    pub(crate) base_file: Name,
    /// `__INCLUDE_LEVEL__`.
    pub(crate) level: u32,
    /// In a condition, where `defined` and `__has_include` have a meaning.
    pub(crate) condition: bool,
}

/// An operator that only the search path or the compiler can answer; tokens of kind [`Kind::Asked`] refer to these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    /// `__has_include` and its relatives.
    Header {
        operator: Name,
        header: Name,
        angled: bool,
    },
    /// `__has_builtin` and its relatives; the spelling of the operand.
    Compiler { operator: Name, operand: Name },
}

/// Tokens that may still be produced.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(crate) tokens: u64,
    /// More were wanted.
    pub(crate) exhausted: bool,
}

impl Budget {
    pub(crate) fn new(tokens: u64) -> Self {
        Self {
            tokens,
            exhausted: false,
        }
    }
}

/// Lists that expansions need again and again, kept to spare allocations.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    sources: Vec<Source>,
    off: Vec<Name>,
    lists: Vec<Vec<Token>>,
}

/// Lists kept, and tokens in one of them, at most.
const SPARE_LISTS_MAX: usize = 64;
const SPARE_TOKENS_MAX: usize = 4096;

impl Scratch {
    fn take(&mut self) -> Vec<Token> {
        self.lists.pop().unwrap_or_default()
    }

    /// Takes back a list that nobody needs any more.
    pub(crate) fn give(&mut self, mut list: Vec<Token>) {
        if self.lists.len() < SPARE_LISTS_MAX && list.capacity() <= SPARE_TOKENS_MAX {
            list.clear();
            self.lists.push(list);
        }
    }
}

/// An expansion in progress.
#[derive(Debug)]
pub(crate) struct Expander<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) state: &'a mut State,
    pub(crate) place: Place,
    pub(crate) questions: Vec<Question>,
    /// The result depends on where the header is included from, or in which compile.
    pub(crate) is_of_place: bool,
    budget: &'a mut Budget,
    scratch: &'a mut Scratch,
    depth: u32,
}

#[derive(Debug)]
enum List {
    Body(Arc<Macro>),
    Own(Vec<Token>),
}

#[derive(Debug)]
struct Source {
    list: List,
    at: usize,
    owner: Option<Name>,
    /// Reading does not go on below this list.
    barrier: bool,
}

impl Source {
    fn token(&self) -> Option<Token> {
        match &self.list {
            List::Body(it) => it.body.get(self.at).copied(),
            List::Own(it) => it.get(self.at).copied(),
        }
    }
}

impl<'a> Expander<'a> {
    pub(crate) fn new(
        store: &'a mut Store,
        state: &'a mut State,
        place: Place,
        budget: &'a mut Budget,
        scratch: &'a mut Scratch,
    ) -> Self {
        scratch.sources.clear();
        scratch.off.clear();
        Self {
            store,
            state,
            place,
            questions: Vec::new(),
            is_of_place: false,
            budget,
            scratch,
            depth: 0,
        }
    }

    /// Expands a line.
    pub(crate) fn expand(&mut self, tokens: &[Token]) -> Result<Vec<Token>, Stop> {
        let mut list = self.scratch.take();
        list.extend_from_slice(tokens);
        self.isolated(list)
    }

    /// Expands tokens as if nothing followed them.
    fn isolated(&mut self, tokens: Vec<Token>) -> Result<Vec<Token>, Stop> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(Stop::Limit);
        }
        let base = self.scratch.sources.len();
        let mut out = self.scratch.take();
        self.scratch.sources.push(Source {
            list: List::Own(tokens),
            at: 0,
            owner: None,
            barrier: true,
        });
        while let Some(token) = self.next() {
            self.spend(1)?;
            match token.kind {
                Kind::Word => self.word(token, &mut out)?,
                _ => out.push(token),
            }
        }
        while self.scratch.sources.len() > base {
            self.drop_source();
        }
        self.depth -= 1;
        Ok(out)
    }

    fn spend(&mut self, tokens: usize) -> Result<(), Stop> {
        match self.budget.tokens.checked_sub(tokens as u64) {
            Some(left) => self.budget.tokens = left,
            None => {
                self.budget.exhausted = true;
                return Err(Stop::Limit);
            }
        }
        Ok(())
    }

    /// The next token; `None` at the end of the innermost isolated list.
    fn next(&mut self) -> Option<Token> {
        loop {
            let source = self.scratch.sources.last_mut()?;
            if let Some(token) = source.token() {
                source.at += 1;
                return Some(token);
            }
            if source.barrier {
                return None;
            }
            self.drop_source();
        }
    }

    /// Leaves the innermost list; its macro is on again.
    fn drop_source(&mut self) {
        if let Some(source) = self.scratch.sources.pop() {
            if source.owner.is_some() {
                self.scratch.off.pop();
            }
            if let List::Own(list) = source.list {
                self.scratch.give(list);
            }
        }
    }

    /// The token after this one, wherever it comes from.
    fn peek(&self) -> Option<Token> {
        for source in self.scratch.sources.iter().rev() {
            if let Some(token) = source.token() {
                return Some(token);
            }
            if source.barrier {
                return None;
            }
        }
        None
    }

    /// What a name stands for here.
    pub(crate) fn binding(&mut self, name: Name) -> Binding {
        self.state.seen(name, &self.store.names)
    }

    fn word(&mut self, token: Token, out: &mut Vec<Token>) -> Result<(), Stop> {
        if token.name == names::DEFINED && self.place.condition {
            let value = self.defined()?;
            out.push(value);
            return Ok(());
        }
        match self.binding(token.name).unpack() {
            Bound::Undefined => out.push(token),
            _ if self.scratch.off.contains(&token.name) => out.push(Token {
                kind: Kind::Painted,
                ..token
            }),
            Bound::BuiltIn => self.built_in(token, out)?,
            Bound::Def(def) => {
                let it = self.store.def(def);
                self.call(token, &it, out)?;
            }
            Bound::Several(set) => {
                let value = self.agreed(token, set)?;
                out.push(value);
            }
            Bound::Anything => return Err(Stop::Anything(token.name)),
        }
        Ok(())
    }

    /// A name with several definitions, in a condition, when all of them are plain numbers or nothing.
    fn agreed(&mut self, token: Token, set: u32) -> Result<Token, Stop> {
        if !self.place.condition {
            return Err(Stop::Several(token.name));
        }
        let mut values = Vec::new();
        for binding in self.state.alternatives(set) {
            match binding.unpack() {
                Bound::Undefined => values.push(0),
                Bound::Def(def) => match self.store.def(def).number {
                    Some(int) if !int.unsigned => values.push(int.bits),
                    _ => return Err(Stop::Several(token.name)),
                },
                _ => return Err(Stop::Several(token.name)),
            }
        }
        if values.windows(2).all(|pair| pair[0] == pair[1]) {
            let name = self.store.names.intern(values[0].to_string().as_bytes());
            return Ok(Token {
                kind: Kind::Number,
                name,
                ..token
            });
        }
        Ok(Token {
            kind: Kind::Unknown,
            ..token
        })
    }

    /// `defined X` or `defined(X)`, its name already read.
    fn defined(&mut self) -> Result<Token, Stop> {
        let mut token = self.next().ok_or(Stop::Malformed)?;
        let parenthesis = is_punct(Some(&token), names::OPEN);
        if parenthesis {
            token = self.next().ok_or(Stop::Malformed)?;
        }
        if !matches!(token.kind, Kind::Word | Kind::Painted) {
            return Err(Stop::Malformed);
        }
        if parenthesis {
            let close = self.next();
            if !is_punct(close.as_ref(), names::CLOSE) {
                return Err(Stop::Malformed);
            }
        }
        let binding = self.binding(token.name);
        Ok(match self.state.is_defined(binding) {
            Some(value) => {
                let name = self.store.names.intern(if value { b"1" } else { b"0" });
                Token {
                    kind: Kind::Number,
                    space: true,
                    name,
                }
            }
            None => Token {
                kind: Kind::Unknown,
                space: true,
                name: token.name,
            },
        })
    }

    fn call(&mut self, token: Token, it: &Arc<Macro>, out: &mut Vec<Token>) -> Result<(), Stop> {
        if it.params.is_none() {
            if it.number.is_some() {
                out.push(Token {
                    space: token.space,
                    ..it.body[0]
                });
                return Ok(());
            }
            let list = if it.pastes {
                List::Own(self.substitute(it, &it.body, &mut Vec::new(), token.space)?)
            } else {
                List::Body(Arc::clone(it))
            };
            self.enter(token.name, list);
            return Ok(());
        }
        if !is_punct(self.peek().as_ref(), names::OPEN) {
            out.push(token);
            return Ok(());
        }
        self.next();
        let args = self.arguments(it)?;
        let mut args: Vec<Arg> = args
            .into_iter()
            .map(|raw| Arg {
                raw,
                plain: None,
                expanded: None,
            })
            .collect();
        let list = self.substitute(it, &it.body, &mut args, token.space)?;
        for arg in args {
            self.scratch.give(arg.raw);
            arg.expanded
                .into_iter()
                .for_each(|list| self.scratch.give(list));
        }
        self.enter(token.name, List::Own(list));
        Ok(())
    }

    fn enter(&mut self, owner: Name, list: List) {
        self.scratch.sources.push(Source {
            list,
            at: 0,
            owner: Some(owner),
            barrier: false,
        });
        self.scratch.off.push(owner);
    }
}
