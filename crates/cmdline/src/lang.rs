//! Source languages: how extensions and `-x` name them, and what their preprocessed form is called.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::why::WhyLocal;

/// A source language that can be preprocessed here and compiled elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
    /// Objective-C.
    ObjC,
    /// Objective-C++.
    ObjCxx,
}

impl Language {
    /// Extension of a preprocessed source, without a dot.
    #[must_use]
    pub fn preprocessed_extension(self) -> &'static str {
        match self {
            Self::C => "i",
            Self::Cxx => "ii",
            Self::ObjC => "mi",
            Self::ObjCxx => "mii",
        }
    }

    /// The argument of `-x` for a source.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Cxx => "c++",
            Self::ObjC => "objective-c",
            Self::ObjCxx => "objective-c++",
        }
    }

    /// The argument of `-x` for a preprocessed source.
    #[must_use]
    pub fn preprocessed_name(self) -> &'static str {
        match self {
            Self::C => "cpp-output",
            Self::Cxx => "c++-cpp-output",
            Self::ObjC => "objective-c-cpp-output",
            Self::ObjCxx => "objective-c++-cpp-output",
        }
    }
}

/// What a source file is, as far as its name or `-x` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// To be preprocessed and compiled.
    Source(Language),
    /// To be compiled.
    Preprocessed(Language),
    /// To be made into a precompiled header.
    Header(Language),
    /// Something that must be dealt with here.
    Other(WhyLocal),
    /// For the linker, or not known.
    Unknown,
}

/// One name of a kind: an extension, or an argument of `-x`.
type Named = (&'static str, Kind);

use Kind::{Header, Other, Preprocessed, Source};
use Language::{C, Cxx, ObjC, ObjCxx};

/// Extensions that GCC or Clang take for a source, sorted.
#[rustfmt::skip]
const EXTENSIONS: &[Named] = &[
    ("C",     Source(Cxx)),
    ("CPP",   Source(Cxx)),
    ("F",     Other(WhyLocal::Language)),
    ("F90",   Other(WhyLocal::Language)),
    ("H",     Header(Cxx)),
    ("M",     Source(ObjCxx)),
    ("S",     Other(WhyLocal::AssemblerSource)),
    ("ada",   Other(WhyLocal::Language)),
    ("adb",   Other(WhyLocal::Language)),
    ("ads",   Other(WhyLocal::Language)),
    ("asm",   Other(WhyLocal::AssemblerSource)),
    ("ast",   Other(WhyLocal::Language)),
    ("bc",    Other(WhyLocal::Language)),
    ("c",     Source(C)),
    ("c++",   Source(Cxx)),
    ("c++m",  Other(WhyLocal::Modules)),
    ("cc",    Source(Cxx)),
    ("ccm",   Other(WhyLocal::Modules)),
    ("cl",    Other(WhyLocal::Language)),
    ("clcpp", Other(WhyLocal::Language)),
    ("cp",    Source(Cxx)),
    ("cpp",   Source(Cxx)),
    ("cppm",  Other(WhyLocal::Modules)),
    ("cu",    Other(WhyLocal::Cuda)),
    ("cui",   Other(WhyLocal::Cuda)),
    ("cxx",   Source(Cxx)),
    ("cxxm",  Other(WhyLocal::Modules)),
    ("d",     Other(WhyLocal::Language)),
    ("di",    Other(WhyLocal::Language)),
    ("f",     Other(WhyLocal::Language)),
    ("f03",   Other(WhyLocal::Language)),
    ("f08",   Other(WhyLocal::Language)),
    ("f90",   Other(WhyLocal::Language)),
    ("f95",   Other(WhyLocal::Language)),
    ("for",   Other(WhyLocal::Language)),
    ("fpp",   Other(WhyLocal::Language)),
    ("go",    Other(WhyLocal::Language)),
    ("h",     Header(C)),
    ("h++",   Header(Cxx)),
    ("hh",    Header(Cxx)),
    ("hip",   Other(WhyLocal::Cuda)),
    ("hp",    Header(Cxx)),
    ("hpp",   Header(Cxx)),
    ("hxx",   Header(Cxx)),
    ("i",     Preprocessed(C)),
    ("ifs",   Other(WhyLocal::Language)),
    ("ii",    Preprocessed(Cxx)),
    ("iim",   Other(WhyLocal::Modules)),
    ("ixx",   Other(WhyLocal::Modules)),
    ("ll",    Other(WhyLocal::Language)),
    ("m",     Source(ObjC)),
    ("mi",    Preprocessed(ObjC)),
    ("mii",   Preprocessed(ObjCxx)),
    ("mm",    Source(ObjCxx)),
    ("pcm",   Other(WhyLocal::Modules)),
    ("rs",    Other(WhyLocal::Language)),
    ("s",     Other(WhyLocal::AssemblerSource)),
    ("sx",    Other(WhyLocal::AssemblerSource)),
    ("tcc",   Header(Cxx)),
];

/// Arguments of `-x`, sorted. Any other is a language that stays here.
#[rustfmt::skip]
const LANGUAGES: &[Named] = &[
    ("assembler",                Other(WhyLocal::AssemblerSource)),
    ("assembler-with-cpp",       Other(WhyLocal::AssemblerSource)),
    ("c",                        Source(C)),
    ("c++",                      Source(Cxx)),
    ("c++-cpp-output",           Preprocessed(Cxx)),
    ("c++-header",               Header(Cxx)),
    ("c++-module",               Other(WhyLocal::Modules)),
    ("c++-module-cpp-output",    Other(WhyLocal::Modules)),
    ("c++-system-header",        Other(WhyLocal::HeaderUnit)),
    ("c++-user-header",          Other(WhyLocal::HeaderUnit)),
    ("c-header",                 Header(C)),
    ("cpp-output",               Preprocessed(C)),
    ("cuda",                     Other(WhyLocal::Cuda)),
    ("cuda-cpp-output",          Other(WhyLocal::Cuda)),
    ("hip",                      Other(WhyLocal::Cuda)),
    ("hip-cpp-output",           Other(WhyLocal::Cuda)),
    ("objc-cpp-output",          Preprocessed(ObjC)),
    ("objective-c",              Source(ObjC)),
    ("objective-c++",            Source(ObjCxx)),
    ("objective-c++-cpp-output", Preprocessed(ObjCxx)),
    ("objective-c++-header",     Header(ObjCxx)),
    ("objective-c-cpp-output",   Preprocessed(ObjC)),
    ("objective-c-header",       Header(ObjC)),
    ("pcm",                      Other(WhyLocal::Modules)),
];

/// Extensions that a stock server takes for a source. It names its own copy by them.
const STOCK_EXTENSIONS: &[&str] = &[
    "C", "M", "c", "c++", "cc", "cp", "cpp", "cxx", "i", "ii", "m", "mi", "mii", "mm",
];

fn named(table: &[Named], name: &[u8]) -> Option<Kind> {
    let at = table
        .binary_search_by(|(known, _)| known.as_bytes().cmp(name))
        .ok()?;
    Some(table[at].1)
}

/// The file name of a path.
pub(crate) fn base(path: &OsStr) -> &[u8] {
    let bytes = path.as_bytes();
    bytes.rsplit(|&b| b == b'/').next().unwrap_or(bytes)
}

/// The extension of a path without the dot; `None` if its file name has no dot.
pub(crate) fn extension(path: &OsStr) -> Option<&[u8]> {
    let name = base(path);
    let dot = name.iter().rposition(|&b| b == b'.')?;
    Some(&name[dot + 1..])
}

/// The path with its extension (if any) replaced.
pub(crate) fn with_extension(path: &[u8], new: &str) -> OsString {
    let end =
        extension(OsStr::from_bytes(path)).map_or(path.len(), |old| path.len() - old.len() - 1);
    let mut out = path[..end].to_vec();
    out.push(b'.');
    out.extend_from_slice(new.as_bytes());
    OsString::from_vec(out)
}

/// What a source is: `language` is the argument of the last `-x` before it, `cxx` tells that the driver is `g++` or
/// `clang++`, which take C sources for C++.
pub(crate) fn kind(path: &OsStr, language: Option<&OsStr>, cxx: bool) -> Kind {
    if let Some(language) = language {
        return named(LANGUAGES, language.as_bytes()).unwrap_or(Other(WhyLocal::Language));
    }
    match extension(path).and_then(|extension| named(EXTENSIONS, extension)) {
        Some(Source(C)) if cxx => Source(Cxx),
        Some(Preprocessed(C)) if cxx => Preprocessed(Cxx),
        Some(Header(C)) if cxx => Header(Cxx),
        Some(kind) => kind,
        None => Kind::Unknown,
    }
}

/// Whether a word looks like a source that can be distributed, by its extension alone.
#[must_use]
pub fn is_source_name(word: &OsStr) -> bool {
    matches!(kind(word, None, false), Source(_) | Preprocessed(_))
}

/// Whether a stock server takes this word for a source.
pub(crate) fn stock_source(word: &OsStr) -> bool {
    stock_extension(word).is_some()
}

/// The extension of a stock server's own copy of a source with this name.
pub(crate) fn stock_extension(word: &OsStr) -> Option<&'static str> {
    let extension = extension(word)?;
    let known = STOCK_EXTENSIONS
        .iter()
        .find(|known| known.as_bytes() == extension)?;
    match named(EXTENSIONS, known.as_bytes()) {
        Some(Source(language) | Preprocessed(language)) => Some(language.preprocessed_extension()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(EXTENSIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(LANGUAGES.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(STOCK_EXTENSIONS.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn stock_extensions_are_sources() {
        for extension in STOCK_EXTENSIONS {
            assert!(
                stock_extension(OsStr::new(&format!("x.{extension}"))).is_some(),
                "{extension}"
            );
        }
    }

    #[test]
    fn kinds() {
        let check = |path: &str, language: Option<&str>, cxx, expect| {
            assert_eq!(
                kind(OsStr::new(path), language.map(OsStr::new), cxx),
                expect,
                "{path} {language:?}"
            );
        };
        check("a.c", None, false, Source(C));
        check("a.c", None, true, Source(Cxx));
        check("dir.c/a", None, false, Kind::Unknown);
        check("a.b.CPP", None, false, Source(Cxx));
        check("a.ii", None, false, Preprocessed(Cxx));
        check("a", Some("c++"), false, Source(Cxx));
        check("a.c", Some("c-header"), false, Header(C));
        check("a.h", None, true, Header(Cxx));
        check(
            "a.c",
            Some("c++-user-header"),
            false,
            Other(WhyLocal::HeaderUnit),
        );
        check("a.c", Some("brainfuck"), false, Other(WhyLocal::Language));
        check("a.o", None, false, Kind::Unknown);
    }

    #[test]
    fn extensions() {
        let check = |path: &str, expect: &str| {
            assert_eq!(with_extension(path.as_bytes(), "d"), expect, "{path}")
        };
        check("a.o", "a.d");
        check("sub/a.b.o", "sub/a.b.d");
        check("sub.d/a", "sub.d/a.d");
        check("a", "a.d");
        check("a.", "a.d");
        check("dir/.o", "dir/.d");
    }
}
