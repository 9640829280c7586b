//! `ContentAddressableStorage`: blobs in and out, many at a time.

use store::Store;
use tonic::{Request, Status};

use super::digests;
use crate::proto::re;

/// Answers `FindMissingBlobs`. What is found counts as used, and so is kept for a while.
pub(super) async fn find_missing(
    store: Store,
    request: Request<re::FindMissingBlobsRequest>,
) -> Result<re::FindMissingBlobsResponse, Status> {
    let request = request.into_inner();
    let function = digests::function(request.digest_function)?;
    let wanted = request.blob_digests.iter();
    let wanted = wanted.map(|digest| digests::from_message(function, digest));
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    let missing = store.missing(&wanted);
    Ok(re::FindMissingBlobsResponse {
        missing_blob_digests: missing.iter().map(digests::to_message).collect(),
    })
}
