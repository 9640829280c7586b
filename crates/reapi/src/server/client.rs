//! Who calls: the connection's address, and what the client says of itself.

use std::net::SocketAddr;

use prost::Message;
use tonic::metadata::MetadataMap;

use crate::executor::Client;
use crate::limits::CLIENT_TEXT_BYTES_MAX;
use crate::proto::re;

/// Where clients say what runs them, and for what.
const REQUEST_METADATA: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";

/// Who made a call. What is unreadable is as if it were not there.
pub(super) fn describe(peer: SocketAddr, headers: &MetadataMap) -> Client {
    let mut client = Client::unnamed(peer);
    let bytes = headers.get_bin(REQUEST_METADATA);
    let bytes = bytes.and_then(|value| value.to_bytes().ok());
    let Some(metadata) = bytes.and_then(|bytes| re::RequestMetadata::decode(bytes).ok()) else {
        return client;
    };
    let tool = metadata.tool_details.unwrap_or_default();
    client.tool_name = short(tool.tool_name);
    client.tool_version = short(tool.tool_version);
    client.invocation_id = short(metadata.tool_invocation_id);
    client.correlated_invocations_id = short(metadata.correlated_invocations_id);
    client.action_mnemonic = short(metadata.action_mnemonic);
    client.target_id = short(metadata.target_id);
    client
}

/// The start of a text that may be too long.
fn short(mut text: String) -> String {
    if let Some(end) = (0..=CLIENT_TEXT_BYTES_MAX)
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .filter(|end| *end < text.len())
    {
        text.truncate(end);
    }
    text
}
