//! The include scanner on a real machine, and its comparison with the compiler.
//!
//! [`machine`] lets the scanner see real files, [`ask`] asks compilers about themselves, [`oracle`] asks them for the
//! files that they read, [`units`] reads `compile_commands.json`, and [`compare`] puts these together.
#![forbid(unsafe_code)]

pub mod ask;
pub mod compare;
pub mod machine;
pub mod oracle;
pub mod random;
pub mod units;
