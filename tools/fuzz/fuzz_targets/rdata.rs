//! RDATA: what is accepted survives the way through presentation format.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| petrel_fuzz::rdata::check(bytes));
