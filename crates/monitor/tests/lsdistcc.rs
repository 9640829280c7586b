//! `lsdistcc` against servers on loopback: stock's own, and sockets that misbehave.

#![allow(clippy::unwrap_used, reason = "a failure is the test's answer")]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use monitor::lsdistcc::{self, Options};

fn lsdistcc(args: &[&str]) -> (bool, String) {
    let args: Vec<OsString> = args.iter().map(OsString::from).collect();
    let options = Options::from_args(&args).unwrap();
    let mut out = Vec::new();
    let found = lsdistcc::run(&options, &mut out, &mut Vec::new()).unwrap();
    (found, String::from_utf8(out).unwrap())
}

/// A stock `distccd` that ends with the test.
struct StockServer {
    process: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl StockServer {
    fn start() -> Option<Self> {
        if !Path::new("/usr/bin/distccd").exists() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        // As root it changes to a user of its own.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        // The server cannot be told to choose a port: take one that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut process = Command::new("/usr/bin/distccd")
            .args(["--daemon", "--no-detach", "--log-stderr", "--verbose"])
            .args([
                "--listen",
                "127.0.0.1",
                "--allow",
                "127.0.0.1",
                "--jobs",
                "2",
            ])
            .args(["--port", &port.to_string()])
            .env("TMPDIR", dir.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the server ended");
        }
        thread::spawn(move || log.read_to_end(&mut Vec::new()));
        Some(Self {
            process,
            port,
            _dir: dir,
        })
    }
}

impl Drop for StockServer {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap();
    }
}

/// A port at which connections are accepted by the kernel and never answered.
struct SilentPort(TcpListener);

impl SilentPort {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn number(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Takes every connection and closes it.
    fn serve_nothing(&self) {
        let listener = self.0.try_clone().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                drop(stream);
            }
        });
    }
}

#[test]
fn a_stock_server_compiles_the_probe_in_every_protocol() {
    let Some(server) = StockServer::start() else {
        return;
    };
    let port = server.port;
    let host = format!("127.0.0.1:{port}");
    for (protocol, suffix) in [("-P1", ""), ("-P2", ",lzo"), ("-P3", ",lzo,cpp")] {
        let (found, text) = lsdistcc(&["-pgcc", "-k60000", "-t60", protocol, &host]);
        assert_eq!((found, text), (true, format!("{host}{suffix}\n")));
    }
    let (found, text) = lsdistcc(&["-pno-such-compiler", "-k60000", "-t60", &host]);
    assert_eq!((found, text), (false, String::new()));
}

#[test]
fn servers_that_are_not_there_are_left_out_or_marked() {
    let listening = SilentPort::new();
    let open = format!("127.0.0.1:{}", listening.number());
    // A privileged port that no program uses.
    let closed = "127.0.0.1:1".to_owned();
    let (found, text) = lsdistcc(&[&closed, &open]);
    assert_eq!((found, text), (true, format!("{open}\n")));
    let (found, text) = lsdistcc(&["-x", &closed, &open]);
    assert_eq!((found, text), (true, format!("{closed},down\n{open}\n")));
    let (found, text) = lsdistcc(&[&closed]);
    assert_eq!((found, text), (false, String::new()));
}

#[test]
fn a_server_that_hangs_up_or_never_answers_does_not_compile() {
    let rude = SilentPort::new();
    rude.serve_nothing();
    let silent = SilentPort::new();
    let rude_host = format!("127.0.0.1:{}", rude.number());
    let silent_host = format!("127.0.0.1:{}", silent.number());
    let args = ["-x", "-pgcc", "-k200", "-t60", &rude_host, &silent_host];
    let (_, text) = lsdistcc(&args);
    assert_eq!(text, format!("{rude_host},down\n{silent_host},down\n"));
}

#[test]
fn numbered_names_are_tried_until_they_stop_resolving() {
    let server = SilentPort::new();
    let port = format!("-r{}", server.number());
    // 127.0.0.256 is no address, and no name either.
    let (found, text) = lsdistcc(&[&port, "-t60", "-c60000", "127.0.0.%d"]);
    assert!(found);
    assert_eq!(text, format!("127.0.0.1:{}\n", server.number()));
    let (_, text) = lsdistcc(&["-c0", "-t60", "127.0.0.%d"]);
    assert_eq!(text.lines().count(), 255);
    assert_eq!(text.lines().nth(254), Some("127.0.0.255"));
    let (_, text) = lsdistcc(&["-c0", "-t60", "-m31", "127.0.0.%d"]);
    assert_eq!(text, "127.0.0.1\n");
    let (_, text) = lsdistcc(&["-c0", "-t60", "-m31", "127.0.0.2", "127.0.0.3"]);
    assert_eq!(text, "127.0.0.2\n127.0.0.3\n");
}

#[test]
fn the_search_ends_at_its_deadline() {
    let silent = SilentPort::new();
    let host = format!("127.0.0.1:{}", silent.number());
    let start = std::time::Instant::now();
    let (found, _) = lsdistcc(&["-pgcc", "-k600000", "-t1", &host]);
    assert!(!found);
    assert!(start.elapsed() < Duration::from_secs(60));
}
