//! The messages that live in the content-addressed store, as this project's own types.
//!
//! Each file holds one: what it means, how it is read and checked, and its canonical encoding.

pub(crate) mod action;
pub(crate) mod command;
pub(crate) mod digest;
pub(crate) mod directory;
pub(crate) mod metadata;
pub(crate) mod platform;
pub(crate) mod result;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod time;
pub(crate) mod tree;
