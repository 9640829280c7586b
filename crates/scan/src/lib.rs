//! Every file a compile can read, found without preprocessing.
//!
//! Problem: to compile elsewhere, or to say that nothing has changed, one must know every file that a compile reads;
//! preprocessing it to find out costs nearly as much as compiling. Approach: every file is read once and kept as its
//! list of directives; a scan follows those as the compiler would, with the compiler's own macros and search path, and
//! follows both groups of a conditional whose value only the compiler knows. The answer is never less than what the
//! compiler reads, or it says why it may be ([`Doubt`]).
//!
//! This crate never touches the machine: files are seen through [`Files`], and what the compiler says of itself is
//! handed in as a [`Toolchain`]. It does not know what is done with the answer.
//!
//! Files by reading order: [`Scanner`] keeps what is known, `walk` follows one compile, `parse` and `text` make files
//! into directives, `reads` keeps these, `state` holds the macros, `expand` and `eval` give conditions their values,
//! `search`, `paths`, `lookups` and `tree` find headers, `visits` does headers again, `memo` whole compiles.
//!
//! ```
//! use std::path::Path;
//! use scan::{Options, Request, Scanner, Toolchain, check::Memory};
//!
//! // What a compiler printed when it was asked with `scan::MACROS` and `scan::SEARCH`.
//! let search = b"#include <...> search starts here:\n /usr/include\nEnd of search list.\n";
//! let toolchain = Toolchain::new(b"#define __GNUC__ 12\n", b"", search).unwrap();
//! let mut files = Memory::default();
//! files.write(Path::new("/src/a.c"), b"#if __GNUC__ > 4\n#include <a.h>\n#endif\n");
//! files.write(Path::new("/src/inc/a.h"), b"");
//!
//! let mut scanner = Scanner::new();
//! let toolchain = scanner.learn(toolchain);
//! let options = Options::parse(&["-Iinc".into(), "-c".into(), "a.c".into()]);
//! let request = Request { toolchain, options: &options, cwd: Path::new("/src"), cpath: &[], language_path: &[] };
//! let found = scanner.scan(&mut files, &request);
//! assert!(found.is_certain());
//! assert_eq!(found.files[1].spelled(), Path::new("inc/a.h"));
//! ```
#![forbid(unsafe_code)]

mod at_once;
pub mod check;
mod embedded;
mod eval;
mod expand;
mod files;
mod hash;
mod layout;
pub mod limits;
mod listing;
mod lookups;
mod macro_log;
mod memo;
mod mode;
mod names;
mod needles;
mod once;
pub mod options;
mod packed;
mod parse;
mod parsed;
mod paths;
mod reads;
mod report;
mod scanner;
mod search;
mod stamps;
mod state;
mod store;
mod text;
mod token;
mod toolchain;
mod trail;
mod tree;
mod value;
mod visits;
mod walk;

pub use at_once::AtOnce;
pub use files::{Files, Found, Holds, Moment, NO_ERA, Stamp};
pub use layout::Layout;
pub use options::{Language, Options};
pub use parsed::{How, Unfollowed};
pub use report::{Dates, Doubt, FileName, FileUse, Scan, UnknownCondition, Why, Work};
pub use scanner::{Request, Scanner, ToolchainId};
pub use toolchain::{
    BadAnswer, Family, MACROS, Question, SEARCH, Toolchain, answers, questions_input, search_input,
};
