//! `ByteStream.Write`: a blob in, in as many messages as the client likes.
//!
//! A blob that is there already, or comes there by another way meanwhile, ends the call at once
//! with success. A call that breaks off leaves what it sent, to be resumed under the same name.

use bazel_remote_apis::google::bytestream::WriteResponse;
use store::Store;
use tonic::{Status, Streaming};

use super::upload::Upload;
use super::{Parked, bad_name};
use crate::limits::INLINE_WORK_BYTES_MAX;
use crate::message::digest;
use crate::proto::WriteRequest;
use crate::resource::{Encoding, Resource};
use crate::server::call::blocking;

/// Answers `Write`.
pub(in crate::server) async fn write(
    store: Store,
    parked: Parked,
    mut messages: Streaming<WriteRequest>,
) -> Result<WriteResponse, Status> {
    let Some(first) = messages.message().await? else {
        return Err(Status::invalid_argument("no message came"));
    };
    let name = first.resource_name.clone();
    let resource = Resource::parse_write(&name).map_err(bad_name)?;
    if store.contains(&resource.digest) {
        return Ok(already_there(&resource));
    }
    let mut upload = begin(&store, &parked, &name, &resource, first.write_offset)?;
    let mut next_offset = first.write_offset;
    let mut message = first;
    loop {
        check(&message, &name, next_offset)?;
        next_offset += i64::try_from(message.data.len()).unwrap_or(0);
        let is_last = message.finish_write;
        upload = push(upload, message).await?;
        if is_last {
            blocking(move || upload.finish()).await??;
            return Ok(done(&resource, next_offset));
        }
        if store.contains(&resource.digest) {
            return Ok(already_there(&resource));
        }
        message = match messages.message().await {
            Ok(Some(message)) => message,
            Ok(None) => {
                let committed = upload.committed_bytes();
                parked.park(name, upload);
                return Ok(WriteResponse {
                    committed_size: i64::try_from(committed).unwrap_or(i64::MAX),
                });
            }
            Err(status) => {
                parked.park(name, upload);
                return Err(status);
            }
        };
    }
}

/// A new upload, or the one that broke off.
fn begin(
    store: &Store,
    parked: &Parked,
    name: &str,
    resource: &Resource,
    offset: i64,
) -> Result<Upload, Status> {
    let left = parked.take(name);
    if offset == 0 {
        return Upload::begin(store, resource);
    }
    let committed = left.as_ref().map_or(0, Upload::committed_bytes);
    match left {
        Some(mut upload) if u64::try_from(offset) == Ok(committed) => {
            upload.resume()?;
            Ok(upload)
        }
        left => {
            if let Some(upload) = left {
                parked.park(name.into(), upload);
            }
            let text = format!("write_offset is {offset}, but {committed} bytes have come");
            Err(Status::invalid_argument(text))
        }
    }
}

/// A message must go on where the last one ended.
fn check(message: &WriteRequest, name: &str, offset: i64) -> Result<(), Status> {
    if !message.resource_name.is_empty() && message.resource_name != name {
        return Err(Status::invalid_argument(
            "resource_name changes during the call",
        ));
    }
    if message.write_offset != offset {
        let text = format!("write_offset is {}, not {offset}", message.write_offset);
        return Err(Status::invalid_argument(text));
    }
    Ok(())
}

async fn push(mut upload: Upload, message: WriteRequest) -> Result<Upload, Status> {
    if message.data.len() <= INLINE_WORK_BYTES_MAX {
        upload.push(&message.data)?;
        return Ok(upload);
    }
    blocking(move || upload.push(&message.data).map(|()| upload)).await?
}

/// What the client wrote was not needed.
fn already_there(resource: &Resource) -> WriteResponse {
    WriteResponse {
        committed_size: match resource.encoding {
            Encoding::Identity => digest::size(&resource.digest),
            Encoding::Zstd => -1,
        },
    }
}

/// The count is of the bytes that were sent, packed or not.
fn done(resource: &Resource, sent: i64) -> WriteResponse {
    WriteResponse {
        committed_size: match resource.encoding {
            Encoding::Identity => digest::size(&resource.digest),
            Encoding::Zstd => sent,
        },
    }
}
