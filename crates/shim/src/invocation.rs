//! What the words on the command line ask for. Pure.
//!
//! Three forms, as in distcc: `distcc gcc -c x.c` (explicit), `distcc -c x.c` (implicit: the
//! compiler is `cc`), and a link named like a compiler (masquerade). Options of distcc itself
//! count only as the first word; later words are the compiler's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// What this process was started for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    /// One of distcc's own options.
    Own(OwnOption),
    /// A compile.
    Compile {
        /// The compiler as the user named it.
        compiler: OsString,
        /// Its arguments.
        args: Vec<OsString>,
        /// Whether this program was called by the compiler's name.
        masquerade: bool,
    },
    /// No words at all.
    Nothing,
}

/// distcc's own options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OwnOption {
    /// `--help`
    Help,
    /// `--version`
    Version,
    /// `--show-hosts`
    ShowHosts,
    /// `-j`: how many jobs the hosts take together.
    Slots,
    /// `--scan-includes COMPILER …`
    ScanIncludes(Vec<OsString>),
    /// `--show-principal`, which needs GSSAPI.
    ShowPrincipal,
}

/// Extensions by which distcc tells a source file from a compiler's name.
const SOURCE_EXTENSIONS: &[&str] = &[
    "C", "M", "S", "c", "c++", "cc", "cp", "cpp", "cxx", "i", "ii", "m", "mi", "mii", "mm", "s",
];

/// The compiler where none is named.
const DEFAULT_COMPILER: &str = "cc";

/// Reads all words, the program's name first.
pub(crate) fn parse(words: Vec<OsString>) -> Invocation {
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_else(|| "distcc".into());
    let name = file_name(&program);
    if !contains(name.as_bytes(), b"distcc") {
        return Invocation::Compile {
            compiler: program,
            args: words.collect(),
            masquerade: true,
        };
    }
    let args: Vec<OsString> = words.collect();
    let Some(first) = args.first() else {
        return Invocation::Nothing;
    };
    match own_option(first, &args) {
        Some(option) => Invocation::Own(option),
        None if is_argument(first) => Invocation::Compile {
            compiler: DEFAULT_COMPILER.into(),
            args,
            masquerade: false,
        },
        None => {
            let mut args = args;
            let compiler = args.remove(0);
            Invocation::Compile {
                compiler,
                args,
                masquerade: false,
            }
        }
    }
}

fn own_option(first: &OsStr, args: &[OsString]) -> Option<OwnOption> {
    Some(match first.to_str()? {
        "--help" => OwnOption::Help,
        "--version" => OwnOption::Version,
        "--show-hosts" => OwnOption::ShowHosts,
        "-j" => OwnOption::Slots,
        "--scan-includes" => OwnOption::ScanIncludes(args[1..].to_vec()),
        "--show-principal" => OwnOption::ShowPrincipal,
        _ => return None,
    })
}

/// Whether a word is an argument of a compiler rather than its name.
fn is_argument(word: &OsStr) -> bool {
    if word.as_bytes().starts_with(b"-") {
        return true;
    }
    let name = file_name(word);
    match name.as_bytes().iter().rposition(|&byte| byte == b'.') {
        Some(dot) => {
            let extension = &name.as_bytes()[dot + 1..];
            extension == b"o"
                || SOURCE_EXTENSIONS
                    .iter()
                    .any(|known| known.as_bytes() == extension)
        }
        None => false,
    }
}

/// The part after the last slash.
pub(crate) fn file_name(path: &OsStr) -> &OsStr {
    let bytes = path.as_bytes();
    match bytes.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => OsStr::from_bytes(&bytes[slash + 1..]),
        None => path,
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, compiler: &str, args: &str, masquerade: bool) {
        let parsed = parse(words.split_whitespace().map(OsString::from).collect());
        let args = args.split_whitespace().map(OsString::from).collect();
        assert_eq!(
            parsed,
            Invocation::Compile {
                compiler: compiler.into(),
                args,
                masquerade
            },
            "{words}"
        );
    }

    #[test]
    fn explicit() {
        check("distcc gcc -c x.c", "gcc", "-c x.c", false);
        check(
            "/usr/bin/distcc /opt/bin/clang++ x.cc",
            "/opt/bin/clang++",
            "x.cc",
            false,
        );
        check("distcc-3.4 gcc-12 --version", "gcc-12", "--version", false);
        check("distcc g++ -j", "g++", "-j", false);
    }

    #[test]
    fn implicit() {
        check("distcc -c x.c", "cc", "-c x.c", false);
        check("distcc x.c -c", "cc", "x.c -c", false);
        check("distcc x.o -o x", "cc", "x.o -o x", false);
        check("distcc -j4", "cc", "-j4", false);
    }

    #[test]
    fn masquerade() {
        check("gcc -c x.c", "gcc", "-c x.c", true);
        check(
            "/usr/lib/distcc-links/c++ x.cc",
            "/usr/lib/distcc-links/c++",
            "x.cc",
            true,
        );
        check("cc", "cc", "", true);
        check("gcc --version", "gcc", "--version", true);
    }

    #[test]
    fn own_options_only_come_first() {
        let own = |words: &str| parse(words.split_whitespace().map(OsString::from).collect());
        assert_eq!(own("distcc"), Invocation::Nothing);
        assert_eq!(own("distcc --help"), Invocation::Own(OwnOption::Help));
        assert_eq!(own("distcc --version"), Invocation::Own(OwnOption::Version));
        assert_eq!(
            own("distcc --show-hosts"),
            Invocation::Own(OwnOption::ShowHosts)
        );
        assert_eq!(own("distcc -j"), Invocation::Own(OwnOption::Slots));
        assert_eq!(
            own("distcc --scan-includes gcc -c x.c"),
            Invocation::Own(OwnOption::ScanIncludes(
                ["gcc", "-c", "x.c"].map(OsString::from).to_vec()
            ))
        );
        check("distcc gcc --help", "gcc", "--help", false);
    }

    #[test]
    fn extensions_are_sorted() {
        assert!(SOURCE_EXTENSIONS.is_sorted());
    }
}
