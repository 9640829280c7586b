//! What matters in the text between directives: files that the assembler reads, and `_Pragma`.
//!
//! Hardly any line has either, which a search of its bytes tells.

use memchr::memmem;

use crate::mode::Mode;
use crate::needles;
use crate::text::is_space;

/// Something in a line of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Embedded<'a> {
    /// `.incbin`, or with `source` `.include`, of a file named literally.
    Asm { file: &'a [u8], source: bool },
    /// The same with an operand that macros make.
    AsmComputed { operand: &'a [u8], source: bool },
    /// The same in a string, closed by something else than a literal: not followed.
    AsmUnknown,
    /// The string of a `_Pragma`, without its quotes.
    Pragma(&'a [u8]),
}

/// Whether a text can have any of it.
pub(crate) fn is_possible(text: &[u8]) -> bool {
    needles::INC.is_in(text) || needles::PRAGMA.is_in(text)
}

/// Everything of interest in a logical line without comments.
pub(crate) fn in_line(line: &[u8], mode: Mode) -> Vec<Embedded<'_>> {
    let mut found = Vec::new();
    for (word, source) in [(&needles::INCBIN, false), (&needles::INCLUDE, true)] {
        for rest in word.each_rest(line) {
            found.extend(asm(rest.trim_ascii_start(), source, mode));
        }
    }
    for rest in needles::PRAGMA.each_rest(line) {
        let rest = rest.trim_ascii_start();
        if let Some(rest) = rest.strip_prefix(b"(") {
            let rest = rest.trim_ascii_start();
            let start = rest.iter().position(|&b| b == b'"').map_or(0, |at| at + 1);
            let end = (start..rest.len()).find(|&at| rest[at] == b'"' && rest[at - 1] != b'\\');
            found.extend(end.map(|end| Embedded::Pragma(&rest[start..end])));
        }
    }
    found
}

fn asm(after: &[u8], source: bool, mode: Mode) -> Option<Embedded<'_>> {
    let (open, close): (&[u8], &[u8]) = if mode.asm {
        (b"\"", b"\"")
    } else {
        (b"\\\"", b"\\\"")
    };
    if let Some(name) = after.strip_prefix(open) {
        let end = memmem::find(name, close);
        let plain = |name: &[u8]| mode.asm || !name.contains(&b'"');
        return Some(match end.map(|end| &name[..end]) {
            Some(file) if plain(file) => Embedded::Asm { file, source },
            _ => Embedded::AsmUnknown,
        });
    }
    if mode.asm {
        let end = after.iter().position(|&b| b == b';').unwrap_or(after.len());
        return Some(Embedded::AsmComputed {
            operand: &after[..end],
            source,
        });
    }
    // `.include` in other strings and in prose is nothing to us; `.incbin` that a string ends with is.
    (!source && after.first().is_some_and(|&b| b == b'"' || is_space(b)))
        .then_some(Embedded::AsmUnknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_names_are_found_and_others_noticed() {
        let (c, asm) = (
            Mode::default(),
            Mode {
                asm: true,
                ..Mode::default()
            },
        );
        let file = |file, source| Embedded::Asm { file, source };
        assert_eq!(
            in_line(br#"asm(".incbin \"a b\"");"#, c),
            [file(&b"a b"[..], false)]
        );
        assert_eq!(
            in_line(br#"asm(".include \"m.inc\"\n .incbin \"" X "\"");"#, c),
            [Embedded::AsmUnknown, file(b"m.inc", true)]
        );
        assert_eq!(in_line(br#".incbin "x", 1, 2"#, asm), [file(b"x", false)]);
        let computed = Embedded::AsmComputed {
            operand: b"NAME(x)",
            source: false,
        };
        assert_eq!(in_line(b"  .incbin NAME(x)", asm), [computed]);
        assert_eq!(in_line(b"it.include(x); // .incbin", c), []);
        assert_eq!(
            in_line(br#"_Pragma("push_macro(\"X\")") y"#, c),
            [Embedded::Pragma(br#"push_macro(\"X\")"#)]
        );
    }
}
