//! A decompressor that can be given anything: every read is checked, and it
//! never holds more than the caller allows.

use super::{M2_DISTANCE_MAX, M3_DISTANCE_MAX};

/// Why a block cannot be decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The content is longer than the caller wants it.
    #[error("the content is longer than {limit} bytes")]
    LimitExceeded {
        /// The limit in bytes.
        limit: usize,
    },
    /// The block stops in the middle of an instruction or without its end mark.
    #[error("the compressed block is cut short after {len} bytes")]
    Truncated {
        /// Length of the block in bytes.
        len: usize,
    },
    /// A match reaches back beyond the start.
    #[error("at byte {at} the compressed block refers {distance} bytes back, but there are {have}")]
    LookBehind {
        /// Where in the block.
        at: usize,
        /// How far back.
        distance: usize,
        /// Bytes of content there.
        have: usize,
    },
    /// Something follows the end mark.
    #[error("{extra} bytes follow the end of the compressed block")]
    Trailing {
        /// How many bytes.
        extra: usize,
    },
}

/// Decompresses one block to at most `limit` bytes.
pub fn decompress(block: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    let mut unpacker = Unpacker {
        block,
        at: 0,
        out: Vec::new(),
        limit,
    };
    // Four times is a common ratio; more comes as it is needed.
    unpacker
        .out
        .reserve(block.len().saturating_mul(4).min(limit));
    unpacker.run()?;
    match block.len() - unpacker.at {
        0 => Ok(unpacker.out),
        extra => Err(DecompressError::Trailing { extra }),
    }
}

/// What the instruction before was, on which the meaning of the bytes 0 to 15 depends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// A match without literals (or nothing at all).
    Match,
    /// A match with one to three literals.
    FewLiterals,
    /// Four literals or more.
    ManyLiterals,
}

struct Unpacker<'a> {
    block: &'a [u8],
    at: usize,
    out: Vec<u8>,
    limit: usize,
}

impl Unpacker<'_> {
    fn run(&mut self) -> Result<(), DecompressError> {
        let mut before = Before::Match;
        if let Some(&first @ 18..) = self.block.first() {
            self.at += 1;
            let count = usize::from(first) - 17;
            self.literals(count)?;
            before = if count < 4 {
                Before::FewLiterals
            } else {
                Before::ManyLiterals
            };
        }
        loop {
            let code = usize::from(self.byte()?);
            let (length, distance, few) = match (code, before) {
                (0..=15, Before::Match) => {
                    let count = 3 + self.length(code, 15)?;
                    self.literals(count)?;
                    before = Before::ManyLiterals;
                    continue;
                }
                (0..=15, Before::FewLiterals) => (
                    2,
                    (code >> 2) + (usize::from(self.byte()?) << 2) + 1,
                    code & 3,
                ),
                (0..=15, Before::ManyLiterals) => {
                    let base = (code >> 2) + (usize::from(self.byte()?) << 2) + 1;
                    (3, base + M2_DISTANCE_MAX, code & 3)
                }
                (16..=31, _) => {
                    let length = 2 + self.length(code & 7, 7)?;
                    let word = self.word()?;
                    let back = (code & 8) << 11 | word >> 2;
                    if back == 0 {
                        return Ok(());
                    }
                    (length, back + M3_DISTANCE_MAX, word & 3)
                }
                (32..=63, _) => {
                    let length = 2 + self.length(code & 31, 31)?;
                    let word = self.word()?;
                    (length, (word >> 2) + 1, word & 3)
                }
                _ => {
                    let back = (code >> 2 & 7) + (usize::from(self.byte()?) << 3);
                    ((code >> 5) + 1, back + 1, code & 3)
                }
            };
            self.copy(length, distance)?;
            self.literals(few)?;
            before = if few == 0 {
                Before::Match
            } else {
                Before::FewLiterals
            };
        }
    }

    fn byte(&mut self) -> Result<u8, DecompressError> {
        let byte = *self.block.get(self.at).ok_or_else(|| self.truncated())?;
        self.at += 1;
        Ok(byte)
    }

    fn word(&mut self) -> Result<usize, DecompressError> {
        Ok(usize::from(self.byte()?) | usize::from(self.byte()?) << 8)
    }

    /// A length as its instruction gives it, or for 0 as the bytes that follow do.
    fn length(&mut self, given: usize, base: usize) -> Result<usize, DecompressError> {
        if given != 0 {
            return Ok(given);
        }
        let rest = &self.block[self.at..];
        let zeros = rest
            .iter()
            .position(|&b| b != 0)
            .ok_or_else(|| self.truncated())?;
        self.at += zeros + 1;
        Ok(base
            .saturating_add(zeros.saturating_mul(255))
            .saturating_add(rest[zeros].into()))
    }

    fn literals(&mut self, count: usize) -> Result<(), DecompressError> {
        let literals = self.block[self.at..]
            .get(..count)
            .ok_or_else(|| self.truncated())?;
        self.check_room(count)?;
        self.out.extend_from_slice(literals);
        self.at += count;
        Ok(())
    }

    fn copy(&mut self, length: usize, distance: usize) -> Result<(), DecompressError> {
        let have = self.out.len();
        let Some(from) = have.checked_sub(distance) else {
            return Err(DecompressError::LookBehind {
                at: self.at,
                distance,
                have,
            });
        };
        self.check_room(length)?;
        // A match may reach into itself: then what it copies repeats, and each
        // round can copy twice as much as the one before.
        let end = have + length;
        while self.out.len() < end {
            let piece = (self.out.len() - from).min(end - self.out.len());
            self.out.extend_from_within(from..from + piece);
        }
        Ok(())
    }

    /// Checks that `more` bytes are allowed, and makes room for them without
    /// reserving more than the limit.
    fn check_room(&mut self, more: usize) -> Result<(), DecompressError> {
        let limit = self.limit;
        let needed = self.out.len().checked_add(more).filter(|&len| len <= limit);
        let needed = needed.ok_or(DecompressError::LimitExceeded { limit })?;
        if needed > self.out.capacity() {
            let capacity = needed.max(self.out.capacity().saturating_mul(2)).min(limit);
            self.out.reserve_exact(capacity - self.out.len());
        }
        Ok(())
    }

    fn truncated(&self) -> DecompressError {
        DecompressError::Truncated {
            len: self.block.len(),
        }
    }
}
