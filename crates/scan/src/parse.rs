//! A source file made into its list of directives.
//!
//! One pass over the bytes: lines that do not start with `#` are hopped over. Conditionals are linked here, so that a
//! group that is not taken costs nothing later. Lines that need tokens are kept as bytes and cut when first evaluated,
//! since most conditions and definitions of a header are never looked at.

use memchr::memmem;

use crate::embedded::{self, Embedded};
use crate::hash;
use crate::mode::{Mode, Survey};
use crate::names::{self, Name};
use crate::needles;
use crate::parsed::{Directive, How, Parsed, Target, Unfollowed};
use crate::store::Store;
use crate::text::{self, Text, is_space, is_word, is_word_start};
use crate::toolchain;

/// Parses a file.
pub(crate) fn parse(bytes: Vec<u8>, mode: Mode, store: &mut Store) -> Parsed {
    run(bytes, mode, store, true)
}

/// Assembler source that is not preprocessed: only what the assembler itself reads.
pub(crate) fn parse_assembler(bytes: Vec<u8>, mode: Mode, store: &mut Store) -> Parsed {
    let mut out = run(bytes, Mode { asm: true, ..mode }, store, false);
    out.mode.asm = mode.asm;
    out
}

/// Text whose preprocessing is done: only the assembler's reads are left.
pub(crate) fn parse_preprocessed(bytes: Vec<u8>, mode: Mode, store: &mut Store) -> Parsed {
    let pch = memmem::find(&bytes, b"pch_preprocess").is_some();
    let mut out = run(bytes, mode, store, false);
    if pch {
        out.directives
            .push(Directive::Doubt(Unfollowed::PchPreprocess));
        out.lines.push(1);
    }
    out
}

fn run(bytes: Vec<u8>, mode: Mode, store: &mut Store, directives: bool) -> Parsed {
    let raw = Survey::of(&bytes);
    let trigraphs = mode.trigraphs && raw.matters.trigraphs;
    let src = text::prepare(bytes, trigraphs);
    let survey = if trigraphs { Survey::of(&src) } else { raw };
    let matters = survey.matters.or(raw.matters);
    let mode = mode.within(matters);
    let mut parser = Parser {
        text: Text::new(&src, mode),
        mode,
        store,
        out: Parsed {
            mode,
            matters,
            ..Parsed::default()
        },
        open: Vec::new(),
        word: Vec::new(),
        rest: Vec::new(),
        embedded: embedded::is_possible(&src),
        digraphs: survey.digraphs,
    };
    if directives {
        parser.lines();
        parser.close_all();
    } else if parser.embedded {
        while !parser.text.at_end() {
            parser.text_line();
        }
    }
    let mut out = parser.out;
    if out.once {
        out.content = hash::bytes64(&src);
    }
    out.date = needles::DATE.is_in(&src);
    if needles::TIME.is_in(&src) {
        out.time = needles::WHOLE_TIME.is_in(&src);
        out.timestamp = needles::TIMESTAMP.is_in(&src);
    }
    out
}

struct Parser<'a> {
    text: Text<'a>,
    mode: Mode,
    store: &'a mut Store,
    out: Parsed,
    /// Index of the last directive of each conditional that is open.
    open: Vec<u32>,
    word: Vec<u8>,
    rest: Vec<u8>,
    /// Text is to be looked at.
    embedded: bool,
    /// `#` may be spelled `%:`.
    digraphs: bool,
}

impl Parser<'_> {
    fn lines(&mut self) {
        if !self.mode.modules && !self.digraphs {
            self.text.allow_hops(self.embedded);
        }
        while !self.text.at_end() {
            self.text.hop();
            self.text.skip_blank();
            match self.text.peek() {
                b'#' => {
                    self.text.bump();
                    self.directive();
                }
                b'%' => {
                    self.text.bump();
                    if self.text.eat(b':') {
                        self.directive();
                    } else {
                        self.text_line();
                    }
                }
                first @ (b'i' | b'm' | b'e' | b'@') if self.mode.modules => self.module_line(first),
                _ => self.text_line(),
            }
        }
    }

    /// A line that is no directive. Consumes it.
    fn text_line(&mut self) {
        if !self.embedded {
            return self.text.skip_line();
        }
        let line = self.text.line();
        let mut rest = std::mem::take(&mut self.rest);
        rest.clear();
        self.text.logical_line(&mut rest);
        self.embedded(&rest, line, true);
        self.rest = rest;
    }

    /// What is in a line of text, or in the definition of a macro.
    fn embedded(&mut self, text: &[u8], line: u32, in_text: bool) {
        if !embedded::is_possible(text) {
            return;
        }
        for it in embedded::in_line(text, self.mode) {
            let directive = match it {
                Embedded::Asm { file, source } => Directive::Asm {
                    file: self.store.names.intern(file),
                    source,
                },
                Embedded::AsmComputed { operand, source } if in_text => Directive::AsmComputed {
                    text: self.store.add_text(operand, self.mode),
                    source,
                },
                Embedded::AsmComputed { .. } | Embedded::AsmUnknown => {
                    Directive::Doubt(Unfollowed::AssemblerOperand)
                }
                Embedded::Pragma(quoted) if in_text => {
                    let pragma: Vec<u8> = quoted.iter().copied().filter(|&b| b != b'\\').collect();
                    self.pragma(&pragma, line);
                    continue;
                }
                Embedded::Pragma(quoted) => {
                    let matters = [&b"push_macro"[..], b"pop_macro", b"pch_preprocess", b"once"];
                    if !matters.iter().any(|word| quoted.starts_with(word)) {
                        continue;
                    }
                    Directive::Doubt(Unfollowed::PragmaOperator)
                }
            };
            self.push(directive, line);
        }
    }

    fn push(&mut self, directive: Directive, line: u32) {
        self.out.once |= directive == Directive::Once;
        self.out.directives.push(directive);
        self.out.lines.push(line);
    }

    /// A line that may import a module.
    fn module_line(&mut self, first: u8) {
        let line = self.text.line();
        if first == b'@' {
            self.text.bump();
        }
        let mut word = std::mem::take(&mut self.word);
        self.text.word(&mut word);
        if word == b"export" {
            self.text.skip_blank();
            self.text.word(&mut word);
        }
        let next = {
            self.text.skip_blank();
            self.text.peek()
        };
        if matches!(word.as_slice(), b"import" | b"module")
            && (is_word_start(next) || matches!(next, b'<' | b'"' | b':' | b';'))
        {
            self.push(Directive::Doubt(Unfollowed::Modules), line);
        }
        self.word = word;
        self.text.skip_line();
    }

    /// A directive whose `#` is consumed. Consumes the line.
    fn directive(&mut self) {
        self.text.skip_blank();
        let line = self.text.line();
        let mut word = std::mem::take(&mut self.word);
        let mut rest = std::mem::take(&mut self.rest);
        self.text.word(&mut word);
        rest.clear();
        let how = match word.as_slice() {
            b"include" => Some(How::Include),
            b"include_next" => Some(How::Next),
            b"import" => Some(How::Import),
            b"embed" => Some(How::Embed),
            _ => None,
        };
        if let Some(how) = how {
            self.include(how, &mut rest, line);
        } else {
            self.text.skip_blank();
            self.text.logical_line(&mut rest);
            self.other(&word, &rest, line);
        }
        self.word = word;
        self.rest = rest;
    }

    fn include(&mut self, how: How, rest: &mut Vec<u8>, line: u32) {
        self.text.skip_blank();
        for (open, close) in [(b'<', b'>'), (b'"', b'"')] {
            if self.text.eat(open) {
                if self.text.header(close, rest) {
                    let header = self.store.names.intern(rest);
                    self.push(
                        Directive::Include {
                            header,
                            angled: open == b'<',
                            how,
                        },
                        line,
                    );
                    self.text.skip_line();
                    return;
                }
                rest.push(open);
            }
        }
        self.text.logical_line(rest);
        let text = self.store.add_text(rest, self.mode);
        self.push(Directive::Computed { text, how }, line);
    }

    fn other(&mut self, word: &[u8], rest: &[u8], line: u32) {
        match word {
            b"define" => {
                if let Some((name, after)) = self.leading_name(rest) {
                    let def = self.store.add_def(after, self.mode);
                    self.push(Directive::Define { name, def }, line);
                    if self.embedded {
                        self.embedded(after, line, false);
                    }
                }
            }
            b"undef" => {
                if let Some((name, _)) = self.leading_name(rest) {
                    self.push(Directive::Undef(name), line);
                }
            }
            b"if" | b"ifdef" | b"ifndef" => {
                self.open.push(index(self.out.directives.len()));
                let directive = self.condition(word, rest);
                self.push(directive, line);
            }
            b"elif" | b"elifdef" | b"elifndef" | b"else" if !self.open.is_empty() => {
                let directive = self.middle(word, rest);
                self.link();
                *self.open.last_mut().expect("not empty") = index(self.out.directives.len());
                self.push(directive, line);
            }
            b"endif" if !self.open.is_empty() => {
                self.link();
                self.open.pop();
                self.push(Directive::Endif, line);
            }
            b"pragma" => self.pragma(rest, line),
            b"line" => self.line_directive(rest, line),
            [] if !self.mode.asm => self.line_directive(rest, line),
            _ => {}
        }
    }

    /// The name at the start of a definition.
    fn leading_name<'r>(&mut self, rest: &'r [u8]) -> Option<(Name, &'r [u8])> {
        let len = rest.iter().position(|&b| !is_word(b)).unwrap_or(rest.len());
        (len > 0 && is_word_start(rest[0]))
            .then(|| (self.store.names.intern(&rest[..len]), &rest[len..]))
    }

    fn condition(&mut self, word: &[u8], rest: &[u8]) -> Directive {
        let next = u32::MAX;
        match word {
            b"if" => match only_defined(rest) {
                Some((negated, name)) => {
                    let name = self.store.names.intern(name);
                    if negated {
                        Directive::Ifndef { name, next }
                    } else {
                        Directive::Ifdef { name, next }
                    }
                }
                None => Directive::If {
                    text: self.store.add_text(rest, self.mode),
                    next,
                },
            },
            // A missing name is an error, after which the group is skipped.
            _ => match (self.leading_name(rest), word) {
                (Some((name, _)), b"ifdef") => Directive::Ifdef { name, next },
                (Some((name, _)), _) => Directive::Ifndef { name, next },
                (None, _) => Directive::If {
                    text: self.store.add_text(b"0", self.mode),
                    next,
                },
            },
        }
    }

    fn middle(&mut self, word: &[u8], rest: &[u8]) -> Directive {
        let next = u32::MAX;
        match word {
            b"else" => Directive::Else { next },
            b"elif" => Directive::Elif {
                text: self.store.add_text(rest, self.mode),
                next,
            },
            _ => match self.leading_name(rest) {
                Some((name, _)) => Directive::Elifdef {
                    name,
                    negated: word == b"elifndef",
                    next,
                },
                None => Directive::Elif {
                    text: self.store.add_text(b"0", self.mode),
                    next,
                },
            },
        }
    }

    /// Makes the last directive of the innermost conditional lead to the one that is about to be pushed.
    fn link(&mut self) {
        let to = index(self.out.directives.len());
        let from = *self
            .open
            .last()
            .expect("the caller saw an open conditional");
        set_next(&mut self.out.directives[from as usize], to);
    }

    /// Conditionals still open at the end of the file end there.
    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.link();
            self.open.pop();
            let line = self.text.line();
            self.push(Directive::Endif, line);
        }
    }

    fn pragma(&mut self, rest: &[u8], line: u32) {
        let words: Vec<&[u8]> = rest
            .split(|&b| is_space(b) || b == b'(')
            .filter(|w| !w.is_empty())
            .take(3)
            .collect();
        let directive = match words.as_slice() {
            [b"once", ..] => Directive::Once,
            [b"push_macro", ..] => match quoted(rest) {
                Some(name) => Directive::Push(self.store.names.intern(name)),
                None => return,
            },
            [b"pop_macro", ..] => match quoted(rest) {
                Some(name) => Directive::Pop(self.store.names.intern(name)),
                None => return,
            },
            [b"GCC", b"push_options", ..] => Directive::PushOptions,
            [b"GCC", b"pop_options", ..] => Directive::PopOptions,
            [b"GCC", b"target", ..] => Directive::SetOptions {
                target: Some(toolchain::target(rest)),
                optimize: false,
            },
            [b"GCC", b"optimize", ..] => Directive::SetOptions {
                target: None,
                optimize: true,
            },
            [b"GCC", b"reset_options", ..] => Directive::SetOptions {
                target: Some(Target::Other),
                optimize: true,
            },
            [b"GCC", b"pch_preprocess", ..] => Directive::Doubt(Unfollowed::PchPreprocess),
            [b"clang", b"module", ..] => Directive::Doubt(Unfollowed::Modules),
            [b"GCC", b"dependency", ..] => {
                let Some((header, angled)) = header_in(rest) else {
                    return;
                };
                Directive::Include {
                    header: self.store.names.intern(header),
                    angled,
                    how: How::Dependency,
                }
            }
            _ => return,
        };
        self.push(directive, line);
    }

    fn line_directive(&mut self, rest: &[u8], line: u32) {
        let number = rest
            .iter()
            .position(|&b| !b.is_ascii_digit())
            .unwrap_or(rest.len());
        let after = rest[number..].trim_ascii();
        let name = match after.first() {
            None if number > 0 => return,
            Some(b'"') if number > 0 => {
                let end = after[1..]
                    .iter()
                    .position(|&b| b == b'"')
                    .map_or(after.len(), |at| at + 2);
                self.store.names.intern(&after[..end])
            }
            _ => names::EMPTY,
        };
        self.push(Directive::Line(name), line);
    }
}

/// Sets where a conditional goes on.
fn set_next(directive: &mut Directive, to: u32) {
    match directive {
        Directive::If { next, .. }
        | Directive::Ifdef { next, .. }
        | Directive::Ifndef { next, .. }
        | Directive::Elif { next, .. }
        | Directive::Elifdef { next, .. }
        | Directive::Else { next } => *next = to,
        _ => unreachable!("only conditionals are linked"),
    }
}

/// `defined X`, `defined(X)` or either with `!` before it, and nothing else.
fn only_defined(text: &[u8]) -> Option<(bool, &[u8])> {
    let text = text.trim_ascii();
    let (negated, text) = match text.strip_prefix(b"!") {
        Some(rest) => (true, rest.trim_ascii()),
        None => (false, text),
    };
    let text = text.strip_prefix(b"defined")?;
    let name = match text.trim_ascii().strip_prefix(b"(") {
        Some(rest) => rest.strip_suffix(b")")?.trim_ascii(),
        None if text.first().is_some_and(|&b| is_space(b)) => text.trim_ascii(),
        None => return None,
    };
    (name.first().is_some_and(|&b| is_word_start(b)) && name.iter().all(|&b| is_word(b)))
        .then_some((negated, name))
}

/// The first thing in double quotes.
fn quoted(text: &[u8]) -> Option<&[u8]> {
    let start = text.iter().position(|&b| b == b'"')? + 1;
    let len = text[start..].iter().position(|&b| b == b'"')?;
    Some(&text[start..start + len])
}

/// The first header name of either form.
fn header_in(text: &[u8]) -> Option<(&[u8], bool)> {
    let start = text.iter().position(|&b| matches!(b, b'"' | b'<'))?;
    let close = if text[start] == b'"' { b'"' } else { b'>' };
    let len = text[start + 1..].iter().position(|&b| b == close)?;
    Some((&text[start + 1..start + 1 + len], close == b'>'))
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("files are shorter than 4 GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hopping_over_text_misses_nothing() {
        let pieces: &[&str] = &[
            "asm(\".incbin \\\"f\\\"\");\n",
            "_Pragma(\"push_macro(\\\"A\\\")\")",
            "#define A 1\n",
            "  # if A\n",
            "#endif\n",
            "#include <a>\n",
            "\n",
            "\n\n",
            " ",
            "#",
            "\\",
            "\\\n",
            "\\ \n",
            "/*",
            "*/",
            "*\\\n/",
            "/\\\n*",
            "//",
            "\"",
            "'",
            "R\"(",
            ")\"",
            "LR\"x(",
            ")x\"",
            "1'0",
            "x",
            "R",
            "a # b\n",
            "\t/* c */ #undef A\n",
            "// /*\n",
            "\"/*\"\n",
            "'\"'\n",
            "int y;\n",
            "\r\n",
            "#define B \\\n 2\n",
        ];
        for seed in 0..20_000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut text = String::new();
            for _ in 0..rng.usize(1..25) {
                text.push_str(pieces[rng.usize(..pieces.len())]);
            }
            let mode = Mode {
                raw_strings: rng.bool(),
                separators: rng.bool(),
                line_comments: rng.bool(),
                ..Mode::default()
            };
            // A file with a digraph is read line by line.
            let [hopping, stepping] = ["::", "%:"].map(|end| {
                let mut store = Store::new();
                let bytes = format!("{text}\n{end}x\n").into_bytes();
                let parsed = parse(bytes, mode, &mut store);
                (parsed.directives, parsed.lines)
            });
            assert_eq!(hopping, stepping, "seed {seed}: {text:?}");
        }
    }
}
