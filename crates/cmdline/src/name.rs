//! Compiler names: which family a name belongs to, and how a name is made unmistakable for another machine.

use std::ffi::{OsStr, OsString};

/// The two families of compilers whose command lines are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// GCC, and everything that is not known to be Clang.
    Gcc,
    /// Clang and compilers made from it.
    Clang,
}

impl Family {
    /// The family that a compiler's file name suggests: `None` for `cc`, `c++` and anything unknown, where the
    /// caller follows links or asks the compiler.
    #[must_use]
    pub fn of_name(_name: &OsStr) -> Option<Self> {
        unimplemented!()
    }
}

/// What [`rewrite_name`] must ask its caller about this machine.
pub trait NameLookup {
    /// The base name that a compiler found in `PATH` as `name` links to (through any number of symbolic links), if
    /// it is a link.
    fn link_target(&self, name: &OsStr) -> Option<OsString>;
    /// Whether an executable of this name exists in `PATH`, farcc's own directories left out.
    fn exists(&self, name: &OsStr) -> bool;
}

/// Makes a compiler name unmistakable on another machine, as stock distcc does: `cc` becomes what it links to
/// (`gcc`, `clang`), `gcc` becomes `TRIPLE-gcc` if that exists, and Clang is told `-target TRIPLE` unless the
/// command line names a target. Names with a `/` are never changed. Returns the name and the words to append.
#[must_use]
pub fn rewrite_name(
    _name: &OsStr,
    _args: &[OsString],
    _triple: &OsStr,
    _lookup: &dyn NameLookup,
) -> (OsString, Vec<OsString>) {
    unimplemented!()
}
