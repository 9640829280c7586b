//! What a server says of itself.

use store::DigestFunction;
use tonic::client::Grpc;

use super::{CallError, Http2, Shared};
use crate::limits::BATCH_BYTES_MAX;
use crate::proto::re;
use crate::proto::re::compressor::Value as Compressor;
use crate::proto::re::digest_function::Value as Function;

/// The versions of the protocol that are spoken here.
const API_LOWEST: (i32, i32) = (2, 0);
const API_HIGHEST: (i32, i32) = (2, 11);

/// What a server can do, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Digests that it understands; the first is the one that it likes best.
    pub functions: Vec<DigestFunction>,
    /// Most bytes of blobs in one batch.
    pub batch_bytes_max: usize,
    /// Streams of blobs may be compressed with zstd.
    pub streams_zstd: bool,
    /// Blobs in batches may be compressed with zstd.
    pub batches_zstd: bool,
    /// It executes actions.
    pub executes: bool,
    /// Results may be put into its cache.
    pub takes_results: bool,
    /// Links in trees may be absolute.
    pub absolute_links: bool,
}

impl Default for Capabilities {
    /// What every server must be able to do.
    fn default() -> Capabilities {
        Capabilities {
            functions: vec![DigestFunction::Sha256],
            batch_bytes_max: BATCH_BYTES_MAX,
            streams_zstd: false,
            batches_zstd: false,
            executes: false,
            takes_results: false,
            absolute_links: false,
        }
    }
}

/// Asks a server.
pub(super) async fn ask(shared: &Shared, grpc: Grpc<Http2>) -> Result<Capabilities, CallError> {
    let path = "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities";
    let request = re::GetCapabilitiesRequest {
        instance_name: shared.instance.clone(),
    };
    let answer: re::ServerCapabilities = shared.unary(grpc, path, request).await?;
    check_version(&answer)?;
    Ok(read(&answer))
}

/// A server that says nothing about versions is taken as it is.
fn check_version(answer: &re::ServerCapabilities) -> Result<(), CallError> {
    let version = |version: &Option<crate::proto::SemVer>| {
        let version = version.as_ref();
        version.map(|version| (version.major, version.minor))
    };
    let lowest = version(&answer.low_api_version).or(version(&answer.deprecated_api_version));
    let highest = version(&answer.high_api_version);
    let is_too_new = lowest.is_some_and(|lowest| lowest > API_HIGHEST);
    let is_too_old = highest.is_some_and(|highest| highest < API_LOWEST && highest != (0, 0));
    if !is_too_new && !is_too_old {
        return Ok(());
    }
    let text = |version: Option<(i32, i32)>| match version {
        Some((major, minor)) => format!("{major}.{minor}"),
        None => "?".into(),
    };
    Err(CallError::Unsupported(format!(
        "the server speaks versions {} to {} of the Remote Execution API; {} to {} are spoken here",
        text(lowest),
        text(highest),
        text(Some(API_LOWEST)),
        text(Some(API_HIGHEST)),
    )))
}

fn read(answer: &re::ServerCapabilities) -> Capabilities {
    let mut known = Capabilities::default();
    if let Some(cache) = &answer.cache_capabilities {
        let functions = cache.digest_functions.iter();
        known.functions = functions
            .filter_map(|value| match Function::try_from(*value) {
                Ok(Function::Sha256) => Some(DigestFunction::Sha256),
                Ok(Function::Blake3) => Some(DigestFunction::Blake3),
                _ => None,
            })
            .collect();
        // Zero means that there is no limit but gRPC's own.
        if let Ok(bytes @ 1..) = usize::try_from(cache.max_batch_total_size_bytes) {
            known.batch_bytes_max = bytes.min(BATCH_BYTES_MAX);
        }
        let zstd = i32::from(Compressor::Zstd);
        known.streams_zstd = cache.supported_compressors.contains(&zstd);
        known.batches_zstd = cache.supported_batch_update_compressors.contains(&zstd);
        let may_update = cache.action_cache_update_capabilities.as_ref();
        known.takes_results = may_update.is_some_and(|may| may.update_enabled);
        let allowed = re::symlink_absolute_path_strategy::Value::Allowed;
        known.absolute_links = cache.symlink_absolute_path_strategy == i32::from(allowed);
    }
    let execution = answer.execution_capabilities.as_ref();
    known.executes = execution.is_some_and(|execution| execution.exec_enabled);
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::SemVer;

    #[test]
    fn a_server_that_says_nothing_is_taken_at_its_least() {
        let known = read(&re::ServerCapabilities::default());
        assert_eq!(known, Capabilities::default());
        assert_eq!(check_version(&re::ServerCapabilities::default()), Ok(()));
    }

    #[test]
    fn limits_are_honoured_and_never_raised() {
        let answer = |bytes| re::ServerCapabilities {
            cache_capabilities: Some(re::CacheCapabilities {
                max_batch_total_size_bytes: bytes,
                ..re::CacheCapabilities::default()
            }),
            ..re::ServerCapabilities::default()
        };
        assert_eq!(read(&answer(65_536)).batch_bytes_max, 65_536);
        assert_eq!(read(&answer(0)).batch_bytes_max, BATCH_BYTES_MAX);
        assert_eq!(read(&answer(-1)).batch_bytes_max, BATCH_BYTES_MAX);
        assert_eq!(read(&answer(i64::MAX)).batch_bytes_max, BATCH_BYTES_MAX);
    }

    #[test]
    fn versions_must_overlap() {
        let check = |low: (i32, i32), high: (i32, i32)| {
            let version = |(major, minor)| SemVer {
                major,
                minor,
                ..SemVer::default()
            };
            check_version(&re::ServerCapabilities {
                low_api_version: Some(version(low)),
                high_api_version: Some(version(high)),
                ..re::ServerCapabilities::default()
            })
        };
        for (low, high) in [((2, 0), (2, 0)), ((2, 1), (2, 12)), ((2, 11), (3, 0))] {
            assert_eq!(check(low, high), Ok(()));
        }
        for (low, high) in [((1, 0), (1, 9)), ((2, 12), (2, 12)), ((3, 0), (3, 0))] {
            assert!(check(low, high).is_err());
        }
    }
}
