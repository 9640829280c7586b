//! Which words of a command line decide what has to be there for a compiler to run.
//!
//! Everything else (headers, macros, optimisation) makes no difference to the toolchain, so that all units of a build
//! share one. An option that is not listed is not told to the compiler when it is asked, which is right for all that
//! neither lead it to other programs nor to files of its own.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// How an option takes its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    /// `-xARG`.
    Joined,
    /// `-x ARG`.
    Separate,
    /// `-xARG` or `-x ARG`.
    Either,
}

/// What an option does to a toolchain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// The compiler is told when it is asked which programs it runs.
    Told,
    /// The same, and its argument is a path.
    Path,
    /// The same, and its argument is a path or the name of a file that the compiler brings along.
    Specs,
    /// Loads a plugin.
    Plugin,
    /// An argument of a plugin, or an option that only a plugin may understand.
    PluginArgument,
    /// An option of the inner compiler, which may be one of those two.
    Inner,
    /// A character set that may need a module of the C library.
    Charset,
    /// Nobody can tell what it runs.
    Refused,
    /// No effect, but its argument must not be taken for an option.
    Skip,
}

use Effect as E;
use Takes as T;

/// Sorted by name. The longest name that fits counts.
const OPTIONS: &[(&str, Takes, Effect)] = &[
    ("--config", T::Separate, E::Path),
    ("--config-system-dir=", T::Joined, E::Path),
    ("--config-user-dir=", T::Joined, E::Path),
    ("--config=", T::Joined, E::Path),
    ("--driver-mode=", T::Joined, E::Told),
    ("--gcc-install-dir=", T::Joined, E::Path),
    ("--gcc-toolchain=", T::Joined, E::Path),
    ("--gcc-triple=", T::Joined, E::Told),
    ("--include", T::Separate, E::Skip),
    ("--no-default-config", T::Nothing, E::Told),
    ("--param", T::Separate, E::Skip),
    ("--prefix", T::Separate, E::Path),
    ("--prefix=", T::Joined, E::Path),
    ("--specs", T::Separate, E::Specs),
    ("--specs=", T::Joined, E::Specs),
    ("--stdlib=", T::Joined, E::Told),
    ("--sysroot", T::Separate, E::Path),
    ("--sysroot=", T::Joined, E::Path),
    ("--target=", T::Joined, E::Told),
    ("-B", T::Either, E::Path),
    ("-D", T::Either, E::Skip),
    ("-EB", T::Nothing, E::Told),
    ("-EL", T::Nothing, E::Told),
    ("-I", T::Either, E::Skip),
    ("-MF", T::Either, E::Skip),
    ("-MQ", T::Either, E::Skip),
    ("-MT", T::Either, E::Skip),
    ("-U", T::Either, E::Skip),
    ("-V", T::Separate, E::Told),
    ("-Xassembler", T::Separate, E::Skip),
    ("-Xclang", T::Separate, E::Inner),
    ("-Xclang=", T::Joined, E::Inner),
    ("-Xlinker", T::Separate, E::Skip),
    ("-Xpreprocessor", T::Separate, E::Skip),
    ("-arch", T::Separate, E::Told),
    ("-b", T::Either, E::Told),
    ("-canonical-prefixes", T::Nothing, E::Told),
    ("-ccc-gcc-name", T::Separate, E::Told),
    ("-ccc-install-dir", T::Separate, E::Path),
    ("-fcas-", T::Joined, E::Refused),
    ("-fcppprog=", T::Joined, E::Refused),
    ("-fexec-charset=", T::Joined, E::Charset),
    ("-finput-charset=", T::Joined, E::Charset),
    ("-fintegrated-as", T::Nothing, E::Told),
    ("-fno-integrated-as", T::Nothing, E::Told),
    ("-fpass-plugin=", T::Joined, E::Plugin),
    ("-fplugin-arg-", T::Joined, E::PluginArgument),
    ("-fplugin=", T::Joined, E::Plugin),
    ("-fwide-exec-charset=", T::Joined, E::Charset),
    ("-gcc-toolchain", T::Separate, E::Path),
    ("-gcc-toolchain=", T::Joined, E::Path),
    ("-idirafter", T::Either, E::Skip),
    ("-imacros", T::Either, E::Skip),
    ("-include", T::Either, E::Skip),
    ("-include-pch", T::Separate, E::Skip),
    ("-integrated-as", T::Nothing, E::Told),
    ("-iplugindir=", T::Joined, E::Path),
    ("-iprefix", T::Either, E::Skip),
    ("-iquote", T::Either, E::Skip),
    ("-isysroot", T::Either, E::Path),
    ("-isystem", T::Either, E::Skip),
    ("-iwithprefix", T::Either, E::Skip),
    ("-iwithprefixbefore", T::Either, E::Skip),
    ("-m16", T::Nothing, E::Told),
    ("-m32", T::Nothing, E::Told),
    ("-m64", T::Nothing, E::Told),
    ("-mabi=", T::Joined, E::Told),
    ("-mbig-endian", T::Nothing, E::Told),
    ("-mlittle-endian", T::Nothing, E::Told),
    ("-mllvm", T::Separate, E::Inner),
    ("-mx32", T::Nothing, E::Told),
    ("-no-canonical-prefixes", T::Nothing, E::Told),
    ("-no-integrated-as", T::Nothing, E::Told),
    ("-o", T::Either, E::Skip),
    ("-resource-dir", T::Separate, E::Path),
    ("-resource-dir=", T::Joined, E::Path),
    ("-specs", T::Separate, E::Specs),
    ("-specs=", T::Joined, E::Specs),
    ("-stdlib=", T::Joined, E::Told),
    ("-target", T::Separate, E::Told),
    ("-wrapper", T::Separate, E::Refused),
    ("-x", T::Either, E::Skip),
];

/// Options of the inner Clang that load a plugin; the next `-Xclang` names it.
const INNER_PLUGIN: &[&str] = &["-load"];

/// Character sets that the C library and GCC know without a module, in lower case without `-` and `_`.
const BUILT_IN_CHARSETS: &[&str] = &[
    "ansix3.41968",
    "ascii",
    "utf16",
    "utf16be",
    "utf16le",
    "utf32",
    "utf32be",
    "utf32le",
    "utf8",
];

/// What a command line says about the toolchain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Words {
    /// Words to tell the compiler when it is asked.
    pub(super) told: Vec<OsString>,
    /// Plugins, as they are named.
    pub(super) plugins: Vec<OsString>,
    /// One of them names a path relative to the working directory.
    pub(super) relative: bool,
    /// Names that are such paths if there is a file of that name in the working directory.
    pub(super) perhaps_relative: Vec<OsString>,
    /// Modules of the C library for other character sets are needed.
    pub(super) charset: bool,
    /// The first word whose effects nobody can follow.
    pub(super) refused: Option<OsString>,
}

impl Words {
    /// Reads the words after the compiler. Response files must be expanded already.
    pub(super) fn of(args: &[OsString]) -> Self {
        let mut it = Self::default();
        let mut inner_plugin = false;
        let mut words = args.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let Some((name, takes, effect)) = find(word.as_bytes()) else {
                continue;
            };
            let joined = &word.as_bytes()[name.len()..];
            let next = match takes {
                T::Separate => words.next(),
                T::Either if joined.is_empty() => words.next(),
                _ => None,
            };
            let value = next.map_or(OsStr::from_bytes(joined), OsString::as_os_str);
            match effect {
                E::Told | E::Path | E::Specs => {
                    it.told.push(word.clone());
                    it.told.extend(next.cloned());
                    it.note_path(effect, value);
                }
                E::Inner if inner_plugin => {
                    it.plugin(value);
                    inner_plugin = false;
                }
                E::Inner => inner_plugin = INNER_PLUGIN.iter().any(|load| value == *load),
                E::Plugin => it.plugin(value),
                // A path in it is a file that the plugin may read.
                E::PluginArgument if value.as_bytes().contains(&b'/') => it.refuse(word),
                E::PluginArgument | E::Skip => {}
                E::Charset => it.charset |= needs_module(value),
                E::Refused => it.refuse(word),
            }
        }
        it
    }

    fn note_path(&mut self, effect: Effect, value: &OsStr) {
        match effect {
            E::Path => self.relative |= is_relative(value),
            E::Specs if is_relative(value) => self.perhaps_relative.push(value.to_owned()),
            _ => {}
        }
    }

    fn plugin(&mut self, value: &OsStr) {
        self.relative |= is_relative(value);
        self.plugins.push(value.to_owned());
    }

    fn refuse(&mut self, word: &OsStr) {
        self.refused.get_or_insert_with(|| word.to_owned());
    }
}

fn is_relative(path: &OsStr) -> bool {
    !path.as_bytes().starts_with(b"/")
}

/// Whether converting a character set takes a module of the C library.
pub(super) fn needs_module(charset: &OsStr) -> bool {
    let name = charset.to_string_lossy().to_lowercase();
    let name = name.replace(['-', '_'], "");
    let name = name.trim_end_matches("//translit");
    !BUILT_IN_CHARSETS.contains(&name)
}

/// The entry of the table for a word: the longest name that it starts with, in a form that the entry takes.
fn find(word: &[u8]) -> Option<(&'static str, Takes, Effect)> {
    if word.first() != Some(&b'-') {
        return None;
    }
    let end = OPTIONS.partition_point(|row| row.0.as_bytes() <= word);
    let start = OPTIONS.partition_point(|row| row.0.as_bytes() < &word[..2.min(word.len())]);
    let fits = |row: &&(&'static str, Takes, Effect)| {
        word.starts_with(row.0.as_bytes())
            && match row.1 {
                T::Nothing | T::Separate => word.len() == row.0.len(),
                T::Joined => word.len() > row.0.len(),
                T::Either => true,
            }
    };
    OPTIONS[start.min(end)..end]
        .iter()
        .filter(fits)
        .max_by_key(|row| row.0.len())
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn told(text: &str) -> Vec<OsString> {
        Words::of(&words(text)).told
    }

    #[test]
    fn the_table_is_sorted_and_unique() {
        assert!(OPTIONS.is_sorted_by(|left, right| left.0 < right.0));
        assert!(BUILT_IN_CHARSETS.is_sorted());
    }

    #[test]
    fn only_what_matters_is_told() {
        let line = "-O2 -g -Iinc -isystem -B -c a.c -o a.o -B/opt/bin -march=x86-64 --sysroot /s -m32 -D -m64 -std=c11";
        assert_eq!(told(line), words("-B/opt/bin --sysroot /s -m32"));
        assert_eq!(
            told("-fno-integrated-as -fbuiltin"),
            words("-fno-integrated-as")
        );
        assert_eq!(told("-- -m32"), words(""));
    }

    #[test]
    fn plugins_in_every_form() {
        let it = Words::of(&words(
            "-fplugin=a.so -Xclang -load -Xclang /b.so -fpass-plugin=c.so -fplugin-arg-a-level=3",
        ));
        assert_eq!(it.plugins, words("a.so /b.so c.so"));
        assert_eq!(it.refused, None);
        let it = Words::of(&words("-fplugin=/a.so -fplugin-arg-a-file=/etc/x"));
        assert_eq!(it.refused, Some("-fplugin-arg-a-file=/etc/x".into()));
        assert!(Words::of(&words("-wrapper gdb,--args")).refused.is_some());
    }

    #[test]
    fn paths_relative_to_the_directory() {
        let check = |line: &str, expect| {
            assert_eq!(Words::of(&words(line)).relative, expect, "{line}");
        };
        check("-Bbin", true);
        check("-B bin", true);
        check("-B/bin", false);
        check("--sysroot=sys", true);
        check("--sysroot=/sys -m32 --target=x86_64-linux-gnu", false);
        check("-fplugin=x.so", true);
        check("--specs=nano.specs", false);
        let it = Words::of(&words("--specs=nano.specs -specs /a"));
        assert_eq!(it.perhaps_relative, words("nano.specs"));
    }

    #[test]
    fn charsets_without_a_module() {
        let check =
            |line: &str, expect| assert_eq!(Words::of(&words(line)).charset, expect, "{line}");
        check("-finput-charset=UTF-8", false);
        check("-finput-charset=utf8 -fexec-charset=ascii", false);
        check("-fwide-exec-charset=UTF-32LE", false);
        check("-finput-charset=ISO-8859-1", true);
        check("-fexec-charset=CP1252", true);
    }
}
