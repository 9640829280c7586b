//! What compiler options mean.
//!
//! Problem: before a compile can run on another machine one must know what its command line asks for: which word is
//! the source, which files it writes, which options only matter to the preprocessor, and what ties it to this
//! machine. Approach: one sorted table of options says how each option takes its argument and what it does; [`parse`]
//! folds a command line over that table into an [`Invocation`]; everything else is derived from the invocation by pure
//! functions.
//!
//! This crate never looks at the environment, the working directory or any file: response files are read through a
//! callback. It does not know about hosts, slots or sockets. A command line that it cannot understand with certainty
//! is [`Placement::Local`], never a guess.
//!
//! ```
//! use std::ffi::{OsStr, OsString};
//! use cmdline::{Driver, Placement, parse};
//!
//! let args: Vec<OsString> = "-O2 -Iinc -MD -c dir/a.c -o out/a.o".split(' ').map(OsString::from).collect();
//! let driver = Driver::guess(&[OsStr::new("gcc")]);
//! let it = parse(&args, driver, &mut |_file| None);
//! assert_eq!(it.where_to(), Placement::Distributable);
//! assert_eq!(it.dependency().unwrap().file, "out/a.d");
//! assert_eq!(it.server_argv(OsStr::new("/src")), ["-O2", "-c", "dir/a.c", "-o", "out/a.o"]);
//! ```
#![forbid(unsafe_code)]

mod action;
pub mod check;
mod depfile;
mod deps;
mod derive;
mod files;
mod invocation;
mod lang;
mod name;
pub mod native;
pub mod native_specs;
mod parts;
mod placement;
mod refusal;
mod respfile;
mod server;
mod stock_scan;
mod table;
mod text_action;
mod values;
mod why;
mod words;

pub use action::ActionCommand;
pub use depfile::prerequisites;
pub use deps::{Dependency, Target};
pub use derive::{OutputFile, OutputKind};
pub use files::FilesCommand;
pub use invocation::{Invocation, Mode, parse};
pub use lang::{Language, is_source_name};
pub use name::{Driver, Family, NameLookup, rewrite_name};
pub use refusal::{Refusal, RefusalCode};
pub use server::{Input, PathAt, ServerCommand, server_check};
pub use text_action::TextAction;
pub use why::{Placement, WhyLocal};
