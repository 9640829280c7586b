//! State files: see `stock::check::state`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stock::check::state(bytes));
