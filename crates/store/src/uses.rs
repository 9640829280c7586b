//! The file `uses`: what the disk knows of the order in which things were used.
//!
//! ```text
//! record     24 bytes: number of a file, time of its use, check of both; little-endian
//! ```
//!
//! Records are appended, many at once; a later one counts. Losing some costs nothing but order, so
//! nothing protects the file: a record with a wrong check is passed over, an incomplete one at the
//! end too. A new file has no record: its number says when it came. A use is not written down when
//! the disk knows of one that is nearly as late, so that hot entries cost nothing.
//!
//! When the file has grown to several times of what it must hold it is written anew, beside and
//! then renamed.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::layout::NUMBER_MAX;

pub(crate) const RECORD_BYTES: usize = 24;

/// Makes a record of zeros, as crashes leave them, wrong.
const SALT: u64 = 0xfa4c_c5e5;

/// A file was used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Use {
    pub(crate) number: u64,
    pub(crate) time: u64,
}

impl Use {
    fn check(&self) -> u64 {
        (self.number ^ self.time.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ SALT
    }

    fn decode(record: &[u8]) -> Option<Use> {
        let (number, rest) = record.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let it = Use {
            number: u64::from_le_bytes(*number),
            time: u64::from_le_bytes(*time),
        };
        let is_right = rest == it.check().to_le_bytes();
        (is_right && it.number <= NUMBER_MAX && it.time <= NUMBER_MAX).then_some(it)
    }
}

pub(crate) fn encode(uses: &[Use]) -> Vec<u8> {
    uses.iter()
        .flat_map(|it| [it.number, it.time, it.check()])
        .flat_map(u64::to_le_bytes)
        .collect()
}

/// Everything in some bytes that is a record.
pub(crate) fn decode(bytes: &[u8]) -> impl Iterator<Item = Use> {
    bytes.chunks_exact(RECORD_BYTES).filter_map(Use::decode)
}

/// The last use of each file, for asking.
#[derive(Default)]
pub(crate) struct LastUses {
    times: HashMap<u64, u64>,
    latest: u64,
}

impl LastUses {
    pub(crate) fn new(uses: impl Iterator<Item = Use>) -> LastUses {
        let mut last = LastUses::default();
        for it in uses {
            let time = last.times.entry(it.number).or_insert(0);
            *time = it.time.max(*time);
            last.latest = it.time.max(last.latest);
        }
        last
    }

    /// How many files were used.
    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// The latest use of all, also of files that are gone.
    pub(crate) fn latest(&self) -> u64 {
        self.latest
    }

    /// When a file was used last; 0 if that is not known.
    pub(crate) fn of(&self, number: u64) -> u64 {
        self.times.get(&number).copied().unwrap_or(0)
    }
}

/// The open file, and where its next record goes.
pub(crate) struct Journal {
    /// None where it could not be made, on a full disk.
    file: Option<File>,
    end: u64,
}

impl Journal {
    /// A journal that goes on after some bytes.
    pub(crate) fn new(file: Option<File>, bytes: u64) -> Journal {
        Journal {
            file,
            end: bytes - bytes % RECORD_BYTES as u64,
        }
    }

    pub(crate) fn records(&self) -> u64 {
        self.end / RECORD_BYTES as u64
    }

    /// Appends. If that fails, what was written in part is overwritten by the next.
    pub(crate) fn append(&mut self, uses: &[Use]) -> io::Result<()> {
        if let Some(file) = &self.file {
            let bytes = encode(uses);
            file.write_all_at(&bytes, self.end)?;
            self.end += bytes.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_use_counts() {
        let uses = [(5, 9), (1, 10), (5, 12), (5, 11)].map(|(number, time)| Use { number, time });
        let last = LastUses::new(decode(&encode(&uses)));
        assert_eq!([1, 2, 5, 6].map(|number| last.of(number)), [10, 0, 12, 0]);
    }

    #[test]
    fn damaged_records_are_passed_over() {
        let uses = [1, 2, 3].map(|number| Use { number, time: 7 });
        let mut bytes = encode(&uses);
        bytes[RECORD_BYTES] ^= 1;
        bytes.extend([0; RECORD_BYTES + 5]);
        let read: Vec<_> = decode(&bytes).map(|it| it.number).collect();
        assert_eq!(read, [1, 3]);
    }
}
