//! Cuts a command line into options with their arguments and operands.
//!
//! A word that begins with `-` and has no row in the table is an option without an argument. If that is wrong (it
//! takes the next word), its argument shows up as an operand too many, and the caller must not guess which operand is
//! the source.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::name::Family;
use crate::table::{Effect, Row, Take, Who, find};

/// One option or operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    /// Index of its first word.
    pub(crate) word: usize,
    /// How many words it takes, 1 or 2.
    pub(crate) words: usize,
    /// What it is.
    pub(crate) what: What,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Not an option.
    Operand,
    /// An option without a row.
    Unknown,
    /// An option of the table; `name` bytes of the first word are its name.
    Known { row: &'static Row, name: usize },
    /// An option whose argument should follow, but the command line ends.
    Unfinished { row: &'static Row },
}

impl Item {
    /// The argument of a known option; empty if it takes none.
    pub(crate) fn value<'a>(&self, args: &'a [OsString]) -> &'a OsStr {
        match self.what {
            What::Known { .. } if self.words == 2 => &args[self.word + 1],
            What::Known { name, .. } => OsStr::from_bytes(&args[self.word].as_bytes()[name..]),
            _ => OsStr::new(""),
        }
    }

    /// Where the argument of a known option stands: word and byte.
    pub(crate) fn value_at(&self) -> (usize, usize) {
        match self.what {
            What::Known { name, .. } if self.words == 1 => (self.word, name),
            _ => (self.word + self.words - 1, 0),
        }
    }

    /// The words of the item.
    pub(crate) fn slice<'a>(&self, args: &'a [OsString]) -> &'a [OsString] {
        &args[self.word..self.word + self.words]
    }

    /// What it does when a compiler of this family reads it (`None`: of either).
    pub(crate) fn effect(&self, family: Option<Family>) -> Option<Effect> {
        let (What::Known { row, .. } | What::Unfinished { row }) = self.what else {
            return None;
        };
        let meant = match row.who {
            Who::Any => true,
            Who::Clang => family != Some(Family::Gcc),
        };
        Some(if meant { row.effect } else { Effect::Plain })
    }
}

/// Cuts a command line (without the compiler's name) into items.
pub(crate) fn cut(args: &[OsString]) -> Vec<Item> {
    let mut items = Vec::with_capacity(args.len());
    let mut word = 0;
    while word < args.len() {
        let bytes = args[word].as_bytes();
        let (words, what) = if bytes.len() < 2 || bytes[0] != b'-' || bytes == b"--" {
            (1, What::Operand)
        } else {
            match find(bytes) {
                None => (1, What::Unknown),
                Some((row, name)) => {
                    let next = match row.take {
                        Take::Separate => true,
                        Take::Either => name == bytes.len(),
                        Take::Nothing | Take::Joined => false,
                    };
                    match (next, word + 1 < args.len()) {
                        (true, true) => (2, What::Known { row, name }),
                        (true, false) => (1, What::Unfinished { row }),
                        (false, _) => (1, What::Known { row, name }),
                    }
                }
            }
        };
        items.push(Item { word, words, what });
        word += words;
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: &[&str]) {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let items: Vec<String> = cut(&args)
            .iter()
            .map(|item| match item.what {
                What::Operand => format!("operand {}", args[item.word].display()),
                What::Unknown => format!("unknown {}", args[item.word].display()),
                What::Known { row, .. } => format!("{} {}", row.name, item.value(&args).display()),
                What::Unfinished { row } => format!("unfinished {}", row.name),
            })
            .collect();
        assert_eq!(items, expect, "{line}");
    }

    #[test]
    fn arguments() {
        check("-c a.c -o a.o", &["-c ", "operand a.c", "-o a.o"]);
        check("-oa.o -Iinc -I inc", &["-o a.o", "-I inc", "-I inc"]);
        check(
            "-include -c -xc - --",
            &["-include -c", "-x c", "operand -", "operand --"],
        );
        check(
            "-fno-foo -march=x86-64 -o",
            &["unknown -fno-foo", "-march= x86-64", "unfinished -o"],
        );
        check(
            "--param max=1 --param=max=1",
            &["--param max=1", "--param= max=1"],
        );
    }
}
