//! What a server answers: `DONE`, the compiler's end, its output, the object.
//!
//! ```text
//! DONE v, STAT, SERR, SOUT, DOTO, and in version 3 on success DOTD
//! ```
//!
//! A server that refuses a job says nothing at all and closes: then
//! [`ReplyDecoder::closed`] gives an error with `received == 0`.

mod decoder;

use std::borrow::Cow;

pub use decoder::ReplyDecoder;

use crate::{
    error::{EncodeError, UnpackError},
    limits::Limits,
    packed::{Budget, Packed},
    packet::{Token, put_len, put_number},
    version::Version,
};

/// The outcome of one compile, with plain bodies or (`Reply<Packed>`) with
/// bodies as they are on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<B = Vec<u8>> {
    /// The request's version.
    pub version: Version,
    /// The compiler's status as `wait` gives it on Linux: exit code times 256,
    /// or the signal that ended it.
    pub wait_status: u32,
    /// The compiler's standard error; stock servers add warnings of their own.
    pub stderr: B,
    /// The compiler's standard output.
    pub stdout: B,
    /// The object (or assembler text, with `-S`); empty if the compiler failed.
    pub object: B,
    /// The dependency file; in version 3 on success only.
    pub deps: Option<B>,
}

/// How a compiler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this code.
    Exit(u8),
    /// This signal killed it.
    Signal(u8),
}

impl Ended {
    /// Splits a wait status as Linux defines it.
    pub fn from_wait_status(status: u32) -> Ended {
        let [signal, code, ..] = status.to_le_bytes();
        match signal & 0x7f {
            0 => Ended::Exit(code),
            signal => Ended::Signal(signal),
        }
    }

    /// The wait status that says this.
    pub fn wait_status(self) -> u32 {
        match self {
            Ended::Exit(code) => u32::from(code) << 8,
            Ended::Signal(signal) => u32::from(signal & 0x7f),
        }
    }

    /// What a shell, and stock's client, makes of it: the code, or 128 plus the signal.
    pub fn exit_code(self) -> u8 {
        match self {
            Ended::Exit(code) => code,
            Ended::Signal(signal) => 128 + (signal & 0x7f),
        }
    }
}

impl<B> Reply<B> {
    /// How the compiler ended.
    pub fn ended(&self) -> Ended {
        Ended::from_wait_status(self.wait_status)
    }

    fn has_deps(version: Version, wait_status: u32) -> bool {
        version.sends_files() && wait_status == 0
    }
}

impl Reply {
    /// Brings the bodies into wire form, which for versions 2 and 3 compresses them.
    pub fn pack(self) -> Reply<Packed> {
        let pack = |bytes| Packed::new(self.version, bytes);
        Reply {
            version: self.version,
            wait_status: self.wait_status,
            stderr: pack(self.stderr),
            stdout: pack(self.stdout),
            object: pack(self.object),
            deps: self.deps.map(pack),
        }
    }
}

impl Reply<Packed> {
    /// Decompresses the bodies, to at most `limits.unpacked_bytes_max` bytes together.
    pub fn unpack(self, limits: &Limits) -> Result<Reply, UnpackError> {
        let mut budget = Budget::new(limits.unpacked_bytes_max);
        let mut unpack = |token, body| {
            budget
                .unpack(body)
                .map_err(|source| UnpackError { token, source })
        };
        Ok(Reply {
            version: self.version,
            wait_status: self.wait_status,
            stderr: unpack(Token::Serr, self.stderr)?,
            stdout: unpack(Token::Sout, self.stdout)?,
            object: unpack(Token::Doto, self.object)?,
            deps: self
                .deps
                .map(|deps| unpack(Token::Dotd, deps))
                .transpose()?,
        })
    }

    /// The bytes to send, as pieces to be written one after the other; bodies
    /// are borrowed, not copied. A version 3 success without `deps` is sent
    /// with empty ones, which the protocol demands.
    pub fn parts(&self) -> Result<Vec<Cow<'_, [u8]>>, EncodeError> {
        let with_deps = Self::has_deps(self.version, self.wait_status);
        let deps = self.deps.as_ref();
        if (self.wait_status != 0 && !self.object.is_empty()) || (deps.is_some() && !with_deps) {
            return Err(EncodeError::Output);
        }
        let mut head = Vec::new();
        put_number(&mut head, Token::Done, self.version.number());
        put_number(&mut head, Token::Stat, self.wait_status);

        let mut parts = Vec::with_capacity(8);
        let bodies = [
            (Token::Serr, Some(&self.stderr)),
            (Token::Sout, Some(&self.stdout)),
            (Token::Doto, Some(&self.object)),
            (Token::Dotd, deps),
        ];
        for (token, body) in bodies {
            if token == Token::Dotd && !with_deps {
                continue;
            }
            let Some(body) = body.filter(|b| !b.is_empty()) else {
                put_number(&mut head, token, 0);
                continue;
            };
            if !body.fits(self.version) {
                return Err(EncodeError::Packing(self.version));
            }
            put_len(&mut head, token, body.len())?;
            parts.push(Cow::Owned(std::mem::take(&mut head)));
            parts.push(Cow::Borrowed(body.as_bytes()));
        }
        parts.push(Cow::Owned(head));
        Ok(parts)
    }

    /// The bytes to send, in one piece.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        Ok(self.parts()?.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_status_is_taken_apart_as_on_linux() {
        for (status, ended, code) in [
            (0x0000, Ended::Exit(0), 0),
            (0x0100, Ended::Exit(1), 1),
            (0x6e00, Ended::Exit(110), 110),
            (0x000b, Ended::Signal(11), 139),
            (0x008b, Ended::Signal(11), 139), // with a core dump
        ] {
            assert_eq!(Ended::from_wait_status(status), ended, "{status:#x}");
            assert_eq!(ended.exit_code(), code, "{status:#x}");
            assert_eq!(ended.wait_status(), status & !0x80);
        }
    }

    #[test]
    fn a_failure_with_an_object_is_not_sent() {
        let reply = Reply {
            version: Version::V1,
            wait_status: 0x100,
            stderr: Vec::new(),
            stdout: Vec::new(),
            object: b"half".to_vec(),
            deps: None,
        };
        assert_eq!(reply.pack().encode(), Err(EncodeError::Output));
    }
}
