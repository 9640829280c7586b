//! A macro's body with its arguments put in: `#`, `##`, `__VA_OPT__`.

use super::{Expander, Stop};
use crate::mode::Mode;
use crate::names;
use crate::state::Binding;
use crate::store::Macro;
use crate::token::{Kind, Token, cut, is_punct};

/// An argument of a macro call.
#[derive(Debug)]
pub(super) struct Arg {
    pub(super) raw: Vec<Token>,
    /// Expansion would change nothing.
    pub(super) plain: Option<bool>,
    pub(super) expanded: Option<Vec<Token>>,
}

impl Expander<'_> {
    /// Arguments of a call whose `(` is consumed, one for each parameter.
    pub(super) fn arguments(&mut self, it: &Macro) -> Result<Vec<Vec<Token>>, Stop> {
        let params = it.params.as_ref().map_or(0, Vec::len);
        let mut args: Vec<Vec<Token>> = Vec::with_capacity(params.max(1));
        args.push(self.scratch.take());
        let mut open = 0u32;
        loop {
            let mut token = self.next().ok_or(Stop::Malformed)?;
            self.spend(1)?;
            if token.kind == Kind::Word && self.scratch.off.contains(&token.name) {
                token.kind = Kind::Painted;
            }
            if token.kind == Kind::Punct {
                match token.name {
                    names::OPEN => open += 1,
                    names::CLOSE if open == 0 => break,
                    names::CLOSE => open -= 1,
                    names::COMMA if open == 0 && !(it.variadic && args.len() == params) => {
                        args.push(self.scratch.take());
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
    pub(super) fn substitute(
        &mut self,
        it: &Macro,
        body: &[Token],
        args: &mut Vec<Arg>,
        space: bool,
    ) -> Result<Vec<Token>, Stop> {
        let mut out = self.scratch.take();
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
                    if pasting && last && is_punct(out.last(), names::COMMA) {
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
                    let inner = closing(&body[at + 1..]).ok_or(Stop::Malformed)?;
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

    pub(super) fn expanded<'t>(&mut self, arg: &'t mut Arg) -> Result<&'t [Token], Stop> {
        if arg.plain.is_none() {
            arg.plain = Some(arg.raw.iter().all(|it| self.is_plain(*it)));
        }
        if arg.plain == Some(true) {
            return Ok(&arg.raw);
        }
        if arg.expanded.is_none() {
            let mut list = self.scratch.take();
            list.extend_from_slice(&arg.raw);
            arg.expanded = Some(self.isolated(list)?);
        }
        Ok(arg.expanded.as_deref().unwrap_or_default())
    }

    /// Whether expansion leaves a token as it is.
    pub(super) fn is_plain(&mut self, token: Token) -> bool {
        token.kind != Kind::Word
            || (self.binding(token.name) == Binding::UNDEFINED
                && !(token.name == names::DEFINED && self.place.condition))
    }

    /// What `__VA_OPT__(inside)` becomes.
    pub(super) fn optional(
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
    pub(super) fn stringised(
        &mut self,
        it: &Macro,
        body: &[Token],
        args: &mut Vec<Arg>,
    ) -> Result<(Vec<Token>, usize), Stop> {
        let token = body.first().copied().ok_or(Stop::Malformed)?;
        if token.kind == Kind::Param {
            return Ok((args[token.name.0 as usize].raw.clone(), 1));
        }
        let inner = closing(&body[1..]).ok_or(Stop::Malformed)?;
        let tokens = self.optional(it, &body[2..=inner], args)?;
        Ok((tokens, inner + 2))
    }

    pub(super) fn string_of(&mut self, tokens: &[Token]) -> Token {
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
    pub(super) fn paste(&mut self, left: Token, right: Token) -> Option<Token> {
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
}

/// Index of the parenthesis that closes the one at the start.
fn closing(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0u32;
    for (index, token) in tokens.iter().enumerate() {
        if token.kind == Kind::Punct {
            match token.name {
                names::OPEN => depth += 1,
                names::CLOSE if depth == 1 => return Some(index),
                names::CLOSE => depth = depth.checked_sub(1)?,
                _ => {}
            }
        }
    }
    None
}
