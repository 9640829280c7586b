//! `-march=native` and its relatives: reads what the compiler says they mean on this machine.

use std::ffi::OsString;

/// The words to give to the compiler so that it prints what `native` means: `-### -E -x c /dev/null` and the asked
/// options. Run it with `LC_ALL=C`, and hand its standard error to [`parse_gcc`] or [`parse_clang`].
#[must_use]
pub fn question(_asked: &[OsString]) -> Vec<OsString> {
    unimplemented!()
}

/// Reads the answer of GCC to [`question`]: the options that replace `asked`.
#[must_use]
pub fn parse_gcc(_stderr: &[u8], _asked: &[OsString]) -> Option<Vec<OsString>> {
    unimplemented!()
}

/// Reads the answer of Clang to [`question`]: the options that replace `asked`.
#[must_use]
pub fn parse_clang(_stderr: &[u8], _asked: &[OsString]) -> Option<Vec<OsString>> {
    unimplemented!()
}
