//! Snapshot files: what is loaded can be asked anything.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| petrel_fuzz::segment_open::check(bytes));
