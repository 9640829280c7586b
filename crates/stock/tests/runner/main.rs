//! All integration tests of this crate, in one binary.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "these are tests; clippy exempts only what is in a `#[test]` function"
)]

mod golden;
mod hostile;
mod hosts;
mod lzo;
mod mutate;
mod smoke;
mod stock_client;
mod stock_server;

use std::path::{Path, PathBuf};

/// A folder of captures: `request`, `reply`, `hosts`, …
fn data_dir(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(kind)
}

/// Every capture of a kind with its file's name, in the order of names.
fn captures(kind: &str) -> Vec<(String, Vec<u8>)> {
    let mut captures: Vec<_> = std::fs::read_dir(data_dir(kind))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    captures.sort();
    assert!(!captures.is_empty(), "no captures of kind {kind}");
    captures
}

fn capture(kind: &str, name: &str) -> Vec<u8> {
    std::fs::read(data_dir(kind).join(name)).unwrap()
}
