//! The dependency file: who asked for it, where it goes and what it says before the colon.
//!
//! There are two ways to ask. `-MD` and `-MMD` are the driver's: file and target follow from `-o`. `-Wp,-MD,FILE`
//! goes past GCC's driver straight to the preprocessor, which does not know about `-o` and takes `BASE.o` for the
//! target; Clang's driver takes that spelling for the first one with `-MF`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::invocation::{Invocation, Mode};
use crate::lang;
use crate::name::Family;
use crate::table::{Dep, Effect, Take, find};
use crate::why::WhyLocal;

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
    /// Where it goes, explicit or as the compiler derives it; relative to the working directory. Empty for a server,
    /// which uses a name of its own.
    pub file: OsString,
    /// The targets that the user gave (`-MT`, `-MQ`), or the one that the compiler would take.
    pub targets: Vec<Target>,
    /// `-MD` (all headers) rather than `-MMD` (user headers).
    pub system_headers: bool,
    /// `-MP`: empty rules for each header.
    pub phony: bool,
}

/// The options for the dependency file, as they were given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `Some(true)` for `-MD`, `Some(false)` for `-MMD`.
    pub(crate) write: Option<bool>,
    pub(crate) file: Option<OsString>,
    pub(crate) targets: Vec<Target>,
    pub(crate) phony: bool,
    /// `-MG`.
    missing: bool,
    /// Words that go past the driver to the preprocessor (`-Wp,`, `-Xpreprocessor`).
    pub(crate) inner: Vec<OsString>,
}

impl Asked {
    /// Takes an option of the dependency file into account.
    pub(crate) fn driver(&mut self, dep: Dep, value: OsString) {
        match dep {
            Dep::All => self.write = Some(true),
            Dep::User => self.write = Some(false),
            Dep::File => self.file = Some(value),
            Dep::Target => self.targets.push(Target {
                name: value,
                quoted: false,
            }),
            Dep::Quoted => self.targets.push(Target {
                name: value,
                quoted: true,
            }),
            Dep::Phony => self.phony = true,
            Dep::Missing => self.missing = true,
        }
    }

    /// The first option that says something about the file but not that it be written.
    fn description(&self) -> Option<&'static str> {
        let given = [
            ("-MF", self.file.is_some()),
            ("-MT", !self.targets.is_empty()),
            ("-MP", self.phony),
            ("-MG", self.missing),
        ];
        given
            .iter()
            .find_map(|(option, is_given)| is_given.then_some(*option))
    }
}

/// What the words for the preprocessor ask for.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    /// Whether and which dependency file they ask for.
    pub(crate) write: Option<(bool, OsString)>,
    targets: Vec<Target>,
    phony: bool,
    /// What keeps the compile here.
    pub(crate) local: Option<(WhyLocal, OsString)>,
}

/// Reads the words for the preprocessor.
pub(crate) fn inner(words: &[OsString], family: Family) -> Inner {
    let mut inner = Inner::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some((row, name)) = find(word.as_bytes()) else {
            let why = if word.as_bytes().starts_with(b"-") {
                WhyLocal::PreprocessorOutput
            } else {
                WhyLocal::AmbiguousOption
            };
            inner.local = inner.local.or(Some((why, word.clone())));
            continue;
        };
        let next = row.take == Take::Separate || (row.take == Take::Either && name == word.len());
        // GCC's preprocessor, unlike its driver, takes the file as the argument of -MD.
        let writes = matches!(row.effect, Effect::Dep(Dep::All | Dep::User));
        let value = if next || (writes && family == Family::Gcc) {
            words.next()
        } else {
            None
        };
        let value = match (value, next || writes) {
            (None, true) => {
                inner.local = inner
                    .local
                    .or(Some((WhyLocal::UnfinishedOption, word.clone())));
                continue;
            }
            (value, _) => value
                .cloned()
                .unwrap_or_else(|| OsStr::from_bytes(&word.as_bytes()[name..]).to_os_string()),
        };
        match row.effect {
            Effect::Dep(_) if family == Family::Clang => {
                inner.local = inner
                    .local
                    .or(Some((WhyLocal::DependencyFileLost, word.clone())));
            }
            Effect::Dep(dep @ (Dep::All | Dep::User)) => {
                inner.write = Some((dep == Dep::All, value))
            }
            Effect::Dep(Dep::File) => inner.write = inner.write.map(|(all, _)| (all, value)),
            Effect::Dep(Dep::Target) => inner.targets.push(Target {
                name: value,
                quoted: false,
            }),
            Effect::Dep(Dep::Quoted) => inner.targets.push(Target {
                name: value,
                quoted: true,
            }),
            Effect::Dep(Dep::Phony) => inner.phony = true,
            Effect::Plain
            | Effect::Cpp
            | Effect::CppPath
            | Effect::CppRecorded
            | Effect::PathName => {}
            Effect::Local(why) => inner.local = inner.local.or(Some((why, word.clone()))),
            _ => {
                inner.local = inner
                    .local
                    .or(Some((WhyLocal::PreprocessorOutput, word.clone())))
            }
        }
    }
    inner
}

/// The dependency file of a compile.
pub(crate) fn dependency(it: &Invocation) -> Option<Dependency> {
    let writes = matches!(it.mode, Mode::Compile | Mode::AssembleText | Mode::Check);
    if !writes && !it.makes_header() {
        return None;
    }
    let inner = inner(&it.asked.inner, it.driver.family);
    let base = lang::base(it.source()?);
    let default = |name: OsString| vec![Target { name, quoted: true }];
    let or = |targets: Vec<Target>, name: OsString| {
        if targets.is_empty() {
            default(name)
        } else {
            targets
        }
    };
    if let Some((system_headers, file)) = inner.write {
        let targets = [inner.targets, it.asked.targets.clone()].concat();
        let phony = inner.phony || it.asked.phony;
        return Some(Dependency {
            file,
            targets: or(targets, lang::with_extension(base, "o")),
            system_headers,
            phony,
        });
    }
    let system_headers = it.asked.write?;
    let (file, target) = match it.outputs_given.last() {
        Some(output) => (lang::with_extension(output.as_bytes(), "d"), output.clone()),
        None => (
            lang::with_extension(base, "d"),
            lang::with_extension(base, "o"),
        ),
    };
    Some(Dependency {
        file: it.asked.file.clone().unwrap_or(file),
        targets: or(it.asked.targets.clone(), target),
        system_headers,
        phony: it.asked.phony,
    })
}

/// Why the dependency file cannot be written while preprocessing, if it cannot.
pub(crate) fn obstacle(it: &Invocation) -> Option<(WhyLocal, OsString)> {
    let inner = inner(&it.asked.inner, it.driver.family);
    if inner.local.is_some() {
        return inner.local;
    }
    let lost = |word: &OsStr| Some((WhyLocal::DependencyFileLost, word.to_os_string()));
    if let Some((_, file)) = &inner.write {
        // Both ways at once: the compilers' own rules for that are not worth knowing.
        if it.asked.write.is_some() || it.asked.file.is_some() {
            return lost(file);
        }
    }
    // GCC names it as if it were to link, which depends on its version.
    let is_named = it.asked.file.is_some() || !it.outputs_given.is_empty();
    if it.mode == Mode::Link && it.asked.write.is_some() && !is_named {
        return lost(OsStr::new("-MD"));
    }
    // GCC fails and Clang warns; once the source is preprocessed, neither sees these options.
    if it.dependency.is_none()
        && let Some(option) = it.asked.description()
    {
        return Some((WhyLocal::NoDependencyFile, option.into()));
    }
    let file = &it.dependency.as_ref()?.file;
    let odd = file.is_empty() || file == "-" || special_file(file);
    if odd || it.source_is_preprocessed() {
        lost(file)
    } else {
        None
    }
}

/// Whether a path names something that is not an ordinary file, `/dev/null` excepted.
pub(crate) fn special_file(path: &OsStr) -> bool {
    let path = path.as_bytes();
    path != b"/dev/null" && (path.starts_with(b"/dev/") || path.starts_with(b"/proc/"))
}
