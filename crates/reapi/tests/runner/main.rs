//! The services as clients see them, over connections in memory.
//!
//! The client here is generated from the specification and has nothing of this crate in it.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests; clippy exempts only what is in a `#[test]` function"
)]

mod action_cache;
mod blobs;
mod byte_stream;
mod casd;
mod client;
mod execution;
mod harness;
mod hostile;
mod tree;
