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
//! into directives, `state` holds the macros, `expand` and `eval` give conditions their values, `search` and `tree` find
//! headers, `memo` replays whole answers.
#![forbid(unsafe_code)]

pub mod check;
mod embedded;
mod eval;
mod expand;
mod files;
mod hash;
mod layout;
pub mod limits;
mod memo;
mod names;
pub mod options;
mod parse;
mod parsed;
mod report;
mod scanner;
mod search;
mod state;
mod store;
mod text;
mod token;
mod toolchain;
mod tree;
mod value;
mod walk;

pub use files::{Files, Found, Stamp};
pub use layout::Layout;
pub use options::{Language, Options};
pub use parsed::{How, Unfollowed};
pub use report::{Dates, Doubt, FileUse, Scan, UnknownCondition, Why, Work};
pub use scanner::{Request, Scanner, ToolchainId};
pub use toolchain::{
    BadAnswer, Family, MACROS, Question, SEARCH, Toolchain, answers, questions_input, search_input,
};
