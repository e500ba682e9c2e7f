//! Any octets are mapped as a driver's image, or refused with one line; none of them run.
#![no_main]

#[allow(dead_code)] // The tests need more of it.
#[path = "../../src/loader/sample.rs"]
mod sample;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use nthost::{Host, LoadFailure};

/// Shorter inputs are replaced by the sample, so that no corpus is needed to begin with.
const HEADER_BYTES: usize = 64;

fuzz_target!(|file: &[u8]| {
    match Host::check_image(file) {
        Ok(()) => {}
        Err(LoadFailure::Image(error)) => {
            let said = error.to_string();
            assert!(!said.is_empty() && !said.contains(char::is_control), "{said:?}");
        }
        Err(other) => panic!("{other:?}"),
    }
});

fuzz_mutator!(|octets: &mut [u8], size: usize, size_max: usize, _seed: u32| {
    let sample = sample::sample();
    if size < HEADER_BYTES && sample.len() <= size_max {
        octets[..sample.len()].copy_from_slice(&sample);
        return sample.len();
    }
    fuzzer_mutate(octets, size, size_max)
});
