//! Stock's own client, answered by what is built here.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    thread,
    time::Duration,
};

use stock::{Input, Limits, Progress, Reply, Request, RequestDecoder};

const CLIENT: &str = "/usr/bin/distcc";
const PATIENCE: Duration = Duration::from_secs(120);
const SOURCE: &str = "int x = 7;\n";

struct Answered {
    request: Request,
    output: Output,
    object: Option<Vec<u8>>,
}

/// Lets stock's client compile through a server that answers `answer(request)`.
fn ask(options: &str, answer: impl FnOnce(&Request) -> Reply + Send + 'static) -> Option<Answered> {
    if !Path::new(CLIENT).exists() {
        println!("skipped: {CLIENT} is not installed");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.c"), SOURCE).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = Command::new(CLIENT)
        .args(["gcc", "-O1", "-c", "a.c", "-o", "a.o"])
        .current_dir(dir.path())
        .env("DISTCC_HOSTS", format!("127.0.0.1:{port}{options}"))
        .env("DISTCC_DIR", dir.path())
        .env("DISTCC_FALLBACK", "0")
        .env("DISTCC_SKIP_LOCAL_RETRY", "1")
        .env("TMPDIR", dir.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();

    let server = thread::spawn(move || {
        let mut connection = listener.accept().unwrap().0;
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut decoder = RequestDecoder::new(Limits::DEFAULT);
        let mut buffer = [0; 100];
        loop {
            let len = connection.read(&mut buffer).unwrap();
            assert!(len > 0, "{}", decoder.closed());
            if let Progress::Done { unused } = decoder.feed(&buffer[..len]).unwrap() {
                assert_eq!(unused, 0);
                break;
            }
        }
        let request = decoder.finish().unwrap().unpack(&Limits::DEFAULT).unwrap();
        let reply = answer(&request).pack();
        for part in reply.parts().unwrap() {
            connection.write_all(&part).unwrap();
        }
        request
    });
    let output = client.wait_with_output().unwrap();
    let request = server.join().unwrap();
    Some(Answered {
        request,
        output,
        object: std::fs::read(dir.path().join("a.o")).ok(),
    })
}

fn reply(request: &Request, wait_status: u32, object: Vec<u8>) -> Reply {
    Reply {
        version: request.version,
        wait_status,
        stderr: b"a.c:1: warning: said the server\n".to_vec(),
        stdout: b"and this\n".to_vec(),
        object,
        deps: None,
    }
}

/// Neither all noise nor all repetition: 400 kB.
fn object() -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(2);
    let mut object: Vec<u8> = Vec::new();
    while object.len() < 400_000 {
        if object.is_empty() || rng.bool() {
            object.extend((0..rng.usize(1..500)).map(|_| rng.u8(..)));
        } else {
            let from = rng
                .usize(..object.len())
                .max(object.len().saturating_sub(60_000));
            let to = (from + rng.usize(1..2000)).min(object.len());
            object.extend_from_within(from..to);
        }
    }
    object
}

#[test]
fn stock_takes_our_object_plain_and_compressed() {
    for options in ["", ",lzo"] {
        let Some(answered) = ask(options, |request| reply(request, 0, object())) else {
            return;
        };
        let Input::Preprocessed(text) = &answered.request.input else {
            panic!("no text")
        };
        let text = String::from_utf8_lossy(text);
        assert!(
            text.starts_with("# 0 \"a.c\"") || text.starts_with("# 1 \"a.c\""),
            "{text}"
        );
        assert!(text.ends_with(SOURCE), "{text}");

        assert_eq!(answered.output.status.code(), Some(0));
        assert_eq!(answered.output.stderr, b"a.c:1: warning: said the server\n");
        assert_eq!(answered.output.stdout, b"and this\n");
        assert!(
            answered.object == Some(object()),
            "the object is not what was sent"
        );
    }
}

#[test]
fn stock_takes_our_failure_for_the_compilers() {
    let Some(answered) = ask(",lzo", |request| reply(request, 0x300, Vec::new())) else {
        return;
    };
    assert_eq!(answered.output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&answered.output.stderr);
    assert!(text.contains("said the server"), "{text}");
    assert_eq!(answered.object, None);
}
