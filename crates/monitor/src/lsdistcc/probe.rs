//! Asking one server: does it accept connections, and does it compile?

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use stock::hosts::{Host, HostKind, HostList};
use stock::{Body, Input, Limits, Progress, ReplyDecoder, Request, SentFile, Version};

use super::Options;

const SOURCE: &str = "int foo(void) { return 0; }\n";
/// Directory that the source claims to be in; it exists nowhere.
const SOURCE_DIR: &str = "/lsdistcc";

/// A server to ask.
#[derive(Debug, Clone)]
pub struct Target {
    host: Host,
    name: String,
    port: u16,
}

/// What a server answered.
#[derive(Debug)]
pub struct Probe {
    /// The server as an entry of a host list.
    pub host: Host,
    /// The first of its addresses.
    pub address: IpAddr,
    /// From the first packet to the answer.
    pub latency: Duration,
    /// Why it is of no use, if it is.
    pub error: Option<ProbeError>,
}

/// Why a server is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// The connection broke or nothing came in time.
    #[error("no answer to a compile")]
    Compile(#[source] io::Error),
    /// It closed the connection instead of answering: not allowed, or no such compiler.
    #[error("the server refuses to compile")]
    Refused,
    /// It answered something else than the protocol says.
    #[error("the server's answer makes no sense")]
    Protocol,
    /// The compiler failed, or our server says why it refuses.
    #[error("the server's compiler fails with exit code {code}: {text}")]
    Failed {
        /// Its exit code, or 128 and the signal.
        code: u8,
        /// The last line of what it said.
        text: String,
    },
}

impl Target {
    /// Understands an entry of a host list. A name alone gets port and protocol of the options.
    /// `None` if it is no entry for TCP.
    #[must_use]
    pub fn new(token: &str, options: &Options) -> Option<Self> {
        let list = HostList::parse(token);
        let mut host = list.hosts.into_iter().next()?;
        let (name, port) = match &host.kind {
            HostKind::Local => ("localhost".to_owned(), None),
            HostKind::Tcp { name, port } => (name.clone(), Some(*port)),
            HostKind::Ssh { .. } => return None,
        };
        let port = port
            .filter(|port| *port != stock::hosts::DEFAULT_PORT)
            .unwrap_or(options.port);
        if !host.lzo {
            host.lzo = options.protocol.is_compressed();
            host.cpp = options.protocol.sends_files();
        }
        Some(Self { host, name, port })
    }

    /// The addresses of its name.
    ///
    /// # Errors
    /// The name does not resolve.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        Ok((self.name.as_str(), self.port).to_socket_addrs()?.collect())
    }

    /// Asks the server at `addresses`, of which `first` is shown with `-n`, as far as the options
    /// say.
    #[must_use]
    pub fn probe(mut self, first: IpAddr, addresses: &[SocketAddr], options: &Options) -> Probe {
        let start = Instant::now();
        let protocol = self.host.protocol();
        let error = ask(addresses, protocol, options).err();
        let latency = start.elapsed();
        let name = if options.numeric {
            first.to_string()
        } else {
            self.name
        };
        self.host.kind = HostKind::Tcp {
            name,
            port: self.port,
        };
        self.host.down |= error.is_some();
        Probe {
            host: self.host,
            address: first,
            latency,
            error,
        }
    }
}

/// Whether the first `bits` bits of two addresses are equal.
pub(super) fn same_network(a: IpAddr, b: IpAddr, bits: u32) -> bool {
    let (a, b, width) = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits().into(), b.to_bits().into(), u32::BITS),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), u128::BITS),
        _ => return bits == 0,
    };
    let differing: u128 = a ^ b;
    bits == 0 || differing >> width.saturating_sub(bits) == 0
}

fn ask(addresses: &[SocketAddr], protocol: Version, options: &Options) -> Result<(), ProbeError> {
    let Some(connect_max) = options.connect else {
        return Ok(());
    };
    let stream = connect(addresses, connect_max).map_err(ProbeError::Connect)?;
    match (&options.compiler, options.compile) {
        (Some(compiler), Some(compile_max)) => compile(stream, compiler, protocol, compile_max),
        _ => Ok(()),
    }
}

/// Connects to the first address that answers; all of them share the time.
fn connect(addresses: &[SocketAddr], max: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + max;
    let mut last = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(address, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn compile(
    mut stream: TcpStream,
    compiler: &str,
    protocol: Version,
    max: Duration,
) -> Result<(), ProbeError> {
    let deadline = Instant::now() + max;
    let request = request(compiler, protocol).pack().encode();
    let request = request.map_err(|_| ProbeError::Protocol)?;
    let io = ProbeError::Compile;
    stream.set_write_timeout(Some(max)).map_err(io)?;
    stream.write_all(&request).map_err(io)?;

    let mut decoder = ReplyDecoder::new(protocol, Limits::DEFAULT);
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left)).map_err(io)?;
        let count = match stream.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            other => other.map_err(io)?,
        };
        if count == 0 {
            return Err(ProbeError::Refused);
        }
        match decoder.feed(&buffer[..count]) {
            Ok(Progress::NeedMore) => {}
            Ok(Progress::Done { .. }) => break,
            Err(_) => return Err(ProbeError::Protocol),
        }
    }
    let reply = decoder.finish().map_err(|_| ProbeError::Protocol)?;
    let reply = reply
        .unpack(&Limits::DEFAULT)
        .map_err(|_| ProbeError::Protocol)?;
    match reply.ended().exit_code() {
        0 if !reply.object.is_empty() => Ok(()),
        0 => Err(ProbeError::Protocol),
        code => {
            let said = String::from_utf8_lossy(&reply.stderr);
            let text = said.trim_end().lines().next_back().unwrap_or_default();
            let text = text.to_owned();
            Err(ProbeError::Failed { code, text })
        }
    }
}

fn request(compiler: &str, version: Version) -> Request {
    let argv = [compiler, "-c", "hello.c", "-o", "hello.o"];
    let input = if version.sends_files() {
        Input::Files(vec![SentFile {
            name: format!("{SOURCE_DIR}/hello.c").into(),
            body: Body::File(SOURCE.into()),
        }])
    } else {
        Input::Preprocessed(format!("# 1 \"hello.c\"\n{SOURCE}").into())
    };
    Request {
        version,
        cwd: version.sends_files().then(|| SOURCE_DIR.into()),
        argv: argv.map(|word| word.as_bytes().to_vec()).into(),
        input,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_compared_by_their_first_bits() {
        let check = |a: &str, b: &str, bits, expected| {
            let same = same_network(a.parse().unwrap(), b.parse().unwrap(), bits);
            assert_eq!(same, expected, "{a} {b} {bits}");
        };
        check("10.0.0.1", "10.0.1.1", 23, true);
        check("10.0.0.1", "10.0.1.1", 24, false);
        check("10.0.0.1", "10.0.0.1", 32, true);
        check("10.0.0.1", "11.0.0.1", 0, true);
        check("fe80::1", "fe80::2", 126, true);
        check("fe80::1", "fe80::2", 128, false);
        check("::1", "127.0.0.1", 8, false);
    }

    #[test]
    fn entries_keep_their_own_settings() {
        let options = Options {
            port: 4200,
            protocol: Version::V2,
            ..Options::default()
        };
        let check = |token: &str, expected: &str| {
            let target = Target::new(token, &options).unwrap();
            let options = Options {
                connect: None,
                ..options.clone()
            };
            let probe = target.probe(IpAddr::from([127, 0, 0, 1]), &[], &options);
            assert_eq!(probe.host.to_string(), expected);
        };
        check("pc", "pc:4200,lzo");
        check("pc:5", "pc:5,lzo");
        check("pc/8,lzo,cpp", "pc/8:4200,lzo,cpp");
        check("[::1]", "[::1]:4200,lzo");
        check("localhost", "localhost:4200,lzo");
        assert!(Target::new("me@pc", &options).is_none());
        assert!(Target::new(",lzo", &options).is_none());
    }
}
