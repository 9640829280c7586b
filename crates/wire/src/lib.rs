//! Bytes between shim, agent and monitors.
//!
//! One compile is one conversation over a Unix stream socket: the shim sends [`ToAgent::Job`],
//! the agent answers with [`ToShim`] frames until one of them ends the conversation. A watcher
//! (`farcc run`, `farcc top`) sends [`ToAgent::Watch`] and then receives [`event::Event`]s.
//! Open files travel beside frames, as the kernel's ancillary data; how many go with a frame is
//! written in the frame. This crate knows bytes only: sockets, files and processes are `sys`'s.
//!
//! ```
//! use wire::{frame, ToShim};
//!
//! let bytes = frame::encode(&ToShim::Alive.to_payload());
//! let (payload, used) = frame::split(&bytes).unwrap().expect("a whole frame");
//! assert_eq!(used, bytes.len());
//! assert_eq!(ToShim::from_payload(payload).unwrap(), ToShim::Alive);
//! ```

#![forbid(unsafe_code)]

mod codec;

pub mod check;
pub mod environment;
pub mod event;
pub mod frame;
pub mod limits;
pub mod socket_name;

mod to_agent;
mod to_shim;

pub use codec::DecodeError;
pub use to_agent::{Explain, JobRequest, Preprocessed, Terminal, ToAgent};
pub use to_shim::{Destination, LogLevel, LogLine, OutputFile, ToShim};

/// Version of everything in this crate. It is part of the socket's name, so programs of different
/// versions never talk to each other: an agent of an older version finds no new work and leaves.
pub const PROTOCOL_VERSION: u32 = 4;
