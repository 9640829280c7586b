//! A greedy one-pass compressor: at each place it asks a hash table where the
//! same four bytes were seen last, and takes that match if it is near enough.
//!
//! Where nothing matches, it strides faster and faster, so that what cannot be
//! compressed costs little.

use super::{
    END, M2_DISTANCE_MAX, M2_LENGTH_MAX, M3_DISTANCE_MAX, M3_LENGTH_MAX, M3_MARK, M4_DISTANCE_MAX,
    M4_LENGTH_MAX, M4_MARK,
};

/// Bytes that are hashed, and the shortest match.
const MATCH_MIN: usize = 4;
/// Two to this are the entries of the hash table: 64 KiB, which stays in the
/// second level cache of any processor.
const HASH_BITS: u32 = 14;
/// After two to this bytes without a match, the stride grows by one.
const SKIP_BITS: usize = 5;
/// Literals that the first byte of a block can announce.
const FIRST_LITERALS_MAX: usize = 238;

/// Compresses `input` into one block.
pub fn compress(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len() / 3 + 64);
    let mut table = vec![0_u32; 1 << HASH_BITS];
    let mut literals_from = 0;
    let mut at = 0;
    while let Some(word) = word_at(input, at) {
        let slot = &mut table[hash(word)];
        // Places are kept modulo 2^32: the difference is right all the same.
        let distance = low_bits(at).wrapping_sub(*slot) as usize;
        *slot = low_bits(at);
        let is_match = distance.wrapping_sub(1) < M4_DISTANCE_MAX
            && distance <= at
            && word_at(input, at - distance) == Some(word);
        if !is_match {
            at += 1 + ((at - literals_from) >> SKIP_BITS);
            continue;
        }
        let length = MATCH_MIN + common(input, at - distance + MATCH_MIN, at + MATCH_MIN);
        put_literals(&mut out, &input[literals_from..at]);
        put_match(&mut out, length, distance);
        at += length;
        literals_from = at;
        // The last bytes of a match often start the next one.
        if let Some(word) = word_at(input, at - 2) {
            table[hash(word)] = low_bits(at - 2);
        }
    }
    put_literals(&mut out, &input[literals_from..]);
    out.extend_from_slice(&END);
    out
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits are what is wanted"
)]
fn low_bits(place: usize) -> u32 {
    place as u32
}

fn word_at(input: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*input.get(at..)?.first_chunk()?))
}

fn hash(word: u32) -> usize {
    (word.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

/// How many bytes from `earlier` on equal those from `later` on.
fn common(input: &[u8], earlier: usize, later: usize) -> usize {
    let b = &input[later..];
    let a = &input[earlier..earlier + b.len()];
    let mut same = 0;
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        let a = u64::from_le_bytes(a.try_into().expect("chunks of eight"));
        let b = u64::from_le_bytes(b.try_into().expect("chunks of eight"));
        if a != b {
            return same + ((a ^ b).trailing_zeros() / 8) as usize;
        }
        same += 8;
    }
    same + a[same..]
        .iter()
        .zip(&b[same..])
        .take_while(|(a, b)| a == b)
        .count()
}

fn put_literals(out: &mut Vec<u8>, literals: &[u8]) {
    let count = literals.len();
    match count {
        0 => return,
        _ if out.is_empty() && count <= FIRST_LITERALS_MAX => out.push(byte(17 + count)),
        // Up to three literals are announced in the two low bits of the match before.
        1..=3 => {
            let flags = out.len() - 2;
            out[flags] |= byte(count);
        }
        4..=18 => out.push(byte(count - 3)),
        _ => {
            out.push(0);
            put_rest(out, count - 18);
        }
    }
    out.extend_from_slice(literals);
}

fn put_match(out: &mut Vec<u8>, length: usize, distance: usize) {
    if distance <= M2_DISTANCE_MAX && length <= M2_LENGTH_MAX {
        let back = distance - 1;
        out.push(byte((length - 1) << 5 | (back & 7) << 2));
        out.push(byte(back >> 3));
        return;
    }
    let (mark, length_max, back) = if distance <= M3_DISTANCE_MAX {
        (M3_MARK, M3_LENGTH_MAX, distance - 1)
    } else {
        let back = distance - M3_DISTANCE_MAX;
        (
            M4_MARK | byte((back & 0x4000) >> 11),
            M4_LENGTH_MAX,
            back & 0x3fff,
        )
    };
    if length <= length_max {
        out.push(mark | byte(length - 2));
    } else {
        out.push(mark);
        put_rest(out, length - length_max);
    }
    out.push(byte((back & 0x3f) << 2));
    out.push(byte(back >> 6));
}

/// The part of a length (from 1) that its instruction has no room for: a zero
/// byte for each 255, then what remains, which is never zero.
fn put_rest(out: &mut Vec<u8>, rest: usize) {
    let zeros = (rest - 1) / 255;
    out.resize(out.len() + zeros, 0);
    out.push(byte(rest - 255 * zeros));
}

fn byte(value: usize) -> u8 {
    u8::try_from(value).expect("lengths and distances were split to fit their bytes")
}
