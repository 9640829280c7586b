//! What is in a directory, to tell of many headers at once that they are not.
//!
//! Headers are looked for in directory after directory, most of which have few files. Where many were looked for in
//! vain, the directory is read once; that holds as long as it is unchanged, like every single look in vain.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::hash;
use crate::limits::LISTED_NAMES_MAX;

/// The names in a directory, as far as it takes to say that one is not among them.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Hashes in order. Whatever the file system makes of upper and lower case, it is left out of account.
    hashes: Box<[u64]>,
}

/// What is known of the names in a directory.
#[derive(Debug)]
pub(crate) enum Listed {
    /// It was not read, and so many names were looked for in vain.
    Vain(u32),
    /// It was read, and that says nothing.
    OfNoUse,
    /// It was read.
    Names(Listing),
}

impl Listing {
    fn new(names: &[OsString]) -> Option<Self> {
        // What else is the same as other letters is not known for each file system.
        if names.len() > LISTED_NAMES_MAX || !names.iter().all(|name| name.is_ascii()) {
            return None;
        }
        let mut hashes: Box<[u64]> = names.iter().map(|name| key(name.as_bytes())).collect();
        hashes.sort_unstable();
        Some(Self { hashes })
    }

    /// Whether a name is certainly not in the directory.
    fn lacks(&self, name: &[u8]) -> bool {
        let is_plain = name.is_ascii() && !matches!(name, b"" | b"." | b"..");
        is_plain && self.hashes.binary_search(&key(name)).is_err()
    }
}

fn key(name: &[u8]) -> u64 {
    hash::bytes64(&name.to_ascii_lowercase())
}

impl Listed {
    /// What is known when the directory has changed. One that was of no use is not read again and again.
    pub(crate) fn after_change(&self) -> Self {
        match self {
            Self::OfNoUse => Self::OfNoUse,
            Self::Vain(_) | Self::Names(_) => Self::Vain(0),
        }
    }

    /// Notes that a name was looked for in vain.
    pub(crate) fn in_vain(&mut self) {
        if let Self::Vain(count) = self {
            *count += 1;
        }
    }

    /// Whether a name is certainly not in the directory; `read` reads it, after so many vain looks.
    pub(crate) fn lacks(
        &mut self,
        name: &[u8],
        vain_looks: u32,
        read: impl FnOnce() -> Option<Vec<OsString>>,
    ) -> bool {
        if matches!(self, Self::Vain(count) if *count >= vain_looks) {
            let listing = read().and_then(|names| Listing::new(&names));
            *self = listing.map_or(Self::OfNoUse, Self::Names);
        }
        matches!(self, Self::Names(listing) if listing.lacks(name))
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Names(listing) => size_of_val(&*listing.hashes),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::VAIN_LOOKS;

    fn read(names: &[&str]) -> Listed {
        let names = names.iter().map(OsString::from).collect();
        let mut listed = Listed::Vain(VAIN_LOOKS);
        assert!(listed.lacks(b"not there", VAIN_LOOKS, || Some(names)));
        listed
    }

    #[test]
    fn a_directory_is_read_when_much_was_looked_for_in_vain() {
        let mut listed = Listed::Vain(0);
        for _ in 0..VAIN_LOOKS {
            assert!(!listed.lacks(b"a.h", VAIN_LOOKS, || unreachable!("too early")));
            listed.in_vain();
        }
        assert!(listed.lacks(b"a.h", VAIN_LOOKS, || Some(vec!["b.h".into()])));
        assert!(!listed.lacks(b"b.h", VAIN_LOOKS, || unreachable!("it was read")));
    }

    #[test]
    fn what_may_be_there_by_another_name_is_not_lacking() {
        let mut listed = read(&["Upper.h", "sub"]);
        for name in ["upper.h", "UPPER.H", "sub", "", ".", "..", "\u{fc}.h"] {
            assert!(
                !listed.lacks(name.as_bytes(), VAIN_LOOKS, || None),
                "{name}"
            );
        }
        // U+212A, the sign for kelvin, is a k to some file systems.
        let names = vec!["\u{212a}.h".into()];
        let mut listed = Listed::Vain(VAIN_LOOKS);
        assert!(!listed.lacks(b"k.h", VAIN_LOOKS, || Some(names)));
        let mut unreadable = Listed::Vain(VAIN_LOOKS);
        assert!(!unreadable.lacks(b"a.h", VAIN_LOOKS, || None));
        assert!(matches!(unreadable.after_change(), Listed::OfNoUse));
        assert!(matches!(read(&[]).after_change(), Listed::Vain(0)));
    }
}
