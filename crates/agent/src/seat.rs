//! A job's slot on a host, and how far the connection is.

use std::pin::Pin;

use place::HostId;

use crate::connect::Link;
use crate::failure::HostFailure;
use crate::native::{Answer, NoResult, WhyNot};

pub(crate) type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Link, HostFailure>> + 'a>>;

/// A worker at work: what came of it, or why nothing did.
pub(crate) type Executing<'a> = Pin<Box<dyn Future<Output = Result<Answer, NoAnswer>> + 'a>>;

/// Why a worker gave no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The host, or the way there.
    Host(HostFailure),
    /// The action is not what it should be any more.
    Action(NoResult),
    /// There is no action for this text.
    Text(WhyNot),
}

impl From<NoResult> for NoAnswer {
    fn from(why: NoResult) -> Self {
        Self::Action(why)
    }
}

/// The job's slot on a host, and how far the connection is.
pub(crate) enum Seat<'a> {
    None,
    Connecting(HostId, u32, Connecting<'a>),
    Connected(HostId, u32, Link),
    /// A worker's, which waits for the text that it shall compile.
    AwaitsText(HostId, u32),
    /// A worker executes the job's action.
    Worker(HostId, u32, Executing<'a>),
}

impl Seat<'_> {
    pub(crate) fn place(&self) -> Option<(HostId, u32)> {
        match self {
            Self::None => None,
            Self::Connecting(host, slot, _)
            | Self::Connected(host, slot, _)
            | Self::AwaitsText(host, slot)
            | Self::Worker(host, slot, _) => Some((*host, *slot)),
        }
    }

    /// What happens next on the seat. Waits for ever when nothing is under way.
    pub(crate) async fn next(&mut self) -> News {
        match self {
            Self::Connecting(.., link) => News::Connected(link.as_mut().await),
            Self::Worker(.., work) => News::Answered(Box::new(work.as_mut().await)),
            Self::None | Self::Connected(..) | Self::AwaitsText(..) => std::future::pending().await,
        }
    }
}

/// What happened on a seat.
pub(crate) enum News {
    /// The end of connecting.
    Connected(Result<Link, HostFailure>),
    /// The end of a worker's work.
    Answered(Box<Result<Answer, NoAnswer>>),
}
