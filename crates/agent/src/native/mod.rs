//! Compiles on workers that speak the Remote Execution API, from the original sources.
//!
//! ```text
//! order ──▶ prepare ──▶ digest of the action ──▶ workers ──▶ worker: send, execute ──▶ result ──▶ shim
//!            places, inputs, toolchain              which hosts          what it has        outputs
//! ```
//!
//! A compile becomes an *action*: a command, and an input root that mirrors this machine (`prepare`, from `places` and
//! `inputs`, on the thread of `service`). A result that is known already is taken from the `cache`. Where that cannot be,
//! `whole` says why and what is done instead. What the compiler says that it has read is compared with what it was meant
//! to (`reads`). What is not known here: when and on which host a job runs (`place`), and what happens when a host fails
//! (`distribute`).

mod cache;
mod inputs;
mod installed;
mod manifest;
mod packed;
mod places;
mod prepare;
mod preprocessed;
mod probe;
mod reads;
mod result;
mod service;
mod whole;
mod worker;
mod workers;

pub use cache::CacheSettings;
pub(crate) use cache::{Kept, is_off as is_cache_off};
pub(crate) use inputs::changed;
pub(crate) use manifest::{Earlier, Manifest};
pub(crate) use prepare::{Order, Prepared};
pub(crate) use preprocessed::TextFile;
pub(crate) use result::{Answer, fetch};
pub(crate) use service::PrepareService;
pub(crate) use whole::WhyNot;
pub(crate) use worker::{NoResult, Traffic, remote_ms};
pub(crate) use workers::Workers;
