//! What lies in a store's directory: see `store::check::any_file`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| store::check::any_file(bytes));
