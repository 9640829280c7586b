//! Entry point for fuzzers: what must hold for any bytes that lie in a store's directory.

use crate::layout::{Kind, Name};
use crate::{record, uses};

/// Reads bytes as each thing that a store reads from its disk, and checks that what is accepted is
/// what would be written.
///
/// # Panics
/// A decoder accepted bytes that its encoder would not write: a bug.
pub fn any_file(bytes: &[u8]) {
    if let Some((action, result)) = record::decode(bytes) {
        assert_eq!(record::encode(&action, result), bytes);
    }
    for (at, record) in bytes.chunks_exact(uses::RECORD_BYTES).enumerate() {
        let read: Vec<_> = uses::decode(record).collect();
        if !read.is_empty() {
            assert_eq!(uses::encode(&read), record, "record {at}");
        }
    }
    if let Ok(text) = str::from_utf8(bytes) {
        for kind in Kind::ALL {
            if let Some(name) = Name::parse(kind, text) {
                assert_eq!((name.file_name().as_str(), name.kind()), (text, kind));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Form;
    use crate::uses::Use;
    use crate::{Digest, DigestFunction};

    const SEED: u64 = 0x5eed_0002;
    const ROUNDS: usize = 20_000;

    fn seeds() -> Vec<Vec<u8>> {
        let digest = Digest::of(DigestFunction::Blake3, b"seed");
        let mut seeds = vec![
            record::encode(&digest, b"result"),
            uses::encode(&[1, 2, 3].map(|number| Use {
                number,
                time: 1 << 40,
            })),
        ];
        for form in [Form::Plain, Form::Executable, Form::Record(300)] {
            let name = Name {
                digest,
                number: 0xfa,
                form,
            };
            seeds.push(name.file_name().into_bytes());
        }
        seeds
    }

    /// What is written is accepted, and everything near it leads to no panic.
    #[test]
    fn mutated_files_never_panic() {
        let mut random = fastrand::Rng::with_seed(SEED);
        let seeds = seeds();
        assert!(record::decode(&seeds[0]).is_some());
        assert_eq!(uses::decode(&seeds[1]).count(), 3);
        for seed in &seeds {
            any_file(seed);
        }
        for _ in 0..ROUNDS {
            let mut bytes = random.choice(&seeds).unwrap().clone();
            for _ in 0..random.usize(0..4) {
                let at = random.usize(..bytes.len());
                bytes[at] = match random.u8(..3) {
                    0 => random.u8(..),
                    1 => bytes[at] ^ (1 << random.u8(..8)),
                    _ => *random.choice(b"0123456789abcdefx-+ ").unwrap(),
                };
            }
            bytes.truncate(random.usize(..=bytes.len()));
            any_file(&bytes);
        }
    }

    /// A record is for one action, and every bit of it counts.
    #[test]
    fn no_changed_record_is_accepted() {
        let record = seeds().swap_remove(0);
        for bit in 0..record.len() * 8 {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(record::decode(&changed), None, "bit {bit}");
        }
        for end in 0..record.len() {
            assert_eq!(record::decode(&record[..end]), None);
        }
    }
}
