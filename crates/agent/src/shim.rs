//! The conversation with one shim: frames, and the open files that travel beside them.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use wire::{ToAgent, ToShim, frame};

/// How much is asked of the kernel at once.
const READ_BYTES: usize = 16 << 10;

/// Makes both directions of a conversation.
pub(crate) fn open(stream: UnixStream) -> (Reader, Writer) {
    let stream = Rc::new(stream);
    let reader = Reader {
        stream: Rc::clone(&stream),
        buffer: Vec::new(),
        files: VecDeque::new(),
    };
    let writer = Writer {
        stream,
        turn: Mutex::new(()),
    };
    (reader, writer)
}

/// What the shim says.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: Rc<UnixStream>,
    buffer: Vec<u8>,
    files: VecDeque<OwnedFd>,
}

impl Reader {
    /// The next message and, with [`ToAgent::Preprocessed`], its file. `None` at the end. May be dropped and called
    /// again without losing anything.
    ///
    /// # Errors
    /// The connection broke, or what came is no message.
    pub(crate) async fn next(&mut self) -> io::Result<Option<(ToAgent, Option<File>)>> {
        loop {
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            if let Some((payload, used)) = frame::split(&self.buffer).map_err(invalid)? {
                let message = ToAgent::from_payload(payload).map_err(invalid)?;
                self.buffer.drain(..used);
                // The first message is long, and those after it are few: many shims wait at a time.
                if self.buffer.is_empty() {
                    self.buffer = Vec::new();
                }
                let file = match message {
                    ToAgent::Preprocessed(_) => self.files.pop_front().map(File::from),
                    _ => None,
                };
                return Ok(Some((message, file)));
            }
            let (stream, buffer, files) = (&*self.stream, &mut self.buffer, &mut self.files);
            let received = stream
                .async_io(Interest::READABLE, || {
                    let mut chunk = [0; READ_BYTES];
                    let mut fds = Vec::new();
                    let received = sys::fd_passing::recv_with_fds(stream, &mut chunk, &mut fds)?;
                    buffer.extend_from_slice(&chunk[..received]);
                    files.extend(fds);
                    Ok(received)
                })
                .await?;
            if received == 0 {
                return Ok(None);
            }
        }
    }
}

/// What the agent says.
#[derive(Debug)]
pub(crate) struct Writer {
    stream: Rc<UnixStream>,
    /// Frames of story and heartbeat must not mix.
    turn: Mutex<()>,
}

impl Writer {
    /// Sends a message with the files that go with it.
    ///
    /// # Errors
    /// The shim is gone.
    pub(crate) async fn send(&self, message: &ToShim, files: &[File]) -> io::Result<()> {
        self.send_bytes(&frame::encode(&message.to_payload()), files)
            .await
    }

    /// Sends a whole frame.
    ///
    /// # Errors
    /// The other side is gone.
    pub(crate) async fn send_bytes(&self, mut bytes: &[u8], files: &[File]) -> io::Result<()> {
        let _turn = self.turn.lock().await;
        let mut fds: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        while !bytes.is_empty() {
            let sent = self
                .stream
                .async_io(Interest::WRITABLE, || {
                    sys::fd_passing::send_with_fds(&*self.stream, bytes, &fds)
                })
                .await?;
            bytes = &bytes[sent..];
            fds.clear();
        }
        Ok(())
    }
}
