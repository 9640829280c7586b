//! Tests of the server as clients see it: a real process, real sockets, real compilers.
//!
//! Each test starts servers of its own on ports that the kernel chooses. Started by root, a server
//! becomes an ordinary user, so the tests cover both.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on is a test that fails"
)]

mod action_attacks;
mod action_faults;
mod action_trees;
mod actions;
mod attacks;
mod faults;
mod native;
mod server;
mod service;
mod stock_client;
mod wire;
