//! Messages that lie, stop or never end: each gets an error that says what is
//! wrong, at the first byte that shows it, and costs nothing.

use std::time::Instant;

use stock::{
    DecodeError, Limits, Packed, Progress, ReplyDecoder, Request, RequestDecoder, Version,
};

use crate::captures;

#[track_caller]
fn check_request(bytes: &[u8], text: &str) {
    let mut decoder = RequestDecoder::new(Limits::DEFAULT);
    let error = match decoder.feed(bytes) {
        Err(error) => error,
        Ok(Progress::NeedMore) => decoder.closed(),
        Ok(done) => panic!("{done:?}"),
    };
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_request_that_stops_says_what_was_missing() {
    check_request(
        b"",
        "connection closed while waiting for DIST, after 0 bytes",
    );
    check_request(
        b"DIST0000",
        "connection closed while waiting for DIST, after 8 bytes",
    );
    check_request(
        b"DIST00000001ARGC00000003ARGV00000003gccARGV00000009-DX",
        "connection closed while waiting for ARGV 2 of 3: 3 of 9 bytes, after 54 bytes",
    );
    check_request(
        b"DIST00000002ARGC00000001ARGV00000003gccDOTI0000012cabcdefghijkl",
        "connection closed while waiting for DOTI: 12 of 300 bytes, after 63 bytes",
    );
    check_request(
        b"DIST00000003CDIR00000001/ARGC00000001ARGV00000003gccNFIL00000002NAME00000002/a",
        "connection closed while waiting for FILE or LINK 1 of 2, after 78 bytes",
    );
}

#[test]
fn a_request_that_lies_is_refused_where_it_shows() {
    check_request(
        b"GET / HTTP/1.1\r\n",
        "expected DIST, got \"GET / HTTP/1\" at byte 0 (an HTTP client?)",
    );
    check_request(
        b"DIST00000004",
        "protocol version 4 is unknown: versions 0 to 3 are spoken here",
    );
    check_request(
        b"DIST0000000x",
        "expected eight hexadecimal digits after DIST, got \"0000000x\"",
    );
    check_request(
        b"DIST00000001ARGCffffffff",
        "ARGC announces 4294967295 items, at most 65536 are accepted",
    );
    check_request(
        b"DIST00000001ARGC00000000",
        "ARGC is 0: there is no compiler to run",
    );
    check_request(
        b"DIST00000001ARGC00000001ARGVffffffff",
        "ARGV announces 4294967295 bytes, at most 8388608 are accepted",
    );
    check_request(
        b"DIST00000001ARGC00000001ARGV00000004gc\0c",
        "ARGV holds a zero byte",
    );
    check_request(
        b"DIST00000001ARGC00000001ARGV00000003gccDOTIffffffff",
        "DOTI announces 4294967295 bytes, at most 536870912 are accepted",
    );
    check_request(
        b"DIST00000003ARGC",
        "expected CDIR, got \"ARGC\" at byte 12",
    );
    check_request(
        b"DIST00000003CDIR00000001/ARGC00000001ARGV00000003gccNFIL00000001NAME00000002/aDOTI",
        "expected FILE or LINK, got \"DOTI\" at byte 78",
    );
}

#[test]
fn a_command_line_of_many_long_words_is_refused() {
    let limits = Limits {
        argv_bytes_max: 10,
        ..Limits::DEFAULT
    };
    let mut decoder = RequestDecoder::new(limits);
    let bytes = b"DIST00000001ARGC00000003ARGV00000006aaaaaaARGV00000006bbbbbb";
    assert_eq!(
        decoder.feed(bytes),
        Err(DecodeError::ArgvTooLong { max: 10 })
    );
}

#[test]
fn a_message_that_is_too_long_as_a_whole_is_refused() {
    let limits = Limits {
        total_bytes_max: 60,
        ..Limits::DEFAULT
    };
    let mut decoder = RequestDecoder::new(limits);
    let error = decoder
        .feed(b"DIST00000001ARGC00000001ARGV00000003gccDOTI00000064")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the message would be 151 bytes long with DOTI, at most 60 are accepted"
    );
}

#[test]
fn a_reply_of_another_version_or_with_a_failed_object_is_refused() {
    let check = |bytes: &[u8], text: &str| {
        let mut decoder = ReplyDecoder::new(Version::V1, Limits::DEFAULT);
        assert_eq!(decoder.feed(bytes).unwrap_err().to_string(), text);
    };
    check(
        b"DONE00000002",
        "asked in protocol version 1, answered in 2",
    );
    check(
        b"DONE00000001STAT00000100SERR00000000SOUT00000000DOTO00000001x",
        "the compiler failed (wait status 0x100) and yet 1 bytes of output came",
    );
    check(
        b"HTTP/1.1 400",
        "expected DONE, got \"HTTP/1.1 400\" at byte 0 (an HTTP client?)",
    );
}

#[test]
fn silence_is_told_from_a_reply_cut_short() {
    let mut decoder = ReplyDecoder::new(Version::V1, Limits::DEFAULT);
    assert!(matches!(
        decoder.closed(),
        DecodeError::Closed { received: 0, .. }
    ));
    assert_eq!(decoder.feed(b"DONE00000001S"), Ok(Progress::NeedMore));
    assert_eq!(
        decoder.closed().to_string(),
        "connection closed while waiting for STAT, after 13 bytes"
    );
}

#[test]
fn every_capture_cut_anywhere_is_incomplete_and_says_so() {
    for (name, bytes) in captures("request") {
        for cut in 0..bytes.len() {
            let mut decoder = RequestDecoder::new(Limits::DEFAULT);
            assert_eq!(
                decoder.feed(&bytes[..cut]),
                Ok(Progress::NeedMore),
                "{name} at {cut}"
            );
            assert_eq!(decoder.received(), cut as u64);
            let error = decoder.finish().unwrap_err();
            assert!(
                matches!(error, DecodeError::Closed { .. }),
                "{name} at {cut}: {error}"
            );
        }
    }
    for (name, bytes) in captures("reply") {
        let version = Version::from_number(u32::from(name.as_bytes()[1] - b'0')).unwrap();
        for cut in 0..bytes.len() {
            let mut decoder = ReplyDecoder::new(version, Limits::DEFAULT);
            assert_eq!(
                decoder.feed(&bytes[..cut]),
                Ok(Progress::NeedMore),
                "{name} at {cut}"
            );
            let error = decoder.finish().unwrap_err();
            assert!(
                matches!(error, DecodeError::Closed { .. }),
                "{name} at {cut}: {error}"
            );
        }
    }
}

#[test]
fn bytes_behind_a_message_are_counted_and_left_alone() {
    for (_, mut bytes) in captures("request") {
        bytes.extend_from_slice(b"DIST");
        let mut decoder = RequestDecoder::new(Limits::DEFAULT);
        assert_eq!(decoder.feed(&bytes), Ok(Progress::Done { unused: 4 }));
        assert_eq!(decoder.feed(b"more"), Ok(Progress::Done { unused: 4 }));
        assert!(decoder.finish().is_ok());
    }
}

#[test]
fn bombs_stop_at_the_limit_for_all_bodies_together() {
    let files = (0..10).map(|i| stock::SentFile {
        name: format!("/{i}").into(),
        body: stock::Body::File(Packed::compress(&[b' '; 1000])),
    });
    let request = Request {
        version: Version::V3,
        cwd: Some(b"/".to_vec()),
        argv: vec![b"gcc".to_vec()],
        input: stock::Input::Files(files.collect()),
    };
    let limits = |unpacked_bytes_max| Limits {
        unpacked_bytes_max,
        ..Limits::DEFAULT
    };
    assert!(request.clone().unpack(&limits(10_000)).is_ok());
    let error = request.unpack(&limits(9_999)).unwrap_err();
    assert_eq!(error.to_string(), "failed to decompress FILE");
    assert_eq!(
        error.source.to_string(),
        "the content is longer than 999 bytes"
    );
}

#[test]
fn time_grows_with_the_bytes_and_not_with_their_square() {
    // 16 MiB in pieces of 64 bytes. With a copy of everything for each piece
    // this would take hours; the bound only has to tell the two apart.
    let body = vec![b'x'; 16 << 20];
    let head = stock::request::encode_head(Version::V1, &["gcc"], body.len()).unwrap();
    let start = Instant::now();
    let mut decoder = RequestDecoder::new(Limits::DEFAULT);
    assert_eq!(decoder.feed(&head), Ok(Progress::NeedMore));
    let last = body.chunks(64).map(|piece| decoder.feed(piece)).last();
    assert_eq!(last, Some(Ok(Progress::Done { unused: 0 })));
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
