//! A frame: four bytes of length, little-endian, then that many bytes of payload.

use crate::codec::DecodeError;
use crate::limits::FRAME_BYTES_MAX;

/// Bytes before the payload.
pub const HEADER_LEN: usize = 4;

/// Puts a payload into a frame.
#[must_use]
pub fn encode(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("payloads are far below 4 GiB");
    let mut frame = Vec::with_capacity(HEADER_LEN + payload.len());
    frame.extend_from_slice(&len.to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// The payload length that a header announces.
///
/// # Errors
/// The length exceeds [`FRAME_BYTES_MAX`].
pub fn payload_len(header: [u8; HEADER_LEN]) -> Result<usize, DecodeError> {
    let len = u32::from_le_bytes(header) as usize;
    if len > FRAME_BYTES_MAX {
        return Err(DecodeError::TooLong { what: "frame", len });
    }
    Ok(len)
}

/// Splits the first whole frame off a buffer: its payload and the bytes it took, or `None` while
/// more bytes are needed.
///
/// # Errors
/// The frame announces more than [`FRAME_BYTES_MAX`].
pub fn split(buffer: &[u8]) -> Result<Option<(&[u8], usize)>, DecodeError> {
    let Some(header) = buffer.first_chunk::<HEADER_LEN>() else {
        return Ok(None);
    };
    let end = HEADER_LEN + payload_len(*header)?;
    Ok(buffer.get(HEADER_LEN..end).map(|payload| (payload, end)))
}
