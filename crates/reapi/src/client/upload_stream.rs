//! Large blobs to the server, as streams of pieces.
//!
//! Reading and compressing is done by a thread that may wait; the connection gets pieces that are ready. What goes to
//! several servers is compressed once, see [`PackedBlob`].

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

use bazel_remote_apis::google::bytestream::WriteResponse;
use bytes::Bytes;
use futures_core::Stream;
use store::Digest;
use tokio::sync::mpsc;

use super::{CallError, Client};
use crate::compression::Packer;
use crate::limits::PIECE_BYTES;
use crate::proto::WriteRequest;
use crate::resource::{Encoding, Resource};
use crate::steps::steps;

/// Pieces that wait for the connection: one more than it is sending.
const PIECES_READY_MAX: usize = 2;

/// What a piece ends with that is not wanted; no file is read so.
const NOBODY_TAKES_IT: io::ErrorKind = io::ErrorKind::BrokenPipe;

/// A blob as streams carry it: compressed, in a file without a name.
#[derive(Debug, Clone)]
pub struct PackedBlob {
    file: Arc<File>,
    len: u64,
}

impl PackedBlob {
    /// Compresses as many bytes as a blob has. Blocks.
    ///
    /// # Errors
    /// They cannot be read, or there is no place for what comes of them.
    pub fn make(digest: &Digest, mut from: impl Read) -> io::Result<Self> {
        let (mut file, mut len) = (tempfile::tempfile()?, 0);
        pack(&mut from, digest.size_bytes, |piece, _| {
            len += piece.len() as u64;
            file.write_all(&piece)
        })?;
        let file = Arc::new(file);
        Ok(Self { file, len })
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn packed_bytes(&self) -> u64 {
        self.len
    }

    fn reader(&self) -> impl Read + Send + 'static {
        ReadAt {
            file: Arc::clone(&self.file),
            at: 0,
        }
    }
}

/// Reads a file that others read too.
struct ReadAt {
    file: Arc<File>,
    at: u64,
}

impl Read for ReadAt {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(into, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

/// A part of what is sent.
struct Piece {
    data: Bytes,
    is_last: bool,
}

/// How pieces come of a blob's bytes.
#[derive(Debug, Clone, Copy)]
enum Form {
    AsItIs,
    ToBePacked,
}

impl Client {
    /// Sends one blob of any size, read and compressed as it goes.
    ///
    /// # Errors
    /// The call failed, the bytes could not be read, or they are not those of the digest.
    pub async fn upload_stream(
        &self,
        digest: &Digest,
        from: impl Read + Send + 'static,
    ) -> Result<(), CallError> {
        let resource = self.resource(digest);
        let form = match resource.encoding {
            Encoding::Identity => Form::AsItIs,
            Encoding::Zstd => Form::ToBePacked,
        };
        self.write(resource, from, digest.size_bytes, form).await
    }

    /// Whether the server takes blobs as they are in [`Self::upload_packed`].
    #[must_use]
    pub fn takes_packed(&self) -> bool {
        self.capabilities().streams_zstd
    }

    /// Sends one blob that is compressed already, to a server that [`Self::takes_packed`].
    ///
    /// # Errors
    /// The call failed, or the bytes are not those of the digest.
    pub async fn upload_packed(&self, digest: &Digest, blob: &PackedBlob) -> Result<(), CallError> {
        let resource = Resource {
            digest: *digest,
            encoding: Encoding::Zstd,
        };
        self.write(resource, blob.reader(), blob.len, Form::AsItIs)
            .await
    }

    async fn write(
        &self,
        resource: Resource,
        from: impl Read + Send + 'static,
        len: u64,
        form: Form,
    ) -> Result<(), CallError> {
        let digest = resource.digest;
        let name = resource.upload_name(&self.shared.instance, &upload_name());
        // Why the bytes could not be read. The call ends then without its last message.
        let unread = Arc::new(OnceLock::new());
        let not_taken = |text: String| CallError::NotTaken { digest, text };
        let (ready, pieces) = mpsc::channel(PIECES_READY_MAX);
        let told = Arc::clone(&unread);
        tokio::task::spawn_blocking(move || {
            match produce(from, len, form, &ready) {
                // Nobody takes them any more: the server has answered, or the call has failed.
                Err(error) if error.kind() == NOBODY_TAKES_IT => {}
                Err(error) => drop(told.set(error.to_string())),
                Ok(()) => {}
            }
        });
        let path = "/google.bytestream.ByteStream/Write";
        let answer: Result<WriteResponse, _> =
            self.client_stream(path, requests(name, pieces)).await;
        if let Some(text) = unread.get() {
            return Err(not_taken(String::clone(text)));
        }
        let committed = answer.map_err(|error| match error {
            CallError::Refused(text) => not_taken(text),
            error => error,
        })?;
        let committed = u64::try_from(committed.committed_size);
        // Of compressed bytes, some servers count what was sent, some what it became, and -1 means
        // that the blob was there already.
        if resource.encoding == Encoding::Identity && committed != Ok(digest.size_bytes) {
            return Err(CallError::Nonsense(format!(
                "{committed:?} of {} bytes were taken",
                digest.size_bytes
            )));
        }
        Ok(())
    }
}

/// A name that tells one upload from others of any client: a UUID, as the protocol wants it.
fn upload_name() -> String {
    // The standard library's hashers are seeded from the system's randomness.
    let random = || RandomState::new().hash_one(std::process::id());
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// The requests that send a blob.
fn requests(
    name: String,
    pieces: mpsc::Receiver<Piece>,
) -> impl Stream<Item = WriteRequest> + Send + 'static {
    let start = (name, 0, pieces);
    steps(start, |(name, offset, mut pieces)| async move {
        let piece = pieces.recv().await?;
        let length = piece.data.len() as u64;
        let request = WriteRequest {
            resource_name: name,
            write_offset: i64::try_from(offset).unwrap_or(i64::MAX),
            finish_write: piece.is_last,
            data: piece.data,
        };
        // The name goes with the first message.
        Some((request, (String::new(), offset + length, pieces)))
    })
}

/// Reads a blob and hands its pieces on; ends early if nobody takes them.
fn produce(
    mut from: impl Read,
    len: u64,
    form: Form,
    ready: &mpsc::Sender<Piece>,
) -> io::Result<()> {
    let hand_on = |data: Vec<u8>, is_last| {
        let data = data.into();
        let sent = ready.blocking_send(Piece { data, is_last });
        sent.map_err(|_| NOBODY_TAKES_IT.into())
    };
    match form {
        Form::AsItIs => copy(&mut from, len, hand_on),
        Form::ToBePacked => pack(&mut from, len, hand_on),
    }
}

/// Reads so many bytes, in pieces; the last one may be empty.
fn copy(
    from: &mut impl Read,
    len: u64,
    mut take: impl FnMut(Vec<u8>, bool) -> io::Result<()>,
) -> io::Result<()> {
    let mut left = len;
    loop {
        let mut piece = vec![0; at_most(left, PIECE_BYTES)];
        from.read_exact(&mut piece)?;
        left -= piece.len() as u64;
        take(piece, left == 0)?;
        if left == 0 {
            return Ok(());
        }
    }
}

/// The same, compressed.
fn pack(
    from: &mut impl Read,
    len: u64,
    mut take: impl FnMut(Vec<u8>, bool) -> io::Result<()>,
) -> io::Result<()> {
    let mut packer = Packer::new()?;
    let mut left = len;
    let mut bytes = vec![0; at_most(left, PIECE_BYTES)];
    let mut packed = Vec::with_capacity(PIECE_BYTES);
    while left > 0 {
        let bytes = &mut bytes[..at_most(left, PIECE_BYTES)];
        from.read_exact(bytes)?;
        left -= bytes.len() as u64;
        packer.push(bytes, &mut packed)?;
        if packed.len() >= PIECE_BYTES / 2 {
            let full = std::mem::replace(&mut packed, Vec::with_capacity(PIECE_BYTES));
            take(full, false)?;
        }
    }
    packer.finish(&mut packed)?;
    take(packed, true)
}

fn at_most(left: u64, max: usize) -> usize {
    usize::try_from(left).map_or(max, |left| left.min(max))
}
