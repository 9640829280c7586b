//! Macro expansion, exact, over lines that directives need: conditions and computed includes.
//!
//! The method is that of compilers: a stack of token lists being read, with the macro that each came from switched off
//! until the list is used up, and names met while switched off painted for ever. A macro of which only several
//! possible definitions are known stops the expansion ([`Stop::Several`]); the caller decides what to do then.

use std::sync::Arc;

use crate::limits::NESTING_MAX;
use crate::names::{self, Name, Names};
use crate::parsed::Mode;
use crate::state::{Binding, Bound, State};
use crate::store::{Macro, Store};
use crate::token::{Kind, Token, cut, punct};
use crate::toolchain::is_target;

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

/// An expansion in progress.
#[derive(Debug)]
pub(crate) struct Expander<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) state: &'a State,
    pub(crate) place: Place,
    pub(crate) questions: Vec<Question>,
    /// Tokens that may still be produced.
    pub(crate) budget: &'a mut u64,
    sources: Vec<Source>,
    off: Vec<Name>,
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
        state: &'a State,
        place: Place,
        budget: &'a mut u64,
    ) -> Self {
        Self {
            store,
            state,
            place,
            questions: Vec::new(),
            budget,
            sources: Vec::new(),
            off: Vec::new(),
            depth: 0,
        }
    }

    /// Expands a line.
    pub(crate) fn expand(&mut self, tokens: &[Token]) -> Result<Vec<Token>, Stop> {
        self.isolated(tokens.to_vec())
    }

    /// Expands tokens as if nothing followed them.
    fn isolated(&mut self, tokens: Vec<Token>) -> Result<Vec<Token>, Stop> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(Stop::Limit);
        }
        let base = self.sources.len();
        let mut out = Vec::with_capacity(tokens.len() + 16);
        self.sources.push(Source {
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
        self.sources.truncate(base);
        self.depth -= 1;
        Ok(out)
    }

    fn spend(&mut self, tokens: usize) -> Result<(), Stop> {
        *self.budget = self.budget.checked_sub(tokens as u64).ok_or(Stop::Limit)?;
        Ok(())
    }

    /// The next token; `None` at the end of the innermost isolated list.
    fn next(&mut self) -> Option<Token> {
        loop {
            let source = self.sources.last_mut()?;
            if let Some(token) = source.token() {
                source.at += 1;
                return Some(token);
            }
            if source.barrier {
                return None;
            }
            if source.owner.is_some() {
                self.off.pop();
            }
            self.sources.pop();
        }
    }

    /// The token after this one, wherever it comes from.
    fn peek(&self) -> Option<Token> {
        for source in self.sources.iter().rev() {
            if let Some(token) = source.token() {
                return Some(token);
            }
            if source.barrier {
                return None;
            }
        }
        None
    }

    fn is(&self, token: Option<Token>, text: &[u8]) -> bool {
        token.is_some_and(|it| it.kind == Kind::Punct && self.store.names.text(it.name) == text)
    }

    /// What a name stands for here.
    pub(crate) fn binding(&self, name: Name) -> Binding {
        if self.state.is_tainted() && is_target(self.store.names.text(name)) {
            return Binding::ANYTHING;
        }
        self.state.get(name)
    }

    fn word(&mut self, token: Token, out: &mut Vec<Token>) -> Result<(), Stop> {
        if token.name == names::DEFINED && self.place.condition {
            let value = self.defined()?;
            out.push(value);
            return Ok(());
        }
        match self.binding(token.name).unpack() {
            Bound::Undefined => out.push(token),
            _ if self.off.contains(&token.name) => out.push(Token {
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
        let parenthesis = self.is(Some(token), punct::OPEN);
        if parenthesis {
            token = self.next().ok_or(Stop::Malformed)?;
        }
        if !matches!(token.kind, Kind::Word | Kind::Painted) {
            return Err(Stop::Malformed);
        }
        if parenthesis {
            let close = self.next();
            if !self.is(close, punct::CLOSE) {
                return Err(Stop::Malformed);
            }
        }
        Ok(match self.state.is_defined(self.binding(token.name)) {
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
            let list = if it.body.iter().any(|t| t.kind == Kind::Paste) {
                List::Own(self.substitute(it, &it.body, &mut Vec::new(), token.space)?)
            } else {
                List::Body(Arc::clone(it))
            };
            self.enter(token.name, list);
            return Ok(());
        }
        if !self.is(self.peek(), punct::OPEN) {
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
        self.enter(token.name, List::Own(list));
        Ok(())
    }

    fn enter(&mut self, owner: Name, list: List) {
        self.sources.push(Source {
            list,
            at: 0,
            owner: Some(owner),
            barrier: false,
        });
        self.off.push(owner);
    }

    /// Arguments of a call whose `(` is consumed, one for each parameter.
    fn arguments(&mut self, it: &Macro) -> Result<Vec<Vec<Token>>, Stop> {
        let params = it.params.as_ref().map_or(0, Vec::len);
        let mut args: Vec<Vec<Token>> = vec![Vec::with_capacity(8)];
        let mut open = 0u32;
        loop {
            let mut token = self.next().ok_or(Stop::Malformed)?;
            self.spend(1)?;
            if token.kind == Kind::Word && self.off.contains(&token.name) {
                token.kind = Kind::Painted;
            }
            if token.kind == Kind::Punct {
                match self.store.names.text(token.name) {
                    b"(" => open += 1,
                    b")" if open == 0 => break,
                    b")" => open -= 1,
                    b"," if open == 0 && !(it.variadic && args.len() == params) => {
                        args.push(Vec::new());
                        continue;
                    }
                    _ => {}
                }
            }
            args.last_mut().expect("never empty").push(token);
        }
        if params == 0 && args.len() == 1 && args[0].is_empty() {
            args.clear();
        }
        if it.variadic && args.len() + 1 == params {
            args.push(Vec::new());
        }
        if args.len() == params {
            Ok(args)
        } else {
            Err(Stop::Malformed)
        }
    }

    /// The body of a macro with arguments put in.
    fn substitute(
        &mut self,
        it: &Macro,
        body: &[Token],
        args: &mut Vec<Arg>,
        space: bool,
    ) -> Result<Vec<Token>, Stop> {
        let mut out: Vec<Token> = Vec::with_capacity(body.len() + 4);
        let mut at = 0;
        let mut pasting = false;
        while at < body.len() {
            let token = body[at];
            if token.kind == Kind::Paste {
                pasting = true;
                at += 1;
                continue;
            }
            let start = out.len();
            let before_paste = body.get(at + 1).is_some_and(|t| t.kind == Kind::Paste);
            match token.kind {
                Kind::Hash => {
                    at += 1;
                    let (tokens, used) = self.stringised(it, &body[at..], args)?;
                    at += used - 1;
                    out.push(self.string_of(&tokens));
                }
                Kind::Param => {
                    let index = token.name.0 as usize;
                    let last = it.variadic && index + 1 == args.len();
                    if pasting && last && self.is(out.last().copied(), punct::COMMA) {
                        // GNU: `, ## __VA_ARGS__` drops the comma when there is nothing after it.
                        pasting = false;
                        if args[index].raw.is_empty() {
                            out.pop();
                            at += 1;
                            continue;
                        }
                        out.extend_from_slice(&args[index].raw);
                    } else if pasting || before_paste {
                        out.extend_from_slice(&args[index].raw);
                    } else {
                        out.extend_from_slice(self.expanded(&mut args[index])?);
                    }
                }
                Kind::VaOpt => {
                    let inner =
                        closing(&body[at + 1..], &self.store.names).ok_or(Stop::Malformed)?;
                    let inside = &body[at + 2..at + 1 + inner];
                    at += 1 + inner;
                    out.append(&mut self.optional(it, inside, args)?);
                }
                _ => out.push(token),
            }
            match out.get_mut(start) {
                Some(first) => first.space = token.space,
                None => out.push(Token {
                    kind: Kind::Placemarker,
                    ..token
                }),
            }
            self.spend(out.len() - start)?;
            if std::mem::take(&mut pasting) {
                let left = start.checked_sub(1).ok_or(Stop::Malformed)?;
                if let Some(one) = self.paste(out[left], out[start]) {
                    out[left] = one;
                    out.remove(start);
                }
            }
            at += 1;
        }
        out.retain(|token| token.kind != Kind::Placemarker);
        if let Some(first) = out.first_mut() {
            first.space = space;
        }
        Ok(out)
    }

    fn expanded<'t>(&mut self, arg: &'t mut Arg) -> Result<&'t [Token], Stop> {
        if arg.plain.is_none() {
            arg.plain = Some(arg.raw.iter().all(|it| self.is_plain(*it)));
        }
        if arg.plain == Some(true) {
            return Ok(&arg.raw);
        }
        if arg.expanded.is_none() {
            arg.expanded = Some(self.isolated(arg.raw.clone())?);
        }
        Ok(arg.expanded.as_deref().unwrap_or_default())
    }

    /// Whether expansion leaves a token as it is.
    fn is_plain(&self, token: Token) -> bool {
        token.kind != Kind::Word
            || (self.binding(token.name) == Binding::UNDEFINED
                && !(token.name == names::DEFINED && self.place.condition))
    }

    /// What `__VA_OPT__(inside)` becomes.
    fn optional(
        &mut self,
        it: &Macro,
        inside: &[Token],
        args: &mut Vec<Arg>,
    ) -> Result<Vec<Token>, Stop> {
        let Some(mut rest) = args.pop() else {
            return Err(Stop::Malformed);
        };
        let some = self.expanded(&mut rest).map(|tokens| !tokens.is_empty());
        args.push(rest);
        if some? {
            self.substitute(it, inside, args, true)
        } else {
            Ok(Vec::new())
        }
    }

    /// The tokens that `#` makes a string of, and how many tokens of the body they are.
    fn stringised(
        &mut self,
        it: &Macro,
        body: &[Token],
        args: &mut Vec<Arg>,
    ) -> Result<(Vec<Token>, usize), Stop> {
        let token = body.first().copied().ok_or(Stop::Malformed)?;
        if token.kind == Kind::Param {
            return Ok((args[token.name.0 as usize].raw.clone(), 1));
        }
        let inner = closing(&body[1..], &self.store.names).ok_or(Stop::Malformed)?;
        let tokens = self.optional(it, &body[2..=inner], args)?;
        Ok((tokens, inner + 2))
    }

    fn string_of(&mut self, tokens: &[Token]) -> Token {
        let mut text = vec![b'"'];
        for (index, token) in tokens
            .iter()
            .filter(|t| t.kind != Kind::Placemarker)
            .enumerate()
        {
            if token.space && index > 0 {
                text.push(b' ');
            }
            let literal = matches!(token.kind, Kind::String | Kind::Character);
            for &byte in self.store.names.text(token.name) {
                if literal && matches!(byte, b'"' | b'\\') {
                    text.push(b'\\');
                }
                text.push(byte);
            }
        }
        text.push(b'"');
        Token {
            kind: Kind::String,
            space: true,
            name: self.store.names.intern(&text),
        }
    }

    /// Two tokens made one; `None` when that is no token.
    fn paste(&mut self, left: Token, right: Token) -> Option<Token> {
        if right.kind == Kind::Placemarker {
            return Some(left);
        }
        if left.kind == Kind::Placemarker {
            return Some(Token {
                space: left.space,
                ..right
            });
        }
        let text = [
            self.store.names.text(left.name),
            self.store.names.text(right.name),
        ]
        .concat();
        let mode = Mode {
            raw_strings: true,
            separators: true,
            ..Mode::default()
        };
        match cut(&text, mode, &mut self.store.names).as_slice() {
            [one] => Some(Token {
                space: left.space,
                ..*one
            }),
            _ => None,
        }
    }

    fn built_in(&mut self, token: Token, out: &mut Vec<Token>) -> Result<(), Stop> {
        let unknown = Token {
            kind: Kind::Unknown,
            ..token
        };
        match token.name {
            names::FILE => {
                out.push(self.place.file.map_or(unknown, |name| Token {
                    kind: Kind::String,
                    name,
                    ..token
                }));
            }
            names::BASE_FILE => out.push(Token {
                kind: Kind::String,
                name: self.place.base_file,
                ..token
            }),
            names::INCLUDE_LEVEL => {
                let name = self
                    .store
                    .names
                    .intern(self.place.level.to_string().as_bytes());
                out.push(Token {
                    kind: Kind::Number,
                    name,
                    ..token
                });
            }
            names::HAS_INCLUDE | names::HAS_INCLUDE_NEXT | names::HAS_EMBED
                if self.place.condition =>
            {
                let question = self.header_question(token)?;
                out.push(question);
            }
            name if name.is_question() && self.place.condition => {
                let question = self.compiler_question(token)?;
                out.push(question);
            }
            names::PRAGMA | names::PRAGMA_MS => out.push(token),
            _ => out.push(unknown),
        }
        Ok(())
    }

    /// The tokens of an operand in parentheses, as they stand.
    fn operand(&mut self) -> Result<Vec<Token>, Stop> {
        let open = self.next();
        if !self.is(open, punct::OPEN) {
            return Err(Stop::Malformed);
        }
        let mut tokens = Vec::new();
        let mut depth = 0u32;
        loop {
            let token = self.next().ok_or(Stop::Malformed)?;
            if self.is(Some(token), punct::OPEN) {
                depth += 1;
            } else if self.is(Some(token), punct::CLOSE) {
                if depth == 0 {
                    return Ok(tokens);
                }
                depth -= 1;
            }
            tokens.push(token);
        }
    }

    fn header_question(&mut self, token: Token) -> Result<Token, Stop> {
        let mut operand = self.operand()?;
        if operand.first().is_some_and(|it| it.kind == Kind::Word) {
            operand = self.isolated(operand)?;
        }
        let (header, angled) = header_name(&operand, self.store).ok_or(Stop::Malformed)?;
        Ok(self.ask(
            token,
            Question::Header {
                operator: token.name,
                header,
                angled,
            },
        ))
    }

    fn compiler_question(&mut self, token: Token) -> Result<Token, Stop> {
        let operand = self.operand()?;
        let mut text = Vec::new();
        for part in &operand {
            if part.kind == Kind::Word && self.binding(part.name) != Binding::UNDEFINED {
                return Ok(Token {
                    kind: Kind::Unknown,
                    ..token
                });
            }
            text.extend_from_slice(self.store.names.text(part.name));
        }
        let operand = self.store.names.intern(&text);
        Ok(self.ask(
            token,
            Question::Compiler {
                operator: token.name,
                operand,
            },
        ))
    }

    fn ask(&mut self, token: Token, question: Question) -> Token {
        self.questions.push(question);
        let index =
            u32::try_from(self.questions.len() - 1).expect("bounded by the tokens of a line");
        Token {
            kind: Kind::Asked,
            space: token.space,
            name: Name(index),
        }
    }
}

#[derive(Debug)]
struct Arg {
    raw: Vec<Token>,
    /// Expansion would change nothing.
    plain: Option<bool>,
    expanded: Option<Vec<Token>>,
}

/// Index of the parenthesis that closes the one at the start.
fn closing(tokens: &[Token], names: &Names) -> Option<usize> {
    let mut depth = 0u32;
    for (index, token) in tokens.iter().enumerate() {
        if token.kind == Kind::Punct {
            match names.text(token.name) {
                b"(" => depth += 1,
                b")" if depth == 1 => return Some(index),
                b")" => depth = depth.checked_sub(1)?,
                _ => {}
            }
        }
    }
    None
}

/// The header that expanded tokens name, and whether in angle brackets.
pub(crate) fn header_name(tokens: &[Token], store: &mut Store) -> Option<(Name, bool)> {
    let first = tokens.first()?;
    if first.kind == Kind::String {
        let text = store
            .names
            .text(first.name)
            .strip_prefix(b"\"")?
            .strip_suffix(b"\"")?
            .to_vec();
        return Some((store.names.intern(&text), false));
    }
    if first.kind != Kind::Punct || !store.names.text(first.name).starts_with(b"<") {
        return None;
    }
    // The spelling between the brackets, every run of white space being one space.
    let mut text = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.kind == Kind::Unknown || token.kind == Kind::Asked {
            return None;
        }
        if token.space && index > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(store.names.text(token.name));
        if let Some(end) = text.iter().position(|&b| b == b'>') {
            let header = text[1..end].to_vec();
            return Some((store.names.intern(&header), true));
        }
    }
    None
}
