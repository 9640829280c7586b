//! The value of a condition.
//!
//! One recursive descent serves two callers: over the tokens of a line as they stand, as long as all names in it are
//! plain numbers or undefined (nearly all conditions), and over a line after macro expansion. Unknown values spread
//! as far as they matter: `0 && unknown` is 0.

use crate::limits::NESTING_MAX;
use crate::names::{self, Name};
use crate::state::{Binding, Bound, State};
use crate::store::Store;
use crate::token::{Kind, Token, operator_of};
use crate::value::{self, Binary, Int, Value, apply};

/// Evaluates a line after expansion. `answers` belong to its tokens of kind [`Kind::Asked`].
pub(crate) fn expanded(tokens: &[Token], store: &Store, cxx: bool, answers: &[Value]) -> Value {
    let mut it = Eval {
        tokens,
        at: 0,
        store,
        cxx,
        answers,
        direct: None,
        depth: 0,
    };
    it.whole().unwrap_or(None)
}

/// Evaluates a line as it stands; `Err` if it must be expanded first.
pub(crate) fn direct(
    tokens: &[Token],
    store: &Store,
    cxx: bool,
    state: &mut State,
) -> Result<Value, NotDirect> {
    let mut it = Eval {
        tokens,
        at: 0,
        store,
        cxx,
        answers: &[],
        direct: Some(state),
        depth: 0,
    };
    it.whole()
}

/// The line needs expansion, or is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotDirect;

struct Eval<'a> {
    tokens: &'a [Token],
    at: usize,
    store: &'a Store,
    cxx: bool,
    answers: &'a [Value],
    direct: Option<&'a mut State>,
    depth: u32,
}

type Result<T, E = NotDirect> = std::result::Result<T, E>;

impl Eval<'_> {
    fn whole(&mut self) -> Result<Value> {
        let value = self.comma()?;
        if self.at == self.tokens.len() {
            Ok(value)
        } else {
            Err(NotDirect)
        }
    }

    fn peek(&self) -> Name {
        match self.tokens.get(self.at) {
            Some(token) if token.kind == Kind::Punct => token.name,
            Some(token) if token.kind == Kind::Word && self.cxx => operator_of(token.name),
            _ => names::EMPTY,
        }
    }

    fn eat(&mut self, name: Name) -> bool {
        let next = self.peek() == name;
        self.at += usize::from(next);
        next
    }

    fn comma(&mut self) -> Result<Value> {
        let mut value = self.conditional()?;
        while self.eat(names::COMMA) {
            value = self.conditional()?;
        }
        Ok(value)
    }

    fn conditional(&mut self) -> Result<Value> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(NotDirect);
        }
        let condition = self.binary(0)?;
        let value = if self.eat(names::QUESTION) {
            let yes = self.comma()?;
            if !self.eat(names::COLON) {
                return Err(NotDirect);
            }
            let no = self.conditional()?;
            chosen(condition, yes, no)
        } else {
            condition
        };
        self.depth -= 1;
        Ok(value)
    }

    fn binary(&mut self, least: u8) -> Result<Value> {
        let mut left = self.unary()?;
        while let Some((operator, strength)) = operator(self.peek()) {
            if strength < least {
                break;
            }
            self.at += 1;
            let right = self.binary(strength + 1)?;
            left = match operator {
                Operator::Both => both(left, right),
                Operator::Either => either(left, right),
                Operator::Plain(op) => match (left, right) {
                    (Some(a), Some(b)) => apply(op, a, b),
                    _ => None,
                },
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Value> {
        let mut operators = Vec::new();
        while let op @ (names::NOT | names::TILDE | names::MINUS | names::PLUS) = self.peek() {
            operators.push(op);
            self.at += 1;
        }
        let mut value = self.primary()?;
        while let Some(op) = operators.pop() {
            value = value.map(|int| match op {
                names::NOT => Int::truth(!int.is_true()),
                names::TILDE => Int {
                    bits: !int.bits,
                    ..int
                },
                names::MINUS => Int {
                    bits: int.bits.wrapping_neg(),
                    ..int
                },
                _ => int,
            });
        }
        Ok(value)
    }

    fn primary(&mut self) -> Result<Value> {
        let token = *self.tokens.get(self.at).ok_or(NotDirect)?;
        self.at += 1;
        match token.kind {
            Kind::Number => value::number(self.store.names.text(token.name))
                .map(Some)
                .ok_or(NotDirect),
            Kind::Character => Ok(value::character(self.store.names.text(token.name))),
            Kind::Unknown => Ok(None),
            Kind::Asked => Ok(self.answers.get(token.name.0 as usize).copied().flatten()),
            Kind::Word | Kind::Painted => self.word(token),
            Kind::Punct if token.name == names::OPEN => {
                let value = self.comma()?;
                if self.eat(names::CLOSE) {
                    Ok(value)
                } else {
                    Err(NotDirect)
                }
            }
            _ => Err(NotDirect),
        }
    }

    fn word(&mut self, token: Token) -> Result<Value> {
        if self.cxx && operator_of(token.name) != token.name {
            return Err(NotDirect);
        }
        let undefined = Ok(Some(Int::truth(self.cxx && token.name == names::TRUE)));
        if self.direct.is_some() && token.name == names::DEFINED {
            return self.defined();
        }
        match self.binding(token.name).unpack() {
            Bound::Undefined if self.direct.is_some() && self.peek() == names::OPEN => {
                Err(NotDirect)
            }
            Bound::Undefined => undefined,
            Bound::Def(def) => match self.store.known_def(def).and_then(|it| it.number) {
                Some(number) => Ok(Some(number)),
                None => Err(NotDirect),
            },
            _ => Err(NotDirect),
        }
    }

    fn defined(&mut self) -> Result<Value> {
        let parenthesis = self.eat(names::OPEN);
        let name = match self.tokens.get(self.at) {
            Some(token) if token.kind == Kind::Word => token.name,
            _ => return Err(NotDirect),
        };
        self.at += 1;
        if parenthesis && !self.eat(names::CLOSE) {
            return Err(NotDirect);
        }
        let binding = self.binding(name);
        let state = self.direct.as_ref().ok_or(NotDirect)?;
        Ok(state.is_defined(binding).map(Int::truth))
    }

    /// What a name stands for; after expansion, nothing.
    fn binding(&mut self, name: Name) -> Binding {
        match &mut self.direct {
            Some(state) => state.seen(name, &self.store.names),
            None => Binding::UNDEFINED,
        }
    }
}

enum Operator {
    Both,
    Either,
    Plain(Binary),
}

/// A binary operator and how strongly it binds.
fn operator(name: Name) -> Option<(Operator, u8)> {
    use Binary as B;
    let plain = |op, strength| Some((Operator::Plain(op), strength));
    match name {
        names::OR_OR => Some((Operator::Either, 1)),
        names::AND_AND => Some((Operator::Both, 2)),
        names::OR => plain(B::Or, 3),
        names::XOR => plain(B::Xor, 4),
        names::AND => plain(B::And, 5),
        names::EQUAL => plain(B::Equal, 6),
        names::UNEQUAL => plain(B::Unequal, 6),
        names::LESS => plain(B::Less, 7),
        names::GREATER => plain(B::Greater, 7),
        names::LESS_EQUAL => plain(B::LessEqual, 7),
        names::GREATER_EQUAL => plain(B::GreaterEqual, 7),
        names::LEFT => plain(B::Left, 8),
        names::RIGHT => plain(B::Right, 8),
        names::PLUS => plain(B::Plus, 9),
        names::MINUS => plain(B::Minus, 9),
        names::TIMES => plain(B::Times, 10),
        names::DIVIDE => plain(B::Divide, 10),
        names::MODULO => plain(B::Modulo, 10),
        _ => None,
    }
}

fn both(a: Value, b: Value) -> Value {
    let no = |value: Value| value.is_some_and(|int| !int.is_true());
    if no(a) || no(b) {
        return Some(Int::truth(false));
    }
    a.and(b).map(|_| Int::truth(true))
}

fn either(a: Value, b: Value) -> Value {
    let yes = |value: Value| value.is_some_and(Int::is_true);
    if yes(a) || yes(b) {
        return Some(Int::truth(true));
    }
    a.and(b).map(|_| Int::truth(false))
}

fn chosen(condition: Value, yes: Value, no: Value) -> Value {
    let common = |int: Int| {
        let unsigned =
            int.unsigned || yes.is_none_or(|it| it.unsigned) || no.is_none_or(|it| it.unsigned);
        Int { unsigned, ..int }
    };
    match condition {
        Some(int) => (if int.is_true() { yes } else { no }).map(common),
        None if yes == no => yes,
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::Mode;
    use crate::names::Names;

    fn check(line: &str, expect: Option<u64>) {
        check_in(line, false, expect);
    }

    fn check_cxx(line: &str, expect: Option<u64>) {
        check_in(line, true, expect);
    }

    fn check_in(line: &str, cxx: bool, expect: Option<u64>) {
        let mut store = Store::new();
        let mode = Mode {
            cxx,
            ..Mode::default()
        };
        let id = store.add_text(line.as_bytes(), mode);
        let mut tokens = (*store.text(id)).clone();
        let unknown = store.names.intern(b"unknown");
        for token in &mut tokens {
            if token.name == unknown {
                token.kind = Kind::Unknown;
            }
        }
        assert_eq!(
            expanded(&tokens, &store, cxx, &[]).map(|int| int.bits),
            expect,
            "{line}"
        );
    }

    #[test]
    fn conditions_have_the_compilers_values() {
        check("1 + 2 * 3 == 7", Some(1));
        check("(1 << 3) | 1", Some(9));
        check("10 - 2 - 3", Some(5));
        check("-1 < 0u", Some(0));
        check("!0 && ~0 == -1", Some(1));
        check("1 ? 2 : 3", Some(2));
        check("0 ? 2 : 1 ? 4 : 5", Some(4));
        check("undefined_name", Some(0));
        check("'A' == 65", Some(1));
        check("1 +", None);
        check("1 2", None);
        check("1 / 0", None);
        check("(2, 3)", Some(3));
        check_cxx("1 and not 0 bitor 2 compl 0", None);
        check_cxx("1 and not 0", Some(1));
        check_cxx("true", Some(1));
        check("true", Some(0));
    }

    #[test]
    fn unknown_values_spread_only_as_far_as_they_matter() {
        check("unknown", None);
        check("0 && unknown", Some(0));
        check("unknown && 0", Some(0));
        check("unknown || 1", Some(1));
        check("unknown || 0", None);
        check("unknown ? 3 : 3", Some(3));
        check("unknown ? 3 : 4", None);
        check("unknown == 1 || 2 > 1", Some(1));
    }

    #[test]
    fn lines_with_plain_names_need_no_expansion() {
        let mut store = Store::new();
        let mut names = Names::new();
        let mut state = State::new(&mut names);
        let (four, call) = (store.names.intern(b"FOUR"), store.names.intern(b"CALL"));
        let def = store.add_def(b" 4", Mode::default());
        store.def(def);
        let function = store.add_def(b"(x) x", Mode::default());
        store.def(function);
        state.set(four, Binding::def(def));
        state.set(call, Binding::def(function));
        let mut value = |line: &str| {
            let id = store.add_text(line.as_bytes(), Mode::default());
            let tokens = store.text(id);
            direct(&tokens, &store, false, &mut state)
        };
        assert_eq!(
            value("defined(FOUR) && FOUR >= 4 && !NONE"),
            Ok(Some(Int::truth(true)))
        );
        assert_eq!(value("CALL(1)"), Err(NotDirect));
    }
}
