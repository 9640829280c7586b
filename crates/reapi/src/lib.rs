//! The Remote Execution API v2: messages, services, client, Merkle trees.
//!
//! The only crate that sees protobuf and gRPC. Outside of it there are its own types, checked when
//! they were read: [`Action`], [`Command`], [`Directory`], [`Tree`], [`ActionResult`].
//!
//! - `path`, `invalid`, `wire`: names and paths, what can be wrong, bytes;
//! - `message`: what lives in the content-addressed store;
//! - `merkle`: input roots in the making;
//! - `executor`: the seam to whoever runs commands; `status`: how a worker is;
//! - [`client`]: asks servers, of this project and others;
//! - [`check`]: what must hold for any bytes, for fuzzers;
//! - `server`: the services, and one connection of them.
#![forbid(unsafe_code)]

pub mod check;
pub mod client;
mod compression;
mod executor;
mod invalid;
mod limits;
mod merkle;
mod message;
mod path;
mod proto;
mod resource;
mod rpc;
mod server;
mod status;
mod steps;
mod wire;

pub use executor::{Client, ExecuteError, Executor, Job, Progress, Stage};
pub use invalid::{Invalid, Problem};
pub use limits::{DIRECTORY_BYTES_MAX, TREE_BYTES_MAX};
pub use merkle::{Entry, InputRoot, MerkleProblem, MerkleTree, Piece};
pub use message::action::Action;
pub use message::command::{Command, OutputDirectoryFormat, OutputKind, OutputPath};
pub use message::directory::{Directory, DirectoryNode, FileNode, NodeProperties, SymlinkNode};
pub use message::metadata::{ExecutionMetadata, ResourceUsage};
pub use message::platform::Platform;
pub use message::result::{ActionResult, OutputDirectory, OutputFile, OutputSymlink, OutputText};
pub use message::tree::Tree;
pub use path::{NAME_BYTES_MAX, Name, PATH_BYTES_MAX, PathProblem, RelativePath};
pub use server::{ConnectionError, Refused, Services, refuse_connection, serve_connection};
pub use status::WorkerStatus;
pub use wire::Malformed;
