//! What can be wrong with a request or a reply, on the wire or before it.

use crate::{
    lzo,
    packet::{Found, Token},
    reader::Waiting,
    version::Version,
};

/// Why bytes that arrived are not the message that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Another packet, or no packet of this protocol at all.
    #[error("expected {expected}, got {found} at byte {offset}{}", found.hint())]
    Unexpected {
        /// The packet, or the two packets, that could follow here.
        expected: &'static str,
        /// The bytes that came.
        found: Found,
        /// Where they start in the message.
        offset: u64,
    },
    /// The eight characters after a token are not a hexadecimal number.
    #[error("expected eight hexadecimal digits after {token}, got {found}")]
    BadNumber {
        /// The packet's token.
        token: Token,
        /// What came where the digits should be.
        found: Found,
    },
    /// A version that stock does not define.
    #[error("protocol version {0} is unknown: versions 0 to 3 are spoken here")]
    UnknownVersion(u32),
    /// The reply belongs to another version than the request.
    #[error("asked in protocol version {asked}, answered in {answered}")]
    WrongVersion {
        /// What the request said.
        asked: Version,
        /// What follows `DONE`.
        answered: u32,
    },
    /// A body is longer than the limit for its kind.
    #[error("{token} announces {len} bytes, at most {max} are accepted")]
    TooLong {
        /// The packet's token.
        token: Token,
        /// The announced length in bytes.
        len: u32,
        /// The limit in bytes.
        max: u64,
    },
    /// More words or files than the limit.
    #[error("{token} announces {count} items, at most {max} are accepted")]
    TooMany {
        /// `ARGC` or `NFIL`.
        token: Token,
        /// The announced number.
        count: u32,
        /// The limit.
        max: u32,
    },
    /// The words of the command line are too long together.
    #[error("the command line is longer than {max} bytes")]
    ArgvTooLong {
        /// The limit in bytes.
        max: u64,
    },
    /// The whole message is too long.
    #[error("the message would be {len} bytes long with {token}, at most {max} are accepted")]
    MessageTooLong {
        /// The packet that goes over the limit.
        token: Token,
        /// Length so far with that packet, in bytes.
        len: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// A command line of no words.
    #[error("ARGC is 0: there is no compiler to run")]
    NoArguments,
    /// A zero byte inside a path or argument.
    #[error("{token} holds a zero byte")]
    ZeroByte {
        /// The packet's token.
        token: Token,
    },
    /// A failed compile came with an object.
    #[error(
        "the compiler failed (wait status {wait_status:#x}) and yet {len} bytes of output came"
    )]
    OutputOfFailure {
        /// What follows `STAT`.
        wait_status: u32,
        /// What follows `DOTO`.
        len: usize,
    },
    /// The other side hung up in mid-message. Made by a decoder's `closed()`.
    #[error("connection closed while waiting for {waiting}, after {received} bytes")]
    Closed {
        /// What should have come.
        waiting: Waiting,
        /// Bytes of the message that came before.
        received: u64,
    },
}

/// Why a message cannot be put on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Lengths and counts are 32 bits wide.
    #[error("{token} cannot carry {len}: at most 4294967295 (2^32 - 1)")]
    TooLong {
        /// The packet's token.
        token: Token,
        /// Bytes or items.
        len: usize,
    },
    /// A zero byte inside a path or argument would be its end for a stock server.
    #[error("{token} holds a zero byte")]
    ZeroByte {
        /// The packet's token.
        token: Token,
    },
    /// A command line of no words.
    #[error("a request needs at least the compiler's name")]
    NoArguments,
    /// Version 3 needs the client's directory; the others have no place for it.
    #[error("protocol version {0}: a client directory belongs to version 3, and only there")]
    Cwd(Version),
    /// Version 3 carries files; the others carry preprocessed text.
    #[error("protocol version {0}: files belong to version 3, preprocessed text to the others")]
    Input(Version),
    /// A body is compressed where its version has it plain, or the other way round.
    #[error("protocol version {0}: bodies are compressed in versions 2 and 3 only")]
    Packing(Version),
    /// A failed compile has no object, and only version 3 has dependencies.
    #[error("a reply carries an object only on success, and dependencies only in version 3")]
    Output,
}

/// A body that does not decompress.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to decompress {token}")]
pub struct UnpackError {
    /// The packet whose body it was.
    pub token: Token,
    /// What is wrong with it.
    pub source: lzo::DecompressError,
}
