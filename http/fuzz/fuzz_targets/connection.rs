//! Any octets from a peer are requests, an unfinished one, or a rejection, however they are cut.
#![no_main]

#[path = "../../tests/fuzzed/mod.rs"]
mod fuzzed;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| fuzzed::connection(octets));
