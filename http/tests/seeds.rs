//! The inputs in `fuzz/seeds`, and all of their prefixes, by the checks of the fuzz targets.
#![allow(missing_docs)]

mod fuzzed;

use std::fs;
use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        let octets = fs::read(path).unwrap();
        for end in 0..=octets.len() {
            check(&octets[..end]);
        }
        seeds += 1;
    }
    assert!(seeds >= 5, "{target}: {seeds} seeds");
}

#[test]
fn seeds_of_connection() {
    replay("connection", fuzzed::connection);
}

#[test]
fn seeds_of_head() {
    replay("head", fuzzed::head);
}

#[test]
fn seeds_of_chunked() {
    replay("chunked", fuzzed::chunked);
}

#[test]
fn seeds_of_target() {
    replay("target", fuzzed::target);
}

#[test]
fn seeds_of_date() {
    replay("date", fuzzed::date);
}

#[test]
fn seeds_of_range() {
    replay("range", fuzzed::range);
}

#[test]
fn seeds_of_accept_encoding() {
    replay("accept_encoding", fuzzed::accept_encoding);
}
