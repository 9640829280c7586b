//! What server, spawner and init tell each other.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use super::job::Outcome;

/// Most bytes of one message between the processes: a job's end, or an error's text.
pub(super) const MESSAGE_BYTES_MAX: usize = 4096;

/// What the processes tell each other; one message each, most with open files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message<'a> {
    /// Server to spawner: run this. With the job's socket and its description.
    Run(&'a Path),
    /// Spawner to server: ready; or, for a job: it exists, with its process.
    Started,
    /// Init to server: the command has ended. With its output files.
    Ended(End),
    /// Init to server: the program cannot be run.
    NoProgram(&'a str),
    /// Anything to server: it cannot be done.
    Failed(&'a str),
}

/// The numbers of an [`Outcome`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) wait_status: i32,
    pub(super) cpu: Duration,
    pub(super) rss_kib_max: u64,
    /// For each wanted output whether it comes with the message.
    pub(super) outputs: Vec<bool>,
}

impl End {
    pub(super) fn with_files(self, fds: Vec<OwnedFd>) -> io::Result<Outcome> {
        let mut files = fds.into_iter().map(File::from);
        let mut next = || {
            files
                .next()
                .ok_or(io::Error::from(io::ErrorKind::InvalidData))
        };
        let (stdout, stderr) = (next()?, next()?);
        let outputs = self
            .outputs
            .iter()
            .map(|&is_there| is_there.then(&mut next).transpose());
        Ok(Outcome {
            wait_status: self.wait_status,
            cpu: self.cpu,
            rss_kib_max: self.rss_kib_max,
            outputs: outputs.collect::<io::Result<_>>()?,
            stdout,
            stderr,
        })
    }
}

impl<'a> Message<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Message::Run(dir) => [b"R", dir.as_os_str().as_encoded_bytes()].concat(),
            Message::Started => b"S".to_vec(),
            Message::Failed(why) => text(*b"F", why),
            Message::NoProgram(why) => text(*b"N", why),
            Message::Ended(end) => {
                let mut message = vec![b'E'];
                message.extend_from_slice(&end.wait_status.to_le_bytes());
                let micros = u64::try_from(end.cpu.as_micros()).unwrap_or(u64::MAX);
                message.extend_from_slice(&micros.to_le_bytes());
                message.extend_from_slice(&end.rss_kib_max.to_le_bytes());
                message.extend(end.outputs.iter().map(|&is_there| u8::from(is_there)));
                message
            }
        }
    }

    pub(super) fn parse(message: &'a [u8]) -> Option<Message<'a>> {
        use std::os::unix::ffi::OsStrExt;
        let (kind, rest) = message.split_first()?;
        match kind {
            b'R' => Some(Message::Run(Path::new(std::ffi::OsStr::from_bytes(rest)))),
            b'S' => Some(Message::Started),
            b'F' => Some(Message::Failed(read_text(rest)?)),
            b'N' => Some(Message::NoProgram(read_text(rest)?)),
            b'E' => {
                let (status, rest) = rest.split_first_chunk()?;
                let (micros, rest) = rest.split_first_chunk()?;
                let (rss, rest) = rest.split_first_chunk()?;
                Some(Message::Ended(End {
                    wait_status: i32::from_le_bytes(*status),
                    cpu: Duration::from_micros(u64::from_le_bytes(*micros)),
                    rss_kib_max: u64::from_le_bytes(*rss),
                    outputs: rest.iter().map(|&is_there| is_there != 0).collect(),
                }))
            }
            _ => None,
        }
    }
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
            cpu: Duration::from_micros(12),
            rss_kib_max: 7,
            outputs: vec![true, false],
        };
        for message in [
            Message::Run(Path::new("/d")),
            Message::Run(Path::new("")),
            Message::Started,
            Message::Failed("why"),
            Message::NoProgram("gcc"),
            Message::Ended(end),
        ] {
            let bytes = message.encode();
            assert_eq!(Message::parse(&bytes), Some(message));
        }
        assert_eq!(Message::parse(b""), None);
        assert_eq!(Message::parse(b"E12"), None);
    }
}
