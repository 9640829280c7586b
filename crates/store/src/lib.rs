//! Content-addressed store and action cache on disk.
#![forbid(unsafe_code)]
