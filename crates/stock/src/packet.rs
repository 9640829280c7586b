//! Packets, of which both directions of the protocol are made: a token of four
//! letters, eight hexadecimal digits, and for some tokens as many bytes as the
//! digits say.
//!
//! Here is what they look like and how they are written; `reader` takes them
//! out of a stream.

use std::fmt;

use crate::error::EncodeError;

/// Bytes of a token with its number.
pub(crate) const HEADER_BYTES: usize = 12;
pub(crate) const TOKEN_BYTES: usize = 4;

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The kind of a packet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Token {
            $($(#[$doc])* $name,)*
        }

        impl Token {
            /// Every token.
            pub const ALL: &[Token] = &[$(Token::$name,)*];

            /// The four letters on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Token::$name => $text,)* }
            }
        }
    };
}

tokens! {
    /// Starts a request: protocol version.
    Dist = "DIST",
    /// Client's directory (version 3).
    Cdir = "CDIR",
    /// Number of words of the command line.
    Argc = "ARGC",
    /// One word of the command line.
    Argv = "ARGV",
    /// Preprocessed source.
    Doti = "DOTI",
    /// Number of files (version 3).
    Nfil = "NFIL",
    /// A file's absolute path on the client.
    Name = "NAME",
    /// A file's content.
    File = "FILE",
    /// A symbolic link's target.
    Link = "LINK",
    /// Starts a reply: protocol version.
    Done = "DONE",
    /// Wait status of the compiler.
    Stat = "STAT",
    /// The compiler's standard error.
    Serr = "SERR",
    /// The compiler's standard output.
    Sout = "SOUT",
    /// The object.
    Doto = "DOTO",
    /// The dependency file (version 3).
    Dotd = "DOTD",
}

impl Token {
    pub(crate) fn bytes(self) -> &'static [u8] {
        self.as_str().as_bytes()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Appends a packet's token and number.
pub(crate) fn put_number(out: &mut Vec<u8>, token: Token, number: u32) {
    out.extend_from_slice(token.bytes());
    out.extend_from_slice(format!("{number:08x}").as_bytes());
}

/// Appends token and number of a packet that announces `len` bytes or items.
pub(crate) fn put_len(out: &mut Vec<u8>, token: Token, len: usize) -> Result<(), EncodeError> {
    let number = u32::try_from(len).map_err(|_| EncodeError::TooLong { token, len })?;
    put_number(out, token, number);
    Ok(())
}

/// Appends a whole packet with a path or argument in it.
pub(crate) fn put_string(
    out: &mut Vec<u8>,
    token: Token,
    string: &[u8],
) -> Result<(), EncodeError> {
    if string.contains(&0) {
        return Err(EncodeError::ZeroByte { token });
    }
    put_len(out, token, string.len())?;
    out.extend_from_slice(string);
    Ok(())
}

/// Up to twelve bytes that came in place of something else, printable.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Found(pub(crate) Vec<u8>);

impl Found {
    pub(crate) fn hint(&self) -> &'static str {
        match self.0.as_slice() {
            [b'*', ..] => {
                " (a client that wants GSSAPI authentication: remove `,auth` from its host list)"
            }
            [b'G' | b'H' | b'P', ..] => " (an HTTP client?)",
            [0x16, ..] => " (a TLS client?)",
            _ => "",
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_four_letters() {
        for token in Token::ALL {
            assert_eq!(token.bytes().len(), TOKEN_BYTES, "{token}");
        }
    }
}
