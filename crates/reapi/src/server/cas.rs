//! `ContentAddressableStorage`: blobs in and out, many at a time.
//!
//! `GetTree` has a file of its own.

use bytes::Bytes;
use store::{Digest, DigestFunction, Store};
use tonic::{Code, Request, Status};

use super::call::blocking;
use super::failure::Unpacking;
use super::{digests, failure};
use crate::compression::{BlobPacker, Unpacker};
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_UNPACKED_BYTES_MAX, COMPRESS_BYTES_MIN, MESSAGE_FIELDS_MAX,
};
use crate::message::digest;
use crate::proto::re::compressor::Value as Compressor;
use crate::proto::{
    BatchRead, BatchReadBlobsResponse, BatchUpdate, BatchUpdateBlobsRequest, RpcStatus, re,
};

/// Answers `FindMissingBlobs`. What is found counts as used, and so is kept for a while.
pub(super) async fn find_missing(
    store: Store,
    request: Request<re::FindMissingBlobsRequest>,
) -> Result<re::FindMissingBlobsResponse, Status> {
    let request = request.into_inner();
    let function = digests::function(request.digest_function)?;
    let wanted = digests::list(function, &request.blob_digests)?;
    let missing = store.missing(&wanted);
    Ok(re::FindMissingBlobsResponse {
        missing_blob_digests: missing.iter().map(digest::to_message).collect(),
    })
}

/// Answers `BatchUpdateBlobs`: each blob has its own outcome.
pub(super) async fn batch_update(
    store: Store,
    request: Request<BatchUpdateBlobsRequest>,
) -> Result<re::BatchUpdateBlobsResponse, Status> {
    let request = request.into_inner();
    let function = digests::function(request.digest_function)?;
    let updates = request.requests;
    let sizes = updates.iter().filter_map(|update| update.digest.as_ref());
    let unpacked = sizes.fold(0_u64, |sum, digest| {
        sum.saturating_add(digest.size_bytes.try_into().unwrap_or(0))
    });
    if unpacked > BATCH_UNPACKED_BYTES_MAX {
        return Err(Status::invalid_argument(format!(
            "a batch of {unpacked} bytes is over the limit of {BATCH_UNPACKED_BYTES_MAX}; \
             send blobs one by one"
        )));
    }
    let responses = blocking(move || {
        let mut unpacker = None;
        let mut update = |update: BatchUpdate| {
            let outcome = update_one(&store, function, &update, &mut unpacker);
            let status = outcome.err().unwrap_or_else(|| Status::new(Code::Ok, ""));
            re::batch_update_blobs_response::Response {
                digest: update.digest,
                status: Some(bazel_remote_apis::google::rpc::Status {
                    code: status.code().into(),
                    message: status.message().into(),
                    details: Vec::new(),
                }),
            }
        };
        updates.into_iter().map(&mut update).collect()
    });
    let responses = responses.await?;
    Ok(re::BatchUpdateBlobsResponse { responses })
}

fn update_one(
    store: &Store,
    function: DigestFunction,
    update: &BatchUpdate,
    unpacker: &mut Option<Unpacker>,
) -> Result<(), Status> {
    let digest = digests::required(function, "digest", update.digest.as_ref())?;
    let compressor = Compressor::try_from(update.compressor);
    if !matches!(compressor, Ok(Compressor::Identity | Compressor::Zstd)) {
        return Err(Status::invalid_argument(
            "only IDENTITY and ZSTD are supported",
        ));
    }
    if store.contains(&digest) {
        return Ok(());
    }
    let mut writer = store.writer(digest).map_err(failure::store)?;
    if compressor == Ok(Compressor::Identity) {
        writer.write(&update.data).map_err(failure::store)?;
        return writer.commit().map_err(failure::store);
    }
    let unpacker = match unpacker {
        Some(unpacker) => unpacker,
        None => unpacker.insert(Unpacker::new().map_err(failure::compressor)?),
    };
    unpacker.restart().map_err(failure::compressor)?;
    let unpacked = unpacker
        .push(&update.data, |piece| Ok(writer.write(piece)?))
        .and_then(|()| Ok(unpacker.finish()?));
    unpacked.map_err(|Unpacking(status)| status)?;
    writer.commit().map_err(failure::store)
}

/// Answers `BatchReadBlobs`: each blob has its own outcome.
pub(super) async fn batch_read(
    store: Store,
    request: Request<re::BatchReadBlobsRequest>,
) -> Result<BatchReadBlobsResponse, Status> {
    let request = request.into_inner();
    let function = digests::function(request.digest_function)?;
    let wanted = digests::list(function, &request.digests)?;
    let sum = wanted
        .iter()
        .fold(0_u64, |sum, digest| sum.saturating_add(digest.size_bytes));
    if sum > BATCH_BYTES_MAX as u64 || wanted.len() > MESSAGE_FIELDS_MAX / 4 {
        return Err(Status::invalid_argument(format!(
            "{} blobs of {sum} bytes are more than a batch may have ({BATCH_BYTES_MAX} bytes)",
            wanted.len()
        )));
    }
    let zstd = Compressor::Zstd.into();
    let may_pack = request.acceptable_compressors.contains(&zstd);
    let responses = blocking(move || {
        let mut packer = may_pack.then(BlobPacker::new).and_then(Result::ok);
        let read = |digest: &Digest| read_one(&store, digest, packer.as_mut());
        wanted.iter().map(read).collect()
    });
    let responses = responses.await?;
    Ok(BatchReadBlobsResponse { responses })
}

fn read_one(store: &Store, digest: &Digest, packer: Option<&mut BlobPacker>) -> BatchRead {
    let answer = |data: Bytes, compressor: Compressor, status: Option<Status>| BatchRead {
        digest: Some(digest::to_message(digest)),
        data,
        status: Some(RpcStatus {
            code: status.as_ref().map_or(Code::Ok, Status::code).into(),
            message: status
                .map(|status| status.message().into())
                .unwrap_or_default(),
            details: Vec::new(),
        }),
        compressor: compressor.into(),
    };
    let bytes = match store.read(digest, BATCH_BYTES_MAX as u64) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            let status = failure::not_found(digest);
            return answer(Bytes::new(), Compressor::Identity, Some(status));
        }
        Err(error) => {
            let status = failure::store(error);
            return answer(Bytes::new(), Compressor::Identity, Some(status));
        }
    };
    let packer = packer.filter(|_| bytes.len() >= COMPRESS_BYTES_MIN);
    match packer.and_then(|packer| packer.pack(&bytes).ok()) {
        Some(packed) if packed.len() < bytes.len() => answer(packed.into(), Compressor::Zstd, None),
        _ => answer(bytes.into(), Compressor::Identity, None),
    }
}
