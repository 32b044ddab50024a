//! Zone files: what is read can be compiled, loaded and found.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| petrel_fuzz::zone_file::check(bytes));
