//! Tests against the real compilers and with mutated command lines.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod actions;
mod compiler;
mod dependency_files;
mod depfile_text;
mod mutations;
mod native;
mod objects;
mod placements;
mod server;
mod stock;
