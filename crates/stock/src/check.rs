//! What must hold for any bytes whatever: the bodies of the fuzz targets.
//!
//! Each function panics if its property does not hold, and never otherwise.
//! Tests run them over mutated captures, `fuzz/` runs them for hours.

use crate::{
    error::DecodeError,
    hosts::{HostError, HostList, lsdistcc},
    limits::Limits,
    lzo,
    packet::Found,
    reader::Progress,
    reply::ReplyDecoder,
    request::RequestDecoder,
    state::{Layout, State},
    version::Version,
};

/// Small, so that going over each limit is within a fuzzer's reach.
const LIMITS: Limits = Limits {
    argc_max: 1 << 10,
    argv_bytes_max: 1 << 14,
    path_bytes_max: 1 << 10,
    files_max: 1 << 10,
    body_bytes_max: 1 << 16,
    text_bytes_max: 1 << 14,
    total_bytes_max: 1 << 18,
    unpacked_bytes_max: 1 << 20,
};
const UNPACKED_MAX: usize = 1 << 20;

/// A request decodes the same however it is cut, and what was decoded encodes
/// to the bytes it came from.
pub fn request(bytes: &[u8]) {
    let whole = feed_request(bytes, bytes.len());
    for piece in [1, 7] {
        assert_eq!(feed_request(bytes, piece), whole, "in pieces of {piece}");
    }
    let Ok((request, used)) = whole else { return };
    let encoded = request.encode().expect("what was decoded can be encoded");
    assert_same(&encoded, &bytes[..used]);

    let Ok(plain) = request.unpack(&LIMITS) else {
        return;
    };
    let again = plain.clone().pack().unpack(&LIMITS);
    assert_eq!(again.as_ref(), Ok(&plain));
}

/// As [`request`], for the replies of each version.
pub fn reply(bytes: &[u8]) {
    for version in Version::ALL {
        let whole = feed_reply(version, bytes, bytes.len());
        for piece in [1, 7] {
            assert_eq!(
                feed_reply(version, bytes, piece),
                whole,
                "in pieces of {piece}"
            );
        }
        let Ok((reply, used)) = whole else { continue };
        let encoded = reply.encode().expect("what was decoded can be encoded");
        assert_same(&encoded, &bytes[..used]);

        let Ok(plain) = reply.unpack(&LIMITS) else {
            continue;
        };
        let again = plain.clone().pack().unpack(&LIMITS);
        assert_eq!(again.as_ref(), Ok(&plain));
    }
}

/// Each host of a list reads back from what it displays, and each error points
/// at its token. The same for the lines of `lsdistcc`.
pub fn hosts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let list = HostList::parse(&text);
    for host in &list.hosts {
        let again = HostList::parse(&host.to_string());
        assert_eq!(again.errors, [], "{host}");
        let [again] = again.hosts.as_slice() else {
            panic!("{host} is not one host")
        };
        assert_eq!(
            (&again.kind, again.limit),
            (&host.kind, host.limit),
            "{host}"
        );
        assert_eq!(
            (again.lzo, again.cpp, again.down),
            (host.lzo, host.cpp, host.down)
        );
        assert_eq!(again.auth, host.auth);
        assert_eq!(again.to_string(), host.to_string());
        assert!(host.slots() > 0 && !host.name().is_empty());
        assert!(!host.identity().contains('/'), "{host}");
    }
    let (_found, errors) = lsdistcc::parse(&text);
    list.errors
        .iter()
        .chain(&errors)
        .for_each(|error| assert_points(&text, error));
}

/// A state file that can be read can be written again.
pub fn state(bytes: &[u8]) {
    let Ok(state) = State::decode(bytes) else {
        return;
    };
    for layout in [Layout::Lp64, Layout::Ilp32] {
        if layout == Layout::Ilp32 && u32::try_from(state.pid).is_err() {
            continue;
        }
        let file = state.encode(layout);
        assert_eq!(file.len(), layout.size());
        assert_eq!(State::decode(&file).as_ref(), Ok(&state));
    }
}

/// Anything can be compressed and comes back; no block unfolds beyond the limit.
pub fn lzo(bytes: &[u8]) {
    let block = lzo::compress(bytes);
    // The documented worst case of LZO1X, which stock's buffers are made for.
    assert!(block.len() <= bytes.len() + bytes.len() / 16 + 64 + 3);
    assert_eq!(lzo::decompress(&block, bytes.len()).as_deref(), Ok(bytes));
    if let Some(limit) = bytes.len().checked_sub(1) {
        let too_long = Err(lzo::DecompressError::LimitExceeded { limit });
        assert_eq!(lzo::decompress(&block, limit), too_long);
    }
    if let Ok(content) = lzo::decompress(bytes, UNPACKED_MAX) {
        assert!(content.len() <= UNPACKED_MAX && content.capacity() <= UNPACKED_MAX);
        let again = lzo::decompress(&lzo::compress(&content), UNPACKED_MAX);
        assert_eq!(again, Ok(content));
    }
}

type Fed<T> = Result<(T, usize), DecodeError>;

fn feed_request(bytes: &[u8], piece: usize) -> Fed<crate::Request<crate::Packed>> {
    let mut decoder = RequestDecoder::new(LIMITS);
    match feed(bytes, piece, |piece| decoder.feed(piece))? {
        Some(used) => Ok((decoder.finish()?, used)),
        None => {
            let _fits_in_a_message = decoder.closed().to_string();
            Err(decoder.finish().expect_err("more bytes were wanted"))
        }
    }
}

fn feed_reply(version: Version, bytes: &[u8], piece: usize) -> Fed<crate::Reply<crate::Packed>> {
    let mut decoder = ReplyDecoder::new(version, LIMITS);
    match feed(bytes, piece, |piece| decoder.feed(piece))? {
        Some(used) => Ok((decoder.finish()?, used)),
        None => {
            let _fits_in_a_message = decoder.closed().to_string();
            Err(decoder.finish().expect_err("more bytes were wanted"))
        }
    }
}

/// Feeds `bytes` in pieces; the length of the message if it got complete.
fn feed(
    bytes: &[u8],
    piece: usize,
    mut feed: impl FnMut(&[u8]) -> Result<Progress, DecodeError>,
) -> Result<Option<usize>, DecodeError> {
    let mut fed = 0;
    for piece in bytes.chunks(piece.max(1)) {
        fed += piece.len();
        if let Progress::Done { unused } = feed(piece).map_err(without_found)? {
            return Ok(Some(fed - unused));
        }
    }
    Ok(None)
}

/// How much is shown of a wrong packet depends on how much of it had come.
fn without_found(error: DecodeError) -> DecodeError {
    match error {
        DecodeError::Unexpected {
            expected, offset, ..
        } => DecodeError::Unexpected {
            expected,
            found: Found::default(),
            offset,
        },
        error => error,
    }
}

/// Equal but for the case of hexadecimal digits, which stock ignores.
fn assert_same(encoded: &[u8], original: &[u8]) {
    assert!(
        encoded.eq_ignore_ascii_case(original),
        "encoding what was decoded gives other bytes"
    );
}

fn assert_points(text: &str, error: &HostError) {
    assert!(text[error.offset..].starts_with(&error.token), "{error:?}");
    let before = &text[..error.offset];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    assert_eq!(error.line, before.matches('\n').count() + 1, "{error:?}");
    assert_eq!(
        error.column,
        before[line_start..].chars().count() + 1,
        "{error:?}"
    );
    assert!(!error.to_string().is_empty());
}
