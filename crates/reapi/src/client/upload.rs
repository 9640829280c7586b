//! Blobs to the server: which are missing, small ones in batches, large ones as streams.

use std::io;

use bytes::Bytes;
use store::Digest;
use tonic::Code;

use super::{CallError, Client};
use crate::limits::{BATCH_BYTES_MAX, PIECE_BYTES};
use crate::message::digest;
use crate::proto::{BatchUpdate, BatchUpdateBlobsRequest, re};

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
                let from = io::Cursor::new(data);
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
}
