//! Any octets from a peer are requests, an unfinished one, or a rejection, however they are cut.
#![no_main]

#[path = "../../tests/feed/mod.rs"]
mod feed;

use http1::Limits;
use libfuzzer_sys::fuzz_target;

/// Small enough that a fuzzer finds each limit.
const NARROW: Limits = Limits {
    head_bytes_max: 300,
    target_bytes_max: 12,
    field_line_bytes_max: 90,
    ..Limits::DEFAULT
};

// The first octet chooses limits and a cut, the rest is what the peer sends.
fuzz_target!(|input: &[u8]| {
    let Some((&choice, stream)) = input.split_first() else { return };
    let limits = if choice & 1 == 0 { Limits::DEFAULT } else { NARROW };
    let cut = usize::from(choice >> 1).min(stream.len());
    let whole = feed::feed_cut(limits, stream, &[]);
    assert_eq!(feed::feed_cut(limits, stream, &[cut]), whole);
    assert_eq!(feed::feed_octets(limits, stream), whole);
});
