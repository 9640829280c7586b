//! Messages between shim, agent and monitors: see `wire::check::any_message`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| wire::check::any_message(bytes));
