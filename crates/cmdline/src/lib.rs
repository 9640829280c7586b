//! What compiler options mean.
//!
//! Problem: before a compile can run on another machine one must know what its command line asks for: which word is
//! the source, which files it writes, which options only matter to the preprocessor, and what ties it to this
//! machine. Approach: one sorted table of options  says how each option takes its argument and what it
//! does; [`parse`] folds a command line over that table into an [`Invocation`]; everything else is derived from the
//! invocation by pure functions.
//!
//! This crate never looks at the environment, the working directory or any file: response files are read through a
//! callback. It does not know about hosts, slots or sockets. A command line that it cannot understand with certainty
//! is [`Placement::Local`], never a guess.
#![forbid(unsafe_code)]

mod invocation;
mod name;
pub mod native;
mod server;
mod why;

pub use invocation::{
    Dependency, Invocation, Language, Mode, OutputFile, OutputKind, Target, parse,
};
pub use name::{Family, NameLookup, rewrite_name};
pub use server::{Input, PathAt, Refusal, RefusalCode, ServerCommand, server_check};
pub use why::{Placement, WhyLocal};
