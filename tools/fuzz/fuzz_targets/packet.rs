//! Queries: every datagram gets a reply that can be read, or none.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| petrel_fuzz::packet::check(bytes));
