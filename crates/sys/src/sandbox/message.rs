//! What server, spawner and init tell each other.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::output::{Output, Sent};

/// Most bytes of one message between the processes: some outputs, or an error's text. More than
/// the longest target of a link.
pub(super) const MESSAGE_BYTES_MAX: usize = 8192;

/// What the processes tell each other; one message each, most with open files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// Server to spawner: run this. With the job's socket and its description.
    Run(&'a Path),
    /// Spawner to server: ready, and what is to be known, a line each; or, for a job: it exists,
    /// with its process.
    Started(&'a str),
    /// Init to server: the next of the job's outputs. With their files. It waits for an answer of
    /// one byte before it goes on: so that few descriptors are on their way at once.
    Outputs(Vec<Sent>),
    /// Init to server: the command is about to be run. With the files of its standard output and
    /// standard error, so that what it wrote outlives a job that is killed.
    Texts,
    /// Init to server: the command has ended.
    Ended(End),
    /// Init to server: the program cannot be run.
    NoProgram(&'a str),
    /// Init to server: the job has exceeded its limit of memory and is dead.
    OutOfMemory,
    /// Anything to server: it cannot be done.
    Failed(&'a str),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) wait_status: i32,
    pub(super) user: Duration,
    pub(super) system: Duration,
    pub(super) wall: Duration,
    pub(super) rss_kib_max: u64,
}

/// The outputs that go with one message.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) sent: Vec<Sent>,
    pub(super) fds: Vec<OwnedFd>,
    bytes: usize,
}

impl Batch {
    /// Adds one, or gives it back if there is no room.
    pub(super) fn push(&mut self, output: Output) -> Result<(), Output> {
        /// Kind and length.
        const HEAD_BYTES: usize = 5;
        let text_bytes = match &output {
            Output::Link(target) => target.as_os_str().len(),
            Output::Other(what) => what.len(),
            _ => 0,
        };
        let bytes = self.bytes + HEAD_BYTES + text_bytes;
        let has_room =
            bytes < MESSAGE_BYTES_MAX && self.fds.len() < crate::fd_passing::FDS_PER_MESSAGE_MAX;
        if !has_room && !self.sent.is_empty() {
            return Err(output);
        }
        let (sent, fd) = output.send();
        self.bytes = bytes;
        self.sent.push(sent);
        self.fds.extend(fd);
        Ok(())
    }
}

impl<'a> Message<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Message::Run(dir) => [b"R", dir.as_os_str().as_encoded_bytes()].concat(),
            Message::Started(notes) => text(*b"S", notes),
            Message::Failed(why) => text(*b"F", why),
            Message::NoProgram(why) => text(*b"N", why),
            Message::OutOfMemory => b"M".to_vec(),
            Message::Texts => b"T".to_vec(),
            Message::Outputs(outputs) => {
                let mut message = vec![b'O'];
                outputs.iter().for_each(|output| put(&mut message, output));
                message
            }
            Message::Ended(end) => {
                let mut message = vec![b'E'];
                message.extend_from_slice(&end.wait_status.to_le_bytes());
                for time in [end.user, end.system, end.wall] {
                    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
                    message.extend_from_slice(&micros.to_le_bytes());
                }
                message.extend_from_slice(&end.rss_kib_max.to_le_bytes());
                message
            }
        }
    }

    pub(super) fn parse(message: &'a [u8]) -> Option<Message<'a>> {
        use std::os::unix::ffi::OsStrExt;
        let (kind, mut rest) = message.split_first()?;
        match kind {
            b'R' => Some(Message::Run(Path::new(std::ffi::OsStr::from_bytes(rest)))),
            b'S' => Some(Message::Started(read_text(rest)?)),
            b'F' => Some(Message::Failed(read_text(rest)?)),
            b'N' => Some(Message::NoProgram(read_text(rest)?)),
            b'M' => Some(Message::OutOfMemory),
            b'T' => Some(Message::Texts),
            b'O' => {
                let mut outputs = Vec::new();
                while !rest.is_empty() {
                    outputs.push(take(&mut rest)?);
                }
                Some(Message::Outputs(outputs))
            }
            b'E' => {
                let (status, mut rest) = rest.split_first_chunk()?;
                let mut number = || {
                    let (number, after) = rest.split_first_chunk()?;
                    rest = after;
                    Some(u64::from_le_bytes(*number))
                };
                Some(Message::Ended(End {
                    wait_status: i32::from_le_bytes(*status),
                    user: Duration::from_micros(number()?),
                    system: Duration::from_micros(number()?),
                    wall: Duration::from_micros(number()?),
                    rss_kib_max: number()?,
                }))
            }
            _ => None,
        }
    }
}

fn put(message: &mut Vec<u8>, output: &Sent) {
    let (kind, text): (u8, &[u8]) = match output {
        Sent::Missing => (b'-', &[]),
        Sent::File => (b'f', &[]),
        Sent::Directory => (b'd', &[]),
        Sent::Link(target) => (b'l', target),
        Sent::Other(what) => (b'o', what),
    };
    message.push(kind);
    message.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    message.extend_from_slice(text);
}

fn take(rest: &mut &[u8]) -> Option<Sent> {
    let (&kind, after) = rest.split_first()?;
    let (len, after) = after.split_first_chunk()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (text, after) = after.split_at_checked(len)?;
    *rest = after;
    Some(match kind {
        b'-' => Sent::Missing,
        b'f' => Sent::File,
        b'd' => Sent::Directory,
        b'l' => Sent::Link(text.to_vec()),
        b'o' => Sent::Other(text.to_vec()),
        _ => return None,
    })
}

fn text(kind: [u8; 1], why: &str) -> Vec<u8> {
    let mut message = [&kind, why.as_bytes()].concat();
    message.truncate(MESSAGE_BYTES_MAX);
    message
}

/// A text that may have been cut within a character.
fn read_text(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive() {
        let end = End {
            wait_status: 256,
            user: Duration::from_micros(12),
            system: Duration::from_micros(13),
            wall: Duration::from_micros(14),
            rss_kib_max: 7,
        };
        let outputs = vec![
            Sent::File,
            Sent::Missing,
            Sent::Link(b"../x".to_vec()),
            Sent::Directory,
            Sent::Other(b"what".to_vec()),
        ];
        for message in [
            Message::Run(Path::new("/d")),
            Message::Run(Path::new("")),
            Message::Started(""),
            Message::Failed("why"),
            Message::NoProgram("gcc"),
            Message::Outputs(outputs),
            Message::OutOfMemory,
            Message::Texts,
            Message::Ended(end),
        ] {
            let bytes = message.encode();
            assert_eq!(Message::parse(&bytes), Some(message));
        }
        assert_eq!(Message::parse(b""), None);
        assert_eq!(Message::parse(b"E12"), None);
        assert_eq!(Message::parse(b"Ol\x05\0\0\0abc"), None);
    }

    #[test]
    fn outputs_are_sent_in_parts_that_fit() {
        let mut outputs: Vec<Output> = Vec::new();
        for _ in 0..100 {
            outputs.push(Output::File(crate::memory_file("x").unwrap()));
            outputs.push(Output::Link("x".repeat(4095).into()));
        }
        let (mut parts, mut count) = (0, 0);
        let mut batch = Batch::default();
        let mut flush = |batch: Batch| {
            assert!(batch.fds.len() <= crate::fd_passing::FDS_PER_MESSAGE_MAX);
            parts += 1;
            count += batch.sent.len();
            assert!(Message::Outputs(batch.sent).encode().len() <= MESSAGE_BYTES_MAX);
        };
        for output in outputs {
            if let Err(output) = batch.push(output) {
                flush(std::mem::take(&mut batch));
                batch.push(output).unwrap();
            }
        }
        flush(batch);
        assert_eq!(count, 200);
        assert!(parts > 50, "{parts}");
    }
}
