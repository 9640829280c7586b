//! Bytes that are no request, and those that are.

use std::io::Write;
use std::net::Shutdown;

use stock::exit::ExitCode;
use stock::{Limits, Progress, Reply, ReplyDecoder, Request, RequestDecoder, Version};

use crate::server::{Server, Setup, answer, check_ok, check_refused, compile, read_all};

/// What a client has to say, byte for byte, as it was captured.
fn captured(name: &str) -> (Vec<u8>, Reply) {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let request = std::fs::read(format!("{dir}/{name}.c2s")).unwrap();
    let reply = std::fs::read(format!("{dir}/{name}.s2c")).unwrap();
    let version = Version::from_number(u32::from(reply[11] - b'0')).unwrap();
    let mut decoder = ReplyDecoder::new(version, Limits::DEFAULT);
    assert_eq!(decoder.feed(&reply), Ok(Progress::Done { unused: 0 }));
    (
        request,
        decoder.finish().unwrap().unpack(&Limits::DEFAULT).unwrap(),
    )
}

#[track_caller]
fn replay(server: &Server, name: &str) -> (Reply, Reply) {
    let (request, stocks) = captured(name);
    let mut stream = server.connect();
    stream.write_all(&request).unwrap();
    let ours = answer(stream, stocks.version);
    assert_eq!(ours.wait_status, stocks.wait_status, "{name}");
    assert_eq!(ours.stdout, stocks.stdout, "{name}");
    (ours, stocks)
}

#[test]
fn captured_requests_are_answered_as_by_stock() {
    // As on the machine of the captures: the compiler's quotation marks depend on it.
    let server = Setup::new().env("LC_ALL", "C.UTF-8").start();
    for name in ["v1_ok", "v2_ok", "v1_fail", "v2_fail"] {
        let (ours, stocks) = replay(&server, name);
        assert_eq!(
            String::from_utf8_lossy(&ours.stderr),
            String::from_utf8_lossy(&stocks.stderr),
            "{name}"
        );
        assert_eq!(ours.object.is_empty(), stocks.object.is_empty(), "{name}");
    }
}

#[test]
fn a_captured_request_of_protocol_3_gives_the_clients_paths() {
    let (ours, stocks) = replay(&Server::start(), "v3_ok");
    let words = |deps: Option<Vec<u8>>| -> Vec<String> {
        let text = String::from_utf8(deps.unwrap()).unwrap();
        text.split_whitespace()
            .filter(|word| *word != "\\")
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(words(ours.deps), words(stocks.deps));
    let contains = |text: &str| {
        ours.object
            .windows(text.len())
            .any(|w| w == text.as_bytes())
    };
    // Stock leaves its own directory in front of this.
    assert!(contains("\0/home/user/project\0"));
    assert!(!contains("distccd"));
}

#[test]
fn version_0_is_taken_for_1_and_answered_as_0() {
    let server = Server::start();
    let reply = server.ask(compile(Version::V0, "gcc -c a.c -o a.o", b"int x;\n"));
    check_ok(&reply);
    assert_eq!(reply.version, Version::V0);
}

#[test]
fn random_bytes_do_no_harm() {
    let server = Server::start();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..200 {
        let mut bytes = Vec::new();
        if round % 2 == 0 {
            bytes.extend_from_slice(b"DIST00000001ARGC0000000");
        }
        for _ in 0..state % 300 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.push(state.to_le_bytes()[0]);
        }
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut stream = server.connect();
        let _closed_early = stream.write_all(&bytes);
        let _closed_early = stream.shutdown(Shutdown::Write);
        read_all(stream);
    }
    server.check_alive();
}

#[test]
fn lengths_of_4_gib_are_refused_on_the_wire() {
    let server = Server::start();
    let one = "ARGV00000003gcc";
    for request in [
        "DIST00000001ARGCffffffff".to_owned(),
        "DIST00000001ARGC00000001ARGVffffffff".to_owned(),
        format!("DIST00000001ARGC00000001{one}DOTIffffffff"),
        "DIST00000003CDIRffffffff".to_owned(),
        format!("DIST00000003CDIR00000001/ARGC00000001{one}NFILffffffff"),
        format!("DIST00000003CDIR00000001/ARGC00000001{one}NFIL00000001NAMEffffffff"),
        format!("DIST00000003CDIR00000001/ARGC00000001{one}NFIL00000001NAME00000002/aFILEffffffff"),
        format!("DIST00000003CDIR00000001/ARGC00000001{one}NFIL00000001NAME00000002/aLINKffffffff"),
        "DIST00000001ARGC00000000".to_owned(),
        "DIST00000001NONSENSE".to_owned(),
    ] {
        let mut stream = server.connect();
        stream.write_all(request.as_bytes()).unwrap();
        // Much more than fits into any buffer on the way.
        let _closed_early = stream.write_all(&vec![b'x'; 8 << 20]);
        let version = Version::from_number(u32::from(request.as_bytes()[11] - b'0')).unwrap();
        let reply = answer(stream, version);
        check_refused(&reply, ExitCode::ProtocolError, "bad request");
    }
    server.wait_for_log("REJ_BAD_REQ");
    server.check_alive();
}

/// One literal, then a match of that byte over and over: each zero byte means 255 more.
fn bomb(zeros: usize) -> Vec<u8> {
    let mut block = vec![18, b'\n', 0x20];
    block.extend(std::iter::repeat_n(0, zeros));
    block.extend([1, 0, 0, 0x11, 0, 0]);
    block
}

#[test]
fn bombs_are_found_out() {
    let server = Server::start();
    let bomb = bomb(3 << 20);
    let mut request = b"DIST00000002ARGC00000005".to_vec();
    for word in ["gcc", "-c", "a.c", "-o", "a.o"] {
        write!(request, "ARGV{:08x}{word}", word.len()).unwrap();
    }
    write!(request, "DOTI{:08x}", bomb.len()).unwrap();
    request.extend_from_slice(&bomb);
    let mut stream = server.connect();
    stream.write_all(&request).unwrap();
    check_refused(
        &answer(stream, Version::V2),
        ExitCode::ProtocolError,
        "DOTI",
    );
    server.check_alive();
}

#[test]
fn unknown_versions_get_an_answer_with_their_number() {
    let server = Server::start();
    let mut stream = server.connect();
    stream.write_all(b"DIST00000009").unwrap();
    let reply = String::from_utf8(read_all(stream)).unwrap();
    assert!(reply.starts_with("DONE00000009STAT00006d00SERR"), "{reply}");
    assert!(reply.contains("version 9"), "{reply}");
}

#[test]
fn other_protocols_are_closed_without_harm() {
    let server = Server::start();
    for hello in [
        "GET / HTTP/1.0\r\n\r\n",
        "\x16\x03\x01\x02",
        "*",
        "D",
        "DISX",
    ] {
        let mut stream = server.connect();
        stream.write_all(hello.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(stream), b"", "{hello:?}");
    }
    server.wait_for_log("GSSAPI");
    server.check_alive();
}

#[test]
fn clients_of_other_networks_are_told_so() {
    let server = Setup::new().args("--allow 192.0.2.0/24").start();
    for version in [Version::V1, Version::V2] {
        // More than a socket's buffer, which stock's client writes before it reads.
        let text = vec![b' '; 8 << 20];
        let request = Request {
            version,
            ..compile(version, "gcc -c a.c -o a.o", &text)
        };
        let reply = server.ask(request);
        check_refused(&reply, ExitCode::AccessDenied, "127.0.0.1 is not allowed");
    }
    server.wait_for_log("127.0.0.1:");
}

#[test]
fn a_request_in_single_bytes_is_understood() {
    let server = Server::start();
    let request = compile(Version::V2, "gcc -c a.c -o a.o", b"int x;\n");
    let bytes = request.pack().encode().unwrap();
    let mut decoder = RequestDecoder::new(Limits::DEFAULT);
    assert!(matches!(
        decoder.feed(&bytes),
        Ok(Progress::Done { unused: 0 })
    ));
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for byte in bytes {
        stream.write_all(&[byte]).unwrap();
    }
    check_ok(&answer(stream, Version::V2));
}
