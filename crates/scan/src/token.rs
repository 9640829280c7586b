//! Preprocessing tokens, and cutting a line into them.

use crate::mode::Mode;
use crate::names::{self, Name, Names};
use crate::store::Macro;
use crate::text::{is_space, is_word, is_word_start};
use crate::value;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier, which may be a macro; in C++ also `and` and its like, which are operators in a condition.
    Word,
    /// An identifier that was the name of a macro while that macro was being expanded: never a macro again.
    Painted,
    Number,
    String,
    Character,
    /// Operators and anything else; `(` and so on are compared by their spelling.
    Punct,
    /// A parameter of the macro whose body this is; the name is its index.
    Param,
    /// `#` before a parameter.
    Hash,
    /// `##` in a macro body.
    Paste,
    /// `__VA_OPT__` before its parenthesis.
    VaOpt,
    /// Nothing, from an empty argument beside `##`.
    Placemarker,
    /// The answer to a question that is asked of the search path or the compiler; the name is its index.
    Asked,
    /// A value that nobody can tell.
    Unknown,
}

/// A token; its spelling is interned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// White space comes before it.
    pub(crate) space: bool,
    pub(crate) name: Name,
}

/// Operators of two and three characters, longest first.
const LONG: &[&[u8]] = &[
    b"%:%:", b"<=>", b"<<=", b">>=", b"...", b"->*", b"##", b"&&", b"||", b"==", b"!=", b"<=",
    b">=", b"<<", b">>", b"++", b"--", b"->", b"::", b".*", b"+=", b"-=", b"*=", b"/=", b"%=",
    b"^=", b"&=", b"|=", b"<:", b":>", b"<%", b"%>", b"%:",
];

/// The operator that a word of C++ stands for; other names stand for themselves.
pub(crate) fn operator_of(name: Name) -> Name {
    match name {
        names::WORD_AND => names::AND_AND,
        names::WORD_BITAND => names::AND,
        names::WORD_BITOR => names::OR,
        names::WORD_COMPL => names::TILDE,
        names::WORD_NOT => names::NOT,
        names::WORD_NOT_EQ => names::UNEQUAL,
        names::WORD_OR => names::OR_OR,
        names::WORD_XOR => names::XOR,
        other => other,
    }
}

/// Cuts a line into tokens.
pub(crate) fn cut(line: &[u8], mode: Mode, names: &mut Names) -> Vec<Token> {
    let mut out = Vec::with_capacity(line.len() / 3 + 1);
    let mut at = 0;
    let mut space = false;
    while at < line.len() {
        if is_space(line[at]) || line[at] == b'\n' {
            space = true;
            at += 1;
            continue;
        }
        let (kind, len) = token_at(&line[at..], mode);
        let text = &line[at..at + len];
        let name = match text {
            b"%:%:" => names.intern(b"##"),
            b"%:" => names.intern(b"#"),
            _ => names.intern(text),
        };
        out.push(Token { kind, space, name });
        space = false;
        at += len;
    }
    out
}

/// Kind and length of the token at the start of a text that is not empty.
fn token_at(text: &[u8], mode: Mode) -> (Kind, usize) {
    let first = text[0];
    let second = text.get(1).copied().unwrap_or(0);
    if is_word_start(first) {
        let len = text.iter().position(|&b| !is_word(b)).unwrap_or(text.len());
        return match text.get(len) {
            Some(b'"')
                if mode.raw_strings
                    && matches!(&text[..len], b"R" | b"LR" | b"uR" | b"UR" | b"u8R") =>
            {
                (Kind::String, len + raw_len(&text[len..]))
            }
            Some(&quote @ (b'"' | b'\'')) if matches!(&text[..len], b"L" | b"u" | b"U" | b"u8") => {
                (
                    if quote == b'"' {
                        Kind::String
                    } else {
                        Kind::Character
                    },
                    len + quoted_len(&text[len..]),
                )
            }
            _ => (Kind::Word, len),
        };
    }
    if first.is_ascii_digit() || (first == b'.' && second.is_ascii_digit()) {
        return (Kind::Number, number_len(text, mode));
    }
    match first {
        b'"' => (Kind::String, quoted_len(text)),
        b'\'' => (Kind::Character, quoted_len(text)),
        _ => (
            Kind::Punct,
            LONG.iter()
                .find(|long| text.starts_with(long))
                .map_or(1, |long| long.len()),
        ),
    }
}

fn number_len(text: &[u8], mode: Mode) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        let sign = matches!(byte, b'+' | b'-') && matches!(text[at - 1], b'e' | b'E' | b'p' | b'P');
        let separator =
            byte == b'\'' && mode.separators && text.get(at + 1).is_some_and(|&b| is_word(b));
        if !(is_word(byte) || byte == b'.' || sign || separator) {
            break;
        }
        at += 1;
    }
    at
}

fn quoted_len(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        at += if byte == b'\\' { 2 } else { 1 };
        if byte == text[0] {
            break;
        }
    }
    at.min(text.len())
}

fn raw_len(text: &[u8]) -> usize {
    let Some(paren) = text.iter().position(|&b| b == b'(') else {
        return quoted_len(text);
    };
    let close = [b")", &text[1..paren], b"\""].concat();
    memchr::memmem::find(&text[paren..], &close).map_or(text.len(), |at| paren + at + close.len())
}

/// Whether a token is this operator.
pub(crate) fn is_punct(token: Option<&Token>, name: Name) -> bool {
    token.is_some_and(|it| it.kind == Kind::Punct && it.name == name)
}

/// Cuts what follows the name in a definition.
pub(crate) fn cut_macro(rest: &[u8], mode: Mode, names: &mut Names) -> Macro {
    let tokens = cut(rest, mode, names);
    let (params, variadic, start) = if rest.first() == Some(&b'(') {
        parameters(&tokens, names)
    } else {
        (None, false, 0)
    };
    let mut body = tokens[start..].to_vec();
    if let Some(first) = body.first_mut() {
        first.space = false;
    }
    for at in 0..body.len() {
        let token = body[at];
        if token.kind == Kind::Punct && token.name == names::PASTE && at > 0 && at + 1 < body.len()
        {
            body[at].kind = Kind::Paste;
        }
        let Some(params) = &params else { continue };
        if token.kind == Kind::Word {
            if let Some(index) = params.iter().position(|&param| param == token.name) {
                body[at].kind = Kind::Param;
                body[at].name = Name(u32::try_from(index).expect("few parameters"));
            } else if token.name == names::VA_OPT
                && variadic
                && is_punct(body.get(at + 1), names::OPEN)
            {
                body[at].kind = Kind::VaOpt;
            }
        }
    }
    if params.is_some() {
        for at in 1..body.len() {
            let hash = body[at - 1].kind == Kind::Punct && body[at - 1].name == names::HASH;
            if hash && matches!(body[at].kind, Kind::Param | Kind::VaOpt) {
                body[at - 1].kind = Kind::Hash;
            }
        }
    }
    let number = match body.as_slice() {
        [one] if one.kind == Kind::Number && params.is_none() => {
            value::number(names.text(one.name))
        }
        _ => None,
    };
    let pastes = body.iter().any(|token| token.kind == Kind::Paste);
    Macro {
        params,
        variadic,
        body,
        number,
        pastes,
    }
}

/// Parameters of a definition that starts with a parenthesis: names, whether the last takes the rest, and where the
/// body starts.
fn parameters(tokens: &[Token], names: &Names) -> (Option<Vec<Name>>, bool, usize) {
    let mut params = Vec::new();
    let mut variadic = false;
    let mut at = 1;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match (token.kind, names.text(token.name)) {
            (Kind::Word, _) => params.push(token.name),
            (Kind::Punct, b"...") => {
                // `args...` names the rest, a lone `...` calls it `__VA_ARGS__`.
                let named = at >= 3 && tokens[at - 2].kind == Kind::Word;
                if !named {
                    params.push(names::VA_ARGS);
                }
                variadic = true;
            }
            (Kind::Punct, b")") => break,
            _ => {}
        }
    }
    (Some(params), variadic, at.min(tokens.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, cxx: bool, expect: &[&str]) {
        let mut names = Names::new();
        let mode = Mode {
            raw_strings: true,
            separators: true,
            line_comments: true,
            cxx,
            ..Mode::default()
        };
        let tokens = cut(line.as_bytes(), mode, &mut names);
        let texts: Vec<String> = tokens
            .iter()
            .map(|it| String::from_utf8(names.text(it.name).to_vec()).unwrap())
            .collect();
        assert_eq!(texts, expect, "{line}");
    }

    #[test]
    fn lines_are_cut_as_compilers_do() {
        check("a+++b", false, &["a", "++", "+", "b"]);
        check("1e+5.x y", false, &["1e+5.x", "y"]);
        check(
            "1'000'a L'x' u8R\"d(a)\"d)d\" \"a\\\"b\"",
            false,
            &["1'000'a", "L'x'", "u8R\"d(a)\"d)d\"", "\"a\\\"b\""],
        );
        check(
            "a and not b %:%: c",
            true,
            &["a", "and", "not", "b", "##", "c"],
        );
        check("a and b", false, &["a", "and", "b"]);
    }
}
