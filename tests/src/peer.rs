//! Hosts that misbehave: peers on loopback that never answer, or cut a connection at a given byte.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// What a peer does with each connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Accepts and closes at once.
    Close,
    /// Reads everything and never answers.
    Silent,
    /// Passes on this many bytes of the request to a real server, then cuts both ways.
    CutRequest {
        /// Port of the real server.
        port: u16,
        /// Bytes.
        bytes: usize,
    },
    /// Passes the request on, and this many bytes of the answer, then cuts both ways.
    CutReply {
        /// Port of the real server.
        port: u16,
        /// Bytes.
        bytes: usize,
    },
    /// Answers every request with these bytes as soon as the first byte of it arrives.
    Say(&'static [u8]),
}

/// A peer; gone when dropped.
#[derive(Debug)]
pub struct Peer {
    port: u16,
    connections: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// Loopback has no free port.
    #[must_use]
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let (count, over) = (Arc::clone(&connections), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Acquire) {
                    return;
                }
                count.fetch_add(1, Ordering::AcqRel);
                if let Ok(stream) = stream {
                    std::thread::spawn(move || behave(manner, &stream));
                }
            }
        });
        Self {
            port,
            connections,
            is_over,
            thread: Some(thread),
        }
    }

    /// In the form of the host list.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}/4,stock", self.port)
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread up.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(thread) = self.thread.take() {
            let _result = thread.join();
        }
    }
}

fn behave(manner: Manner, client: &TcpStream) {
    // Errors are what these peers are for.
    let _result = match manner {
        Manner::Close => client.shutdown(Shutdown::Both),
        Manner::Silent => swallow(client),
        Manner::CutRequest { port, bytes } => relay(client, port, Some(bytes), None),
        Manner::CutReply { port, bytes } => relay(client, port, None, Some(bytes)),
        Manner::Say(words) => say(client, words),
    };
}

fn swallow(mut client: &TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut client, &mut std::io::sink()).map(drop)
}

fn say(mut client: &TcpStream, words: &[u8]) -> std::io::Result<()> {
    client.read_exact(&mut [0])?;
    client.write_all(words)?;
    client.shutdown(Shutdown::Write)?;
    swallow(client)
}

/// Passes bytes on in both directions until one direction has reached its limit.
fn relay(
    client: &TcpStream,
    port: u16,
    request_max: Option<usize>,
    reply_max: Option<usize>,
) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port))?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _cut = pass_on(client, &server, request_max);
        });
        pass_on(&server, client, reply_max)
    })
}

fn pass_on(mut from: &TcpStream, mut to: &TcpStream, max: Option<usize>) -> std::io::Result<()> {
    let mut left = max.unwrap_or(usize::MAX);
    let mut buffer = vec![0; 1 << 16];
    while left > 0 {
        let len = from.read(&mut buffer)?.min(left);
        if len == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&buffer[..len])?;
        left -= len;
    }
    // Both sockets in both directions: the connection is cut, not ended in order.
    to.shutdown(Shutdown::Both)?;
    from.shutdown(Shutdown::Both)
}
