//! What the client gets of a job: read from where the job left it, packed, sent.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek};

use stock::exit::ExitCode;
use stock::{Packed, Reply, Version};
use sys::sandbox::Outcome;

use crate::client::Client;
use crate::limits;
use crate::memory::Share;
use crate::refusal::Refusal;
use crate::server::Server;
use crate::slots::Slot;
use crate::stats::Ending;

/// An answer ready to be sent, and what it holds on to.
pub(crate) struct Answer {
    reply: Reply<Packed>,
    pub(crate) ending: Ending,
    #[expect(dead_code, reason = "given back once the answer is sent")]
    memory: Share,
}

/// Reads what the job left and packs it for the wire. The slot is kept until there is memory for
/// it.
pub(crate) async fn answer(
    server: &Server,
    version: Version,
    outcome: Outcome,
    slot: Slot,
    wait_status: u32,
) -> Result<Answer, Refusal> {
    let is_success = wait_status == 0;
    let mut outputs = outcome
        .outputs
        .into_iter()
        .map(|output| output.into_file().filter(|_| is_success));
    let (object, deps) = (outputs.next().flatten(), outputs.next());
    let files = [
        Some(&outcome.stdout),
        Some(&outcome.stderr),
        object.as_ref(),
    ];
    let bytes = files
        .into_iter()
        .flatten()
        .map(size_of)
        .fold(0, usize::saturating_add);
    let mut memory = Share::default();
    server.memory.grow(&mut memory, bytes).await;

    let read = |file: Option<File>, what: &str| match file {
        Some(file) => read_output(file).map_err(|error| {
            Refusal::new(
                ExitCode::IoError,
                Ending::Other,
                format_args!("{what}: {error}"),
            )
        }),
        None => Ok(Vec::new()),
    };
    let reply = Reply {
        version,
        wait_status,
        stderr: read_text(outcome.stderr),
        stdout: read_text(outcome.stdout),
        object: read(object, "cannot send the object")?,
        deps: match deps {
            Some(deps) if is_success => Some(read(deps, "cannot send the dependencies")?),
            _ => None,
        },
    };
    drop(slot);
    let reply = if version.is_compressed() && bytes > limits::BLOCKING_BYTES {
        let packed = tokio::task::spawn_blocking(|| reply.pack()).await;
        packed.map_err(|error| Refusal::failed("cannot compress the result", error))?
    } else {
        reply.pack()
    };
    let ending = if is_success {
        Ending::Ok
    } else {
        Ending::Error
    };
    Ok(Answer {
        reply,
        ending,
        memory,
    })
}

fn size_of(file: &File) -> usize {
    file.metadata()
        .map_or(0, |data| usize::try_from(data.len()).unwrap_or(usize::MAX))
}

/// What the compiler wrote to one of its streams, up to a limit.
fn read_text(mut file: File) -> Vec<u8> {
    let mut text = Vec::new();
    let read = file.rewind().and_then(|()| {
        (&mut file)
            .take(limits::TEXT_BYTES_MAX)
            .read_to_end(&mut text)
    });
    if read.is_err()
        || file
            .metadata()
            .is_ok_and(|data| data.len() > limits::TEXT_BYTES_MAX)
    {
        text.extend_from_slice(b"\ndistccd: the rest of the compiler's messages was cut off\n");
    }
    text
}

fn read_output(mut file: File) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len();
    if len > limits::OUTPUT_BYTES_MAX {
        let max = limits::OUTPUT_BYTES_MAX;
        return Err(io::Error::other(format!(
            "it has {len} bytes, at most {max} are sent"
        )));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    // Nobody writes to it any more, but that is for the job's own processes to keep to.
    (&mut file)
        .take(limits::OUTPUT_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Sends an answer.
pub(crate) async fn send(server: &Server, client: &mut Client, answer: &Answer) -> io::Result<()> {
    let parts = answer.reply.parts().map_err(io::Error::other)?;
    let joined = join_small(&parts);
    client.send(&joined, server.io_time_max).await?;
    client.finish().await;
    Ok(())
}

/// Joins parts that are too small to be worth a system call of their own.
fn join_small<'a>(parts: &'a [Cow<'_, [u8]>]) -> Vec<Cow<'a, [u8]>> {
    /// Copying this much costs about as much as a system call.
    const SMALL_BYTES: usize = 16 << 10;
    let mut joined: Vec<Cow<'a, [u8]>> = Vec::with_capacity(parts.len());
    for part in parts {
        match joined.last_mut() {
            Some(last) if last.len() + part.len() <= SMALL_BYTES => {
                last.to_mut().extend_from_slice(part);
            }
            _ => joined.push(Cow::Borrowed(part)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_parts_go_together() {
        let large = vec![7; 20 << 10];
        let parts = [
            Cow::Borrowed(&b"ab"[..]),
            Cow::Borrowed(b"c"),
            Cow::Borrowed(&large),
            Cow::Borrowed(b"d"),
        ];
        let joined = join_small(&parts);
        assert_eq!(joined.len(), 3);
        assert_eq!(joined.concat(), parts.concat());
    }
}
