//! A server that does as it is told: compiles, fails, lies, hangs up or says nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};

use stock::{Input, Limits, Progress, Reply, Request, RequestDecoder};

use crate::world::HANG;

/// What a server does with a connection.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// Answers with an object made of the text.
    Compile,
    /// Says that it has the request, and answers when told.
    Wait,
    /// Answers with this status and text on standard error.
    Status(u32, &'static str),
    /// Answers with these streams and this object.
    Answer {
        stdout: &'static str,
        stderr: &'static str,
        object: Vec<u8>,
    },
    /// Accepts and says nothing.
    Silence,
    /// Hangs up at once.
    HangUp,
    /// Hangs up after this many bytes of the request.
    HangUpAfterRequestBytes(usize),
    /// Hangs up after this many bytes of its answer.
    HangUpAfterReplyBytes(usize),
    /// Sends these bytes and hangs up.
    Say(&'static [u8]),
    /// Answers before it has read the whole request, and hangs up.
    AnswerEarly,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// One message for each request that has arrived.
    pub(crate) arrived: Receiver<Request>,
    /// One message lets one waiting request go on.
    pub(crate) go: Sender<()>,
    /// One message for each client that hung up on a waiting request.
    pub(crate) gone: Receiver<()>,
}

#[derive(Clone)]
struct Reports {
    arrived: Sender<Request>,
    go: Arc<Mutex<Receiver<()>>>,
    gone: Sender<()>,
}

impl Server {
    pub(crate) fn new(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived_sender, arrived) = mpsc::channel();
        let (go, go_receiver) = mpsc::channel();
        let (gone_sender, gone) = mpsc::channel();
        let reports = Reports {
            arrived: arrived_sender,
            go: Arc::new(Mutex::new(go_receiver)),
            gone: gone_sender,
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (does, reports) = (does.clone(), reports.clone());
                std::thread::spawn(move || serve(stream.unwrap(), &does, &reports));
            }
        });
        Self {
            address,
            arrived,
            go,
            gone,
        }
    }

    /// As it stands in a host list.
    pub(crate) fn host(&self, slots: u32) -> String {
        format!("127.0.0.1:{}/{slots},stock", self.address.port())
    }

    pub(crate) fn request(&self) -> Request {
        self.arrived.recv_timeout(HANG).expect("no request comes")
    }
}

/// A port where nobody listens: bound, but not listened on, for as long as the value lives.
pub(crate) fn closed_port() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // The address 127.0.0.2 has the same port, but no listener.
    (format!("127.0.0.2:{port}"), listener)
}

fn serve(mut stream: TcpStream, does: &Does, reports: &Reports) {
    match does {
        Does::Silence => {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap_or_default();
            return;
        }
        Does::HangUp => return,
        Does::HangUpAfterRequestBytes(len) => {
            let mut some = vec![0; *len];
            stream.read_exact(&mut some).unwrap_or_default();
            return;
        }
        Does::AnswerEarly => {
            let mut some = [0; 12];
            stream.read_exact(&mut some).unwrap();
            let reply = reply(stock::Version::V1, 0x100, b"not you", Vec::new());
            stream.write_all(&reply).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap_or_default();
            return;
        }
        _ => {}
    }
    let Some(request) = read_request(&mut stream) else {
        return;
    };
    reports.arrived.send(request.clone()).unwrap_or_default();
    let Input::Preprocessed(text) = &request.input else {
        panic!("no preprocessed text");
    };
    let object = [b"OBJECT ", &text[..]].concat();
    let version = request.version;
    let bytes = match does {
        Does::Status(status, stderr) => reply(version, *status, stderr.as_bytes(), Vec::new()),
        Does::Say(bytes) => bytes.to_vec(),
        Does::HangUpAfterReplyBytes(len) => {
            let mut bytes = reply(version, 0, b"some warning", object);
            bytes.truncate(*len);
            bytes
        }
        Does::Answer {
            stdout,
            stderr,
            object,
        } => Reply {
            version,
            wait_status: 0,
            stderr: stderr.as_bytes().to_vec(),
            stdout: stdout.as_bytes().to_vec(),
            object: object.clone(),
            deps: None,
        }
        .pack()
        .encode()
        .unwrap(),
        Does::Wait => {
            watch_for_end(&stream, reports);
            if reports.go.lock().unwrap().recv().is_err() {
                return;
            }
            reply(version, 0, b"", object)
        }
        _ => reply(version, 0, b"", object),
    };
    stream.write_all(&bytes).unwrap_or_default();
}

/// Tells when the client is gone.
fn watch_for_end(stream: &TcpStream, reports: &Reports) {
    let (mut stream, gone) = (stream.try_clone().unwrap(), reports.gone.clone());
    std::thread::spawn(move || {
        let mut byte = [0];
        if !matches!(stream.read(&mut byte), Ok(1)) {
            gone.send(()).unwrap_or_default();
        }
    });
}

fn reply(version: stock::Version, wait_status: u32, stderr: &[u8], object: Vec<u8>) -> Vec<u8> {
    let reply = Reply {
        version,
        wait_status,
        stderr: stderr.to_vec(),
        stdout: Vec::new(),
        object,
        deps: None,
    };
    reply.pack().encode().unwrap()
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut decoder = RequestDecoder::new(Limits::DEFAULT);
    let mut chunk = vec![0; 64 << 10];
    loop {
        let len = stream.read(&mut chunk).ok().filter(|len| *len > 0)?;
        match decoder.feed(&chunk[..len]).unwrap() {
            Progress::NeedMore => {}
            Progress::Done { unused } => {
                assert_eq!(unused, 0);
                let request = decoder.finish().unwrap();
                return Some(request.unpack(&Limits::DEFAULT).unwrap());
            }
        }
    }
}

/// A SOCKS proxy as Portage starts one: on a Unix socket, no authentication, names only. Relays one connection after
/// the other and, like the real one, loses the reply when the client half-closes.
pub(crate) fn socks_proxy(path: &Path) -> Receiver<String> {
    let listener = UnixListener::bind(path).unwrap();
    let (asked_sender, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut near = stream.unwrap();
            let mut head = [0; 3];
            near.read_exact(&mut head).unwrap();
            assert_eq!(head, [5, 1, 0]);
            near.write_all(&[5, 0]).unwrap();
            let mut request = [0; 5];
            near.read_exact(&mut request).unwrap();
            assert_eq!(request[..4], [5, 1, 0, 3], "CONNECT to a name");
            let mut name = vec![0; usize::from(request[4])];
            let mut port = [0; 2];
            near.read_exact(&mut name).unwrap();
            near.read_exact(&mut port).unwrap();
            let target = format!(
                "{}:{}",
                String::from_utf8(name).unwrap(),
                u16::from_be_bytes(port)
            );
            asked_sender.send(target.clone()).unwrap_or_default();
            let Ok(mut far) = TcpStream::connect(&target) else {
                near.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
                continue;
            };
            near.write_all(&[5, 0, 0, 3, 1, b'x', 0, 0]).unwrap();
            let (mut near_reader, mut far_writer) =
                (near.try_clone().unwrap(), far.try_clone().unwrap());
            std::thread::spawn(move || {
                std::io::copy(&mut near_reader, &mut far_writer).unwrap_or_default();
                far_writer.shutdown(Shutdown::Both).unwrap_or_default();
            });
            std::io::copy(&mut far, &mut near).unwrap_or_default();
            near.shutdown(Shutdown::Both).unwrap_or_default();
        }
    });
    asked
}
