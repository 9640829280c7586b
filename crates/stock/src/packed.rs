//! A body as it lies on the wire: plain, or one LZO1X block.
//!
//! Decoders hand out bodies packed, and encoders take them packed, so that the
//! costly step can be done where the caller likes (another thread) and a body
//! can be passed on without being touched.

use crate::{lzo, version::Version};

/// A body in wire form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    bytes: Vec<u8>,
    is_lzo: bool,
}

impl Packed {
    /// Packs `bytes` as `version` wants them: moved if plain, compressed otherwise.
    pub fn new(version: Version, bytes: Vec<u8>) -> Packed {
        if version.is_compressed() {
            Packed::compress(&bytes)
        } else {
            Packed {
                bytes,
                is_lzo: false,
            }
        }
    }

    /// Compresses `bytes`. Nothing stays nothing: stock never sends an
    /// empty LZO block.
    pub fn compress(bytes: &[u8]) -> Packed {
        let packed = if bytes.is_empty() {
            Vec::new()
        } else {
            lzo::compress(bytes)
        };
        Packed {
            bytes: packed,
            is_lzo: true,
        }
    }

    /// Takes bytes that came off the wire in a message of `version`.
    pub fn received(version: Version, bytes: Vec<u8>) -> Packed {
        Packed {
            bytes,
            is_lzo: version.is_compressed(),
        }
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of bytes on the wire.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Is there nothing? Then the packed and unpacked lengths are both 0.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn fits(&self, version: Version) -> bool {
        self.is_lzo == version.is_compressed()
    }

    /// The content; an error if it is not a valid block, or longer than `limit` bytes.
    pub fn unpack(self, limit: usize) -> Result<Vec<u8>, lzo::DecompressError> {
        if self.bytes.len() > limit && !self.is_lzo {
            return Err(lzo::DecompressError::LimitExceeded { limit });
        }
        if self.is_lzo && !self.bytes.is_empty() {
            lzo::decompress(&self.bytes, limit)
        } else {
            Ok(self.bytes)
        }
    }
}

/// What is left of an allowance for unpacked bytes, spent body by body.
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) fn new(bytes_max: u64) -> Budget {
        Budget(usize::try_from(bytes_max).unwrap_or(usize::MAX))
    }

    pub(crate) fn unpack(&mut self, body: Packed) -> Result<Vec<u8>, lzo::DecompressError> {
        let bytes = body.unpack(self.0)?;
        self.0 -= bytes.len();
        Ok(bytes)
    }
}
