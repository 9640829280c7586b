//! One compile on a server that speaks the stock protocol: send the request, receive the reply.
//!
//! Both directions run at once, because a server may answer (or refuse) before it has read everything. The writing half
//! stays open to the end: a stock server takes its end for a client that has gone. Time runs out when no byte moved in
//! either direction for the timeout; nothing moves while the server compiles, so the timeout bounds the compile too.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use stock::{Limits, Packed, Phase, Progress, Reply, ReplyDecoder, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use crate::connect::Link;
use crate::failure::HostFailure;
use crate::scanning::Parcel;

/// How much is read or written at once, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// Texts and replies from this length on are packed and unpacked beside the event loop, in bytes.
const BIG_BODY_BYTES: u64 = 256 << 10;

/// How long an answer is waited for after sending has failed: a server that refuses early answers and hangs up.
const ANSWER_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// A preprocessed source.
#[derive(Debug)]
pub(crate) struct Text {
    /// Where it lies.
    pub(crate) file: File,
    /// Its length in bytes.
    pub(crate) len: u64,
}

/// What went over the wire.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// Bytes sent.
    pub(crate) sent: u64,
    /// Bytes received.
    pub(crate) received: u64,
    /// From the last byte sent to the first received.
    pub(crate) remote: Duration,
}

/// What a server shall compile.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load<'a> {
    /// Preprocessed text, in protocol 1 or 2.
    Text {
        version: Version,
        argv: &'a [Vec<u8>],
        text: &'a Text,
    },
    /// Source and headers, in protocol 3.
    Files(&'a FilesJob),
}

/// A compile of source and headers.
#[derive(Debug)]
pub(crate) struct FilesJob {
    /// The command, compiler first.
    pub(crate) argv: Vec<Vec<u8>>,
    /// The working directory.
    pub(crate) cwd: Vec<u8>,
    /// Everything that it reads.
    pub(crate) parcel: Parcel,
}

impl Load<'_> {
    fn version(self) -> Version {
        match self {
            Self::Text { version, .. } => version,
            Self::Files(_) => Version::V3,
        }
    }
}

/// The body as it will be sent.
enum Body<'a> {
    /// Read in pieces while it is sent, so that a waiting job costs no second copy.
    Plain(&'a Text),
    Packed(Packed),
    /// Borrowed from what all jobs share.
    Parts(Vec<Cow<'a, [u8]>>),
}

/// Has a server compile.
///
/// # Errors
/// No usable answer came.
pub(crate) async fn exchange(
    link: &mut Link,
    load: Load<'_>,
    io_timeout: Duration,
    show: impl Fn(Phase),
) -> Result<(Reply, Traffic), HostFailure> {
    let version = load.version();
    let (head, body, body_len) = prepare(load).await?;
    show(Phase::Send);

    let traffic = Traffic {
        sent: (head.len() + body_len) as u64,
        ..Traffic::default()
    };
    let pace = Pace {
        moved: Cell::new(Instant::now()),
        sent_at: Cell::new(None),
        traffic: Cell::new(traffic),
        show: &show,
    };
    let decoder = ReplyDecoder::new(version, Limits::DEFAULT);
    let answer = {
        let mut receiving = std::pin::pin!(receive(&mut link.reader, decoder, &pace));
        tokio::select! {
            biased;
            early = &mut receiving => early,
            sent = send(&mut link.writer, head, &body, &pace) => match sent {
                Ok(()) => {
                    pace.sent();
                    tokio::select! {
                        received = receiving => received,
                        () = pace.stalled(io_timeout) => Err(HostFailure::Timeout(io_timeout)),
                    }
                }
                // The reason may already be on its way.
                Err(error) => timeout(ANSWER_AFTER_FAILURE, receiving)
                    .await
                    .unwrap_or(Err(HostFailure::Send(error))),
            },
            () = pace.stalled(io_timeout) => Err(HostFailure::Timeout(io_timeout)),
        }
    };
    match answer {
        Ok(decoder) => Ok((unpack(decoder).await?, pace.traffic.get())),
        Err(HostFailure::NoAnswer { .. }) => Err(HostFailure::NoAnswer {
            hint: link.last_words().await,
        }),
        Err(failure) => Err(failure),
    }
}

/// Everything up to the body, the body, and the body's length in bytes.
async fn prepare(load: Load<'_>) -> Result<(Vec<u8>, Body<'_>, usize), HostFailure> {
    match load {
        Load::Text {
            version,
            argv,
            text,
        } => {
            let body = pack(version, text).await?;
            let len = match &body {
                Body::Packed(packed) => packed.len(),
                _ => usize::try_from(text.len).expect("limited by the caller"),
            };
            let head = stock::request::encode_head(version, argv, len)?;
            Ok((head, body, len))
        }
        Load::Files(job) => {
            let parts = stock::request::encode_files(&job.cwd, &job.argv, &job.parcel.files)?;
            let len = parts.iter().map(|part| part.len()).sum();
            Ok((Vec::new(), Body::Parts(parts), len))
        }
    }
}

async fn pack(version: Version, text: &Text) -> Result<Body<'_>, HostFailure> {
    if !version.is_compressed() {
        return Ok(Body::Plain(text));
    }
    let file = text.file.try_clone().map_err(HostFailure::Here)?;
    let len = usize::try_from(text.len).expect("limited by the caller");
    let work = move || -> io::Result<Packed> {
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Packed::compress(&bytes))
    };
    let packed = if text.len < BIG_BODY_BYTES {
        work()
    } else {
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|error| Err(io::Error::other(error)))
    };
    Ok(Body::Packed(packed.map_err(HostFailure::Here)?))
}

async fn unpack(answer: ReplyDecoder) -> Result<Reply, HostFailure> {
    let reply = answer.finish()?;
    let big = reply.object.len() as u64 >= BIG_BODY_BYTES;
    if !big || !reply.version.is_compressed() {
        return Ok(reply.unpack(&Limits::DEFAULT)?);
    }
    let done = tokio::task::spawn_blocking(move || reply.unpack(&Limits::DEFAULT)).await;
    match done {
        Ok(unpacked) => Ok(unpacked?),
        Err(error) => Err(HostFailure::Here(io::Error::other(error))),
    }
}

/// When something last moved.
struct Pace<'a, S> {
    moved: Cell<Instant>,
    sent_at: Cell<Option<Instant>>,
    traffic: Cell<Traffic>,
    show: &'a S,
}

impl<S: Fn(Phase)> Pace<'_, S> {
    fn step(&self) {
        self.moved.set(Instant::now());
    }

    fn sent(&self) {
        self.sent_at.set(Some(Instant::now()));
        (self.show)(Phase::Compile);
    }

    fn received(&self, bytes: usize) {
        self.step();
        let mut traffic = self.traffic.get();
        if traffic.received == 0 {
            let since = self.sent_at.get();
            traffic.remote = since.map(|sent| sent.elapsed()).unwrap_or_default();
            (self.show)(Phase::Receive);
        }
        traffic.received += bytes as u64;
        self.traffic.set(traffic);
    }

    /// Ends when nothing has moved for the timeout.
    async fn stalled(&self, io_timeout: Duration) {
        loop {
            let due = self.moved.get() + io_timeout;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }
}

async fn send<S: Fn(Phase)>(
    writer: &mut (impl AsyncWriteExt + Unpin),
    mut head: Vec<u8>,
    body: &Body<'_>,
    pace: &Pace<'_, S>,
) -> io::Result<()> {
    match body {
        Body::Packed(packed) => {
            let (first, rest) = packed.as_bytes().split_at(packed.len().min(CHUNK_BYTES));
            head.extend_from_slice(first);
            write(writer, &head, pace).await?;
            for chunk in rest.chunks(CHUNK_BYTES) {
                write(writer, chunk, pace).await?;
            }
        }
        Body::Parts(parts) => {
            // Most are small: together they go in few system calls.
            for part in parts {
                head.extend_from_slice(part);
                if head.len() >= CHUNK_BYTES {
                    write(writer, &head, pace).await?;
                    head.clear();
                }
            }
            write(writer, &head, pace).await?;
        }
        Body::Plain(text) => {
            // Head and first piece go together, so that they share packets.
            let mut chunk = head;
            let (mut at, mut filled) = (0, chunk.len());
            loop {
                let piece = (text.len - at).min(CHUNK_BYTES as u64);
                chunk.resize(filled + usize::try_from(piece).expect("at most a chunk"), 0);
                text.file.read_exact_at(&mut chunk[filled..], at)?;
                write(writer, &chunk, pace).await?;
                at += piece;
                filled = 0;
                if at == text.len {
                    break;
                }
                chunk.clear();
            }
        }
    }
    writer.flush().await
}

async fn write<S: Fn(Phase)>(
    writer: &mut (impl AsyncWriteExt + Unpin),
    mut bytes: &[u8],
    pace: &Pace<'_, S>,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = writer.write(bytes).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        pace.step();
    }
    Ok(())
}

async fn receive<S: Fn(Phase)>(
    reader: &mut (impl AsyncReadExt + Unpin),
    mut decoder: ReplyDecoder,
    pace: &Pace<'_, S>,
) -> Result<ReplyDecoder, HostFailure> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let received = match reader.read(&mut buffer).await {
            Ok(0) if pace.traffic.get().received == 0 => {
                return Err(HostFailure::NoAnswer {
                    hint: String::new(),
                });
            }
            Ok(0) => return Err(decoder.closed().into()),
            Ok(received) => received,
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionReset
                    && pace.traffic.get().received == 0 =>
            {
                return Err(HostFailure::NoAnswer {
                    hint: String::new(),
                });
            }
            Err(error) => return Err(HostFailure::Receive(error)),
        };
        pace.received(received);
        match decoder.feed(&buffer[..received])? {
            Progress::NeedMore => {}
            Progress::Done { .. } => return Ok(decoder),
        }
    }
}
