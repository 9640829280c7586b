//! One command line, understood.

use std::ffi::{OsStr, OsString};

use crate::name::Family;
use crate::why::Placement;

/// What the command line asks the compiler to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// `-E`, `-M`, `-MM`: preprocessed text or dependencies.
    Preprocess,
    /// `-fsyntax-only`: nothing but diagnostics.
    Check,
    /// `-S`: assembler text.
    AssembleText,
    /// `-c`: an object.
    Compile,
    /// None of those: compile and link.
    Link,
    /// `--version`, `-print-…`: tell about the compiler.
    Ask,
}

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

/// What a dependency file says before the colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The target as given.
    pub name: OsString,
    /// `-MQ`: the compiler quotes characters special to make. `-MT`: as it is.
    pub quoted: bool,
}

/// The dependency file that the compile writes on the side (`-MD`, `-MMD`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Where it goes, explicit or as the compiler derives it; relative to the working directory.
    pub file: OsString,
    /// The targets that the user gave (`-MT`, `-MQ`), or the one that the compiler would take.
    pub targets: Vec<Target>,
    /// `-MD` (all headers) rather than `-MMD` (user headers).
    pub system_headers: bool,
    /// `-MP`: empty rules for each header.
    pub phony: bool,
}

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

/// A command line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    args: Vec<OsString>,
}

/// Understands a command line (without the compiler's name).
///
/// `read` returns the content of a response file, or `None` if it cannot be read; a relative name is relative to the
/// job's directory. Never fails: what is not understood makes the invocation local.
pub fn parse(
    _args: &[OsString],
    _family: Family,
    _read: &mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
) -> Invocation {
    unimplemented!()
}

impl Invocation {
    /// The words with response files expanded, as the local compiler would see them.
    #[must_use]
    pub fn args(&self) -> &[OsString] {
        &self.args
    }

    /// What it makes.
    #[must_use]
    pub fn mode(&self) -> Mode {
        unimplemented!()
    }

    /// The family it was parsed for.
    #[must_use]
    pub fn family(&self) -> Family {
        unimplemented!()
    }

    /// The language of the source, if it is a supported one.
    #[must_use]
    pub fn language(&self) -> Option<Language> {
        unimplemented!()
    }

    /// The source needs no preprocessing (`.i`, `-x cpp-output`): its content can be sent as it is.
    #[must_use]
    pub fn source_is_preprocessed(&self) -> bool {
        unimplemented!()
    }

    /// All source words, in order.
    #[must_use]
    pub fn sources(&self) -> &[OsString] {
        unimplemented!()
    }

    /// The source, if there is exactly one.
    #[must_use]
    pub fn source(&self) -> Option<&OsStr> {
        unimplemented!()
    }

    /// The output, given or derived as the compiler does (`base.o`, `base.s` in the working directory). `None` where
    /// the compile has no single output.
    #[must_use]
    pub fn output(&self) -> Option<&OsStr> {
        unimplemented!()
    }

    /// The dependency file on the side, if one was asked for.
    #[must_use]
    pub fn dependency(&self) -> Option<&Dependency> {
        unimplemented!()
    }

    /// Debug information was asked for (`-g…`, not `-g0`).
    #[must_use]
    pub fn debug_info(&self) -> bool {
        unimplemented!()
    }

    /// `-march=native` and its relatives, as given; empty if there are none. They must be expanded
    /// ([`Invocation::expand_native`]) before the job may leave this machine.
    #[must_use]
    pub fn native_options(&self) -> Vec<OsString> {
        unimplemented!()
    }

    /// The same invocation with the native options replaced.
    #[must_use]
    pub fn expand_native(&self, _expansion: &[OsString]) -> Self {
        unimplemented!()
    }

    /// Where it may run.
    #[must_use]
    pub fn where_to(&self) -> Placement {
        unimplemented!()
    }

    /// The word that caused [`Placement::Local`], if one did.
    #[must_use]
    pub fn because(&self) -> Option<&OsStr> {
        unimplemented!()
    }

    /// All files that the compile writes, the main output first.
    #[must_use]
    pub fn outputs(&self) -> Vec<OutputFile> {
        unimplemented!()
    }

    /// The words (after the compiler's name) that preprocess to standard output and write the dependency file just
    /// as the whole compile would. Only meaningful for distributable invocations.
    #[must_use]
    pub fn preprocess_argv(&self) -> Vec<OsString> {
        unimplemented!()
    }

    /// The words (after the compiler's name) that make a server compile the preprocessed text. `cwd` is the
    /// directory as the compiler would name it in debug information: `$PWD` if that is this directory, else the
    /// real path. Only meaningful for distributable invocations without native options.
    #[must_use]
    pub fn server_argv(&self, _cwd: &OsStr) -> Vec<OsString> {
        unimplemented!()
    }
}
