//! The include scanner on a real machine, and its comparison with the compiler.
//!
//! [`machine`] lets the scanner see real files, [`ask`] asks compilers about themselves, [`oracle`] asks them for the
//! files that they read, [`units`] reads `compile_commands.json`, and [`compare`] puts these together. [`all`] does it for
//! the [`trees`] of the documentation, whose compiles are [`record`]ed.
#![forbid(unsafe_code)]

pub mod all;
pub mod ask;
pub mod compare;
pub mod machine;
pub mod oracle;
pub mod random;
pub mod record;
pub mod trees;
pub mod units;
