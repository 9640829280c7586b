//! A job's slot on a host, and how far the connection is.

use std::pin::Pin;

use place::HostId;

use crate::connect::Link;
use crate::failure::HostFailure;

pub(crate) type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Link, HostFailure>> + 'a>>;

/// The job's slot on a host, and how far the connection is.
pub(crate) enum Seat<'a> {
    None,
    Connecting(HostId, u32, Connecting<'a>),
    Connected(HostId, u32, Link),
}

impl Seat<'_> {
    pub(crate) fn place(&self) -> Option<(HostId, u32)> {
        match self {
            Self::None => None,
            Self::Connecting(host, slot, _) | Self::Connected(host, slot, _) => {
                Some((*host, *slot))
            }
        }
    }

    /// The end of connecting. Waits for ever when nothing is being connected.
    pub(crate) async fn connected(&mut self) -> Result<Link, HostFailure> {
        match self {
            Self::Connecting(.., link) => link.as_mut().await,
            Self::None | Self::Connected(..) => std::future::pending().await,
        }
    }
}
