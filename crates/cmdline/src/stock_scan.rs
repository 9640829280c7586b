//! What a stock distcc 3.4 server thinks of a command line.
//!
//! A stock server scans the words it is sent with rules of its own and hangs up without a word where they say that
//! the compile should have stayed local. So the same rules are applied here before anything is sent. They know few
//! options with a separate argument, so an innocent argument may look like a second source or output.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::lang::stock_source;

/// Words that it refuses as they are.
const REFUSED: &[&str] = &[
    "--coverage",
    "-E",
    "-flto",
    "-fprofile-arcs",
    "-fprofile-correction",
    "-frepo",
    "-ftest-coverage",
    "-march=native",
    "-mtune=native",
];

/// Beginnings of words that it refuses.
const REFUSED_PREFIXES: &[&str] = &[
    "-dr",
    "-fauto-profile",
    "-fplugin=",
    "-fprofile-generate",
    "-fprofile-use",
    "-specs=",
];

/// Options that begin with `-M` and are allowed.
const M_ALLOWED: &[&str] = &["-MD", "-MF", "-MG", "-MMD", "-MP", "-MQ", "-MT"];

/// Beginnings of languages that it compiles.
const LANGUAGES: &[&str] = &["c", "go", "objective-c"];

/// Whether a stock server accepts these words (without the compiler's name); if not, which word it stumbles over.
pub(crate) fn stumbles(args: &[OsString]) -> Result<(), Option<usize>> {
    let (mut source, mut outputs, mut compiles) = (None, 0, false);
    for (at, arg) in args.iter().enumerate() {
        let word = arg.as_bytes();
        if at > 0 && args[at - 1] == "-o" {
            continue;
        }
        if word.first() != Some(&b'-') {
            if stock_source(arg) {
                if source.replace(at).is_some() {
                    return Err(Some(at));
                }
            } else if word.ends_with(b".o") {
                outputs += 1;
            }
            continue;
        }
        if refused(word) {
            return Err(Some(at));
        }
        compiles |= word == b"-c" || word == b"-S";
        if word.starts_with(b"-x") {
            let next = args.get(at + 1).map_or(OsStr::new(""), OsString::as_os_str);
            if !LANGUAGES
                .iter()
                .any(|language| next.as_bytes().starts_with(language.as_bytes()))
            {
                return Err(Some(at));
            }
        }
        if word.starts_with(b"-o") {
            outputs += 1;
            if outputs > 1
                || word == b"-o-"
                || args
                    .get(at + 1)
                    .is_some_and(|next| word == b"-o" && next == "-")
            {
                return Err(Some(at));
            }
        }
    }
    if compiles && source.is_some() && outputs == 1 {
        Ok(())
    } else {
        Err(None)
    }
}

fn refused(word: &[u8]) -> bool {
    let is = |list: &[&str]| list.iter().any(|known| known.as_bytes() == word);
    let begins = |list: &[&str]| list.iter().any(|known| word.starts_with(known.as_bytes()));
    let contains = |part: &[u8]| word.windows(part.len()).any(|window| window == part);
    is(REFUSED)
        || begins(REFUSED_PREFIXES)
        || (word.starts_with(b"-M") && !begins(M_ALLOWED))
        || (word.starts_with(b"-Wa,") && (contains(b",-a") || contains(b"--MD")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: bool) {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        assert_eq!(stumbles(&args).is_ok(), expect, "{line}");
    }

    #[test]
    fn accepts_plain_compiles() {
        check("-O1 -c a.c -o a.o", true);
        check("-O2 -S a.cc -oa.s", true);
        check("-x c++-cpp-output -c a.c -o a.o", true);
        check("-flto=auto -c a.c -o a.o", true);
    }

    #[test]
    fn refuses() {
        for line in [
            "-c a.c",
            "-E a.c -o a.o",
            "-c -o a.o",
            "-c a.c b.c -o a.o",
            "-c a.CPP -o a.o",
            "-c a.c -o a.o -o b.o",
            "-c a.c -o -",
            "-flto -c a.c -o a.o",
            "-march=native -c a.c -o a.o",
            "-specs=x -c a.c -o a.o",
            "-xc -c a.c -o a.o",
            "-x assembler -c a.c -o a.o",
            "-Wa,-al -c a.c -o a.o",
            "-M -c a.c -o a.o",
            "-object-file-name=x -c a.c -o a.o",
            "-foo b.o -c a.c -o a.o",
            "-fprofile-use=x -c a.c -o a.o",
        ] {
            check(line, false);
        }
    }
}
