//! What compiler options say about the files that a compile reads.
//!
//! Knowledge is data: the table lists every option that names a file, changes the search path, or can be ignored when
//! the compiler is asked for its macros. An option that is not listed is passed on in that question, so that an unknown
//! option can make the answer more specific than needed, never wrong.

mod table;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

pub(crate) use table::Group;
use table::{Effect, Takes, find};

use Effect as E;
use Group as G;
use Takes as T;

/// What a source is, as far as its preprocessing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// C, C++, Objective-C, Objective-C++ or an OpenCL or CUDA dialect, by the name that `-x` takes.
    Source(&'static str),
    /// Assembler that is preprocessed.
    AssemblerWithCpp,
    /// Assembler that is not.
    Assembler,
    /// Preprocessed already.
    Preprocessed,
}

impl Language {
    /// The name that `-x` takes for a compiler's macros to be those of this language.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Source(name) => name,
            Self::AssemblerWithCpp => "assembler-with-cpp",
            Self::Assembler => "assembler-with-cpp",
            Self::Preprocessed => "c",
        }
    }

    /// The language of a `-x` argument.
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"c" | b"c-header" => Self::Source("c"),
            b"c++" | b"c++-header" | b"c++-system-header" | b"c++-user-header" => {
                Self::Source("c++")
            }
            b"objective-c" | b"objective-c-header" => Self::Source("objective-c"),
            b"objective-c++" | b"objective-c++-header" => Self::Source("objective-c++"),
            b"assembler-with-cpp" => Self::AssemblerWithCpp,
            b"assembler" => Self::Assembler,
            b"cpp-output"
            | b"c-cpp-output"
            | b"c++-cpp-output"
            | b"objective-c-cpp-output"
            | b"objective-c++-cpp-output" => Self::Preprocessed,
            _ => return None,
        })
    }

    /// The language that a file's name says.
    fn of_file(name: &[u8]) -> Option<Self> {
        let dot = name.iter().rposition(|&b| b == b'.')?;
        Some(match &name[dot + 1..] {
            b"c" => Self::Source("c"),
            b"h" => Self::Source("c"),
            b"C" | b"cc" | b"cp" | b"cxx" | b"cpp" | b"CPP" | b"c++" => Self::Source("c++"),
            b"H" | b"hh" | b"hp" | b"hxx" | b"hpp" | b"HPP" | b"h++" | b"tcc" => {
                Self::Source("c++")
            }
            b"m" => Self::Source("objective-c"),
            b"M" | b"mm" => Self::Source("objective-c++"),
            b"S" | b"sx" => Self::AssemblerWithCpp,
            b"s" => Self::Assembler,
            b"i" | b"ii" | b"mi" | b"mii" => Self::Preprocessed,
            _ => return None,
        })
    }
}

/// A change of the macros before the source is read, in the order of the command line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Change {
    Define(Vec<u8>),
    Undefine(Vec<u8>),
}

/// A command line, as far as a scan needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Options {
    pub(crate) dirs: Vec<(Group, Vec<u8>)>,
    pub(crate) changes: Vec<Change>,
    pub(crate) includes: Vec<Vec<u8>>,
    pub(crate) imacros: Vec<Vec<u8>>,
    pub(crate) reads: Vec<Vec<u8>>,
    pub(crate) unfollowed: Vec<Vec<u8>>,
    pub(crate) inputs: Vec<(Vec<u8>, Option<Language>)>,
    /// Where the assembler looks, besides the directories of `-I`.
    pub(crate) assembler_dirs: Vec<Vec<u8>>,
    pub(crate) quote_ignores_source: bool,
    pub(crate) no_standard: bool,
    pub(crate) trigraphs: bool,
    pub(crate) response_files: bool,
    pub(crate) makes_precompiled: bool,
    told: Vec<OsString>,
}

impl Options {
    /// Understands the words after the compiler. Response files (`@file`) must be expanded already.
    #[must_use]
    pub fn parse(args: &[OsString]) -> Self {
        let mut it = Self::default();
        let mut state = Reading {
            language: None,
            prefix: Vec::new(),
            passed: Vec::new(),
            is_inner: false,
        };
        it.read(args, &mut state);
        let passed = std::mem::take(&mut state.passed);
        state.is_inner = true;
        it.read(&passed, &mut state);
        it
    }

    /// The same for a compile that makes a precompiled header: GCC takes none for that.
    #[must_use]
    pub fn making_precompiled(mut self) -> Self {
        self.makes_precompiled = true;
        self
    }

    /// The options that shape the compiler's macros and search path: what to ask it with.
    #[must_use]
    pub fn told(&self) -> &[OsString] {
        &self.told
    }

    /// The language of the source; `None` when there is not exactly one source or its language is not known.
    #[must_use]
    pub fn language(&self) -> Option<Language> {
        match self.inputs.as_slice() {
            [(_, language)] => *language,
            _ => None,
        }
    }

    /// The source as it is written on the command line; `None` when there is not exactly one.
    #[must_use]
    pub fn source(&self) -> Option<&OsStr> {
        match self.inputs.as_slice() {
            [(source, _)] => Some(OsStr::from_bytes(source)),
            _ => None,
        }
    }

    fn read(&mut self, args: &[OsString], state: &mut Reading) {
        let mut words = args.iter();
        let mut only_files = false;
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            if only_files || bytes.first() != Some(&b'-') || bytes == b"-" {
                self.input(bytes, state);
                continue;
            }
            if bytes == b"--" {
                only_files = true;
                continue;
            }
            match find(bytes) {
                None => self.told.push(word.clone()),
                Some((name, takes, effect)) => {
                    let joined = &bytes[name.len()..];
                    let value = match takes {
                        T::Nothing => b"",
                        T::Joined | T::Prefix => joined,
                        T::Either if !joined.is_empty() => joined,
                        T::Separate | T::Either => {
                            words.next().map_or(&b""[..], |word| word.as_bytes())
                        }
                    };
                    self.apply(
                        effect,
                        word,
                        value,
                        takes != T::Nothing && joined.is_empty(),
                        state,
                    );
                }
            }
        }
    }

    /// Options of `-Wa,`: directories, and files that are read or cannot be followed.
    fn assembler(&mut self, words: &[u8]) {
        let mut words = words.split(|&b| b == b',');
        while let Some(word) = words.next() {
            match word.strip_prefix(b"-I") {
                Some(b"") => self.assembler_dirs.extend(words.next().map(<[u8]>::to_vec)),
                Some(dir) => self.assembler_dirs.push(dir.to_vec()),
                None if word.starts_with(b"@") => self.unfollowed.push(word.to_vec()),
                None => {}
            }
        }
    }

    fn input(&mut self, word: &[u8], state: &Reading) {
        if word.first() == Some(&b'@') {
            self.response_files = true;
            return;
        }
        if state.is_inner {
            return;
        }
        let by_name = Language::of_file(word);
        let object = state.language.is_none() && by_name.is_none() && word != b"-";
        if !object {
            self.inputs
                .push((word.to_vec(), state.language.or(by_name)));
        }
    }

    fn apply(
        &mut self,
        effect: Effect,
        word: &OsString,
        value: &[u8],
        separate: bool,
        state: &mut Reading,
    ) {
        match effect {
            // Frameworks are not followed, nor is a prefix that stands for the system root.
            E::Dir(Group::Framework) => self.unfollowed.push(word.as_bytes().to_vec()),
            E::Dir(_) if value.starts_with(b"=") || value.starts_with(b"$SYSROOT") => {
                self.unfollowed.push(value.to_vec());
            }
            E::Dir(group) => self.dirs.push((group, value.to_vec())),
            E::Assembler => self.assembler(value),
            E::IPrefix => state.prefix = value.to_vec(),
            E::WithPrefix(group) => self.dirs.push((group, [&state.prefix, value].concat())),
            E::Define => self.changes.push(Change::Define(value.to_vec())),
            E::Undefine => self.changes.push(Change::Undefine(value.to_vec())),
            E::Include => self.includes.push(value.to_vec()),
            E::Imacros => self.imacros.push(value.to_vec()),
            E::Language => state.language = Language::named(value),
            E::Reads => self.reads.push(value.to_vec()),
            E::Unfollowed => self.unfollowed.push(word.as_bytes().to_vec()),
            E::Pass => {
                state.passed.extend(
                    value
                        .split(|&b| b == b',')
                        .map(|part| OsString::from_vec(part.to_vec())),
                );
            }
            E::PassOne => state.passed.push(OsStr::from_bytes(value).to_owned()),
            E::Split => {
                self.quote_ignores_source = true;
                for (group, _) in &mut self.dirs {
                    if *group == G::Bracket {
                        *group = G::Quote;
                    }
                }
            }
            E::NoStandard => {
                self.no_standard = true;
                self.told.push(word.clone());
            }
            E::Trigraphs => {
                self.trigraphs = true;
                self.told.push(word.clone());
            }
            E::Tell => {
                self.told.push(word.clone());
                if separate {
                    self.told.push(OsStr::from_bytes(value).to_owned());
                }
            }
            E::Skip => {}
        }
    }
}

/// What earlier words mean for later ones.
struct Reading {
    language: Option<Language>,
    prefix: Vec<u8>,
    passed: Vec<OsString>,
    /// These are words for the preprocessor alone: what is no option is an option's argument.
    is_inner: bool,
}

/// Words of a response file, as GCC's driver separates them: at white space, with quotes and backslashes.
#[must_use]
pub fn response_words(content: &[u8]) -> Vec<OsString> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = content.iter().copied();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (_, b'\\') => word.get_or_insert_default().extend(bytes.next()),
            (Some(open), _) if byte == open => quote = None,
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                word.get_or_insert_default();
            }
            (None, _) if byte.is_ascii_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    words.into_iter().map(OsString::from_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Options {
        Options::parse(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn directories_and_macros_are_collected_in_order() {
        let it = parse(
            "-Ia -I b -iquote c -isystem d -DX=1 -UX -D Y -include e.h -c f.cc -o f.o -MD -MF f.d -O2 -std=c++20",
        );
        let dir = |group, name: &str| (group, name.as_bytes().to_vec());
        assert_eq!(
            it.dirs,
            [
                dir(G::Bracket, "a"),
                dir(G::Bracket, "b"),
                dir(G::Quote, "c"),
                dir(G::System, "d")
            ]
        );
        let changes = [
            Change::Define(b"X=1".to_vec()),
            Change::Undefine(b"X".to_vec()),
            Change::Define(b"Y".to_vec()),
        ];
        assert_eq!(it.changes, changes);
        assert_eq!(it.includes, [b"e.h"]);
        assert_eq!(it.told(), ["-O2", "-std=c++20"]);
        assert_eq!(it.source(), Some(OsStr::new("f.cc")));
        assert_eq!(it.language(), Some(Language::Source("c++")));
    }

    #[test]
    fn preprocessor_options_reach_it_by_every_way() {
        let it = parse("-Wp,-MD,x.d,-DA -Xpreprocessor -DB -Xclang -include -Xclang z.h -Wall x.c");
        assert_eq!(
            it.changes,
            [Change::Define(b"A".to_vec()), Change::Define(b"B".to_vec())]
        );
        assert_eq!(it.includes, [b"z.h"]);
        assert_eq!(it.told(), [] as [&str; 0]);
        let it = parse("-x c++ -Wp,-MD,x.d -c x.c");
        assert_eq!(it.language(), Some(Language::Source("c++")));
    }

    /// A question must not write the build's files.
    #[test]
    fn the_compiler_is_not_told_what_to_write() {
        let it = parse(
            "--output=o --output p -oq --write-dependencies --write-user-dependencies -MD -MF f -ftime-trace=x \
             -fproc-stat-report=y -save-stats=obj -time=z --serialize-diagnostics d -MJ j -fdump-go-spec=g a.c",
        );
        assert_eq!(it.told(), [] as [&str; 0]);
        assert_eq!(it.source(), Some(OsStr::new("a.c")));
    }

    #[test]
    fn the_compiler_is_told_what_shapes_its_answers() {
        let it = parse(
            "-target arm64-linux --sysroot /s --sysroot=/t -march=native -fopenmp -isysroot /r -g3 -fPIC -nostdinc a.c",
        );
        let told = [
            "-target",
            "arm64-linux",
            "--sysroot",
            "/s",
            "--sysroot=/t",
            "-march=native",
            "-fopenmp",
            "-isysroot",
            "/r",
            "-fPIC",
            "-nostdinc",
        ];
        assert_eq!(it.told(), told);
    }

    #[test]
    fn what_is_not_followed_is_said() {
        let it = parse(
            "-fplugin=x.so -F fw -I=usr/include -Wa,-Iasm,-I,more,@args -undef -u sym -fmodules a.c",
        );
        let words: Vec<_> = it
            .unfollowed
            .iter()
            .map(|word| std::str::from_utf8(word).unwrap())
            .collect();
        assert_eq!(
            words,
            ["-fplugin=x.so", "-F", "=usr/include", "@args", "-fmodules"]
        );
        assert_eq!(it.assembler_dirs, [&b"asm"[..], b"more"]);
        assert_eq!(it.told(), ["-undef"]);
    }

    #[test]
    fn prefixes_and_the_old_separator() {
        let it = parse("-Ix -I- -Iy -iprefix /p/ -iwithprefix q -iwithprefixbefore r a.S");
        let groups: Vec<_> = it
            .dirs
            .iter()
            .map(|(group, dir)| (*group, std::str::from_utf8(dir).unwrap()))
            .collect();
        assert_eq!(
            groups,
            [
                (G::Quote, "x"),
                (G::Bracket, "y"),
                (G::After, "/p/q"),
                (G::Bracket, "/p/r")
            ]
        );
        assert!(it.quote_ignores_source);
        assert_eq!(it.language(), Some(Language::AssemblerWithCpp));
    }

    #[test]
    fn response_files_are_cut_as_gcc_does() {
        assert_eq!(
            response_words(b"-Ia 'b c'\n\"d\\\"e\"  f\\ g ''"),
            ["-Ia", "b c", "d\"e", "f g", ""]
        );
    }
}
