//! Blobs to the server: which are missing, small ones in batches, large ones as streams.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use bazel_remote_apis::google::bytestream::WriteResponse;
use bytes::Bytes;
use futures_core::Stream;
use store::Digest;
use tokio::io::{AsyncRead, AsyncReadExt};
use tonic::Code;

use super::{CallError, Client};
use crate::compression::Packer;
use crate::limits::{BATCH_BYTES_MAX, PIECE_BYTES};
use crate::message::digest;
use crate::proto::{BatchUpdate, BatchUpdateBlobsRequest, WriteRequest, re};
use crate::resource::Encoding;
use crate::steps::steps;

/// Most digests in one question about missing blobs; servers take 10,000.
const ASKED_MAX: usize = 10_000;

/// Most blobs in one batch; some servers refuse more.
const BATCH_BLOBS_MAX: usize = 1_000;

/// What a blob takes in a batch besides its bytes: digest, tags, lengths.
pub(super) const BLOB_OVERHEAD_BYTES: usize = 128;

const _: () = assert!(PIECE_BYTES < BATCH_BYTES_MAX);

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
                instance_name: self.instance(),
                blob_digests: some.iter().map(digest::to_message).collect(),
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
        let batch = self.capabilities().batch_bytes_max;
        batch.saturating_sub(BLOB_OVERHEAD_BYTES)
    }

    /// Sends blobs, in as few calls as the server's limits allow. The first call is made before
    /// anything is waited for: one that is made after this future has been polled once comes
    /// after it.
    ///
    /// # Errors
    /// The call failed, or the server did not take one of them.
    pub async fn upload(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), CallError> {
        let bytes_max = self.capabilities().batch_bytes_max;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (digest, data) in blobs {
            let more = data.len() + BLOB_OVERHEAD_BYTES;
            if more > bytes_max {
                let from = std::io::Cursor::new(data);
                self.upload_stream(&digest, from).await?;
                continue;
            }
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
            instance_name: self.instance(),
            requests: blobs
                .into_iter()
                .map(|(digest, data)| self.update(&digest, data))
                .collect(),
            digest_function: self.digest_function(),
        };
        let answer: re::BatchUpdateBlobsResponse = self.unary(path, request).await?;
        for response in answer.responses {
            let Some(status) = response.status.filter(|status| status.code != 0) else {
                continue;
            };
            let code = Code::from(status.code);
            let digest = response.digest.map(|digest| self.digest_of(&digest));
            return Err(match digest {
                Some(Ok(digest)) if code == Code::InvalidArgument => CallError::NotTaken {
                    digest,
                    text: status.message,
                },
                _ => CallError::of_code(code, &status.message),
            });
        }
        Ok(())
    }

    fn update(&self, digest: &Digest, data: Bytes) -> BatchUpdate {
        let may_pack = self.capabilities().batches_zstd;
        let packed = may_pack.then(|| self.packed(&data)).flatten();
        let (data, compressor) = match packed {
            Some(packed) => (packed, re::compressor::Value::Zstd.into()),
            None => (data, re::compressor::Value::Identity.into()),
        };
        BatchUpdate {
            digest: Some(digest::to_message(digest)),
            data,
            compressor,
        }
    }

    /// Sends one blob of any size, read and compressed as it goes.
    ///
    /// # Errors
    /// The call failed, the bytes could not be read, or they are not those of the digest.
    pub async fn upload_stream(
        &self,
        digest: &Digest,
        from: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<(), CallError> {
        let resource = self.resource(digest);
        let name = resource.upload_name(&self.shared.instance, &upload_name());
        let unread = Arc::new(OnceLock::new());
        let not_taken = |text: String| CallError::NotTaken {
            digest: *digest,
            text,
        };
        let packer = match resource.encoding {
            Encoding::Identity => None,
            Encoding::Zstd => Some(Packer::new().map_err(|error| not_taken(error.to_string()))?),
        };
        let sending = Sending {
            from,
            name: Some(name),
            left: digest.size_bytes,
            offset: 0,
            packer,
            unread: Arc::clone(&unread),
        };
        let path = "/google.bytestream.ByteStream/Write";
        let answer: Result<WriteResponse, _> = self.client_stream(path, pieces(sending)).await;
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

/// A blob on its way out.
struct Sending<R> {
    from: R,
    /// Goes with the first message.
    name: Option<String>,
    /// Bytes still to be read.
    left: u64,
    /// Bytes sent, compressed or not.
    offset: u64,
    packer: Option<Packer>,
    /// Why the bytes could not be read. The call ends then without its last message.
    unread: Arc<OnceLock<String>>,
}

/// The requests that send a blob.
fn pieces<R>(sending: Sending<R>) -> impl Stream<Item = WriteRequest> + Send + 'static
where
    R: AsyncRead + Send + Unpin + 'static,
{
    steps(Some(sending), |sending| async move {
        let mut sending = sending?;
        match sending.next_piece().await {
            Ok((data, is_last)) => {
                let request = WriteRequest {
                    resource_name: sending.name.take().unwrap_or_default(),
                    write_offset: i64::try_from(sending.offset).unwrap_or(i64::MAX),
                    finish_write: is_last,
                    data,
                };
                sending.offset += request.data.len() as u64;
                Some((request, (!is_last).then_some(sending)))
            }
            Err(error) => {
                drop(sending.unread.set(error.to_string()));
                None
            }
        }
    })
}

impl<R: AsyncRead + Unpin> Sending<R> {
    /// The next bytes to send, and whether they are the last.
    async fn next_piece(&mut self) -> std::io::Result<(Bytes, bool)> {
        let mut packed = Vec::new();
        loop {
            let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
            let mut piece = vec![0; wanted.min(PIECE_BYTES)];
            self.from.read_exact(&mut piece).await?;
            self.left -= piece.len() as u64;
            let Some(packer) = &mut self.packer else {
                return Ok((piece.into(), self.left == 0));
            };
            packer.push(&piece, &mut packed)?;
            if self.left == 0 {
                packer.finish(&mut packed)?;
                return Ok((packed.into(), true));
            }
            if packed.len() >= PIECE_BYTES / 2 {
                return Ok((packed.into(), false));
            }
        }
    }
}
