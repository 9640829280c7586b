//! Host lists and what `lsdistcc` writes: see `stock::check::hosts`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stock::check::hosts(bytes));
