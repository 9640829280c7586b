//! Random changes to good inputs, always the same ones for the same seed.

use fastrand::Rng;

/// Values that matter where lengths and counts are.
const NUMBERS: [&[u8]; 6] = [
    b"ffffffff",
    b"7fffffff",
    b"80000000",
    b"00000000",
    b"00000001",
    b"0000000g",
];

/// Changes `bytes` in one to four ways.
pub(crate) fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..rng.u32(1..=4) {
        if bytes.is_empty() {
            bytes.push(rng.u8(..));
        }
        let at = rng.usize(..bytes.len());
        let end = (at + rng.usize(1..=16)).min(bytes.len());
        match rng.u32(..8) {
            0 => bytes[at] ^= 1 << rng.u32(..8),
            1 => bytes[at] = rng.u8(..),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                let to = rng.usize(..=bytes.len());
                drop(bytes.splice(to..to, piece));
            }
            5 => bytes.insert(at, *rng.choice(b" \t\n#/=:,@[]0-+\0\xff").unwrap()),
            6 => {
                let number = rng.choice(NUMBERS).unwrap();
                let end = (at + number.len()).min(bytes.len());
                drop(bytes.splice(at..end, number.iter().copied()));
            }
            _ => bytes[at..end].fill(rng.u8(..)),
        }
    }
}
