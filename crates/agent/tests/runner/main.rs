//! A real agent, driven over its socket by a shim made of test code, against servers that are scripted or stock's own.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests; those that need what this machine lacks say that they are skipped"
)]

mod server;
mod shim;
mod world;

mod cancel;
mod distribute;
mod faults;
mod files;
mod leave;
mod local;
mod queue;
mod share;
mod stock_server;
mod toolchain;
mod toolchain_root;
mod toolchain_same;
mod toolchain_trace;
