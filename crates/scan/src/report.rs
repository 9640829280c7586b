//! What a scan found.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::files::Stamp;
use crate::parsed::{How, Unfollowed};
use crate::toolchain::Question;

/// Why a file is in the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// It is the source.
    Source,
    /// The compiler includes it before everything else.
    Always,
    /// `-include` or `-imacros`.
    CommandLine,
    /// An include of some kind.
    Included(How),
    /// A condition asks for it with `__has_include`; Clang counts it among what it reads.
    Probed,
    /// `.incbin` or `.include` of the assembler.
    Assembler,
    /// A precompiled header that the compiler would prefer.
    Precompiled,
    /// An option names it.
    Option,
}

/// A file's name, both ways. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    pub(crate) path: Arc<Path>,
    pub(crate) cut: u32,
}

/// A file that the compile can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileUse {
    /// Its name.
    pub name: FileName,
    /// Index of the file that makes the compile read it.
    pub from: Option<usize>,
    /// Line in that file, from 1; 0 when there is none.
    pub line: u32,
    /// Why the file is in the set.
    pub why: Why,
    /// What the scan saw there; `None` for what is no regular file.
    pub stamp: Option<Stamp>,
}

impl FileName {
    /// Absolute path; may contain `..` and symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path as the compiler spells it: relative to the working directory if the command line is.
    #[must_use]
    pub fn spelled(&self) -> &Path {
        let path = self.path.as_os_str().as_bytes();
        let spelled = path.get(self.cut as usize..).unwrap_or_default();
        Path::new(OsStr::from_bytes(spelled))
    }
}

impl FileUse {
    /// See [`FileName::path`].
    #[must_use]
    pub fn path(&self) -> &Path {
        self.name.path()
    }

    /// See [`FileName::spelled`].
    #[must_use]
    pub fn spelled(&self) -> &Path {
        self.name.spelled()
    }
}

/// Why a scan may have missed a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Doubt {
    /// Not exactly one source in a known language.
    Source,
    /// `@file` that was not expanded.
    ResponseFile,
    /// An option that makes the compile read files which are not followed.
    Option(String),
    /// A header that the compiler will not find either: the compile fails, or the header is being generated.
    Missing(String),
    /// A file that cannot be read.
    Unreadable(String),
    /// An include whose name is made by macros that are not known well enough.
    Computed(String),
    /// A directory of precompiled headers, of which the compiler chooses one.
    Precompiled(String),
    /// Something in a source that is not followed.
    Unfollowed(Unfollowed, String),
    /// The named limit was reached.
    Limit(&'static str),
}

/// A condition whose value is not known, so that both groups were followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCondition {
    /// Index of the file.
    pub file: usize,
    /// Line of the condition.
    pub line: u32,
}

/// Macros of the date that appear in files of the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dates {
    /// `__DATE__`.
    pub date: bool,
    /// `__TIME__`.
    pub time: bool,
    /// `__TIMESTAMP__`: when the file was changed.
    pub timestamp: bool,
}

impl Dates {
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            date: self.date || other.date,
            time: self.time || other.time,
            timestamp: self.timestamp || other.timestamp,
        }
    }
}

/// Work done by a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Files entered, again and again.
    pub includes: u32,
    /// Directives looked at.
    pub directives: u64,
    /// The answer is that of an earlier scan, checked.
    pub replayed: bool,
    /// Headers whose effect is that of an earlier visit, checked; what that visit took is counted above.
    pub visits_replayed: u32,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// Every file that the compile can read; the source comes first.
    pub files: Vec<FileUse>,
    /// Files that conditions only ask for (`__has_include`) and that are there.
    pub probed: Vec<Arc<Path>>,
    /// Directories named on the command line that are not there.
    pub missing_dirs: Vec<Arc<Path>>,
    /// When not empty, a file may be missing from [`Self::files`].
    pub doubts: Vec<Doubt>,
    /// Conditions of which both groups were followed.
    pub unknown: Vec<UnknownCondition>,
    /// Questions that would make the answer more exact; see [`crate::Scanner::answer`].
    pub questions: Vec<Question>,
    /// Macros of the date in use.
    pub dates: Dates,
    /// What it took.
    pub work: Work,
}

impl Scan {
    /// Whether no file can be missing.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.doubts.is_empty()
    }

    /// The files that lead to a file of the set, from the file itself to the source.
    pub fn chain(&self, file: usize) -> impl Iterator<Item = &FileUse> {
        let mut next = Some(file);
        let mut left = self.files.len();
        std::iter::from_fn(move || {
            let it = self.files.get(next?)?;
            left = left.checked_sub(1)?;
            next = it.from;
            Some(it)
        })
    }
}
