//! `cargo xtask bench`: figures that must hold, each beside stock's in the same run.
//!
//! Every benchmark prints a small table for people and, as its last line, `name key=value …` for
//! scripts, and fails where its criterion is not met.

pub(crate) mod cache;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod handover;
pub(crate) mod native;
pub(crate) mod ratchet;
pub(crate) mod server;
pub(crate) mod startup;
pub(crate) mod worker;

mod stub_agent;
mod stub_server;

use e2e::programs::STOCK_CLIENT;

/// Fails where there is nothing to compare with.
fn need_stock() -> Result<(), String> {
    if std::path::Path::new(STOCK_CLIENT).is_file() {
        Ok(())
    } else {
        Err(format!("{STOCK_CLIENT} is missing: apt-get install distcc"))
    }
}
