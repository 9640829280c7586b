//! Blobs there and back: which are missing, small ones in batches, large ones as streams.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http::uri::PathAndQuery;
use store::{Digest, DigestFunction, Hasher};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{CallError, Client, to_message};
use crate::limits::BATCH_BYTES_MAX;
use crate::message::digest;
use crate::proto::{
    BatchReadBlobsResponse, BatchUpdate, BatchUpdateBlobsRequest, ReadResponse, WriteRequest, re,
};
use crate::rpc::Codec;

/// Most digests in one question about missing blobs; servers take 10,000.
const ASKED_MAX: usize = 10_000;

/// Most blobs in one batch; some servers refuse more.
const BATCH_BLOBS_MAX: usize = 1_000;

/// What a blob takes in a batch besides its bytes: digest, tags, lengths.
const BLOB_OVERHEAD_BYTES: usize = 128;

/// Bytes of one piece of a stream.
const PIECE_BYTES: usize = 1 << 20;

impl Client {
    /// Which of these blobs the server lacks.
    ///
    /// # Errors
    /// The call failed.
    pub async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, CallError> {
        let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs";
        let mut missing = Vec::new();
        for some in digests.chunks(ASKED_MAX) {
            let request = re::FindMissingBlobsRequest {
                instance_name: self.instance.clone(),
                blob_digests: some.iter().map(to_message).collect(),
                digest_function: self.digest_function(),
            };
            let answer: re::FindMissingBlobsResponse = self.unary(path, request).await?;
            for message in &answer.missing_blob_digests {
                missing.push(self.digest_of(message)?);
            }
        }
        Ok(missing)
    }

    /// How many bytes a blob may have to go in a batch with others.
    #[must_use]
    pub fn batched_bytes_max(&self) -> usize {
        self.capabilities
            .batch_bytes_max
            .saturating_sub(BLOB_OVERHEAD_BYTES)
    }

    /// Sends blobs that are small enough for batches ([`Client::batched_bytes_max`]), in as few calls as the server's
    /// limits allow.
    ///
    /// # Errors
    /// The call failed, or the server did not take one of them.
    pub async fn upload(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), CallError> {
        let bytes_max = self.capabilities.batch_bytes_max;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (digest, data) in blobs {
            let more = data.len() + BLOB_OVERHEAD_BYTES;
            if !batch.is_empty() && (bytes + more > bytes_max || batch.len() >= BATCH_BLOBS_MAX) {
                self.upload_batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += more;
            batch.push((digest, data));
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.upload_batch(batch).await
    }

    async fn upload_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), CallError> {
        let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs";
        let request = BatchUpdateBlobsRequest {
            instance_name: self.instance.clone(),
            requests: blobs
                .into_iter()
                .map(|(digest, data)| self.update(&digest, data))
                .collect(),
            digest_function: self.digest_function(),
        };
        let answer: re::BatchUpdateBlobsResponse = self.unary(path, request).await?;
        for response in answer.responses {
            if let Some(status) = response.status.filter(|status| status.code != 0) {
                return Err(CallError::of_code(status.code.into(), &status.message));
            }
        }
        Ok(())
    }

    fn update(&self, digest: &Digest, data: Bytes) -> BatchUpdate {
        let packed = self
            .capabilities
            .batches_zstd
            .then(|| self.packed(&data))
            .flatten();
        let (data, compressor) = match packed {
            Some(packed) => (packed, re::compressor::Value::Zstd.into()),
            None => (data, re::compressor::Value::Identity.into()),
        };
        BatchUpdate {
            digest: Some(to_message(digest)),
            data,
            compressor,
        }
    }

    /// Sends one blob of any size, read as it goes.
    ///
    /// # Errors
    /// The call failed, the bytes could not be read, or they are not those of the digest.
    pub async fn upload_stream(
        &self,
        digest: &Digest,
        from: impl AsyncRead + Send + 'static,
    ) -> Result<(), CallError> {
        let path = PathAndQuery::from_static("/google.bytestream.ByteStream/Write");
        let name = format!(
            "{}uploads/{}/blobs/{}",
            self.prefix(),
            upload_name(),
            self.blob_name(digest)
        );
        let pieces = pieces(from, name, digest.size_bytes);
        let mut grpc = self.grpc();
        grpc.ready().await?;
        let codec = Codec::<WriteRequest, WriteResponse>::new();
        let answer = grpc
            .client_streaming(self.request(pieces), path, codec)
            .await?;
        let committed = answer.into_inner().committed_size;
        // -1 is what some servers say for a compressed blob that was there already.
        if u64::try_from(committed).is_ok_and(|bytes| bytes != digest.size_bytes) {
            return Err(CallError::Nonsense(format!(
                "{committed} of {} bytes were taken",
                digest.size_bytes
            )));
        }
        Ok(())
    }

    /// Fetches a blob and checks it.
    ///
    /// # Errors
    /// It is not there ([`CallError::Missing`]), it is something else than its digest says, or the call failed.
    pub async fn download(&self, digest: &Digest) -> Result<Bytes, CallError> {
        if digest.size_bytes == 0 {
            return Ok(Bytes::new());
        }
        let bytes = match usize::try_from(digest.size_bytes) {
            Ok(size) if size <= self.batched_bytes_max() => self.download_small(digest).await?,
            _ => self.download_stream(digest).await?,
        };
        if bytes.len() as u64 != digest.size_bytes || Digest::of(digest.function, &bytes) != *digest
        {
            return Err(CallError::Nonsense(format!(
                "{} has other bytes than its digest says",
                digest.hex()
            )));
        }
        Ok(bytes)
    }

    async fn download_small(&self, digest: &Digest) -> Result<Bytes, CallError> {
        let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs";
        let request = re::BatchReadBlobsRequest {
            instance_name: self.instance.clone(),
            digests: vec![to_message(digest)],
            acceptable_compressors: Vec::new(),
            digest_function: self.digest_function(),
        };
        let answer: BatchReadBlobsResponse = self.unary(path, request).await?;
        let Some(read) = answer.responses.into_iter().next() else {
            return Err(CallError::Nonsense(
                "a blob was asked for, none came".into(),
            ));
        };
        match read.status {
            Some(status) if status.code == i32::from(tonic::Code::NotFound) => {
                Err(CallError::Missing(vec![*digest]))
            }
            Some(status) if status.code != 0 => {
                Err(CallError::of_code(status.code.into(), &status.message))
            }
            _ => Ok(read.data),
        }
    }

    async fn download_stream(&self, digest: &Digest) -> Result<Bytes, CallError> {
        let path = PathAndQuery::from_static("/google.bytestream.ByteStream/Read");
        let request = ReadRequest {
            resource_name: format!("{}blobs/{}", self.prefix(), self.blob_name(digest)),
            read_offset: 0,
            read_limit: 0,
        };
        let mut grpc = self.grpc();
        grpc.ready().await?;
        let codec = Codec::<ReadRequest, ReadResponse>::new();
        let mut stream = grpc
            .server_streaming(self.request(request), path, codec)
            .await
            .map_err(|status| match status.code() {
                tonic::Code::NotFound => CallError::Missing(vec![*digest]),
                _ => status.into(),
            })?
            .into_inner();
        let mut bytes = BytesMut::new();
        let mut hasher = Hasher::new(digest.function);
        while let Some(piece) = stream.message().await? {
            if (bytes.len() + piece.data.len()) as u64 > digest.size_bytes {
                return Err(CallError::Nonsense(
                    "a blob is longer than it should be".into(),
                ));
            }
            hasher.update(&piece.data);
            bytes.extend_from_slice(&piece.data);
        }
        Ok(bytes.freeze())
    }

    fn prefix(&self) -> String {
        match self.instance.as_str() {
            "" => String::new(),
            instance => format!("{instance}/"),
        }
    }

    fn blob_name(&self, digest: &Digest) -> String {
        match self.function {
            DigestFunction::Sha256 => format!("{}/{}", digest.hex(), digest.size_bytes),
            DigestFunction::Blake3 => format!("blake3/{}/{}", digest.hex(), digest.size_bytes),
        }
    }

    pub(super) fn digest_of(&self, message: &re::Digest) -> Result<Digest, CallError> {
        digest::from_parts(self.function, &message.hash, message.size_bytes)
            .map_err(|error| CallError::Nonsense(error.to_string()))
    }
}

/// `google.bytestream.ReadRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct ReadRequest {
    #[prost(string, tag = "1")]
    resource_name: String,
    #[prost(int64, tag = "2")]
    read_offset: i64,
    #[prost(int64, tag = "3")]
    read_limit: i64,
}

/// `google.bytestream.WriteResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct WriteResponse {
    #[prost(int64, tag = "1")]
    committed_size: i64,
}

/// A name that tells one upload from others of any client: a UUID, as the protocol wants it.
fn upload_name() -> String {
    use std::hash::{BuildHasher, Hasher};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // The standard library's only source of random numbers.
    let random = || std::hash::RandomState::new().build_hasher().finish();
    let (high, low) = (random() ^ COUNT.fetch_add(1, Ordering::Relaxed), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

/// The requests that send a blob: its name with the first piece, the end with the last.
fn pieces(
    from: impl AsyncRead + Send + 'static,
    name: String,
    size: u64,
) -> impl Stream<Item = WriteRequest> + Send + 'static {
    let mut from: Pin<Box<dyn AsyncRead + Send>> = Box::pin(from);
    let mut name = Some(name);
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let mut offset = 0;
        loop {
            // Ending early makes the server refuse the upload, which is what the caller hears.
            let Ok(piece) = read_piece(&mut from, size - offset).await else {
                return;
            };
            let write_offset = i64::try_from(offset).unwrap_or(i64::MAX);
            offset += piece.len() as u64;
            let is_short = piece.is_empty() && offset < size;
            let request = WriteRequest {
                resource_name: name.take().unwrap_or_default(),
                write_offset,
                finish_write: offset == size,
                data: piece,
            };
            if is_short || sender.send(request).await.is_err() || offset == size {
                return;
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

async fn read_piece(from: &mut Pin<Box<dyn AsyncRead + Send>>, rest: u64) -> io::Result<Bytes> {
    let wanted = usize::try_from(rest).unwrap_or(usize::MAX).min(PIECE_BYTES);
    let mut piece = BytesMut::with_capacity(wanted);
    while piece.len() < wanted {
        let mut some = (&mut *from).take((wanted - piece.len()) as u64);
        if some.read_buf(&mut piece).await? == 0 {
            break;
        }
    }
    Ok(piece.freeze())
}

const _: () = assert!(PIECE_BYTES < BATCH_BYTES_MAX);
