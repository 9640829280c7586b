//! Replies of stock servers: see `stock::check::reply`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stock::check::reply(bytes));
