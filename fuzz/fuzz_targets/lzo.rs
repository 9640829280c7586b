//! LZO blocks: see `stock::check::lzo`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stock::check::lzo(bytes));
