//! A connection to a client, whatever it is made of: TCP, or the pipes and sockets of inetd and
//! ssh.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use sys::daemon::{StreamKind, stream_kind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::limits;

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A TCP client.
    Address(SocketAddr),
    /// Whoever started this process.
    Standard,
}

impl Peer {
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Peer::Address(address) => Some(address.ip()),
            Peer::Standard => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(address) => {
                SocketAddr::new(address.ip().to_canonical(), address.port()).fmt(f)
            }
            Peer::Standard => f.write_str("(stdin)"),
        }
    }
}

/// A connection.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn tcp(stream: TcpStream, peer: SocketAddr) -> Client {
        // Small packets are put together before they are written.
        let _slower = stream.set_nodelay(true);
        let _found_out_later = sys::daemon::keep_alive(&stream, limits::KEEP_ALIVE_IDLE);
        let (reader, writer) = stream.into_split();
        Client {
            peer: Peer::Address(peer),
            reader: Box::new(reader),
            writer: Box::new(writer),
        }
    }

    /// The client on what was standard input and output.
    pub(crate) fn standard(input: OwnedFd, output: OwnedFd) -> io::Result<Client> {
        match (stream_kind(&input), stream_kind(&output)) {
            (StreamKind::Tcp, _) => {
                let stream = std::net::TcpStream::from(input);
                stream.set_nonblocking(true)?;
                let peer = stream.peer_addr()?;
                Ok(Client::tcp(TcpStream::from_std(stream)?, peer))
            }
            (StreamKind::Unix, StreamKind::Unix) => {
                // One socket or two (ssh): either way, one reads and one writes.
                Ok(Client {
                    peer: Peer::Standard,
                    reader: Box::new(unix_stream(input)?),
                    writer: Box::new(unix_stream(output)?),
                })
            }
            (StreamKind::Pipe, StreamKind::Pipe) => Ok(Client {
                peer: Peer::Standard,
                reader: Box::new(pipe::Receiver::from_owned_fd(input)?),
                writer: Box::new(pipe::Sender::from_owned_fd(output)?),
            }),
            _ => Err(io::Error::other(
                "standard input and output are neither a socket nor two pipes: distccd --inetd is \
                 started by inetd or ssh, not by hand",
            )),
        }
    }

    /// The connection as one stream, from which what was read of it already is read again.
    pub(crate) fn into_stream(self, head: Vec<u8>) -> impl AsyncRead + AsyncWrite + Send + Unpin {
        let reader = io::Cursor::new(head).chain(self.reader);
        tokio::io::join(reader, self.writer)
    }

    /// Writes all parts; `silence` bounds each wait for the client to take more.
    pub(crate) async fn send<B: AsRef<[u8]>>(
        &mut self,
        parts: &[B],
        silence: Duration,
    ) -> io::Result<()> {
        for part in parts {
            let mut rest = part.as_ref();
            while !rest.is_empty() {
                match timeout(silence, self.writer.write(rest)).await?? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => rest = &rest[written..],
                }
            }
        }
        timeout(silence, self.writer.flush()).await?
    }

    /// Says that nothing more will come.
    pub(crate) async fn finish(&mut self) {
        let _gone = timeout(limits::LINGER_TIME_MAX, self.writer.shutdown()).await;
    }

    /// Lets the client read what was written to it although it may still be sending: reads and
    /// forgets until it closes, for a limited time.
    pub(crate) async fn linger(mut self) {
        self.finish().await;
        let mut forgotten = vec![0; limits::READ_BYTES];
        let until_closed =
            async { while !matches!(self.reader.read(&mut forgotten).await, Ok(0) | Err(_)) {} };
        let _enough = timeout(limits::LINGER_TIME_MAX, until_closed).await;
    }
}

fn unix_stream(fd: OwnedFd) -> io::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(fd);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// Returns when the client has hung up. A correct client sends nothing after its request; stock
/// ignores a little of it, so this does.
pub(crate) async fn hang_up(reader: &mut (dyn AsyncRead + Unpin)) {
    let mut unasked = 0;
    let mut buffer = [0; 1024];
    while unasked < limits::UNASKED_BYTES_MAX {
        match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => unasked += count,
        }
    }
}
