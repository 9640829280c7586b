//! Why a compile stays on this machine: the closed list of reasons.
//!
//! Each reason is one row: the variant, a kebab-case code that never changes (logs, events and `farcc explain`
//! carry it) and one sentence for people. The sentence fits after "runs locally: ". The word of the command line
//! that caused it is kept beside the reason, in [`crate::Invocation::because`].

use std::fmt;

/// Where a compile may run, as far as its command line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Any host with this compiler can run it; every output comes back.
    Distributable,
    /// Only this machine gives the result that the user expects.
    Local(WhyLocal),
}

/// Declares [`WhyLocal`] with the code and the sentence of each reason, so that none can be forgotten.
macro_rules! reasons {
    ($($variant:ident, $code:literal, $sentence:literal;)*) => {
        /// A reason to compile on this machine.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum WhyLocal {
            $(#[doc = $sentence] $variant,)*
        }

        impl WhyLocal {
            /// Every reason there is, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name of this reason, in kebab case.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// One sentence for people, without a full stop.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)*
                }
            }
        }
    };
}

reasons! {
    AmbiguousOption, "ambiguous-option", "an option that is not known here may take the next word, so the source file is not certain";
    AnalyzerOutput, "analyzer-output", "the static analyzer writes reports of its own";
    AssemblerOptions, "assembler-options", "options for the assembler make it read or write files of its own";
    AssemblerSource, "assembler-source", "the source is assembler, whose included files cannot be sent";
    CompilerPlugin, "compiler-plugin", "a plugin or tool of this machine takes part in the compile";
    ClangPrecompiled, "clang-precompiled-header", "it makes a precompiled header, in which Clang records the times of files; one from elsewhere would be refused here";
    CommandLine, "command-line", "the whole command line goes into the output, and a server has to change it";
    Configure, "configure", "the source is a probe of a configure script, which is faster and safer here";
    CoverageData, "coverage-data", "coverage and profiling write or need files that name this machine's directories";
    Cuda, "cuda", "CUDA, HIP and other offload languages compile in several passes";
    DependenciesOnly, "dependencies-only", "it only lists dependencies";
    DependencyFileLost, "dependency-file-lost", "the dependency file would go to standard output or cannot be written while preprocessing";
    DiagnosticsFile, "diagnostics-file", "diagnostics go to a file of their own";
    Dump, "dump", "the compiler dumps its inner state into files beside the output";
    HeaderUnit, "header-unit", "it makes a header unit, which is a module of this machine";
    Informational, "informational", "it asks the compiler about itself";
    InputFile, "input-file", "an option names a file that the compiler reads after preprocessing";
    Language, "language", "the language is not one that can be preprocessed here and compiled elsewhere";
    Link, "link", "it links";
    Lto, "lto", "link-time optimisation is refused by stock servers";
    MakesPrecompiled, "makes-precompiled-header", "it makes a precompiled header, which only a worker that has this machine's compiler could do elsewhere";
    Modules, "modules", "modules read and write compiled interfaces on this machine";
    Native, "native", "what `native` means for this machine's processor could not be found out";
    NoAssemble, "no-assemble", "it makes no object or assembler file";
    NoDependencyFile, "no-dependency-file", "options describe a dependency file, but none asks for it to be written";
    NoSource, "no-source", "no source file was recognised";
    Offload, "offload", "offloading to an accelerator compiles in several passes";
    OutputOdd, "output-odd", "the output is standard output or something that only this machine can write";
    PrecompiledHeader, "precompiled-header", "an option names a precompiled header";
    Preprocess, "preprocess", "it only preprocesses";
    PreprocessorOutput, "preprocessor-output", "an option changes what the preprocessor prints, which only fits -E";
    ResponseFile, "response-file", "a response file could not be read or nests too deep";
    SaveTemps, "save-temps", "intermediate files are kept";
    SeveralSources, "several-sources", "several source files are compiled by one command";
    SpecialOutput, "special-output", "an option writes a further file beside the object";
    Specs, "specs", "a specs or configuration file of this machine changes the compiler";
    SplitDwarf, "split-dwarf", "debug information goes to a .dwo file beside the object";
    StackUsage, "stack-usage", "stack usage goes to a .su file beside the object";
    StandardInput, "standard-input", "the source is standard input";
    StockRefuses, "stock-refuses", "a stock server would misread this command line and hang up";
    SyntaxOnly, "syntax-only", "it only checks the syntax";
    TextDiffers, "text-differs", "a compile of its preprocessed text would not give the same bytes";
    TimeTrace, "time-trace", "a time trace is written beside the object";
    UnfinishedOption, "unfinished-option", "the last option lacks its argument";
    UnknownPath, "unknown-path", "an option that is not known here names a path";
    Verbose, "verbose", "it prints the commands it would run, which must be this machine's";
    Wrapper, "wrapper", "the compiler's own programs are replaced or wrapped";
}

impl fmt::Display for WhyLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_kebab_case() {
        let mut codes: Vec<_> = WhyLocal::ALL.iter().map(|why| why.code()).collect();
        for code in &codes {
            assert!(
                code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{code}"
            );
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), WhyLocal::ALL.len());
    }

    #[test]
    fn sentences_are_fragments() {
        for why in WhyLocal::ALL {
            let sentence = why.to_string();
            assert!(
                !sentence.ends_with('.') && !sentence.is_empty(),
                "{sentence}"
            );
        }
    }
}
