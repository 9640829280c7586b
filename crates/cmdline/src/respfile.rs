//! Response files: `@FILE` stands for the words in FILE.
//!
//! Both compilers replace the word before they look at any option, and do so again for words that the file brought
//! in. They differ in quoting: GCC takes a backslash inside single quotes literally, Clang does not. A file that
//! cannot be read leaves the word as it is. Reading is the caller's business.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::name::Family;

/// How many response files one command line may name, nested or not. GCC gives up at 2000; no honest build comes near
/// this, and a file that names itself must end.
const FILES_MAX: usize = 500;

/// How many words a command line may have after expansion. Linux allows some 100,000 words in an exec; more than this
/// is an attack or a mistake.
const WORDS_MAX: usize = 400_000;

/// The words with all response files expanded. Words that could not be expanded still begin with `@`.
pub(crate) fn expand(
    args: &[OsString],
    family: Family,
    read: &mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
) -> Vec<OsString> {
    let mut done = Vec::with_capacity(args.len());
    let mut todo: Vec<OsString> = args.iter().rev().cloned().collect();
    let mut files = 0;
    while let Some(word) = todo.pop() {
        let content = match word.as_bytes().strip_prefix(b"@") {
            Some(file)
                if !file.is_empty() && files < FILES_MAX && done.len() + todo.len() < WORDS_MAX =>
            {
                read(OsStr::from_bytes(file))
            }
            _ => None,
        };
        match content {
            Some(content) => {
                files += 1;
                todo.extend(split(&content, family).into_iter().rev());
            }
            None => done.push(word),
        }
    }
    done
}

/// Splits the content of a response file into words.
fn split(content: &[u8], family: Family) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = content.iter().copied();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            // GCC reads the file as a C string.
            (0, _) if family == Family::Gcc => break,
            (b'\\', Some(b'\'')) if family == Family::Gcc => {
                word.get_or_insert_default().push(byte)
            }
            (b'\\', _) => word.get_or_insert_default().extend(bytes.next()),
            (_, Some(open)) if byte == open => quote = None,
            (_, Some(_)) => word.get_or_insert_default().push(byte),
            (b'\'' | b'"', None) => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, None) => words.extend(word.take()),
            (_, None) => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words.into_iter().map(OsString::from_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &str, family: Family, expect: &[&str]) {
        assert_eq!(
            split(content.as_bytes(), family),
            expect.iter().map(OsString::from).collect::<Vec<_>>(),
            "{content}"
        );
    }

    #[test]
    fn quoting() {
        for family in [Family::Gcc, Family::Clang] {
            check("", family, &[]);
            check(" \n\t ", family, &[]);
            check("-c a.c\n-o  a.o", family, &["-c", "a.c", "-o", "a.o"]);
            check(r#"-DA="x y" '-DB=p q'"#, family, &["-DA=x y", "-DB=p q"]);
            check(r#""" -c"#, family, &["", "-c"]);
            check(r#"a\ b "c\"d" e\\f"#, family, &["a b", "c\"d", "e\\f"]);
            check(r#""open"#, family, &["open"]);
            check("end\\", family, &["end"]);
        }
        check(r"'a\b'", Family::Gcc, &[r"a\b"]);
        check(r"'a\b'", Family::Clang, &["ab"]);
    }

    fn expanded(args: &[&str]) -> Vec<OsString> {
        let args: Vec<_> = args.iter().map(OsString::from).collect();
        expand(&args, Family::Gcc, &mut |name| match name.to_str() {
            Some("flags") => Some(b"-O2 @more".to_vec()),
            Some("more") => Some(b"-g".to_vec()),
            Some("self") => Some(b"-x @self".to_vec()),
            Some("twice") => Some(b"@twice @twice".to_vec()),
            _ => None,
        })
    }

    #[test]
    fn nested_and_missing() {
        assert_eq!(
            expanded(&["-c", "@flags", "a.c"]),
            ["-c", "-O2", "-g", "a.c"]
        );
        assert_eq!(expanded(&["@gone", "@"]), ["@gone", "@"]);
    }

    #[test]
    fn endless_files_end() {
        assert_eq!(expanded(&["@self"]).len(), FILES_MAX + 1);
        assert_eq!(expanded(&["@twice"]).len(), FILES_MAX + 1);
    }
}
