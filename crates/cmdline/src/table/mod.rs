//! The table of compiler options, and how a word of a command line finds its row.
//!
//! One row per spelling, sorted by bytes, for GCC and Clang together: what an option does hardly ever depends on
//! which of the two understands it, and an option that the compiler at hand does not know makes it fail in the same
//! way here and on a server. The rule of both compilers is followed: of all rows that fit a word, the longest wins.
//!
//! An option without a row is a flag without an argument that only matters to code generation; see
//! [`crate::words`] for what is done when that guess may be wrong.

mod rows;

use crate::invocation::Mode;
use crate::why::WhyLocal;

pub(crate) use rows::ROWS;

/// How an option takes its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// No argument: the word is the whole option.
    Nothing,
    /// The rest of the word, which may be empty: `-std=c11`, `-gz`.
    Joined,
    /// The next word: `-include FILE`.
    Separate,
    /// The rest of the word, or the next word if there is no rest: `-Idir`, `-I dir`.
    Either,
}

/// Which compilers give the option this effect. For the other one it is a plain flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// Every compiler that knows it.
    Any,
    /// Clang only.
    Clang,
}

/// The options of the dependency file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dep {
    /// `-MD`: write it, all headers.
    All,
    /// `-MMD`: write it, user headers.
    User,
    /// `-MF FILE`: where.
    File,
    /// `-MT TARGET`: target as given.
    Target,
    /// `-MQ TARGET`: target, quoted for make.
    Quoted,
    /// `-MP`: empty rules for headers.
    Phony,
    /// `-MG`: missing headers are no error (an error itself without `-M`).
    Missing,
}

/// What an option does, as far as distributing is concerned. This is the only place that may grow when something new
/// must be known about an option (the search paths for a scanner, say): the match arms that use it follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Concerns the compile proper: goes everywhere.
    Plain,
    /// Decides what is made.
    Mode(Mode),
    /// `-o`.
    Output,
    /// `-x`.
    Language,
    /// The dependency file.
    Dep(Dep),
    /// Only for the preprocessor: useless, and warned about by Clang, once the source is preprocessed.
    Cpp,
    /// The same, but GCC writes it into debug information, so it stays for GCC.
    CppRecorded,
    /// Only for the preprocessor, and its argument is an input file or directory.
    CppPath,
    /// `-Wp,…`: words for the preprocessor.
    CppWords,
    /// Only for the linker; Clang warns that it is unused, so Clang must see it once.
    Linker,
    /// `-g…`.
    Debug,
    /// `-march=` and relatives, whose value may be `native`.
    Machine,
    /// Keeps the compile here, whatever its argument.
    Local(WhyLocal),
    /// Words for the assembler, judged one by one.
    Assembler,
    /// A word for Clang's inner compiler.
    Xclang,
    /// A word for LLVM's option parser.
    Llvm,
    /// `-dLETTERS`: dumps, unless all letters are harmless.
    DumpLetters,
    /// `-fdiagnostics-format=`: text only.
    DiagnosticsFormat,
    /// `-fdiagnostics-add-output=`, `-fopt-info-…`: local if it names a file.
    MaybeFile,
    /// `-fbasic-block-sections=`: `list=FILE` reads a file.
    BlockSections,
    /// `-flto`, in the one spelling that stock servers refuse.
    Lto,
    /// `-emit-llvm`: changes the extension of derived outputs.
    EmitLlvm,
    /// `-arch`: twice makes a fat object.
    Arch,
    /// An option with a path in its argument that is only a name, so harmless: `-ffile-prefix-map=`.
    PathName,
}

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The spelling, without the argument.
    pub(crate) name: &'static str,
    /// How it takes its argument.
    pub(crate) take: Take,
    /// Which compilers give it the effect.
    pub(crate) who: Who,
    /// What it does.
    pub(crate) effect: Effect,
}

/// The longest spelling in the table in bytes: no longer prefix of a word needs to be looked up.
const NAME_BYTES_MAX: usize = 48;

/// The row of a word, and how many bytes of the word belong to the option's name.
///
/// Clang takes many options with two dashes as well as with one, so a word with two dashes that has no row of its
/// own gets the row of the spelling with one dash.
pub(crate) fn find(word: &[u8]) -> Option<(&'static Row, usize)> {
    find_exact(word).or_else(|| {
        let short = word
            .strip_prefix(b"-")
            .filter(|rest| rest.starts_with(b"-") && rest.len() > 2)?;
        // `--foo` as `-foo`, but never as a joined one-letter option such as `-foo` = `-f` + `oo`.
        find_exact(short)
            .filter(|(row, _)| row.name.len() > 2)
            .map(|(row, len)| (row, len + 1))
    })
}

fn find_exact(word: &[u8]) -> Option<(&'static Row, usize)> {
    let mut start = &word[..word.len().min(NAME_BYTES_MAX)];
    loop {
        // Whatever is a prefix of `start` is also one of the last row that does not come after it.
        let after = ROWS.partition_point(|row| row.name.as_bytes() <= start);
        let row = &ROWS[after.checked_sub(1)?];
        let pairs = row.name.as_bytes().iter().zip(start);
        let common = pairs.take_while(|(ours, theirs)| ours == theirs).count();
        if common < row.name.len() {
            start = &start[..common];
            continue;
        }
        let fits = match row.take {
            Take::Nothing | Take::Separate => common == word.len(),
            Take::Joined | Take::Either => true,
        };
        if fits {
            return Some((row, common));
        }
        start = &start[..common - 1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_unique() {
        for pair in ROWS.windows(2) {
            assert!(
                pair[0].name < pair[1].name,
                "{} must come after {}",
                pair[0].name,
                pair[1].name
            );
        }
    }

    #[test]
    fn the_longest_name_that_fits_is_found() {
        let by_trying = |word: &[u8]| {
            (2..=word.len()).rev().find_map(|len| {
                let row = ROWS
                    .iter()
                    .find(|row| row.name.as_bytes() == &word[..len])?;
                let fits = match row.take {
                    Take::Nothing | Take::Separate => len == word.len(),
                    Take::Joined | Take::Either => true,
                };
                fits.then_some((row, len))
            })
        };
        for row in ROWS {
            for end in ["", "=", "x", "-x", "=a,b", "o", "1"] {
                for cut in 0..row.name.len().min(4) {
                    let word = format!("{}{end}", &row.name[..row.name.len() - cut]);
                    let (found, tried) = (find_exact(word.as_bytes()), by_trying(word.as_bytes()));
                    assert_eq!(found, tried, "{word}");
                }
            }
        }
    }

    #[test]
    fn names_are_options_of_a_sane_length() {
        for row in ROWS {
            assert!(
                row.name.starts_with('-') && row.name.len() >= 2,
                "{}",
                row.name
            );
            assert!(row.name.len() <= NAME_BYTES_MAX, "{}", row.name);
        }
    }

    #[test]
    fn each_row_is_found_by_its_own_name() {
        for row in ROWS {
            let (found, len) = find(row.name.as_bytes()).unwrap();
            assert_eq!((found.name, len), (row.name, row.name.len()));
        }
    }

    #[test]
    fn longest_spelling_wins() {
        let name = |word: &str| find(word.as_bytes()).map(|(row, _)| row.name);
        assert_eq!(name("-include"), Some("-include"));
        assert_eq!(name("-Iinclude"), Some("-I"));
        assert_eq!(name("-fdump-tree-all"), Some("-fdump-"));
        assert_eq!(name("-g"), Some("-g"));
        assert_eq!(name("-gsplit-dwarf=single"), Some("-gsplit-dwarf"));
        assert_eq!(name("-fno-such-thing"), None);
        assert_eq!(
            name("--serialize-diagnostics"),
            Some("--serialize-diagnostics")
        );
        assert_eq!(name("--fplugin=x"), Some("-fplugin"));
        assert_eq!(name("-"), None);
        assert_eq!(name("--"), None);
    }
}
