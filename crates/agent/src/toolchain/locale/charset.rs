//! Modules of the C library that convert character sets (gconv).
//!
//! UTF-8 needs none. For anything else all modules are taken: which ones a conversion goes through is the C library's
//! own business, and it happens rarely.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::super::places::Places;
use super::super::why::NoToolchain;
use super::super::words::needs_module;
use super::Parts;

/// The index of modules, in the directory that also holds them.
const INDEX: &str = "gconv-modules.cache";
const DIR: &str = "gconv";

/// Largest catalog that is searched for its character set.
const CATALOG_BYTES_MAX: u64 = 16 << 20;

/// Whether a locale, by its name, is in a character set that needs a module. Without one in its name nobody knows.
pub(super) fn of_locale(name: &OsStr) -> bool {
    name.to_str()
        .is_none_or(|name| needs_module(OsStr::new(Parts::of(name).codeset)))
}

/// The same of a catalog of messages, which says it in its first entry.
pub(super) fn of_catalog(file: &Path) -> bool {
    let is_small = fs::metadata(file).is_ok_and(|meta| meta.len() <= CATALOG_BYTES_MAX);
    let text = if is_small {
        fs::read(file).unwrap_or_default()
    } else {
        Vec::new()
    };
    let Some(at) = memchr::memmem::find(&text, b"charset=") else {
        return false;
    };
    let name = text[at + 8..]
        .split(|byte| matches!(byte, b'\n' | b'\\' | 0))
        .next()
        .unwrap_or_default();
    needs_module(OsStr::new(&*String::from_utf8_lossy(name)))
}

/// Puts what the C library at this path reads about character sets into its place: the index, and `all` modules.
///
/// # Errors
/// A file that is there cannot be read.
pub(in super::super) fn modules(
    c_library: &Path,
    all: bool,
    places: &mut Places,
) -> Result<Vec<PathBuf>, NoToolchain> {
    let dir = c_library.parent().unwrap_or(Path::new("/")).join(DIR);
    places.data_if_any(&dir.join(INDEX))?;
    let mut found = Vec::new();
    if all {
        for dir in [dir.clone(), dir.join("gconv-modules.d")] {
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            for path in entries.map(|entry| entry.path()) {
                if path.is_file() {
                    places.data(&path)?;
                    found.push(path);
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_and_catalogs() {
        assert!(!of_locale(OsStr::new("de_DE.UTF-8")));
        assert!(of_locale(OsStr::new("de_DE.ISO-8859-1")));
        assert!(of_locale(OsStr::new("de_DE")));
        let temp = tempfile::tempdir().unwrap();
        let check = |text: &str, expect| {
            let file = temp.path().join("x.mo");
            fs::write(&file, text).unwrap();
            assert_eq!(of_catalog(&file), expect, "{text}");
        };
        check("\0Content-Type: text/plain; charset=UTF-8\nX: y", false);
        check("\0Content-Type: text/plain; charset=ISO-8859-1\n", true);
        check("nothing", false);
    }
}
