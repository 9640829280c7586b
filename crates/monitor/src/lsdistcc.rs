//! `lsdistcc`: which servers of a list, or of a row of numbered names, are there.
//!
//! Each usable server becomes one line that can go into a host list:
//! `NAME[:PORT][,lzo[,cpp]][,down][ MILLISECONDS]`. Lines come in the order of the names, as soon
//! as everything before them is known.
//!
//! What this does not do: `-h` (when to ask for a name again) is accepted and left to the system's
//! resolver.

mod options;
mod probe;
mod search;

pub use options::{Options, USAGE, UsageError};
pub use probe::{Probe, ProbeError, Target};
pub use search::run;
