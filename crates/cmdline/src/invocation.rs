//! One command line, understood.
//!
//! [`parse`] expands response files, cuts the words into items and folds the items into what the compile makes, from
//! what, and where. [`crate::placement`] then decides whether it may leave this machine.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::deps::{self, Asked, Dependency};
use crate::lang::{self, Kind, Language};
use crate::name::{Driver, Family};
use crate::placement::{self, Protocol};
use crate::respfile;
use crate::table::{Dep, Effect};
use crate::why::{Placement, WhyLocal};
use crate::words::{Item, What, cut};

/// What the command line asks the compiler to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// None of the others: compile and link.
    Link,
    /// `-c`: an object.
    Compile,
    /// `-S`: assembler text.
    AssembleText,
    /// `-fsyntax-only`: nothing but diagnostics.
    Check,
    /// `-E`: preprocessed text.
    Preprocess,
    /// `-M`, `-MM`: dependencies instead of an object.
    Dependencies,
    /// `--version`, `-print-…`: tell about the compiler.
    Ask,
}

/// A word that is a source, or at least no option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operand {
    /// Index of the word.
    pub(crate) word: usize,
    /// What it is.
    pub(crate) kind: Kind,
}

/// A command line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    pub(crate) args: Vec<OsString>,
    pub(crate) items: Vec<Item>,
    pub(crate) driver: Driver,
    pub(crate) mode: Mode,
    pub(crate) operands: Vec<Operand>,
    /// Operands that are sources of any kind, by word.
    pub(crate) sources: Vec<OsString>,
    /// All arguments of `-o`.
    pub(crate) outputs_given: Vec<OsString>,
    pub(crate) output: Option<OsString>,
    pub(crate) asked: Asked,
    pub(crate) dependency: Option<Dependency>,
    pub(crate) debug_info: bool,
    pub(crate) emit_llvm: bool,
    placement: Placement,
    because: Option<OsString>,
}

/// Understands a command line (without the compiler's name).
///
/// `read` returns the content of a response file, or `None` if it cannot be read; a relative name is relative to the
/// job's directory. Never fails: what is not understood makes the invocation local.
pub fn parse(
    args: &[OsString],
    driver: Driver,
    read: &mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
) -> Invocation {
    understand(respfile::expand(args, driver.family, read), driver)
}

/// Understands a command line without response files.
pub(crate) fn understand(args: Vec<OsString>, driver: Driver) -> Invocation {
    let items = cut(&args);
    let mut it = Invocation {
        mode: Mode::Link,
        operands: operands(&args, &items, driver),
        sources: Vec::new(),
        outputs_given: Vec::new(),
        output: None,
        asked: Asked::default(),
        dependency: None,
        debug_info: false,
        emit_llvm: false,
        placement: Placement::Distributable,
        because: None,
        args,
        items,
        driver,
    };
    for index in 0..it.items.len() {
        it.fold(index);
    }
    let is_source =
        |operand: &&Operand| operand.kind != Kind::Unknown || it.args[operand.word] == "-";
    it.sources = it
        .operands
        .iter()
        .filter(is_source)
        .map(|operand| it.args[operand.word].clone())
        .collect();
    it.output = it.derive_output();
    it.dependency = deps::dependency(&it);
    match placement::decide(&it, Protocol::Stock) {
        Ok(()) => {}
        Err((why, word)) => {
            it.placement = Placement::Local(why);
            it.because = word;
        }
    }
    it
}

/// The words that are no options, with the language that `-x` or the extension gives them.
pub(crate) fn operands(args: &[OsString], items: &[Item], driver: Driver) -> Vec<Operand> {
    let mut cxx = driver.cxx;
    let mut language = None;
    let mut operands = Vec::new();
    for item in items {
        if item.effect(None) == Some(Effect::Language) {
            language = Some(item.value(args)).filter(|language| *language != "none");
            // After any `-x`, `-x none` included, g++ leaves the next source to its extension.
            cxx &= driver.family == Family::Clang;
        }
        if item.what == What::Operand {
            operands.push(Operand {
                word: item.word,
                kind: lang::kind(&args[item.word], language, cxx),
            });
            cxx = driver.cxx;
        }
    }
    operands
}

impl Invocation {
    /// Takes one item into account.
    fn fold(&mut self, index: usize) {
        let item = self.items[index];
        let value = item.value(&self.args).to_os_string();
        match item.effect(Some(self.driver.family)) {
            Some(Effect::Mode(mode)) => self.mode = self.mode.max(mode),
            Some(Effect::Output) => self.outputs_given.push(value),
            Some(Effect::Dep(dep)) => self.asked.driver(dep, value),
            Some(Effect::CppWords) => {
                let words: Vec<OsString> =
                    match self.args[item.word].as_bytes().strip_prefix(b"-Wp,") {
                        Some(list) => list
                            .split(|&b| b == b',')
                            .map(|word| OsStr::from_bytes(word).to_os_string())
                            .collect(),
                        None => vec![value],
                    };
                // Clang's driver takes this one form for itself.
                if self.driver.family == Family::Clang && words.len() <= 2 {
                    match words[0].as_bytes() {
                        b"-MD" if words.len() == 2 => {
                            return self.clang_dependency(Dep::All, &words);
                        }
                        b"-MMD" if words.len() == 2 => {
                            return self.clang_dependency(Dep::User, &words);
                        }
                        _ => {}
                    }
                }
                self.asked.inner.extend(words);
            }
            // `-g0` and `-ggdb0` take it back.
            Some(Effect::Debug) => self.debug_info = !value.as_bytes().ends_with(b"0"),
            Some(Effect::EmitLlvm) => self.emit_llvm = true,
            _ => {}
        }
    }

    fn clang_dependency(&mut self, all: Dep, words: &[OsString]) {
        self.asked.driver(all, OsString::new());
        self.asked.driver(Dep::File, words[1].clone());
    }

    fn derive_output(&self) -> Option<OsString> {
        if let Some(given) = self.outputs_given.last() {
            return Some(given.clone());
        }
        if self.makes_header() {
            // Beside the header, not in the working directory.
            let source = self.source()?.as_bytes();
            return Some(OsString::from_vec([source, b".gch"].concat()));
        }
        let extension = match (self.mode, self.emit_llvm) {
            (Mode::Compile, false) => "o",
            (Mode::Compile, true) => "bc",
            (Mode::AssembleText, false) => "s",
            (Mode::AssembleText, true) => "ll",
            _ => return None,
        };
        Some(lang::with_extension(lang::base(self.source()?), extension))
    }

    /// All sources are headers, which are never linked: each becomes a precompiled header.
    #[must_use]
    pub fn makes_header(&self) -> bool {
        let mut kinds = self.operands.iter().map(|operand| operand.kind);
        matches!(self.mode, Mode::Link | Mode::Compile)
            && !self.operands.is_empty()
            && kinds.all(|kind| matches!(kind, Kind::Header(_)))
    }

    /// The words with response files expanded, as the local compiler would see them.
    #[must_use]
    pub fn args(&self) -> &[OsString] {
        &self.args
    }

    /// What it makes.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The driver it was parsed for.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.driver
    }

    /// What the source is, if there is exactly one.
    fn kind(&self) -> Option<Kind> {
        match &self.sources[..] {
            [_] => self
                .operands
                .iter()
                .map(|operand| operand.kind)
                .find(|kind| *kind != Kind::Unknown),
            _ => None,
        }
    }

    /// The language of the source, if it is a supported one.
    #[must_use]
    pub fn language(&self) -> Option<Language> {
        match self.kind()? {
            Kind::Source(language) | Kind::Preprocessed(language) | Kind::Header(language) => {
                Some(language)
            }
            _ => None,
        }
    }

    /// The source needs no preprocessing (`.i`, `-x cpp-output`): its content can be sent as it is.
    #[must_use]
    pub fn source_is_preprocessed(&self) -> bool {
        matches!(self.kind(), Some(Kind::Preprocessed(_)))
    }

    /// All source words, in order.
    #[must_use]
    pub fn sources(&self) -> &[OsString] {
        &self.sources
    }

    /// The source, if there is exactly one.
    #[must_use]
    pub fn source(&self) -> Option<&OsStr> {
        match &self.sources[..] {
            [source] => Some(source),
            _ => None,
        }
    }

    /// The output, given or derived as the compiler does (`base.o`, `base.s` in the working directory). `None` where
    /// the compile has no single output.
    #[must_use]
    pub fn output(&self) -> Option<&OsStr> {
        self.output.as_deref()
    }

    /// The dependency file on the side, if one was asked for.
    #[must_use]
    pub fn dependency(&self) -> Option<&Dependency> {
        self.dependency.as_ref()
    }

    /// Debug information was asked for (`-g…`, not `-g0`).
    #[must_use]
    pub fn debug_info(&self) -> bool {
        self.debug_info
    }

    /// `-march=native` and its relatives, as given; empty if there are none. They must be expanded
    /// ([`Invocation::expand_native`]) before the job may leave this machine.
    #[must_use]
    pub fn native_options(&self) -> Vec<OsString> {
        self.items
            .iter()
            .filter(|item| is_native(item, &self.args))
            .map(|item| self.args[item.word].clone())
            .collect()
    }

    /// Every `-m…` option with its argument, native ones too: all that what `native` stands for can depend on.
    #[must_use]
    pub fn machine_options(&self) -> Vec<OsString> {
        self.items
            .iter()
            .filter(|item| item.what != What::Operand)
            .filter(|item| self.args[item.word].as_bytes().starts_with(b"-m"))
            .flat_map(|item| item.slice(&self.args).to_vec())
            .collect()
    }

    /// A native option counts instead of an earlier one: `-march=x86-64 -march=native`.
    #[must_use]
    pub fn native_overrides(&self) -> bool {
        self.has_machine_options(|first, second| !first && second)
    }

    /// A later option counts instead of a native one: `-march=native -march=x86-64`.
    #[must_use]
    pub fn native_is_overridden(&self) -> bool {
        self.has_machine_options(|first, second| first && !second)
    }

    /// Whether two options of one name stand in this order, by what they say of being native.
    fn has_machine_options(&self, is_it: impl Fn(bool, bool) -> bool) -> bool {
        let mut seen = Vec::new();
        for item in &self.items {
            let What::Known { row, .. } = item.what else {
                continue;
            };
            if row.effect != Effect::Machine {
                continue;
            }
            let native = is_native(item, &self.args);
            if seen
                .iter()
                .any(|&(name, first)| name == row.name && is_it(first, native))
            {
                return true;
            }
            seen.push((row.name, native));
        }
        false
    }

    /// The same invocation with the native options replaced: all of them go, and the expansion stands in front of
    /// all other words, where the compilers put it themselves. Preprocess with the original, which says the same here.
    #[must_use]
    pub fn expand_native(&self, expansion: &[OsString]) -> Self {
        if self.native_options().is_empty() {
            return self.clone();
        }
        let mut args = expansion.to_vec();
        for item in self
            .items
            .iter()
            .filter(|item| !is_native(item, &self.args))
        {
            args.extend_from_slice(item.slice(&self.args));
        }
        understand(args, self.driver)
    }

    /// Where it may run.
    #[must_use]
    pub fn where_to(&self) -> Placement {
        self.placement
    }

    /// The word that caused [`Placement::Local`], if one did.
    #[must_use]
    pub fn because(&self) -> Option<&OsStr> {
        self.because.as_deref()
    }

    /// The reason and the word that caused it, for people: ``debug information goes to … (`-gsplit-dwarf`)``.
    #[must_use]
    pub fn explain(&self) -> Option<String> {
        let Placement::Local(why) = self.placement else {
            return None;
        };
        Some(match &self.because {
            Some(word) => format!("{why} (`{}`)", word.display()),
            None => why.to_string(),
        })
    }

    /// The invocation as one that must stay here; for reasons that only the caller can see.
    #[must_use]
    pub fn kept_local(mut self, why: WhyLocal) -> Self {
        self.placement = Placement::Local(why);
        self.because = None;
        self
    }
}

/// Whether the item is `-march=native` or a relative.
pub(crate) fn is_native(item: &Item, args: &[OsString]) -> bool {
    // Also `native+nofp` and the like of AArch64.
    item.effect(None) == Some(Effect::Machine) && item.value(args).as_bytes().starts_with(b"native")
}
