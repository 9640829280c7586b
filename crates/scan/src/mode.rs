//! How sources are cut into lines and tokens, which depends on the language and its version, and how much of that
//! matters to a given file.
//!
//! A header is read by compiles in many languages. Hardly any has trigraphs, raw strings or digit separators in it, so
//! that one parse serves all of them: [`Survey`] says which flags a file is sensitive to. It may name one that
//! makes no difference, never leave one out that does.

use memchr::{memchr2_iter, memchr3_iter};

use crate::needles;
use crate::text::is_word;

/// How a file is cut into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Mode {
    /// `R"(…)"` is a literal.
    pub(crate) raw_strings: bool,
    /// `1'000` is a number.
    pub(crate) separators: bool,
    /// `??=` is `#`.
    pub(crate) trigraphs: bool,
    /// `//` starts a comment.
    pub(crate) line_comments: bool,
    /// `and`, `true` and their like are not identifiers. Matters to values alone, not to how a file is cut.
    pub(crate) cxx: bool,
    /// Assembler: directives with unknown names are comments.
    pub(crate) asm: bool,
    /// `import` and `module` at the start of a line have a meaning.
    pub(crate) modules: bool,
}

/// How far back the start of a number is looked for; longer ones are taken for sensitive.
const NUMBER_BYTES_MAX: usize = 64;

impl Mode {
    /// This mode, with what does not matter switched off.
    pub(crate) fn within(self, matters: Self) -> Self {
        Self {
            raw_strings: self.raw_strings && matters.raw_strings,
            separators: self.separators && matters.separators,
            trigraphs: self.trigraphs && matters.trigraphs,
            line_comments: self.line_comments && matters.line_comments,
            cxx: self.cxx && matters.cxx,
            asm: self.asm && matters.asm,
            modules: self.modules && matters.modules,
        }
    }

    /// What matters to either of two.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            raw_strings: self.raw_strings || other.raw_strings,
            separators: self.separators || other.separators,
            trigraphs: self.trigraphs || other.trigraphs,
            line_comments: self.line_comments || other.line_comments,
            cxx: self.cxx || other.cxx,
            asm: self.asm || other.asm,
            modules: self.modules || other.modules,
        }
    }

    /// The mode for one line that is already free of comments and splices, the same for as many lines as possible.
    pub(crate) fn of_line(self, line: &[u8]) -> Self {
        Self {
            raw_strings: self.raw_strings && needles::RAW_STRING.is_in(line),
            separators: self.separators && line.contains(&b'\''),
            ..Self::default()
        }
    }
}

/// What is in a file, as far as it decides how the file is to be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// The flags of a mode that can make a difference.
    pub(crate) matters: Mode,
    /// There may be `%:` in it.
    pub(crate) digraphs: bool,
}

impl Survey {
    /// Looks at every byte that may be a part of something, at the speed of searching for bytes.
    pub(crate) fn of(src: &[u8]) -> Self {
        let mut matters = Mode {
            line_comments: needles::LINE_COMMENT.is_in(src),
            asm: true,
            modules: true,
            ..Mode::default()
        };
        let mut digraphs = false;
        for at in memchr3_iter(b'?', b'%', b'\\', src) {
            let neighbour = |at: Option<usize>| at.and_then(|at| src.get(at)).copied();
            match (
                src[at],
                neighbour(at.checked_sub(1)),
                neighbour(Some(at + 1)),
            ) {
                (b'?', _, Some(b'?')) => matters.trigraphs = true,
                (b'%', _, Some(b':')) => digraphs = true,
                // The quote or the second slash may come after a splice.
                (b'\\', Some(b'R'), _) => matters.raw_strings = true,
                (b'\\', Some(b'/'), _) => matters.line_comments = true,
                _ => {}
            }
        }
        for at in memchr2_iter(b'"', b'\'', src) {
            match src[at] {
                b'"' => matters.raw_strings |= src[..at].ends_with(b"R"),
                _ => matters.separators = matters.separators || may_separate(&src[..at]),
            }
        }
        Self { matters, digraphs }
    }
}

/// Whether an apostrophe after these bytes may be in a number, splices included.
fn may_separate(before: &[u8]) -> bool {
    let in_number = |&&b: &&u8| is_word(b) || matches!(b, b'\'' | b'.');
    let len = before
        .iter()
        .rev()
        .take(NUMBER_BYTES_MAX)
        .take_while(in_number)
        .count();
    let (above, number) = before.split_at(before.len() - len);
    let starts = match number {
        [b'.', second, ..] => second.is_ascii_digit(),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    };
    starts || above.last() == Some(&b'\n') || len == NUMBER_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_sensitive_to_what_is_in_it() {
        let plain = Mode {
            asm: true,
            modules: true,
            ..Mode::default()
        };
        let check = |text: &str, expect: Mode| {
            assert_eq!(Survey::of(text.as_bytes()).matters, expect, "{text}")
        };
        check("int a; /* don't */ char b = 'b'; u8'x'\n", plain);
        let raw_strings = Mode {
            raw_strings: true,
            ..plain
        };
        check("LR\"(x)\"\n", raw_strings);
        check("R\\\n\"(x)\"\n", raw_strings);
        let separators = Mode {
            separators: true,
            ..plain
        };
        for text in ["1'0\n", ".1a'0\n", "0x'f\n", "1\\\n'0\n", "1\\\na'0\n"] {
            check(text, separators);
        }
        check(&format!("{}'\n", "a".repeat(100)), separators);
        check(
            "??=\n",
            Mode {
                trigraphs: true,
                ..plain
            },
        );
        let line_comments = Mode {
            line_comments: true,
            ..plain
        };
        check("// x\n", line_comments);
        check("/\\\n/ x\n", line_comments);
    }
}
