//! Macros of the compiler itself, and operators that ask the search path or the compiler.

use super::{Expander, Question, Stop};
use crate::names::{self, Name};
use crate::state::Binding;
use crate::store::Store;
use crate::token::{Kind, Token, is_punct};

impl Expander<'_> {
    pub(super) fn built_in(&mut self, token: Token, out: &mut Vec<Token>) -> Result<(), Stop> {
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
            names::BASE_FILE => {
                self.is_of_place = true;
                out.push(Token {
                    kind: Kind::String,
                    name: self.place.base_file,
                    ..token
                });
            }
            names::INCLUDE_LEVEL => {
                self.is_of_place = true;
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
    pub(super) fn operand(&mut self) -> Result<Vec<Token>, Stop> {
        let open = self.next();
        if !is_punct(open.as_ref(), names::OPEN) {
            return Err(Stop::Malformed);
        }
        let mut tokens = Vec::new();
        let mut depth = 0u32;
        loop {
            let token = self.next().ok_or(Stop::Malformed)?;
            if is_punct(Some(&token), names::OPEN) {
                depth += 1;
            } else if is_punct(Some(&token), names::CLOSE) {
                if depth == 0 {
                    return Ok(tokens);
                }
                depth -= 1;
            }
            tokens.push(token);
        }
    }

    pub(super) fn header_question(&mut self, token: Token) -> Result<Token, Stop> {
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

    pub(super) fn compiler_question(&mut self, token: Token) -> Result<Token, Stop> {
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

    pub(super) fn ask(&mut self, token: Token, question: Question) -> Token {
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
