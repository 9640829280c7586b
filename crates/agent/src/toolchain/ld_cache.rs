//! `/etc/ld.so.cache` for a root: the entries of the libraries that are in it.
//!
//! Libraries outside of the loader's own directories are found through this file only, and it decides between several
//! of one name. Sent whole it would give the toolchain another digest whenever any package with a library is installed,
//! so it is made anew from those of its entries that are needed, in their order.
//!
//! The format is that of glibc 2.2 and later (`glibc-ld.so.cache1.1`, `sysdeps/generic/dl-cache.h`), on its own or
//! behind an older table. Entries for better processors are left out (see `libraries`), and with them the list of their
//! names.

use std::collections::HashMap;

/// Where the file is.
pub(super) const PATH: &str = "/etc/ld.so.cache";

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// How an older table begins: magic, then a number of entries of 12 bytes.
const OLD_MAGIC: &[u8] = b"ld.so-1.7.0\0";

/// Bytes of the header, and of an entry.
const HEADER_BYTES: usize = 48;
const ENTRY_BYTES: usize = 24;

/// Largest file that is read. That of a full distribution has 200 KB.
pub(super) const BYTES_MAX: u64 = 16 << 20;

/// Makes the cache with the entries for libraries that `is_needed`. `None` if there are none, or if the file is in
/// another format (then the loader does without it as well).
pub(super) fn reduced(cache: &[u8], is_needed: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let cache = current(cache)?;
    let count = usize::try_from(number(cache, 20)?).ok()?;
    let table = cache.get(HEADER_BYTES..)?.chunks_exact(ENTRY_BYTES);
    let mut entries = Vec::new();
    for entry in table.take(count) {
        let name = string(cache, number(entry, 4)?)?;
        let path = string(cache, number(entry, 8)?)?;
        let for_all = entry[16..24] == [0; 8];
        if for_all && is_needed(path) {
            entries.push((entry, name, path));
        }
    }
    if entries.is_empty() {
        return None;
    }
    let mut head = cache[..HEADER_BYTES].to_vec();
    let mut table = Vec::new();
    let mut strings = Strings {
        start: HEADER_BYTES + entries.len() * ENTRY_BYTES,
        bytes: Vec::new(),
        known: HashMap::new(),
    };
    for &(entry, name, path) in &entries {
        table.extend_from_slice(&entry[..4]);
        table.extend_from_slice(&strings.add(name)?);
        table.extend_from_slice(&strings.add(path)?);
        table.extend_from_slice(&entry[12..]);
    }
    head[20..24].copy_from_slice(&u32::try_from(entries.len()).ok()?.to_ne_bytes());
    head[24..28].copy_from_slice(&u32::try_from(strings.bytes.len()).ok()?.to_ne_bytes());
    // No list of names of processors.
    head[32..36].fill(0);
    Some([head, table, strings.bytes].concat())
}

/// The part in the current format.
fn current(cache: &[u8]) -> Option<&[u8]> {
    let cache = if cache.starts_with(OLD_MAGIC) {
        let count = usize::try_from(number(cache, 12)?).ok()?;
        let end = count.checked_mul(12)?.checked_add(16)?;
        cache.get(end.next_multiple_of(8)..)?
    } else {
        cache
    };
    cache.starts_with(MAGIC).then_some(cache)
}

/// The loader's own byte order is this machine's.
fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..offset + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn string(cache: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = cache.get(usize::try_from(offset).ok()?..)?;
    rest.split(|&byte| byte == 0).next()
}

/// Strings behind a table, each once.
struct Strings<'a> {
    /// Where they start in the file.
    start: usize,
    bytes: Vec<u8>,
    known: HashMap<&'a [u8], usize>,
}

impl<'a> Strings<'a> {
    fn add(&mut self, string: &'a [u8]) -> Option<[u8; 4]> {
        let offset = *self.known.entry(string).or_insert_with(|| {
            let offset = self.start + self.bytes.len();
            self.bytes.extend_from_slice(string);
            self.bytes.push(0);
            offset
        });
        Some(u32::try_from(offset).ok()?.to_ne_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// `ldconfig -p` of a cache: name and path of each entry.
    fn list(cache: &[u8]) -> Vec<(String, String)> {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("cache");
        std::fs::write(&file, cache).unwrap();
        let output = Command::new("/sbin/ldconfig")
            .args(["-p", "-C"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let entry = |line: &str| {
            let (name, path) = line.trim().split_once(" => ")?;
            Some((name.to_owned(), path.to_owned()))
        };
        text.lines().filter_map(entry).collect()
    }

    /// What `ldconfig` reads out of a reduced cache is what it reads out of the whole one, less the rest.
    #[test]
    fn ldconfig_reads_it() {
        let Ok(whole) = std::fs::read(PATH) else {
            eprintln!("skipped: no {PATH}");
            return;
        };
        let is_needed = |path: &[u8]| path.ends_with(b"libc.so.6") || path.ends_with(b"libz.so.1");
        let made = reduced(&whole, is_needed).unwrap();
        let mut expect = list(&whole);
        expect.retain(|(_, path)| is_needed(path.as_bytes()));
        assert!(!expect.is_empty());
        assert_eq!(list(&made), expect);
        assert!(made.len() < 1024, "{}", made.len());
        assert_eq!(reduced(&made, is_needed), Some(made.clone()));
        assert_eq!(reduced(&whole, |_| false), None);

        let mut old = OLD_MAGIC.to_vec();
        old.extend(1u32.to_ne_bytes());
        old.extend([0; 16]);
        old.extend(&whole);
        assert_eq!(reduced(&old, is_needed), Some(made));
    }

    #[test]
    fn mutations() {
        let Ok(whole) = std::fs::read(PATH) else {
            return;
        };
        let small = reduced(&whole, |path| path.ends_with(b"libc.so.6")).unwrap();
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..20_000 {
            let mut bytes = small.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            if let Some(made) = reduced(&bytes, |_| true) {
                assert!(made.len() <= 4 * bytes.len());
            }
        }
    }
}
