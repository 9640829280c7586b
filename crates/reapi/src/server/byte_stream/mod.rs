//! `ByteStream`: one blob at a time, of any size.

mod parked;
mod query;
mod read;
mod upload;
mod write;

pub(super) use parked::Parked;
pub(super) use query::query;
pub(super) use read::read;
pub(super) use write::write;

use tonic::Status;

use crate::resource::ResourceProblem;

/// A name that is none.
fn bad_name(problem: ResourceProblem) -> Status {
    Status::invalid_argument(problem.to_string())
}
