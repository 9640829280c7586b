//! `ByteStream.Read`: a blob out, as it is or compressed on the way.

use std::os::unix::fs::FileExt;

use bytes::Bytes;
use futures_core::Stream;
use store::{Blob, Store};
use tonic::{Request, Status};

use super::bad_name;
use crate::compression::Packer;
use crate::limits::PIECE_BYTES;
use crate::proto::ReadResponse;
use crate::resource::{Encoding, Resource};
use crate::server::call::blocking;
use crate::server::failure;
use crate::steps::steps;

/// A blob on its way out.
struct Reading {
    blob: Blob,
    at: u64,
    end: u64,
    packer: Option<Packer>,
}

/// Answers `Read`.
pub(in crate::server) async fn read(
    store: Store,
    request: Request<bazel_remote_apis::google::bytestream::ReadRequest>,
) -> Result<impl Stream<Item = Result<ReadResponse, Status>>, Status> {
    let request = request.into_inner();
    let resource = Resource::parse_read(&request.resource_name).map_err(bad_name)?;
    let size = resource.digest.size_bytes;
    let start = u64::try_from(request.read_offset).ok();
    let start = start.filter(|start| *start <= size).ok_or_else(|| {
        let offset = request.read_offset;
        Status::out_of_range(format!(
            "read_offset {offset} is outside of a blob of {size} bytes"
        ))
    })?;
    let limit = u64::try_from(request.read_limit)
        .map_err(|_| Status::invalid_argument("read_limit is negative"))?;
    let packer = match resource.encoding {
        Encoding::Identity => None,
        Encoding::Zstd if limit != 0 => {
            let text = "read_limit must be 0 where compressed bytes are read";
            return Err(Status::invalid_argument(text));
        }
        Encoding::Zstd => Some(Packer::new().map_err(failure::compressor)?),
    };
    let blob = blocking(move || store.open_blob(&resource.digest)).await?;
    let blob = blob.map_err(failure::store)?;
    let blob = blob.ok_or_else(|| failure::not_found(&resource.digest))?;
    let end = if limit == 0 {
        size
    } else {
        size.min(start.saturating_add(limit))
    };
    let reading = Reading {
        blob,
        at: start,
        end,
        packer,
    };
    Ok(steps(Some(reading), |reading| async move {
        let reading = reading?;
        match blocking(move || reading.next_piece()).await {
            Ok(Ok((data, _))) if data.is_empty() => None,
            Ok(Ok((data, reading))) => Some((Ok(ReadResponse { data }), reading)),
            Ok(Err(status)) | Err(status) => Some((Err(status), None)),
        }
    }))
}

impl Reading {
    /// The next bytes for the client, and what goes on behind them. No bytes: that was all.
    fn next_piece(mut self) -> Result<(Bytes, Option<Reading>), Status> {
        let mut packed = Vec::new();
        while self.at < self.end {
            let piece = self.next_plain()?;
            let Some(packer) = &mut self.packer else {
                return Ok((piece.into(), Some(self)));
            };
            packer
                .push(&piece, &mut packed)
                .map_err(failure::compressor)?;
            if packed.len() >= PIECE_BYTES {
                return Ok((packed.into(), Some(self)));
            }
        }
        match self.packer.take() {
            None => Ok((Bytes::new(), None)),
            Some(mut packer) => {
                packer.finish(&mut packed).map_err(failure::compressor)?;
                // The stream ends behind this.
                Ok((packed.into(), None))
            }
        }
    }

    fn next_plain(&mut self) -> Result<Vec<u8>, Status> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let mut piece = vec![0; left.min(PIECE_BYTES)];
        let read = self.blob.file.read_exact_at(&mut piece, self.at);
        read.map_err(|error| Status::internal(format!("cannot read a blob: {error}")))?;
        self.at += piece.len() as u64;
        Ok(piece)
    }
}
