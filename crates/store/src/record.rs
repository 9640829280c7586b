//! An action's result as it lies on disk.
//!
//! ```text
//! magic      8 bytes, "farccac1"
//! checksum   32 bytes, BLAKE3 of all that follows
//! function   1 byte, 1 = SHA-256, 2 = BLAKE3
//! size       8 bytes, little-endian, of the action
//! hash       32 bytes, of the action
//! result     the rest
//! ```
//!
//! The action's digest is inside so that a record under a wrong name is never served.

use crate::digest::HASH_BYTES;
use crate::{Digest, DigestFunction};

const MAGIC: &[u8; 8] = b"farccac1";

/// Bytes before the result.
pub(crate) const HEADER_BYTES: usize = MAGIC.len() + HASH_BYTES + 1 + 8 + HASH_BYTES;

const CHECKED_FROM: usize = MAGIC.len() + HASH_BYTES;

pub(crate) fn encode(action: &Digest, result: &[u8]) -> Vec<u8> {
    let mut checked = Vec::with_capacity(HEADER_BYTES + result.len());
    checked.extend(MAGIC);
    checked.extend([0; HASH_BYTES]);
    checked.push(match action.function {
        DigestFunction::Sha256 => 1,
        DigestFunction::Blake3 => 2,
    });
    checked.extend(action.size_bytes.to_le_bytes());
    checked.extend(action.hash);
    checked.extend(result);
    let checksum = blake3::hash(&checked[CHECKED_FROM..]);
    checked[MAGIC.len()..CHECKED_FROM].copy_from_slice(checksum.as_bytes());
    checked
}

/// The action and the result in a record. `None` for everything that [`encode`] would not write.
pub(crate) fn decode(record: &[u8]) -> Option<(Digest, &[u8])> {
    let (checksum, checked) = record
        .strip_prefix(MAGIC)?
        .split_first_chunk::<HASH_BYTES>()?;
    if blake3::hash(checked) != *checksum {
        return None;
    }
    let (function, rest) = checked.split_first()?;
    let (size, rest) = rest.split_first_chunk()?;
    let (hash, result) = rest.split_first_chunk()?;
    let function = match function {
        1 => DigestFunction::Sha256,
        2 => DigestFunction::Blake3,
        _ => return None,
    };
    let action = Digest {
        function,
        hash: *hash,
        size_bytes: u64::from_le_bytes(*size),
    };
    Some((action, result))
}
