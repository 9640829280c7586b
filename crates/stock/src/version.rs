//! The protocol versions that stock distcc 3.4 speaks.
//!
//! There is no negotiation: the client's host list says what to send, and a
//! server that does not know the version closes the connection without a word.

use std::fmt;

/// A version of the stock protocol: what is sent, and whether it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// What stock's server takes for version 1, but answers with `DONE 0`.
    V0,
    /// Preprocessed source, nothing compressed.
    V1,
    /// Preprocessed source, bodies compressed with LZO1X (`,lzo`).
    V2,
    /// The sources and headers themselves, compressed ("pump", `,lzo,cpp`).
    V3,
}

impl Version {
    /// Every version, in order.
    pub const ALL: [Version; 4] = [Version::V0, Version::V1, Version::V2, Version::V3];

    /// The number that follows `DIST` and `DONE`.
    pub fn number(self) -> u32 {
        match self {
            Version::V0 => 0,
            Version::V1 => 1,
            Version::V2 => 2,
            Version::V3 => 3,
        }
    }

    /// The version with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Version> {
        Version::ALL.into_iter().find(|v| v.number() == number)
    }

    /// Are bulk bodies (`DOTI`, `FILE`, `SERR`, `SOUT`, `DOTO`, `DOTD`) compressed?
    pub fn is_compressed(self) -> bool {
        matches!(self, Version::V2 | Version::V3)
    }

    /// Does the request carry source files (`NFIL`) and not preprocessed text (`DOTI`)?
    pub fn sends_files(self) -> bool {
        self == Version::V3
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}
