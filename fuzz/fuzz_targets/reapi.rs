//! What comes by the Remote Execution API: see `reapi::check::any_message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reapi::check::any_message(bytes));
