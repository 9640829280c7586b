//! `ByteStream.QueryWriteStatus`: where to go on with an upload that broke off.

use bazel_remote_apis::google::bytestream::{QueryWriteStatusRequest, QueryWriteStatusResponse};
use store::Store;
use tonic::{Request, Status};

use super::{Parked, bad_name};
use crate::message::digest;
use crate::resource::Resource;

/// Answers `QueryWriteStatus`. Of an upload that nobody knows nothing has come: `ByteStream`
/// would have `NOT_FOUND` for that, but Bazel takes it for a failure of the upload.
pub(in crate::server) async fn query(
    store: Store,
    parked: Parked,
    request: Request<QueryWriteStatusRequest>,
) -> Result<QueryWriteStatusResponse, Status> {
    let name = request.into_inner().resource_name;
    let resource = Resource::parse_write(&name).map_err(bad_name)?;
    if store.contains(&resource.digest) {
        return Ok(QueryWriteStatusResponse {
            committed_size: digest::size(&resource.digest),
            complete: true,
        });
    }
    let committed = parked.committed_bytes(&name).unwrap_or(0);
    Ok(QueryWriteStatusResponse {
        committed_size: i64::try_from(committed).unwrap_or(i64::MAX),
        complete: false,
    })
}
