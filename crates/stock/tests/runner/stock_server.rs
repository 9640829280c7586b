//! Requests built here, sent to stock's own server over loopback.
//!
//! Each test has a server of its own, started as inetd would: with the accepted
//! connection as its standard input, so that no port has to be guessed and no
//! daemon is left behind.

use std::{
    fs::Permissions,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use stock::{
    Body, Ended, Input, Limits, Progress, Reply, ReplyDecoder, Request, SentFile, Version,
};

const SERVER: &str = "/usr/bin/distccd";
/// Far beyond what any of these compiles takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sends `request` to a fresh server; `None` if there is none on this machine.
fn ask_stock(request: Request) -> Option<Result<Reply, stock::DecodeError>> {
    if !Path::new(SERVER).exists() {
        println!("skipped: {SERVER} is not installed");
        return None;
    }
    let version = request.version;
    let dir = tempfile::tempdir().unwrap();
    // The server gives up root, and needs its temporary folder all the same.
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();

    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let connection = OwnedFd::from(listener.accept().unwrap().0);
    let mut server = Command::new(SERVER)
        .args(["--inetd", "--allow", "127.0.0.1", "--log-file"])
        .arg(dir.path().join("log"))
        .env("TMPDIR", dir.path())
        .stdin(connection.try_clone().unwrap())
        .stdout(connection)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();

    client.set_read_timeout(Some(PATIENCE)).unwrap();
    for part in request.pack().parts().unwrap() {
        if let Err(error) = client.write_all(&part) {
            println!("the server did not read everything: {error}");
            break;
        }
    }
    let mut decoder = ReplyDecoder::new(version, Limits::DEFAULT);
    let mut buffer = [0; 1 << 14];
    let reply = loop {
        // A server that closes with bytes unread resets the connection.
        let read = client.read(&mut buffer);
        let is_reset = read
            .as_ref()
            .is_err_and(|e| e.kind() == ErrorKind::ConnectionReset);
        match if is_reset { 0 } else { read.unwrap() } {
            0 => break decoder.finish(),
            len => {
                if let Progress::Done { unused } = decoder.feed(&buffer[..len]).unwrap() {
                    assert_eq!(unused, 0);
                    break decoder.finish();
                }
            }
        }
    };
    drop(client);
    server.wait().unwrap();
    if reply.is_err() {
        println!(
            "{}",
            std::fs::read_to_string(dir.path().join("log")).unwrap_or_default()
        );
    }
    Some(reply.map(|reply| reply.unpack(&Limits::DEFAULT).unwrap()))
}

fn argv(line: &str) -> Vec<Vec<u8>> {
    line.split(' ')
        .map(|word| word.as_bytes().to_vec())
        .collect()
}

fn preprocessed(version: Version, text: &str) -> Request {
    Request {
        version,
        cwd: None,
        argv: argv("gcc -O1 -c a.c -o a.o"),
        input: Input::Preprocessed(text.into()),
    }
}

/// What the compiler makes of the same text on this machine.
fn local_object(text: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.i"), text).unwrap();
    let mut gcc = Command::new("gcc");
    let status = gcc
        .args(["-O1", "-c", "a.i", "-o", "a.o"])
        .current_dir(dir.path())
        .status();
    assert!(status.unwrap().success());
    std::fs::read(dir.path().join("a.o")).unwrap()
}

/// About a megabyte of C with repetitions near and far, as preprocessors make it.
fn large_source() -> String {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut text = "# 1 \"a.c\"\n".to_owned();
    for i in 0..6000 {
        let types = ["unsigned long int", "const char *", "struct s *", "double"];
        let (from, to) = (rng.choice(types).unwrap(), rng.choice(types).unwrap());
        let name = rng.u32(..);
        text.push_str(&format!(
            "# {i} \"/usr/include/some/header_{}.h\" 1 3 4\n\
             extern {to} function_{i}_{name} ({from} __first, {to} __second) \
             __attribute__ ((__nothrow__ , __leaf__)) __attribute__ ((__pure__));\n",
            rng.u32(..90)
        ));
        text.push_str(&"\n".repeat(rng.usize(..200).saturating_sub(150)));
    }
    text.push_str("int table[] = {");
    (0..9000).for_each(|_| text.push_str(&format!("{},", rng.u16(..))));
    text.push_str("};\n");
    text
}

#[test]
fn stock_compiles_what_is_sent_plain_and_compressed() {
    let text = "# 1 \"a.c\"\nint x = 7;\nint f(void) { return x; }\n";
    for version in [Version::V0, Version::V1, Version::V2] {
        let Some(reply) = ask_stock(preprocessed(version, text)) else {
            return;
        };
        let reply = reply.unwrap();
        assert_eq!(
            reply.ended(),
            Ended::Exit(0),
            "{}",
            reply.stderr.escape_ascii()
        );
        assert_eq!(reply.object, local_object(text), "version {version}");
    }
}

#[test]
fn stock_decompresses_a_megabyte_of_ours() {
    let text = large_source();
    assert!(text.len() > 1_000_000);
    let Some(reply) = ask_stock(preprocessed(Version::V2, &text)) else {
        return;
    };
    let reply = reply.unwrap();
    assert_eq!(
        reply.ended(),
        Ended::Exit(0),
        "{}",
        reply.stderr.escape_ascii()
    );
    assert_eq!(reply.object, local_object(&text));
}

#[test]
fn stock_reports_what_the_compiler_says() {
    let Some(reply) = ask_stock(preprocessed(Version::V2, "# 1 \"a.c\"\nint f( {\n")) else {
        return;
    };
    let reply = reply.unwrap();
    assert_eq!(reply.ended(), Ended::Exit(1));
    let text = String::from_utf8_lossy(&reply.stderr);
    assert!(text.starts_with("a.c:1:8: error:"), "{text}");
    assert!(reply.object.is_empty());
}

#[test]
fn stock_compiles_from_files_and_links() {
    let file = |name: &str, content: &str| SentFile {
        name: format!("/home/user/project/{name}").into(),
        body: Body::File(content.into()),
    };
    let request = Request {
        version: Version::V3,
        cwd: Some(b"/home/user/project".to_vec()),
        argv: argv("gcc -O1 -MMD -c b.c -o b.o -MT b.o"),
        input: Input::Files(vec![
            file("b.c", "#include \"link.h\"\nint b = H;\n"),
            file("h.h", "#define H 7\n"),
            SentFile {
                name: b"/home/user/project/link.h".to_vec(),
                body: Body::Link(b"h.h".to_vec()),
            },
            file("forcing_technique_271828", ""),
        ]),
    };
    let Some(reply) = ask_stock(request) else {
        return;
    };
    let reply = reply.unwrap();
    assert_eq!(
        reply.ended(),
        Ended::Exit(0),
        "{}",
        reply.stderr.escape_ascii()
    );
    assert!(reply.object.starts_with(b"\x7fELF"));
    assert_eq!(reply.deps.as_deref(), Some(b"b.o: b.c link.h\n".as_slice()));
}

#[test]
fn stock_refuses_without_a_word() {
    let mut request = preprocessed(Version::V1, "int x;\n");
    request.argv = argv("gcc -E a.c -o a.i");
    let Some(reply) = ask_stock(request) else {
        return;
    };
    let error = reply.unwrap_err();
    assert!(
        matches!(error, stock::DecodeError::Closed { received: 0, .. }),
        "{error}"
    );
}
