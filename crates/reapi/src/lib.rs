//! The Remote Execution API v2: client, services, Merkle trees. The only crate that sees protobuf.
#![forbid(unsafe_code)]
