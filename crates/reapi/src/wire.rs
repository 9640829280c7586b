//! Protobuf's wire format: fields out of bytes, and fields into bytes.
//!
//! Messages that live in the content-addressed store are read and written here instead of by the
//! generated types, for two reasons. Their digest is their name, so there is one right encoding:
//! fields in the order of their numbers, defaults left out. And they come from strangers: a
//! generated type makes hundreds of bytes of memory out of two bytes of message, while a reader
//! that checks each field as it comes never holds more than a small multiple of what was sent.
//!
//! Knows no message; see the files in `message/`.

use std::str;

/// Why bytes are no protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field ends behind the end of the message.
    #[error("the message ends inside a field")]
    Truncated,
    /// A number of more than 64 bits.
    #[error("a number has more than 64 bits")]
    Varint,
    /// A field number or wire type that does not exist.
    #[error("a field has an impossible tag")]
    Tag,
    /// A known field with another wire type than it has.
    #[error("a field has the wrong wire type")]
    WireType,
    /// Text that is no UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed64([u8; 8]),
    /// Of no message here; skipped.
    Fixed32,
}

impl<'a> Value<'a> {
    pub(crate) fn varint(self) -> Result<u64, Malformed> {
        match self {
            Value::Varint(number) => Ok(number),
            _ => Err(Malformed::WireType),
        }
    }

    pub(crate) fn bool(self) -> Result<bool, Malformed> {
        Ok(self.varint()? != 0)
    }

    /// `int64`.
    pub(crate) fn i64(self) -> Result<i64, Malformed> {
        Ok(self.varint()?.cast_signed())
    }

    /// `int32` and enumerations: protobuf keeps the low bits.
    #[expect(clippy::cast_possible_truncation, reason = "as protobuf does")]
    pub(crate) fn i32(self) -> Result<i32, Malformed> {
        Ok(self.varint()? as i32)
    }

    /// `uint32`: protobuf keeps the low bits.
    #[expect(clippy::cast_possible_truncation, reason = "as protobuf does")]
    pub(crate) fn u32(self) -> Result<u32, Malformed> {
        Ok(self.varint()? as u32)
    }

    /// `double`.
    pub(crate) fn f64(self) -> Result<f64, Malformed> {
        match self {
            Value::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            _ => Err(Malformed::WireType),
        }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed::WireType),
        }
    }

    pub(crate) fn text(self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.bytes()?).map_err(|_| Malformed::NotUtf8)
    }
}

/// The fields of one message, in the order in which they were sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut number = 0_u64;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return Err(Malformed::Varint);
            }
            number |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(number);
            }
        }
        Err(if self.rest.len() < 10 {
            Malformed::Truncated
        } else {
            Malformed::Varint
        })
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(len).map_err(|_| Malformed::Truncated)?;
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Malformed::Tag)?;
        let number = tag >> 3;
        if number == 0 {
            return Err(Malformed::Tag);
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::Truncated)?;
                self.rest = rest;
                Value::Fixed64(*bytes)
            }
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Fixed32)?,
            // Groups, which no message of this protocol has.
            _ => return Err(Malformed::Tag),
        };
        Ok((number, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends a number.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low_byte(number) | 0x80);
        number >>= 7;
    }
    out.push(low_byte(number));
}

#[expect(clippy::cast_possible_truncation, reason = "the low byte is meant")]
fn low_byte(number: u64) -> u8 {
    number as u8
}

fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    put_varint(out, u64::from(number << 3 | wire_type));
}

/// Appends a number's field, unless it has the default value 0.
pub(crate) fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        put_tag(out, number, 0);
        put_varint(out, value);
    }
}

/// Appends an `int32` or `int64`: negative numbers have ten bytes.
pub(crate) fn put_signed(out: &mut Vec<u8>, number: u32, value: i64) {
    put_number(out, number, value.cast_unsigned());
}

/// Appends a `double` that is one of several things that a field can be: zero is a value.
pub(crate) fn put_f64(out: &mut Vec<u8>, number: u32, value: f64) {
    put_tag(out, number, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a field of bytes or text, unless it is empty.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        put_element(out, number, bytes);
    }
}

/// Appends one element of a repeated field of bytes or text, which may be empty.
pub(crate) fn put_element(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a field that is a message, which `body` appends. Present even if it is empty.
pub(crate) fn put_message(out: &mut Vec<u8>, number: u32, body: impl FnOnce(&mut Vec<u8>)) {
    put_tag(out, number, 2);
    let length_at = out.len();
    out.push(0);
    body(out);
    let len = out.len() - length_at - 1;
    if let Ok(short @ 0..=0x7f) = u8::try_from(len) {
        out[length_at] = short;
    } else {
        let mut length = Vec::with_capacity(10);
        put_varint(&mut length, len as u64);
        out.splice(length_at..=length_at, length);
    }
}
