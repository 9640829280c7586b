//! Requests of stock clients: see `stock::check::request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stock::check::request(bytes));
