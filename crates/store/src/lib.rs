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
