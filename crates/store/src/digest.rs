//! What a blob is called: the hash of its bytes, the function that made it, and its size.
//!
//! Two functions, as the Remote Execution API has them: SHA-256, which every program speaks, and
//! BLAKE3, which is several times faster. Both use the processor's own instructions where it has
//! them, found when the program runs.

use std::fmt;

use sha2::Digest as _;
use thiserror::Error;

/// Bytes of a hash of either function.
pub(crate) const HASH_BYTES: usize = 32;

/// How blobs are hashed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DigestFunction {
    /// SHA-256.
    Sha256,
    /// BLAKE3 with 32 bytes.
    Blake3,
}

impl DigestFunction {
    /// Every function.
    pub const ALL: [DigestFunction; 2] = [DigestFunction::Sha256, DigestFunction::Blake3];

    /// The name in file names: `sha256`, `blake3`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DigestFunction::Sha256 => "sha256",
            DigestFunction::Blake3 => "blake3",
        }
    }

    /// The function of a [`name`](DigestFunction::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<DigestFunction> {
        DigestFunction::ALL
            .into_iter()
            .find(|function| function.name() == name)
    }
}

/// The name of a blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    /// The function that made `hash`.
    pub function: DigestFunction,
    /// The hash of all bytes.
    pub hash: [u8; 32],
    /// How many bytes.
    pub size_bytes: u64,
}

/// For tables: some bytes of a hash are as good as all. Thousands of digests are looked up for a compile.
impl std::hash::Hash for Digest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        if let Some(start) = self.hash.first_chunk() {
            state.write_u64(u64::from_le_bytes(*start));
        }
    }
}

impl Digest {
    /// The digest of bytes in memory.
    #[must_use]
    pub fn of(function: DigestFunction, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(function);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The hash in lower-case hexadecimal, 64 digits.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut hex = String::with_capacity(2 * HASH_BYTES);
        self.push_hex(&mut hex);
        hex
    }

    /// Appends [`hex`](Digest::hex) to a text.
    pub(crate) fn push_hex(&self, text: &mut String) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in self.hash {
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }

    /// Reads what [`hex`](Digest::hex) wrote. Upper case is refused, as the Remote Execution API
    /// wants it: one blob must not have two names.
    ///
    /// # Errors
    /// Not 64 digits, or not lower-case hexadecimal.
    pub fn from_hex(
        function: DigestFunction,
        hex: &str,
        size_bytes: u64,
    ) -> Result<Digest, DigestError> {
        let digits = hex.as_bytes();
        if digits.len() != 2 * HASH_BYTES {
            return Err(DigestError::Length {
                digits: digits.len(),
            });
        }
        let mut hash = [0; HASH_BYTES];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Digest {
            function,
            hash,
            size_bytes,
        })
    }

    /// Whether this is the digest of no bytes at all.
    #[must_use]
    pub fn is_empty_blob(&self) -> bool {
        self.size_bytes == 0 && self.hash == empty_hash(self.function)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}/{}",
            self.function.name(),
            self.hex(),
            self.size_bytes
        )
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no digest.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DigestError {
    /// The wrong number of digits.
    #[error("a hash has 64 hexadecimal digits, not {digits}")]
    Length {
        /// How many there were, in bytes.
        digits: usize,
    },
    /// Something else than `0`–`9` and `a`–`f`.
    #[error("a hash consists of the digits 0-9 and a-f")]
    Digit,
}

fn nibble(digit: u8) -> Result<u8, DigestError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(DigestError::Digit),
    }
}

fn empty_hash(function: DigestFunction) -> [u8; HASH_BYTES] {
    use std::sync::OnceLock;
    static EMPTY: OnceLock<[[u8; HASH_BYTES]; 2]> = OnceLock::new();
    let hashes = EMPTY
        .get_or_init(|| DigestFunction::ALL.map(|function| Hasher::new(function).finish().hash));
    match function {
        DigestFunction::Sha256 => hashes[0],
        DigestFunction::Blake3 => hashes[1],
    }
}

/// Makes a [`Digest`] from bytes that come in pieces.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: State,
    size_bytes: u64,
}

#[derive(Clone, Debug)]
enum State {
    Sha256(Box<sha2::Sha256>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// A hasher that has seen nothing.
    #[must_use]
    pub fn new(function: DigestFunction) -> Hasher {
        Hasher {
            state: match function {
                DigestFunction::Sha256 => State::Sha256(Box::default()),
                DigestFunction::Blake3 => State::Blake3(Box::default()),
            },
            size_bytes: 0,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(state) => state.update(bytes),
            State::Blake3(state) => drop(state.update(bytes)),
        }
        self.size_bytes += bytes.len() as u64;
    }

    /// The digest of everything seen.
    #[must_use]
    pub fn finish(self) -> Digest {
        let (function, hash) = match self.state {
            State::Sha256(state) => (DigestFunction::Sha256, (*state).finalize().into()),
            State::Blake3(state) => (DigestFunction::Blake3, state.finalize().into()),
        };
        Digest {
            function,
            hash,
            size_bytes: self.size_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From FIPS 180-2 and from the BLAKE3 reference's `b3sum`.
    const KNOWN: &[(DigestFunction, &str, &str)] = &[
        (
            DigestFunction::Sha256,
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            DigestFunction::Sha256,
            "",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            DigestFunction::Blake3,
            "abc",
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        ),
        (
            DigestFunction::Blake3,
            "",
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        ),
    ];

    #[test]
    fn hashes_are_those_of_the_standards() {
        for (function, text, hex) in KNOWN {
            let digest = Digest::of(*function, text.as_bytes());
            assert_eq!(digest.hex(), *hex);
            assert_eq!(
                Digest::from_hex(*function, hex, text.len() as u64),
                Ok(digest)
            );
            assert_eq!(digest.is_empty_blob(), text.is_empty());
        }
    }

    #[test]
    fn pieces_give_the_digest_of_the_whole() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        for function in DigestFunction::ALL {
            let mut hasher = Hasher::new(function);
            for piece in bytes.chunks(777) {
                hasher.update(piece);
            }
            assert_eq!(hasher.finish(), Digest::of(function, &bytes));
        }
    }

    #[test]
    fn other_texts_are_no_digests() {
        let from = |hex: &str| Digest::from_hex(DigestFunction::Sha256, hex, 1);
        assert_eq!(from("ab"), Err(DigestError::Length { digits: 2 }));
        assert_eq!(from(&"A".repeat(64)), Err(DigestError::Digit));
        assert_eq!(from(&"g".repeat(64)), Err(DigestError::Digit));
        assert_eq!(from(&"é".repeat(32)), Err(DigestError::Digit));
    }

    #[test]
    fn functions_have_names() {
        for function in DigestFunction::ALL {
            assert_eq!(DigestFunction::from_name(function.name()), Some(function));
        }
        assert_eq!(DigestFunction::from_name("md5"), None);
    }
}
