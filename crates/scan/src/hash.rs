//! A fast hash for trusted, bounded tables, and one for the identity of content within one process.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

const SEED: u64 = 0x517c_c1b7_2722_0a95;

/// A map keyed by small integers or tuples of them.
pub(crate) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<Fast>>;

/// A set of them.
pub(crate) type FastSet<K> = HashSet<K, BuildHasherDefault<Fast>>;

/// Multiplies and rotates; good enough where keys are our own numbers.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Fast(u64);

impl Hasher for Fast {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.write_u64(bytes64(bytes));
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(u64::from(n));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(SEED);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

/// Hash of bytes.
pub(crate) fn bytes64(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        hash = (hash.rotate_left(5) ^ word).wrapping_mul(SEED);
    }
    let mut last = 0u64;
    for &byte in chunks.remainder() {
        last = (last << 8) | u64::from(byte);
    }
    hash = (hash.rotate_left(5) ^ last).wrapping_mul(SEED);
    hash ^ (hash >> 32)
}

/// Hash of bytes, folded.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half of a hash is meant"
)]
pub(crate) fn bytes32(bytes: &[u8]) -> u32 {
    bytes64(bytes) as u32
}
