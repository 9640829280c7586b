//! Blobs from the server, checked: small ones together, large ones as streams.

use bytes::{Bytes, BytesMut};
use store::{Digest, Hasher};
use tonic::Code;

use super::upload::BLOB_OVERHEAD_BYTES;
use super::{CallError, Client};
use crate::compression::{Unpacker, unpack};
use crate::message::digest;
use crate::proto::re::compressor::Value as Compressor;
use crate::proto::{BatchRead, BatchReadBlobsResponse, ReadResponse, re};
use crate::resource::Encoding;

/// Why a stream was not taken to its end.
enum Stopped {
    /// Its bytes are not those that were asked for.
    Wrong(String),
    /// Whoever wanted them does not take them.
    Sink(std::io::Error),
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Stopped {
        Stopped::Wrong(error.to_string())
    }
}

impl Client {
    /// Fetches a blob and checks it.
    ///
    /// # Errors
    /// It is not there ([`CallError::Missing`]), it is something else than its digest says, or the
    /// call failed.
    pub async fn download(&self, digest: &Digest) -> Result<Bytes, CallError> {
        let mut blobs = self.download_all(std::slice::from_ref(digest)).await?;
        blobs.pop().ok_or_else(|| nonsense(digest, "did not come"))
    }

    /// Fetches blobs, in as few calls as the server's limits allow, and checks them. They come in
    /// the order in which they are asked for.
    ///
    /// # Errors
    /// Some are not there ([`CallError::Missing`] has those that are known by then), one is
    /// something else than its digest says, or a call failed.
    pub async fn download_all(&self, digests: &[Digest]) -> Result<Vec<Bytes>, CallError> {
        let batch_bytes_max = self.capabilities().batch_bytes_max as u64;
        let cost = |digest: &Digest| digest.size_bytes + BLOB_OVERHEAD_BYTES as u64;
        let mut blobs = vec![Bytes::new(); digests.len()];
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (index, digest) in digests.iter().enumerate() {
            if digest.is_empty_blob() {
                continue;
            }
            if cost(digest) > batch_bytes_max {
                let mut blob = BytesMut::new();
                self.download_to(digest, |piece| {
                    blob.extend_from_slice(piece);
                    Ok(())
                })
                .await?;
                blobs[index] = blob.freeze();
                continue;
            }
            if bytes + cost(digest) > batch_bytes_max {
                self.download_batch(digests, &std::mem::take(&mut batch), &mut blobs)
                    .await?;
                bytes = 0;
            }
            bytes += cost(digest);
            batch.push(index);
        }
        if !batch.is_empty() {
            self.download_batch(digests, &batch, &mut blobs).await?;
        }
        Ok(blobs)
    }

    /// `batch` has places in `digests` and `blobs`.
    async fn download_batch(
        &self,
        digests: &[Digest],
        batch: &[usize],
        blobs: &mut [Bytes],
    ) -> Result<(), CallError> {
        let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs";
        let zstd = self.capabilities().streams_zstd;
        let wanted = batch.iter().map(|index| &digests[*index]);
        let request = re::BatchReadBlobsRequest {
            instance_name: self.instance(),
            digests: wanted.map(digest::to_message).collect(),
            acceptable_compressors: zstd.then(|| Compressor::Zstd.into()).into_iter().collect(),
            digest_function: self.digest_function(),
        };
        let answer: BatchReadBlobsResponse = self.unary(path, request).await?;
        let mut unpacker = None;
        let mut missing = Vec::new();
        for (position, index) in batch.iter().enumerate() {
            let digest = &digests[*index];
            let Some(read) = self.answer_for(digest, &answer.responses, position) else {
                return Err(nonsense(digest, "did not come"));
            };
            match read.status.as_ref().map(|status| Code::from(status.code)) {
                None | Some(Code::Ok) => {}
                Some(Code::NotFound) => {
                    missing.push(*digest);
                    continue;
                }
                Some(code) => {
                    let text = read.status.as_ref().map_or("", |status| &status.message);
                    return Err(CallError::of_code(code, text));
                }
            }
            blobs[*index] = checked(digest, read, &mut unpacker)?;
        }
        if !missing.is_empty() {
            return Err(CallError::Missing(missing));
        }
        Ok(())
    }

    /// What a server answered about a blob: usually in the order of the question, but none is
    /// promised.
    fn answer_for<'a>(
        &self,
        digest: &Digest,
        answers: &'a [BatchRead],
        position: usize,
    ) -> Option<&'a BatchRead> {
        let is_meant = |read: &&BatchRead| {
            let named = read.digest.as_ref();
            named.and_then(|named| self.digest_of(named).ok()) == Some(*digest)
        };
        let likely = answers.get(position).filter(is_meant);
        likely.or_else(|| answers.iter().find(is_meant))
    }

    /// Fetches a blob of any size in pieces. What `sink` was given is the blob only if there is no
    /// error in the end.
    ///
    /// # Errors
    /// As of [`download`](Client::download); and [`CallError::NotTaken`] with the sink's word.
    pub async fn download_to(
        &self,
        digest: &Digest,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), CallError> {
        let mut hasher = Hasher::new(digest.function);
        let checked = |piece: &[u8]| {
            hasher.update(piece);
            sink(piece)
        };
        self.download_unchecked(digest, checked).await?;
        if hasher.finish() != *digest {
            return Err(nonsense(digest, "has other bytes than its digest says"));
        }
        Ok(())
    }

    /// The same for a sink that hashes what it is given. Here it is seen to that it is not given too much.
    ///
    /// # Errors
    /// As of [`download_to`](Client::download_to), less what the digest says.
    pub async fn download_unchecked(
        &self,
        digest: &Digest,
        mut sink: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), CallError> {
        let resource = self.resource(digest);
        let request = bazel_remote_apis::google::bytestream::ReadRequest {
            resource_name: resource.read_name(&self.shared.instance),
            read_offset: 0,
            read_limit: 0,
        };
        let path = "/google.bytestream.ByteStream/Read";
        let failed = |status: tonic::Status| match status.code() {
            Code::NotFound => CallError::Missing(vec![*digest]),
            _ => status.into(),
        };
        let mut unpacker = match resource.encoding {
            Encoding::Identity => None,
            Encoding::Zstd => Some(Unpacker::new().map_err(|error| nonsense(digest, error))?),
        };
        let answer = self.server_stream(path, self.request(request));
        let mut stream = answer.await.map_err(failed)?;
        let mut left = digest.size_bytes;
        let mut take = |piece: &[u8]| {
            left = left
                .checked_sub(piece.len() as u64)
                .ok_or_else(|| Stopped::Wrong("is longer than its digest says".into()))?;
            sink(piece).map_err(Stopped::Sink)
        };
        while let Some(message) = stream.message().await.map_err(failed)? {
            let ReadResponse { data } = message;
            let taken = match &mut unpacker {
                None => take(&data),
                Some(unpacker) => unpacker.push(&data, &mut take),
            };
            taken.map_err(|stopped| match stopped {
                Stopped::Wrong(text) => nonsense(digest, text),
                Stopped::Sink(error) => CallError::NotTaken {
                    digest: *digest,
                    text: error.to_string(),
                },
            })?;
        }
        Ok(())
    }
}

/// The bytes of an answer, if they are the right ones.
fn checked(
    digest: &Digest,
    read: &BatchRead,
    unpacker: &mut Option<Unpacker>,
) -> Result<Bytes, CallError> {
    let bytes = if read.compressor == i32::from(Compressor::Zstd) {
        let size = usize::try_from(digest.size_bytes).map_err(|error| nonsense(digest, error))?;
        let unpacker = match unpacker {
            Some(unpacker) => unpacker,
            None => unpacker.insert(Unpacker::new().map_err(|error| nonsense(digest, error))?),
        };
        let unpacked = unpack(unpacker, &read.data, size);
        unpacked.map_err(|error| nonsense(digest, error))?.into()
    } else {
        read.data.clone()
    };
    if bytes.len() as u64 != digest.size_bytes || Digest::of(digest.function, &bytes) != *digest {
        return Err(nonsense(digest, "has other bytes than its digest says"));
    }
    Ok(bytes)
}

fn nonsense(digest: &Digest, problem: impl std::fmt::Display) -> CallError {
    CallError::Nonsense(format!("blob {digest}: {problem}"))
}
