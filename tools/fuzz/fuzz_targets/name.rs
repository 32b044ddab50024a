//! Names: wire, presentation, canonical order and lookup form agree.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| petrel_fuzz::name::check(bytes));
