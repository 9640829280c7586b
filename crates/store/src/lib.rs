//! Content-addressed store and action cache on disk.
//!
//! A server keeps what clients sent and what compilers made, by digest, and what each action's
//! result was. Everything in it can be made or sent again, so nothing is synchronised to the disk
//! and whatever is damaged is dropped; but what is served is always right.
//!
//! - [`Store`]: opening, looking up, pinning, the action cache. Cheap to clone, for all threads.
//! - [`Writer`]: how blobs come in.
//! - [`Blob`], [`Store::link`]: how they go out.
//!
//! The calls are synchronous: they return when the file system did.
//!
//! ```
//! use store::{DigestFunction, LinkOutcome, Options, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let store = Store::open(dir.path(), Options { bytes_max: 1 << 30 })?;
//! let header = store.put(DigestFunction::Blake3, b"#pragma once\n")?;
//!
//! // A job: what it needs stays while it runs, and lies in its tree as hard links.
//! let pin = store.pin([header]);
//! assert!(pin.missing().is_empty());
//! let outcome = store.link(&header, false, &store.work_dir().join("a.h"))?;
//! assert_ne!(outcome, LinkOutcome::Missing);
//! # Ok(())
//! # }
//! ```
//!
//! What a crash may leave, and why it does no harm: half-written files in a directory that is
//! emptied at the next opening; files with wrong bytes under right names, which are noticed since
//! each is hashed at its first use; more than the limit, which the next opening evicts; and an
//! order of use that is a little old.
#![forbid(unsafe_code)]

mod actions;
mod blob;
pub mod check;
mod digest;
mod error;
mod index;
mod keep_order;
mod layout;
mod limits;
mod link;
mod load;
mod open;
mod pin;
mod record;
mod remove;
mod room;
mod shared;
mod stamp;
mod store;
mod temp;
mod turns;
mod uses;
mod writer;

pub use blob::Blob;
pub use digest::{Digest, DigestError, DigestFunction, Hasher};
pub use error::StoreError;
pub use limits::ACTION_BYTES_MAX;
pub use link::LinkOutcome;
pub use pin::Pin;
pub use store::{Options, Stats, Store};
pub use writer::Writer;
