//! Takes whole packets out of a stream that comes in whatever pieces the
//! socket delivers.
//!
//! It knows nothing of the order in which packets come (that is `request` and
//! `reply`). A wrong token is refused at its first wrong byte, because a client
//! that speaks something else may wait for an answer after that byte, and
//! memory grows with the bytes that came, whatever a length field says.

use std::fmt;

use crate::{
    error::DecodeError,
    packet::{Found, HEADER_BYTES, TOKEN_BYTES, Token},
};

/// What a decoder was waiting for, for messages such as "connection closed
/// while waiting for DOTI: 12 of 300 bytes".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Name of the packet or packets.
    pub packet: &'static str,
    /// For words and files: which one, counted from 1, of how many.
    pub item: Option<(u32, u32)>,
    /// Bytes of the body there and announced; `None` while the header is incomplete.
    pub body: Option<(u64, u64)>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.packet)?;
        if let Some((item, of)) = self.item {
            write!(f, " {item} of {of}")?;
        }
        if let Some((got, of)) = self.body {
            write!(f, ": {got} of {of} bytes")?;
        }
        Ok(())
    }
}

/// Whether a decoder has its whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// Every byte was taken; more are needed.
    NeedMore,
    /// The message is complete.
    Done {
        /// How many of the bytes handed in last lie behind the message. The
        /// protocol has nothing to say there: anything but 0 is a mistake of
        /// the other side (which stock logs and ignores).
        unused: usize,
    },
}

/// Takes whole packets out of a stream of bytes.
#[derive(Debug)]
pub(crate) struct Reader {
    header: [u8; HEADER_BYTES],
    header_len: usize,
    /// Set between a body's header and its last byte.
    body: Option<OpenBody>,
    received: u64,
    total_max: u64,
}

#[derive(Debug)]
struct OpenBody {
    token: Token,
    len: u32,
    bytes: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(total_max: u64) -> Reader {
        Reader {
            header: [0; HEADER_BYTES],
            header_len: 0,
            body: None,
            received: 0,
            total_max,
        }
    }

    /// Bytes taken so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes there and announced of the body being read.
    pub(crate) fn body_progress(&self) -> Option<(u64, u64)> {
        self.body
            .as_ref()
            .map(|b| (b.bytes.len() as u64, u64::from(b.len)))
    }

    /// Takes a packet that is only a number.
    pub(crate) fn number(
        &mut self,
        token: Token,
        input: &mut &[u8],
    ) -> Result<Option<u32>, DecodeError> {
        let header = self.header(&[token], token.as_str(), input)?;
        Ok(header.map(|(_, number)| number))
    }

    /// Takes a packet with a body of at most `max` bytes; `expected` names the
    /// `accepted` tokens for people.
    pub(crate) fn body(
        &mut self,
        accepted: &[Token],
        expected: &'static str,
        max: u64,
        input: &mut &[u8],
    ) -> Result<Option<(Token, Vec<u8>)>, DecodeError> {
        if self.body.is_none() {
            let Some((token, len)) = self.header(accepted, expected, input)? else {
                return Ok(None);
            };
            if u64::from(len) > max {
                return Err(DecodeError::TooLong { token, len, max });
            }
            let total = self.received + u64::from(len);
            if total > self.total_max {
                let max = self.total_max;
                return Err(DecodeError::MessageTooLong {
                    token,
                    len: total,
                    max,
                });
            }
            self.body = Some(OpenBody {
                token,
                len,
                bytes: Vec::new(),
            });
        }
        let Some(body) = &mut self.body else {
            return Ok(None);
        };
        let missing = body.len as usize - body.bytes.len();
        let piece = take(input, missing);
        self.received += piece.len() as u64;
        grow(&mut body.bytes, piece.len(), body.len as usize);
        body.bytes.extend_from_slice(piece);
        if body.bytes.len() < body.len as usize {
            return Ok(None);
        }
        Ok(self.body.take().map(|b| (b.token, b.bytes)))
    }

    /// Takes a packet that holds a path or argument.
    pub(crate) fn string(
        &mut self,
        token: Token,
        max: u64,
        input: &mut &[u8],
    ) -> Result<Option<Vec<u8>>, DecodeError> {
        let Some((token, bytes)) = self.body(&[token], token.as_str(), max, input)? else {
            return Ok(None);
        };
        if bytes.contains(&0) {
            return Err(DecodeError::ZeroByte { token });
        }
        Ok(Some(bytes))
    }

    fn header(
        &mut self,
        accepted: &[Token],
        expected: &'static str,
        input: &mut &[u8],
    ) -> Result<Option<(Token, u32)>, DecodeError> {
        let piece = take(input, HEADER_BYTES - self.header_len);
        let end = self.header_len + piece.len();
        self.header[self.header_len..end].copy_from_slice(piece);
        self.header_len = end;
        self.received += piece.len() as u64;

        let there = &self.header[..end];
        let start = &there[..end.min(TOKEN_BYTES)];
        let Some(&token) = accepted.iter().find(|t| t.bytes().starts_with(start)) else {
            let found = Found(there.to_vec());
            let offset = self.received - end as u64;
            return Err(DecodeError::Unexpected {
                expected,
                found,
                offset,
            });
        };
        if end < HEADER_BYTES {
            return Ok(None);
        }
        self.header_len = 0;
        match parse_hex(&self.header[TOKEN_BYTES..]) {
            Some(number) => Ok(Some((token, number))),
            None => {
                let found = Found(self.header[TOKEN_BYTES..].to_vec());
                Err(DecodeError::BadNumber { token, found })
            }
        }
    }
}

/// Splits up to `max` bytes off the front of `input`.
fn take<'a>(input: &mut &'a [u8], max: usize) -> &'a [u8] {
    let (piece, rest) = input.split_at(max.min(input.len()));
    *input = rest;
    piece
}

/// Makes room for `more` bytes, doubling, but never beyond `announced`: so
/// memory follows the bytes that came and not the length field.
fn grow(bytes: &mut Vec<u8>, more: usize, announced: usize) {
    let needed = bytes.len() + more;
    if needed > bytes.capacity() {
        let capacity = needed.max(bytes.capacity() * 2).min(announced);
        bytes.reserve_exact(capacity - bytes.len());
    }
}

/// Exactly eight hexadecimal digits of either case (stock sends lower case).
fn parse_hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, &digit| {
        let value = char::from(digit).to_digit(16)?;
        Some(number << 4 | value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_digits_are_exactly_eight_hexadecimal_ones() {
        assert_eq!(parse_hex(b"0000007f"), Some(0x7f));
        assert_eq!(parse_hex(b"FFFFffff"), Some(u32::MAX));
        for bad in [
            b"0x00007f",
            b"      7f",
            b"-0000001",
            b"+0000001",
            b"0000007g",
        ] {
            assert_eq!(parse_hex(bad), None);
        }
    }

    #[test]
    fn a_wrong_token_is_refused_at_its_first_byte() {
        let mut reader = Reader::new(100);
        let error = reader
            .number(Token::Dist, &mut b"*".as_slice())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected DIST, got \"*\" at byte 0 (a client that wants GSSAPI authentication: \
             remove `,auth` from its host list)"
        );
    }

    #[test]
    fn memory_follows_the_bytes_and_not_the_length_field() {
        let mut reader = Reader::new(u64::MAX);
        let mut input: &[u8] = b"DOTIffffffffabc";
        let got = reader
            .body(&[Token::Doti], "DOTI", u64::MAX, &mut input)
            .unwrap();
        assert!(got.is_none());
        assert_eq!(reader.body_progress(), Some((3, 0xffff_ffff)));
        assert!(reader.body.unwrap().bytes.capacity() < 100);
    }
}
