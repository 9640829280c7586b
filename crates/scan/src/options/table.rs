//! The table of options.

/// How an option takes its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// `-x`.
    Nothing,
    /// `-xARG`.
    Joined,
    /// `-x ARG`.
    Separate,
    /// `-xARG` or `-x ARG`.
    Either,
    /// Anything that starts so, and nothing is taken from the next word.
    Prefix,
}

/// A list of directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    Quote,
    Bracket,
    System,
    After,
    Framework,
    Embed,
}

/// What an option does to a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Adds a directory.
    Dir(Group),
    /// Sets the prefix of `-iwithprefix`.
    IPrefix,
    /// Adds prefix and argument to the end of the system directories, or to the `-I` ones.
    WithPrefix(Group),
    Define,
    Undefine,
    Include,
    Imacros,
    Language,
    /// The compile reads the file (or directory of files) that is named.
    Reads,
    /// The compile may read files that are not found here.
    Unfollowed,
    /// Comma separated options of the assembler.
    Assembler,
    /// Comma separated options of the preprocessor.
    Pass,
    /// One option of the preprocessor or of the inner compiler.
    PassOne,
    /// The old `-I-`.
    Split,
    /// `-nostdinc`; the compiler is told too.
    NoStandard,
    /// `-trigraphs`; the compiler is told too.
    Trigraphs,
    /// The compiler is told.
    Tell,
    /// Nothing that matters here.
    Skip,
}

use Effect as E;
use Group as G;
use Takes as T;

/// Sorted by name. The longest name that matches counts. What has no row is told to the compiler when it is asked for
/// its macros: an option that writes a file must have one.
const OPTIONS: &[(&str, Takes, Effect)] = &[
    ("--assemble", T::Nothing, E::Skip),
    ("--compile", T::Nothing, E::Skip),
    ("--config", T::Either, E::Unfollowed),
    ("--debug", T::Prefix, E::Skip),
    ("--define-macro", T::Separate, E::Define),
    ("--define-macro=", T::Joined, E::Define),
    ("--dependencies", T::Nothing, E::Skip),
    ("--embed-dir=", T::Joined, E::Dir(G::Embed)),
    ("--imacros", T::Separate, E::Imacros),
    ("--imacros=", T::Joined, E::Imacros),
    ("--include", T::Separate, E::Include),
    ("--include-directory", T::Separate, E::Dir(G::Bracket)),
    ("--include-directory-after", T::Separate, E::Dir(G::After)),
    ("--include-directory-after=", T::Joined, E::Dir(G::After)),
    ("--include-directory=", T::Joined, E::Dir(G::Bracket)),
    ("--include=", T::Joined, E::Include),
    ("--language", T::Separate, E::Language),
    ("--language=", T::Joined, E::Language),
    ("--output", T::Separate, E::Skip),
    ("--output=", T::Joined, E::Skip),
    ("--param", T::Separate, E::Tell),
    ("--preprocess", T::Nothing, E::Skip),
    ("--print-missing-file-dependencies", T::Nothing, E::Skip),
    ("--save-stats", T::Prefix, E::Skip),
    ("--save-temps", T::Prefix, E::Skip),
    ("--serialize-diagnostics", T::Separate, E::Skip),
    ("--sysroot", T::Separate, E::Tell),
    ("--time", T::Nothing, E::Skip),
    ("--undefine-macro", T::Separate, E::Undefine),
    ("--undefine-macro=", T::Joined, E::Undefine),
    ("--user-dependencies", T::Nothing, E::Skip),
    ("--verbose", T::Nothing, E::Skip),
    ("--write-dependencies", T::Nothing, E::Skip),
    ("--write-user-dependencies", T::Nothing, E::Skip),
    ("-A", T::Either, E::Tell),
    ("-B", T::Either, E::Tell),
    ("-D", T::Either, E::Define),
    ("-E", T::Nothing, E::Skip),
    ("-F", T::Either, E::Dir(G::Framework)),
    ("-G", T::Either, E::Tell),
    ("-I", T::Either, E::Dir(G::Bracket)),
    ("-I-", T::Nothing, E::Split),
    ("-L", T::Either, E::Skip),
    ("-M", T::Nothing, E::Skip),
    ("-MD", T::Nothing, E::Skip),
    ("-MF", T::Either, E::Skip),
    ("-MG", T::Nothing, E::Skip),
    ("-MJ", T::Either, E::Skip),
    ("-MM", T::Nothing, E::Skip),
    ("-MMD", T::Nothing, E::Skip),
    ("-MP", T::Nothing, E::Skip),
    ("-MQ", T::Either, E::Skip),
    ("-MT", T::Either, E::Skip),
    ("-MV", T::Nothing, E::Skip),
    ("-P", T::Nothing, E::Skip),
    ("-S", T::Nothing, E::Skip),
    ("-T", T::Either, E::Skip),
    ("-U", T::Either, E::Undefine),
    ("-W", T::Prefix, E::Skip),
    ("-Wa,", T::Joined, E::Assembler),
    ("-Wp,", T::Joined, E::Pass),
    ("-Xanalyzer", T::Separate, E::Skip),
    ("-Xassembler", T::Separate, E::Skip),
    ("-Xclang", T::Separate, E::PassOne),
    ("-Xlinker", T::Separate, E::Skip),
    ("-Xpreprocessor", T::Separate, E::PassOne),
    ("-arch", T::Separate, E::Tell),
    ("-aux-info", T::Separate, E::Skip),
    ("-c", T::Nothing, E::Skip),
    ("-c-isystem", T::Either, E::Unfollowed),
    ("-cxx-isystem", T::Either, E::Unfollowed),
    ("-d", T::Prefix, E::Skip),
    ("-dumpbase", T::Separate, E::Skip),
    ("-dumpbase-ext", T::Separate, E::Skip),
    ("-dumpdir", T::Separate, E::Skip),
    ("-fauto-profile=", T::Joined, E::Reads),
    ("-fcrash-diagnostics-dir=", T::Prefix, E::Skip),
    ("-fdebug-prefix-map=", T::Prefix, E::Skip),
    ("-fdiagnostics-", T::Prefix, E::Skip),
    ("-fdump-", T::Prefix, E::Skip),
    ("-ffile-prefix-map=", T::Prefix, E::Skip),
    ("-finput-charset=", T::Joined, E::Unfollowed),
    ("-fmacro-prefix-map=", T::Prefix, E::Skip),
    ("-fmodule-file=", T::Joined, E::Unfollowed),
    ("-fmodule-map-file=", T::Joined, E::Unfollowed),
    ("-fmodule-mapper=", T::Joined, E::Unfollowed),
    ("-fmodules", T::Nothing, E::Unfollowed),
    ("-fmodules-ts", T::Nothing, E::Unfollowed),
    ("-fms-compatibility", T::Nothing, E::Unfollowed),
    ("-fplugin-arg-", T::Prefix, E::Skip),
    ("-fplugin=", T::Joined, E::Unfollowed),
    ("-fprebuilt-module-path=", T::Joined, E::Unfollowed),
    ("-fproc-stat-report", T::Prefix, E::Skip),
    ("-fprofile-instr-use=", T::Joined, E::Reads),
    ("-fprofile-list=", T::Joined, E::Reads),
    ("-fprofile-sample-use=", T::Joined, E::Reads),
    ("-fprofile-use", T::Nothing, E::Unfollowed),
    ("-fprofile-use=", T::Joined, E::Reads),
    ("-frandom-seed=", T::Prefix, E::Skip),
    ("-fsanitize-blacklist=", T::Joined, E::Reads),
    ("-fsanitize-coverage-allowlist=", T::Joined, E::Reads),
    ("-fsanitize-coverage-ignorelist=", T::Joined, E::Reads),
    ("-fsanitize-ignorelist=", T::Joined, E::Reads),
    ("-fsanitize-system-ignorelist=", T::Joined, E::Reads),
    ("-fsyntax-only", T::Nothing, E::Skip),
    ("-ftime-trace", T::Prefix, E::Skip),
    ("-ftrack-macro-expansion", T::Prefix, E::Skip),
    ("-fxray-always-instrument=", T::Joined, E::Reads),
    ("-fxray-attr-list=", T::Joined, E::Reads),
    ("-fxray-never-instrument=", T::Joined, E::Reads),
    ("-g", T::Prefix, E::Skip),
    ("-gcc-toolchain", T::Separate, E::Tell),
    ("-idirafter", T::Either, E::Dir(G::After)),
    ("-iframework", T::Either, E::Dir(G::Framework)),
    ("-imacros", T::Either, E::Imacros),
    ("-imultilib", T::Separate, E::Tell),
    ("-include", T::Either, E::Include),
    ("-include-pch", T::Separate, E::Unfollowed),
    ("-iprefix", T::Either, E::IPrefix),
    ("-iquote", T::Either, E::Dir(G::Quote)),
    ("-isysroot", T::Either, E::Tell),
    ("-isystem", T::Either, E::Dir(G::System)),
    ("-isystem-after", T::Either, E::Dir(G::After)),
    ("-ivfsoverlay", T::Either, E::Unfollowed),
    ("-iwithprefix", T::Either, E::WithPrefix(G::After)),
    ("-iwithprefixbefore", T::Either, E::WithPrefix(G::Bracket)),
    ("-iwithsysroot", T::Either, E::Unfollowed),
    ("-l", T::Either, E::Skip),
    ("-mllvm", T::Separate, E::Skip),
    ("-nostdinc", T::Nothing, E::NoStandard),
    ("-o", T::Either, E::Skip),
    ("-pipe", T::Nothing, E::Skip),
    ("-resource-dir", T::Separate, E::Tell),
    ("-save-stats", T::Prefix, E::Skip),
    ("-save-temps", T::Prefix, E::Skip),
    ("-specs", T::Separate, E::Unfollowed),
    ("-specs=", T::Joined, E::Unfollowed),
    ("-target", T::Separate, E::Tell),
    ("-time", T::Prefix, E::Skip),
    ("-traditional", T::Nothing, E::Unfollowed),
    ("-traditional-cpp", T::Nothing, E::Unfollowed),
    ("-trigraphs", T::Nothing, E::Trigraphs),
    ("-u", T::Either, E::Skip),
    ("-undef", T::Nothing, E::Tell),
    ("-v", T::Nothing, E::Skip),
    ("-w", T::Nothing, E::Skip),
    ("-working-directory", T::Either, E::Unfollowed),
    ("-wrapper", T::Separate, E::Skip),
    ("-x", T::Either, E::Language),
    ("-z", T::Separate, E::Skip),
];

/// The entry of the table for a word: the longest name that it starts with, in a form that the entry takes.
pub(super) fn find(word: &[u8]) -> Option<(&'static str, Takes, Effect)> {
    let end = OPTIONS.partition_point(|it| it.0.as_bytes() <= word);
    let start = OPTIONS.partition_point(|it| it.0.as_bytes() < &word[..2.min(word.len())]);
    let fits = |it: &&(&'static str, Takes, Effect)| {
        word.starts_with(it.0.as_bytes())
            && (word.len() == it.0.len() || matches!(it.1, T::Joined | T::Either | T::Prefix))
            && (word.len() > it.0.len() || it.1 != T::Joined)
    };
    OPTIONS[start.min(end)..end]
        .iter()
        .filter(fits)
        .max_by_key(|it| it.0.len())
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_unique() {
        for pair in OPTIONS.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
    }
}
