//! Programs of directives and changes of them, and bytes as a source: see `scan::check`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match bytes.split_first() {
        Some((0..128, rest)) => {
            scan::check::program(rest);
        }
        Some((_, rest)) => scan::check::bytes(rest),
        None => {}
    }
});
