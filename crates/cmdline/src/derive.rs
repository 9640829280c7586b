//! The two commands that a distributed compile is made of, and the files it writes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::invocation::{Invocation, Mode};
use crate::lang::{self, Kind, stock_extension, stock_source};
use crate::name::Family;
use crate::table::Effect;
use crate::words::{Item, What};

/// The kind of a file that a compile writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// The object or assembler text: comes from the server.
    Main,
    /// The dependency file: written while preprocessing.
    Dependency,
}

/// A file that a compile writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// Path, relative to the working directory unless absolute.
    pub path: OsString,
    /// What it is.
    pub kind: OutputKind,
}

impl Invocation {
    /// All files that the compile writes, the main output first. Complete for distributable invocations only.
    #[must_use]
    pub fn outputs(&self) -> Vec<OutputFile> {
        let main = self.output.iter().map(|path| OutputFile {
            path: path.clone(),
            kind: OutputKind::Main,
        });
        let dependency = self.dependency.iter().map(|dep| OutputFile {
            path: dep.file.clone(),
            kind: OutputKind::Dependency,
        });
        main.chain(dependency).collect()
    }

    /// The words (after the compiler's name) that preprocess to standard output and write the dependency file just
    /// as the whole compile would. Only meaningful for distributable invocations.
    #[must_use]
    pub fn preprocess_argv(&self) -> Vec<OsString> {
        let mut argv = Vec::with_capacity(self.args.len() + 6);
        for item in &self.items {
            match item.effect(Some(self.driver.family)) {
                Some(Effect::Mode(Mode::Compile | Mode::AssembleText) | Effect::Output) => {}
                _ => argv.extend_from_slice(item.slice(&self.args)),
            }
        }
        argv.push("-E".into());
        if let (Some(dependency), true) = (&self.dependency, self.asked.write.is_some()) {
            if self.asked.file.is_none() {
                argv.extend(["-MF".into(), dependency.file.clone()]);
            }
            // Without -o the compilers take the same target as when they compile.
            if self.asked.targets.is_empty() && !self.outputs_given.is_empty() {
                argv.extend(
                    dependency
                        .targets
                        .iter()
                        .flat_map(|target| ["-MQ".into(), target.name.clone()]),
                );
            }
        }
        match self.driver.family {
            // The directory is for the debug information, and only the preprocessor knows it.
            Family::Gcc
                if self
                    .args
                    .iter()
                    .any(|word| word == "-fno-working-directory") =>
            {
                argv.push("-fworking-directory".into());
            }
            Family::Gcc => {}
            // Options that only matter later; the server's compiler will speak about those that it does not use.
            Family::Clang => argv.push("-Qunused-arguments".into()),
        }
        argv
    }

    /// The words (after the compiler's name) that make a server compile the preprocessed text. `cwd` is the
    /// directory as the compiler would name it in debug information: `$PWD` if that is this directory, else the
    /// real path. Only meaningful for distributable invocations without native options.
    #[must_use]
    pub fn server_argv(&self, cwd: &OsStr) -> Vec<OsString> {
        self.server_argv_with(&self.items, cwd)
    }

    /// The server's words for these items.
    pub(crate) fn server_argv_with(&self, items: &[Item], cwd: &OsStr) -> Vec<OsString> {
        let mut argv = Vec::with_capacity(self.args.len() + 4);
        for item in items {
            self.server_words(item, &mut argv);
        }
        if self.outputs_given.is_empty()
            && let Some(output) = &self.output
        {
            argv.extend(["-o".into(), not_a_response_file(output)]);
        }
        let says_directory = |word: &OsString| {
            let word = word.as_bytes();
            word.starts_with(b"-fdebug-compilation-dir")
                || word.starts_with(b"-ffile-compilation-dir")
        };
        // GCC's preprocessor writes the directory into the text; Clang's does not.
        if self.driver.family == Family::Clang
            && self.debug_info
            && !self.args.iter().any(says_directory)
        {
            argv.push(OsString::from_vec(
                [b"-fdebug-compilation-dir=", cwd.as_bytes()].concat(),
            ));
        }
        // Clang expands its predefined macros (`linux`) in preprocessed text again.
        if self.driver.family == Family::Clang {
            argv.push("-undef".into());
        }
        argv
    }

    /// Adds what a server gets of one item.
    fn server_words(&self, item: &Item, argv: &mut Vec<OsString>) {
        let clang = self.driver.family == Family::Clang;
        let words = item.slice(&self.args);
        match item.effect(Some(self.driver.family)) {
            Some(
                Effect::Cpp
                | Effect::CppPath
                | Effect::CppWords
                | Effect::Dep(_)
                | Effect::Language,
            ) => {}
            // Clang has not yet said that it does not use these.
            Some(Effect::Linker) if !clang => {}
            Some(Effect::CppRecorded) if clang => {}
            Some(Effect::Lto) if clang => argv.push("-flto=full".into()),
            // Stock servers only know the short spellings.
            Some(Effect::Mode(Mode::Compile)) => argv.push("-c".into()),
            Some(Effect::Mode(Mode::AssembleText)) => argv.push("-S".into()),
            Some(Effect::Output) => {
                argv.extend(["-o".into(), item.value(&self.args).to_os_string()])
            }
            None if item.what == What::Operand => self.server_source(&self.args[item.word], argv),
            _ => argv.extend_from_slice(words),
        }
    }

    /// Adds the source, so that a stock server's own copy of it gets the right language: from its extension where
    /// that tells, else from `-x` and an extension that such a server knows.
    fn server_source(&self, source: &OsString, argv: &mut Vec<OsString>) {
        let Some(language) = self.language() else {
            return argv.push(source.clone());
        };
        // A C++ driver takes the copy of a C source for C++, whatever the words said.
        let told = stock_extension(source).is_some_and(|extension| {
            let copy = format!("copy.{extension}");
            lang::kind(OsStr::new(&copy), None, self.driver.cxx) == Kind::Preprocessed(language)
        });
        if !told {
            argv.extend(["-x".into(), language.preprocessed_name().into()]);
        }
        if stock_source(source) {
            argv.push(source.clone());
        } else {
            let name = [
                source.as_bytes(),
                b".",
                language.preprocessed_extension().as_bytes(),
            ]
            .concat();
            argv.push(OsString::from_vec(name));
        }
    }
}

/// The same file under a name that nobody takes for a list of arguments.
pub(crate) fn not_a_response_file(name: &OsString) -> OsString {
    if name.as_bytes().starts_with(b"@") {
        OsString::from_vec([b"./", name.as_bytes()].concat())
    } else {
        name.clone()
    }
}
