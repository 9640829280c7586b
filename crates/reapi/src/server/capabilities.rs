//! `Capabilities`: what this server can do, so that clients need not try.

use tonic::{Request, Status};

use crate::limits::BATCH_BYTES_MAX;
use crate::proto::{SemVer, re};

/// Bazel up to 7 says that it speaks 2.0 only, so a server must too.
const API_LOWEST: (i32, i32) = (2, 0);

/// The last version without anything that is missing here.
const API_HIGHEST: (i32, i32) = (2, 11);

/// Priorities that the queue tells apart. Lower is sooner.
const PRIORITIES: (i32, i32) = (-1000, 1000);

/// Answers `GetCapabilities`.
pub(super) async fn get(
    _: Request<re::GetCapabilitiesRequest>,
) -> Result<re::ServerCapabilities, Status> {
    Ok(capabilities())
}

/// The server's answer, the same for everybody.
fn capabilities() -> re::ServerCapabilities {
    let version = |(major, minor)| SemVer {
        major,
        minor,
        ..SemVer::default()
    };
    re::ServerCapabilities {
        cache_capabilities: Some(cache()),
        execution_capabilities: Some(execution()),
        deprecated_api_version: None,
        low_api_version: Some(version(API_LOWEST)),
        high_api_version: Some(version(API_HIGHEST)),
    }
}

fn digest_functions() -> Vec<i32> {
    use re::digest_function::Value;
    vec![Value::Sha256.into(), Value::Blake3.into()]
}

fn priorities() -> Option<re::PriorityCapabilities> {
    let (min_priority, max_priority) = PRIORITIES;
    let range = re::priority_capabilities::PriorityRange {
        min_priority,
        max_priority,
    };
    Some(re::PriorityCapabilities {
        priorities: vec![range],
    })
}

fn cache() -> re::CacheCapabilities {
    let compressors = vec![re::compressor::Value::Zstd.into()];
    re::CacheCapabilities {
        digest_functions: digest_functions(),
        action_cache_update_capabilities: Some(re::ActionCacheUpdateCapabilities {
            update_enabled: true,
        }),
        cache_priority_capabilities: priorities(),
        max_batch_total_size_bytes: BATCH_BYTES_MAX as i64,
        symlink_absolute_path_strategy: re::symlink_absolute_path_strategy::Value::Allowed.into(),
        supported_compressors: compressors.clone(),
        supported_batch_update_compressors: compressors,
        ..re::CacheCapabilities::default()
    }
}

fn execution() -> re::ExecutionCapabilities {
    re::ExecutionCapabilities {
        // What clients before version 2.3 look at.
        digest_function: re::digest_function::Value::Sha256.into(),
        digest_functions: digest_functions(),
        exec_enabled: true,
        execution_priority_capabilities: priorities(),
        supported_node_properties: vec!["mtime".into(), "unix_mode".into()],
    }
}
