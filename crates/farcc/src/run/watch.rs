//! The agent's events as they come.

use std::io;
use std::os::unix::net::UnixStream as StdStream;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use wire::event::Event;
use wire::frame;

/// A connection to the agent that only listens.
#[derive(Debug)]
pub(crate) struct Watch {
    stream: UnixStream,
    received: Vec<u8>,
}

impl Watch {
    /// Listens on a connection on which `Watch` was asked for; must run inside the runtime.
    pub(crate) fn new(stream: StdStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: UnixStream::from_std(stream)?,
            received: Vec::new(),
        })
    }

    /// The next event; `None` once the agent has gone or talks nonsense. May be dropped at any
    /// time without losing anything.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((payload, used)) = frame::split(&self.received).ok()? {
                let event = Event::from_payload(payload).ok()?;
                self.received.drain(..used);
                return Some(event);
            }
            if self.stream.read_buf(&mut self.received).await.ok()? == 0 {
                return None;
            }
        }
    }
}
