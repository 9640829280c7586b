//! The text of a dependency file that a server wrote, brought into the form that a local compile gives it.
//!
//! A server's compiler wrote into another file and for another target, and where lines are broken depends on the
//! length of the target. So target and line breaks are made anew, by the rules of the two compilers.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::deps::Dependency;
use crate::name::Family;

/// GCC breaks a line before a word that would end behind this column.
const GCC_COLUMN_MAX: usize = 72;

/// Clang breaks a line before a word that, with what breaks a line, would end behind this column.
const CLANG_COLUMN_MAX: usize = 75;

/// Bytes in a quoted target that compilers, or versions of one, write in different ways.
const ODD: &[u8] = b" \t#$%:\\";

impl Dependency {
    /// Whether [`Dependency::rewrite`] knows how the compiler writes the targets.
    #[must_use]
    pub fn is_rewritable(&self) -> bool {
        let odd = |name: &OsStr| name.as_bytes().iter().any(|byte| ODD.contains(byte));
        !self.targets.is_empty()
            && !self
                .targets
                .iter()
                .any(|target| target.quoted && odd(&target.name))
    }

    /// A server's dependency file as the compiler of this `family` would have written it here. `None` if it is not
    /// one.
    #[must_use]
    pub fn rewrite(&self, text: &[u8], family: Family) -> Option<Vec<u8>> {
        let (rule, rest) = split_rule(text)?;
        let colon = end_of_targets(rule)?;
        let mut out = Vec::with_capacity(text.len() + 64);
        let mut column = 0;
        for target in &self.targets {
            column = put(&mut out, target.name.as_bytes(), column, family);
        }
        out.push(b':');
        column += 1;
        for file in words(&rule[colon + 1..]) {
            column = put(&mut out, &file, column, family);
        }
        out.push(b'\n');
        out.extend_from_slice(rest);
        Some(out)
    }
}

/// What the first rule of a dependency file says behind its colon: names of files, as the compiler means them. Nothing
/// if it is no dependency file. Names with a backslash are left out: compilers do not agree on how to write them.
#[must_use]
pub fn prerequisites(text: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let Some((rule, _)) = split_rule(text) else {
        return Vec::new();
    };
    let Some(colon) = end_of_targets(rule) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let mut rest = &rule[colon + 1..];
    loop {
        let is_between = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n');
        let start = rest.iter().position(|byte| !is_between(byte));
        let Some(start) = start else { return names };
        rest = &rest[start..];
        if let Some(behind) = rest.strip_prefix(b"\\\n") {
            rest = behind;
            continue;
        }
        let mut end = 0;
        while end < rest.len() && !is_between(&rest[end]) {
            let is_escape = rest[end] == b'\\' && rest.get(end + 1) != Some(&b'\n');
            end += if is_escape { 2 } else { 1 };
        }
        let (word, behind) = rest.split_at(end.min(rest.len()));
        names.extend(unquoted(word));
        rest = behind;
    }
}

/// A word as it is meant. `None` with a backslash in the name.
fn unquoted(word: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !word.iter().any(|byte| matches!(byte, b'\\' | b'$')) {
        return Some(Cow::Borrowed(word));
    }
    let mut name = Vec::with_capacity(word.len());
    let mut bytes = word.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => name.push(bytes.next().filter(|byte| b" \t#:".contains(byte))?),
            b'$' => name.push(bytes.next().filter(|byte| *byte == b'$')?),
            _ => name.push(byte),
        }
    }
    Some(Cow::Owned(name))
}

/// Where the colon behind a rule's targets is.
fn end_of_targets(rule: &[u8]) -> Option<usize> {
    (0..rule.len()).find(|&at| {
        let is_end = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\\');
        rule[at] == b':' && rule.get(at + 1).is_none_or(is_end)
    })
}

/// The first rule, without the end of its last line, and everything after it.
fn split_rule(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end =
        (0..text.len()).find(|&at| text[at] == b'\n' && (at == 0 || text[at - 1] != b'\\'))?;
    Some((&text[..end], &text[end + 1..]))
}

/// Words between white space that no backslash protects, as they are written.
fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word = Vec::new();
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(b'\n')) => {
                bytes.next();
                words.push(std::mem::take(&mut word));
            }
            (b'\\', Some(&next)) => {
                word.extend([byte, next]);
                bytes.next();
            }
            (b' ' | b'\t', _) => words.push(std::mem::take(&mut word)),
            _ => word.push(byte),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Adds a word; returns the column behind it.
fn put(out: &mut Vec<u8>, word: &[u8], mut column: usize, family: Family) -> usize {
    match family {
        Family::Gcc => {
            if column > 0 {
                if column + word.len() > GCC_COLUMN_MAX {
                    out.extend_from_slice(b" \\\n");
                    column = 0;
                }
                out.push(b' ');
                column += 1;
            }
            column += word.len();
        }
        Family::Clang => {
            let escapes = word
                .windows(2)
                .filter(|two| [&b"\\ "[..], b"\\#", b"$$"].contains(two));
            let len = word.len() - escapes.count();
            if column > 0 {
                if column + len + 3 > CLANG_COLUMN_MAX {
                    out.extend_from_slice(b" \\\n ");
                    column = 2;
                }
                out.push(b' ');
                column += 1;
            }
            column += len;
        }
    }
    out.extend_from_slice(word);
    column
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Target;

    fn dependency(target: &str) -> Dependency {
        Dependency {
            file: "a.d".into(),
            targets: vec![Target {
                name: target.into(),
                quoted: true,
            }],
            system_headers: true,
            phony: false,
        }
    }

    #[test]
    fn target_and_breaks_are_made_anew() {
        let text = b"tmp/long/name.o: b.c /usr/include/stdc-predef.h \\\n h\\ h.h\nh\\ h.h:\n";
        let expect = "b.o: b.c /usr/include/stdc-predef.h h\\ h.h\nh\\ h.h:\n";
        let out = dependency("b.o").rewrite(text, Family::Gcc).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expect);
        assert_eq!(dependency("b.o").rewrite(b"nonsense", Family::Gcc), None);
        assert_eq!(dependency("b.o").rewrite(b"", Family::Gcc), None);
    }

    #[test]
    fn odd_targets_are_left_to_the_compiler() {
        assert!(dependency("a.o").is_rewritable());
        assert!(!dependency("a b.o").is_rewritable());
    }
}
