//! Length-prefixed little-endian fields: the alphabet of all messages.
//!
//! Written by hand because the shim, started once per compile, links nothing but the standard
//! library. A decoder never allocates more than the bytes it was given.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::limits::LIST_LEN_MAX;

/// Why bytes are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The message ends inside a field.
    Truncated,
    /// Bytes are left after the last field.
    Trailing,
    /// A number that stands for one of several things stands for none of them.
    UnknownTag {
        /// What was being read.
        what: &'static str,
        /// The number found.
        tag: u32,
    },
    /// A length or count exceeds its limit.
    TooLong {
        /// What was being read.
        what: &'static str,
        /// The length or count found.
        len: usize,
    },
    /// Text that is not UTF-8.
    NotText,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Truncated => f.write_str("message ends inside a field"),
            Self::Trailing => f.write_str("message has bytes after its last field"),
            Self::UnknownTag { what, tag } => write!(f, "unknown {what} {tag}"),
            Self::TooLong { what, len } => write!(f, "{what} of length {len} exceeds its limit"),
            Self::NotText => f.write_str("text is not UTF-8"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Collects the fields of one message.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn tagged(tag: u8) -> Self {
        Self(vec![tag])
    }
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(crate) fn i32(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    pub(crate) fn len(&mut self, len: usize) {
        self.u32(u32::try_from(len).expect("message fields are far below 4 GiB"));
    }
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.0.extend_from_slice(bytes);
    }
    pub(crate) fn os(&mut self, text: &OsStr) {
        self.bytes(text.as_bytes());
    }
    pub(crate) fn os_list(&mut self, list: &[OsString]) {
        self.len(list.len());
        for item in list {
            self.os(item);
        }
    }
    pub(crate) fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            put(self, value);
        }
    }
}

/// Takes the fields of one message apart.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        if len > self.0.len() {
            return Err(DecodeError::Truncated);
        }
        let (head, tail) = self.0.split_at(len);
        self.0 = tail;
        Ok(head)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self
            .take(N)?
            .try_into()
            .expect("take returns what was asked"))
    }
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }
    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_le_bytes(self.array()?))
    }
    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    pub(crate) fn bool(&mut self) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(DecodeError::UnknownTag {
                what: "truth value",
                tag: tag.into(),
            }),
        }
    }
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u32()? as usize;
        self.take(len)
    }
    pub(crate) fn os(&mut self) -> Result<OsString, DecodeError> {
        Ok(OsString::from_vec(self.bytes()?.to_vec()))
    }
    pub(crate) fn text(&mut self) -> Result<String, DecodeError> {
        let bytes = self.bytes()?;
        Ok(std::str::from_utf8(bytes)
            .map_err(|_| DecodeError::NotText)?
            .to_owned())
    }
    /// Reads a list; every item costs at least four bytes, so the count is checked against what
    /// is there before anything is allocated.
    pub(crate) fn list<T>(
        &mut self,
        what: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let len = self.u32()? as usize;
        if len > LIST_LEN_MAX || len > self.0.len() {
            return Err(DecodeError::TooLong { what, len });
        }
        let mut items = Vec::with_capacity(len.min(1024));
        for _ in 0..len {
            items.push(item(self)?);
        }
        Ok(items)
    }
    pub(crate) fn os_list(&mut self, what: &'static str) -> Result<Vec<OsString>, DecodeError> {
        self.list(what, Self::os)
    }
    pub(crate) fn option<T>(
        &mut self,
        get: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.bool()? {
            get(self).map(Some)
        } else {
            Ok(None)
        }
    }
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing)
        }
    }
}
