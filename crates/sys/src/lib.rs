//! All unsafe and all platform code: what the operating system does for the other crates.
//!
//! Small safe functions, each file one subject. Nothing here knows of jobs, hosts or compilers.

#![allow(unsafe_code, reason = "this is the crate that may")]
#![cfg(target_os = "linux")]

mod child;
pub mod daemon;
pub mod detach;
pub mod dir_watch;
pub mod disk;
pub mod exec;
pub mod fd_passing;
pub mod lock;
pub mod open_files;
pub mod output_file;
pub mod plain_file;
pub mod preprocessor;
pub mod realm;
pub mod rendezvous;
pub mod sandbox;
pub mod signals;
pub mod socket;
pub mod terminal;

mod memory;

pub use memory::{keep_memory_for_bursts, memory_file, seal, sealable_file, use_few_heaps};
