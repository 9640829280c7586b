//! Blobs to the server: which are missing, small ones in batches, large ones as streams.

use std::io;

use bytes::Bytes;
use store::Digest;
use tonic::Code;

use super::{CallError, Client};
use crate::limits::{BATCH_BYTES_MAX, PIECE_BYTES};
use crate::message::digest;
use crate::proto::re::compressor::Value as Compressor;
use crate::proto::{BatchUpdate, BatchUpdateBlobsRequest, re};

/// Most digests in one question about missing blobs; servers take 10,000.
const ASKED_MAX: usize = 10_000;

/// Most blobs in one batch; some servers refuse more.
const BATCH_BLOBS_MAX: usize = 1_000;

/// What a blob takes in a batch besides its bytes: digest, tags, lengths.
pub(super) const BLOB_OVERHEAD_BYTES: usize = 128;

const _: () = assert!(PIECE_BYTES < BATCH_BYTES_MAX);

/// A blob as batches carry it. For any server that [`Client::takes`] it.
#[derive(Debug, Clone)]
pub struct BatchedBlob {
    digest: Digest,
    data: Bytes,
    compressor: Compressor,
}

impl BatchedBlob {
    /// What it is.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Bytes that are sent.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.data.len()
    }
}

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
        let bytes_max = self.batched_bytes_max();
        let (small, large): (Vec<_>, Vec<_>) = blobs
            .into_iter()
            .partition(|(_, data)| data.len() <= bytes_max);
        let small = small.into_iter();
        let small = small.map(|(digest, data)| self.pack(digest, data));
        self.upload_batched(small.collect()).await?;
        for (digest, data) in large {
            self.upload_stream(&digest, io::Cursor::new(data)).await?;
        }
        Ok(())
    }

    /// The same for blobs that are what batches carry.
    ///
    /// # Errors
    /// The call failed, or the server did not take one of them.
    pub async fn upload_batched(&self, blobs: Vec<BatchedBlob>) -> Result<(), CallError> {
        let bytes_max = self.capabilities().batch_bytes_max;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for blob in blobs {
            let more = blob.data.len() + BLOB_OVERHEAD_BYTES;
            if !batch.is_empty() && (bytes + more > bytes_max || batch.len() >= BATCH_BLOBS_MAX) {
                self.upload_batch(std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += more;
            batch.push(blob);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.upload_batch(batch).await
    }

    /// A blob as it goes into a batch: compressed, if the server can and it is worth it.
    #[must_use]
    pub fn pack(&self, digest: Digest, data: Bytes) -> BatchedBlob {
        let may_pack = self.capabilities().batches_zstd;
        match may_pack.then(|| self.packed(&data)).flatten() {
            Some(data) => BatchedBlob {
                digest,
                data,
                compressor: Compressor::Zstd,
            },
            None => BatchedBlob {
                digest,
                data,
                compressor: Compressor::Identity,
            },
        }
    }

    /// Whether the server takes a blob as it is, which was made for another one.
    #[must_use]
    pub fn takes(&self, blob: &BatchedBlob) -> bool {
        blob.compressor == Compressor::Identity || self.capabilities().batches_zstd
    }

    async fn upload_batch(&self, blobs: Vec<BatchedBlob>) -> Result<(), CallError> {
        let path = "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchUpdateBlobs";
        let request = BatchUpdateBlobsRequest {
            instance_name: self.instance(),
            requests: blobs
                .into_iter()
                .map(|blob| BatchUpdate {
                    digest: Some(digest::to_message(&blob.digest)),
                    data: blob.data,
                    compressor: blob.compressor.into(),
                })
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
}
