//! `Digest`: its hash is text on the wire, and which function made it is said elsewhere.

use store::{Digest, DigestFunction};

use crate::invalid::{In, Invalid, Problem};
use crate::proto::re;
use crate::wire::{put_element, put_message, put_signed};

const DIGEST: In = In("Digest");

/// Reads the message.
pub(crate) fn decode(function: DigestFunction, bytes: &[u8]) -> Result<Digest, Invalid> {
    let (mut hash, mut size) = ("", 0);
    for field in DIGEST.fields(bytes) {
        match field? {
            (1, value) => hash = DIGEST.at("hash", value.text())?,
            (2, value) => size = DIGEST.at("size_bytes", value.i64())?,
            _ => {}
        }
    }
    from_parts(function, hash, size)
}

/// Makes one of what generated types hold.
pub(crate) fn from_parts(
    function: DigestFunction,
    hash: &str,
    size_bytes: i64,
) -> Result<Digest, Invalid> {
    let size = u64::try_from(size_bytes).map_err(|_| Problem::NegativeSize(size_bytes));
    let size = DIGEST.at("size_bytes", size)?;
    DIGEST.at("hash", Digest::from_hex(function, hash, size))
}

/// Appends the message as field `number`.
pub(crate) fn put(out: &mut Vec<u8>, number: u32, digest: &Digest) {
    put_message(out, number, |out| put_fields(out, digest));
}

fn put_fields(out: &mut Vec<u8>, digest: &Digest) {
    put_element(out, 1, &hex(digest));
    put_signed(out, 2, size(digest));
}

/// The size as the wire has it. A blob of 2^63 bytes cannot be.
pub(crate) fn size(digest: &Digest) -> i64 {
    i64::try_from(digest.size_bytes).unwrap_or(i64::MAX)
}

/// The hash's digits, without allocating.
pub(crate) fn hex(digest: &Digest) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest.hash) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// What a message's `digest_function` is for digests of this function.
pub(crate) fn function_value(function: DigestFunction) -> i32 {
    match function {
        DigestFunction::Sha256 => re::digest_function::Value::Sha256.into(),
        DigestFunction::Blake3 => re::digest_function::Value::Blake3.into(),
    }
}

/// The message of a digest.
pub(crate) fn to_message(digest: &Digest) -> re::Digest {
    re::Digest {
        hash: digest.hex(),
        size_bytes: size(digest),
    }
}
