//! All integration tests of this crate, in one binary.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests; clippy exempts only what is in a `#[test]` function"
)]

mod basics;

use std::path::Path;

use store::{Digest, DigestFunction, Options, Store};

const ROOMY: u64 = 1 << 30;

fn open(dir: &Path) -> Store {
    Store::open(dir, Options { bytes_max: ROOMY }).unwrap()
}

fn sha(bytes: &[u8]) -> Digest {
    Digest::of(DigestFunction::Sha256, bytes)
}
