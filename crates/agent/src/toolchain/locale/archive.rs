//! One category out of glibc's archive of locales (`locale-archive`).
//!
//! The format is that of `locale/locarchive.h`: a head, a hash table of names, records of one offset and length per
//! category. What lies there is what would lie in the category's own file.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{CATEGORY_BYTES_MAX, Parts, normal_codeset};

const MAGIC: u32 = 0xde02_0109;

/// Bytes of the head, of a row of the table of names, of a record.
const HEAD_BYTES: usize = 56;
const ROW_BYTES: usize = 12;
const RECORD_BYTES: u64 = 108;

/// Most rows of the table of names. There are some hundred locales.
const ROWS_MAX: u32 = 1 << 16;

/// Longest name of a locale that is compared.
const NAME_BYTES_MAX: usize = 128;

/// Reads a category of a locale. `None` if there is no such file or locale.
pub(super) fn read(archive: &Path, locale: &OsStr, category: usize) -> Option<Arc<[u8]>> {
    let file = File::open(archive).ok()?;
    find(&file, &archived_name(locale)?, category)
}

/// The archive has normal codesets: `de_DE.utf8` for `de_DE.UTF-8`.
fn archived_name(locale: &OsStr) -> Option<Vec<u8>> {
    let name = locale.to_str()?;
    let parts = Parts::of(name);
    let name = if parts.codeset.is_empty() {
        name.to_owned()
    } else {
        name.replacen(parts.codeset, &normal_codeset(parts.codeset), 1)
    };
    Some(name.into_bytes())
}

fn find(file: &File, name: &[u8], category: usize) -> Option<Arc<[u8]>> {
    let head = bytes_at::<HEAD_BYTES>(file, 0)?;
    if number(&head, 0) != MAGIC || name.len() > NAME_BYTES_MAX {
        return None;
    }
    let (table, rows) = (number(&head, 8), number(&head, 16));
    for row in 0..u64::from(rows.min(ROWS_MAX)) {
        let row = bytes_at::<ROW_BYTES>(file, u64::from(table) + row * ROW_BYTES as u64)?;
        let (name_at, record_at) = (number(&row, 4), number(&row, 8));
        if record_at != 0 && has_name(file, name_at, name) {
            return content(file, record_at, category);
        }
    }
    None
}

fn has_name(file: &File, at: u32, name: &[u8]) -> bool {
    let mut found = vec![0; name.len() + 1];
    let is_read = file.read_exact_at(&mut found, u64::from(at)).is_ok();
    is_read && found.strip_suffix(b"\0") == Some(name)
}

fn content(file: &File, record_at: u32, category: usize) -> Option<Arc<[u8]>> {
    let offset = 4 + 8 * category as u64;
    debug_assert!(offset < RECORD_BYTES);
    let place = bytes_at::<8>(file, u64::from(record_at) + offset)?;
    let (at, length) = (u64::from(number(&place, 0)), u64::from(number(&place, 4)));
    let end = at.checked_add(length)?;
    if length > CATEGORY_BYTES_MAX || end > file.metadata().ok()?.len() {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes.into())
}

fn bytes_at<const N: usize>(file: &File, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

/// The archive has this machine's byte order.
fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(
        bytes[at..at + 4]
            .try_into()
            .expect("the slice has four bytes"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;
    use std::process::Command;

    /// Has the C library's own tool make a locale, as directories and in an archive. `None` if that is not installed.
    fn locale(temp: &Path) -> Option<(PathBuf, PathBuf)> {
        let dir = temp.join("usr/lib/locale");
        fs::create_dir_all(&dir).unwrap();
        let make = |words: &[&str]| {
            let mut command = Command::new("localedef");
            command.arg("--prefix").arg(temp).args(words);
            command.args(["-i", "de_DE", "-f", "ISO-8859-1", "de_DE.ISO-8859-1"]);
            command.output().is_ok_and(|output| output.status.success())
        };
        if !make(&["--no-archive"]) {
            eprintln!("skipped: localedef makes no locale here");
            return None;
        }
        let separate = temp.join("separate");
        fs::rename(dir.join("de_DE.iso88591"), &separate).unwrap();
        assert!(make(&[]));
        Some((dir.join("locale-archive"), separate))
    }

    #[test]
    fn what_lies_in_an_archive_is_what_lies_in_directories() {
        let temp = tempfile::tempdir().unwrap();
        let Some((archive, separate)) = locale(temp.path()) else {
            return;
        };
        for category in [super::super::CTYPE, super::super::MESSAGES] {
            let name = OsStr::new("de_DE.ISO-8859-1");
            let read = read(&archive, name, category.number).unwrap();
            let expect = fs::read(separate.join(category.file)).unwrap();
            assert!(*read == *expect, "{category:?}");
        }
        assert_eq!(read(&archive, OsStr::new("de_DE.UTF-8"), 0), None);
        assert_eq!(read(&archive, OsStr::new("de_DE"), 0), None);

        // Whatever numbers the head and the tables hold, nothing panics and nothing outside of the file is read.
        let whole = fs::read(&archive).unwrap();
        let file = fs::OpenOptions::new()
            .write(true)
            .read(true)
            .open(&archive)
            .unwrap();
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..2000 {
            let at = random.usize(..200.min(whole.len()));
            file.write_all_at(&[random.u8(..)], at as u64).unwrap();
            let found = find(&file, b"de_DE.iso88591", 0);
            assert!(found.is_none_or(|bytes| bytes.len() <= whole.len()));
            file.write_all_at(&whole[at..=at], at as u64).unwrap();
        }
    }
}
