//! All unsafe and all platform code.
