//! Views of what distcc does: the jobs of this machine and the servers of the network.
//!
//! [`jobs`] reads the state files that clients keep in `$DISTCC_DIR/state` (stock's and ours
//! alike), [`text`] is `distccmon-text` over them, [`lsdistcc`] asks servers whether they are
//! there. Nothing here prints to standard output by itself: writers are handed in.

#![forbid(unsafe_code)]

pub mod jobs;
pub mod lsdistcc;
pub mod text;
