//! A host whose compiles end exactly when the benchmark says so.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use stock::{Limits, Progress, RequestDecoder};

/// What the server says about every compile: it went well and made one byte.
const REPLY: &[u8] = b"DONE00000001STAT00000000SERR00000000SOUT00000000DOTO00000001x";

/// A server with a number of compiles under way.
#[derive(Debug)]
pub(super) struct StubServer {
    listener: TcpListener,
    busy: VecDeque<TcpStream>,
}

impl StubServer {
    /// Listens on a free port of 127.0.0.1.
    pub(super) fn start() -> std::io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(("127.0.0.1", 0))?,
            busy: VecDeque::new(),
        })
    }

    /// In the form of the host list.
    pub(super) fn host(&self, slots: usize) -> std::io::Result<String> {
        Ok(format!("{}/{slots}", self.listener.local_addr()?))
    }

    /// Waits for the next job.
    pub(super) fn take_job(&mut self) -> std::io::Result<()> {
        let (stream, _) = self.listener.accept()?;
        self.busy.push_back(stream);
        Ok(())
    }

    /// Ends the oldest compile.
    pub(super) fn end_job(&mut self) -> std::io::Result<()> {
        let Some(mut stream) = self.busy.pop_front() else {
            return Ok(());
        };
        read_request(&mut stream)?;
        stream.write_all(REPLY)
    }

    /// Ends the oldest compile; how long its slot stayed empty.
    pub(super) fn hand_over(&mut self) -> std::io::Result<Duration> {
        self.end_job()?;
        let freed = Instant::now();
        self.take_job()?;
        Ok(freed.elapsed())
    }
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<()> {
    let invalid = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    let mut decoder = RequestDecoder::new(Limits::DEFAULT);
    let mut buffer = [0; 1 << 16];
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Progress::Done { .. } = decoder.feed(&buffer[..len]).map_err(invalid)? {
            return Ok(());
        }
    }
}
