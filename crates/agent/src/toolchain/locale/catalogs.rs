//! Translations of a compiler's messages (`*.mo`).
//!
//! Each program has the directory of its catalogs built in as a text that ends in `/locale`; distributions differ in
//! it, so it is read out of the programs. From there, the catalogs of all parts that may speak are taken for each name
//! that the user's languages have.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::super::places::Places;
use super::super::why::NoToolchain;
use super::{charset, variants};

/// Beginnings of the names of catalogs; a version may follow (`gcc-12.mo`). Sorted.
const DOMAINS: &[&str] = &[
    "bfd",
    "binutils",
    "cpplib",
    "gas",
    "gcc",
    "libc",
    "libstdc++",
    "opcodes",
];

/// Where the C library's own messages are, and most programs'.
const USUAL: &str = "/usr/share/locale";

/// Where Ubuntu looks as well.
const LANGUAGE_PACKS: &str = "/usr/share/locale-langpack";

/// How the directory of catalogs ends, and the longest that is taken for one.
const DIR_END: &[u8] = b"/locale\0";
const DIR_BYTES_MAX: usize = 256;

/// Largest program that is searched for such a text: drivers and assemblers, not the compilers proper, which say the
/// same.
const SEARCHED_BYTES_MAX: u64 = 8 << 20;

/// Puts the catalogs for `languages` (a list as in `LANGUAGE`, or one locale) into their places. Returns whether one is
/// in a character set that needs a module of the C library.
///
/// # Errors
/// A catalog that is there cannot be read.
pub(super) fn collect(
    languages: &OsStr,
    programs: &[PathBuf],
    places: &mut Places,
) -> Result<bool, NoToolchain> {
    let mut dirs: BTreeSet<PathBuf> = [USUAL, LANGUAGE_PACKS].map(PathBuf::from).into();
    for program in programs {
        dirs.extend(built_in(program));
    }
    let mut modules = false;
    for language in languages.as_bytes().split(|&byte| byte == b':') {
        for name in variants(OsStr::from_bytes(language)) {
            for dir in &dirs {
                let dir = dir.join(&name).join("LC_MESSAGES");
                places.relied.on(&dir);
                for file in catalogs_in(&dir) {
                    modules |= charset::of_catalog(&file);
                    places.data(&file)?;
                }
            }
        }
    }
    Ok(modules)
}

fn catalogs_in(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    let mut names: Vec<OsString> = names.filter(|name| is_wanted(name)).collect();
    names.sort();
    names.iter().map(|name| dir.join(name)).collect()
}

fn is_wanted(name: &OsStr) -> bool {
    let Some(name) = name.as_bytes().strip_suffix(b".mo") else {
        return false;
    };
    DOMAINS.iter().any(|domain| {
        name.strip_prefix(domain.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-"))
    })
}

/// The directories of catalogs that are built into a program.
fn built_in(program: &Path) -> Vec<PathBuf> {
    let is_small = fs::metadata(program).is_ok_and(|meta| meta.len() <= SEARCHED_BYTES_MAX);
    let bytes = if is_small {
        fs::read(program).unwrap_or_default()
    } else {
        Vec::new()
    };
    dirs_in(&bytes)
}

fn dirs_in(bytes: &[u8]) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    for at in memchr::memmem::find_iter(bytes, DIR_END) {
        let end = at + DIR_END.len() - 1;
        let start = end.saturating_sub(DIR_BYTES_MAX);
        let text = &bytes[start..end];
        let text = text.rsplit(|&byte| byte == 0).next().unwrap_or_default();
        let is_path = text.starts_with(b"/") && text.iter().all(|byte| (b' '..127).contains(byte));
        if is_path {
            dirs.push(OsString::from_vec(text.to_vec()).into());
        }
    }
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_catalogs() {
        assert!(DOMAINS.is_sorted());
        let check = |name: &str, expect| assert_eq!(is_wanted(OsStr::new(name)), expect, "{name}");
        check("gcc.mo", true);
        check("gcc-12.mo", true);
        check("cpplib-12.mo", true);
        check("gccxml.mo", false);
        check("git.mo", false);
        check("gas", false);
    }

    #[test]
    fn directories_in_programs() {
        let bytes = b"\x7fELF\0gcc\0/usr/share/locale\0x/locale\0/opt/gcc/share/locale\0/locales\0";
        assert_eq!(
            dirs_in(bytes),
            ["/usr/share/locale", "/opt/gcc/share/locale"].map(PathBuf::from)
        );
        assert_eq!(dirs_in(b"/locale\0"), [PathBuf::from("/locale")]);
    }
}
