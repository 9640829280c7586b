//! Command lines of compilers: see `cmdline::check::argv`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cmdline::check::argv(bytes));
