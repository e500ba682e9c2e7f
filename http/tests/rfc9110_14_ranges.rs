//! Range requests (RFC 9110 section 14), a row for each requirement or decision.
#![allow(missing_docs)]

mod feed;

use feed::{NOW, get_with};
use http1::{Connection, Limits, Method, PART_FIELDS_BYTES_MAX, Part, Step, Validators};

const TAG: &[u8] = b"\"a\"";
const MODIFIED: u64 = 784_111_777;

fn part_with(fields: &str, method: Method, complete: u64, validators: &Validators<'_>) -> Part {
    let stream = get_with(fields);
    match Connection::new().receive(&Limits::DEFAULT, &stream) {
        Step::Request { request, .. } => request.selectors.part(method, complete, validators, NOW),
        other => panic!("{}: {other:?}", stream.escape_ascii()),
    }
}

fn part(fields: &str, complete: u64) -> Part {
    let validators = Validators { entity_tag: TAG, last_modified: Some(MODIFIED) };
    part_with(fields, Method::Get, complete, &validators)
}

fn range(value: &str, complete: u64) -> Part {
    part(&format!("Range: {value}"), complete)
}

fn octets(first: u64, last: u64) -> Part {
    Part::Octets { first, last }
}

#[test]
fn s9110_14_2_one_range() {
    for (value, expected) in [
        ("bytes=0-0", octets(0, 0)),
        ("bytes=0-99", octets(0, 99)),
        ("bytes=99-99", octets(99, 99)),
        ("bytes=10-", octets(10, 99)),
        ("bytes=0-", octets(0, 99)),
        ("bytes=007-0010", octets(7, 10)),
        ("BYTES=1-2", octets(1, 2)),
        // Empty members of a list are none (section 5.6.1.2).
        ("bytes=, 1-2 ,", octets(1, 2)),
        ("bytes= 1-2\t", octets(1, 2)),
        // What is asked for beyond the end is not there.
        ("bytes=90-100", octets(90, 99)),
        ("bytes=99-1000", octets(99, 99)),
    ] {
        assert_eq!(range(value, 100), expected, "{value}");
    }
}

/// A name that is as long as If-Range and begins like it has no say in ranges.
#[test]
fn a_field_like_if_range_is_another_field() {
    assert_eq!(part("If-Other: \"x\"\r\nRange: bytes=1-2", 100), octets(1, 2));
}

#[test]
fn s9110_14_1_2_suffix() {
    for (value, complete, expected) in [
        ("bytes=-1", 100, octets(99, 99)),
        ("bytes=-99", 100, octets(1, 99)),
        ("bytes=-100", 100, octets(0, 99)),
        ("bytes=-101", 100, octets(0, 99)),
        ("bytes=-1", 1, octets(0, 0)),
        ("bytes=-0", 100, Part::Unsatisfiable),
        ("bytes=-00", 0, Part::Unsatisfiable),
        // Satisfiable, but inexpressible: the whole of nothing.
        ("bytes=-1", 0, Part::Whole),
    ] {
        assert_eq!(range(value, complete), expected, "{value} of {complete}");
    }
}

#[test]
fn s9110_14_2_beyond_the_end_is_unsatisfiable() {
    for (value, complete) in [
        ("bytes=100-", 100),
        ("bytes=100-100", 100),
        ("bytes=101-200", 100),
        ("bytes=0-", 0),
        ("bytes=0-0", 0),
        ("bytes=18446744073709551615-", u64::MAX),
    ] {
        assert_eq!(range(value, complete), Part::Unsatisfiable, "{value} of {complete}");
    }
}

#[test]
fn s9110_14_1_2_positions_beyond_64_bits_saturate() {
    let vast = "9".repeat(400);
    for (value, complete, expected) in [
        // CVE-2015-1635.
        ("bytes=0-18446744073709551615".to_owned(), 100, octets(0, 99)),
        ("bytes=18-18446744073709551615".to_owned(), 100, octets(18, 99)),
        ("bytes=0-18446744073709551615".to_owned(), u64::MAX, octets(0, u64::MAX - 1)),
        ("bytes=1-18446744073709551616".to_owned(), 100, octets(1, 99)),
        ("bytes=-18446744073709551616".to_owned(), 100, octets(0, 99)),
        (format!("bytes=0-{vast}"), 100, octets(0, 99)),
        (format!("bytes=-{vast}"), 100, octets(0, 99)),
        (format!("bytes={vast}-"), 100, Part::Unsatisfiable),
        (format!("bytes={vast}-{vast}"), u64::MAX, Part::Unsatisfiable),
        ("bytes=18446744073709551614-".to_owned(), u64::MAX, octets(u64::MAX - 1, u64::MAX - 1)),
    ] {
        assert_eq!(range(&value, complete), expected, "{value} of {complete}");
    }
}

#[test]
fn s9110_14_2_several_ranges_are_the_whole() {
    for value in
        ["bytes=0-0,2-3", "bytes=0-0, -1", "bytes=0-,0-,0-", "bytes=200-,300-", "bytes=1-2,x"]
    {
        assert_eq!(range(value, 100), Part::Whole, "{value}");
    }
    // However many: they are not collected.
    let many = format!("bytes={}", "0-,".repeat(2_000));
    assert_eq!(range(&many, 100), Part::Whole);
    assert_eq!(part("Range: bytes=0-0\r\nRange: bytes=0-0", 100), Part::Whole, "not a list field");
}

#[test]
fn s9110_14_2_unknown_unit_and_malformed_are_ignored() {
    for value in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=--1",
        "bytes=1",
        "bytes=1-2-3",
        "bytes=2-1",
        "bytes=100-0",
        "bytes=0x1-2",
        "bytes=+1-2",
        "bytes=1 -2",
        "bytes=1- 2",
        "bytes=a-b",
        "bytes=1-b",
        "bytes=-b",
        "bytes =1-2",
        "bytes:1-2",
        "octets=1-2",
        "seconds=1-2",
        "byte=1-2",
        "bytes 1-2/3",
    ] {
        assert_eq!(range(value, 100), Part::Whole, "{value:?}");
    }
}

#[test]
fn s9110_14_2_range_is_for_get_alone() {
    let validators = Validators { entity_tag: TAG, last_modified: Some(MODIFIED) };
    for field in ["Range: bytes=0-0", "Range: bytes=100-"] {
        for method in [Method::Head, Method::Options, Method::Post, Method::Other] {
            let part = part_with(field, method, 100, &validators);
            assert_eq!(part, Part::Whole, "{method:?} {field}");
        }
    }
    assert_eq!(part("A: b", 100), Part::Whole);
}

#[test]
fn s9110_13_1_5_if_range() {
    let first = octets(0, 0);
    for (value, expected) in [
        ("\"a\"", first),
        ("Sun, 06 Nov 1994 08:49:37 GMT", first),
        ("Sunday, 06-Nov-94 08:49:37 GMT", first),
        ("Sun Nov  6 08:49:37 1994", first),
        ("\"b\"", Part::Whole),
        ("W/\"a\"", Part::Whole),
        ("\"a\", \"b\"", Part::Whole),
        ("\"a", Part::Whole),
        ("*", Part::Whole),
        ("", Part::Whole),
        // Exactly that date: a later one is as wrong as an earlier one.
        ("Sun, 06 Nov 1994 08:49:38 GMT", Part::Whole),
        ("Sun, 06 Nov 1994 08:49:36 GMT", Part::Whole),
        ("yesterday", Part::Whole),
    ] {
        let fields = format!("If-Range: {value}\r\nRange: bytes=0-0");
        assert_eq!(part(&fields, 100), expected, "{value}");
        let fields = format!("Range: bytes=100-\r\nIf-Range: {value}");
        let unsatisfiable = if expected == first { Part::Unsatisfiable } else { Part::Whole };
        assert_eq!(part(&fields, 100), unsatisfiable, "{value}");
    }
    let twice = "If-Range: \"a\"\r\nIf-Range: \"a\"\r\nRange: bytes=0-0";
    assert_eq!(part(twice, 100), Part::Whole);
    assert_eq!(part("If-Range: \"a\"", 100), Part::Whole, "nothing without Range");
}

#[test]
fn s9110_13_1_5_if_range_without_validators_of_ours() {
    let fields = "Range: bytes=0-0\r\nIf-Range: ";
    let weak = Validators { entity_tag: b"W/\"a\"", last_modified: None };
    let none = Validators { entity_tag: b"", last_modified: None };
    for (validators, value) in [
        (weak, "\"a\""),
        (weak, "W/\"a\""),
        (none, "\"\""),
        (none, ""),
        (none, "Sun, 06 Nov 1994 08:49:37 GMT"),
    ] {
        let part = part_with(&format!("{fields}{value}"), Method::Get, 100, &validators);
        assert_eq!(part, Part::Whole, "{value}");
    }
}

#[test]
fn s9110_14_4_content_range_and_length() {
    for (part, complete, expected) in [
        (Part::Whole, 100, ""),
        (octets(0, 0), 1, "Content-Length: 1\r\nContent-Range: bytes 0-0/1\r\n"),
        (octets(10, 99), 100, "Content-Length: 90\r\nContent-Range: bytes 10-99/100\r\n"),
        (Part::Unsatisfiable, 100, "Content-Range: bytes */100\r\n"),
        (Part::Unsatisfiable, 0, "Content-Range: bytes */0\r\n"),
    ] {
        let fields = part.fields(complete);
        assert_eq!(fields.escape_ascii().to_string(), expected.escape_default().to_string());
    }
    // The longest there can be: nothing is cut off.
    let max = u64::MAX;
    let fields = octets(max - 1, max).fields(max);
    let expected = format!("Content-Length: 2\r\nContent-Range: bytes {}-{max}/{max}\r\n", max - 1);
    assert_eq!(fields.as_slice(), expected.as_bytes());
    let fields = octets(0, max - 1).fields(max);
    assert!(fields.ends_with(format!("0-{}/{max}\r\n", max - 1).as_bytes()));
    assert!(fields.len() + 20 <= PART_FIELDS_BYTES_MAX);
}

#[test]
fn parts_are_inside_whatever_is_asked_for() {
    let numbers =
        ["", "0", "1", "98", "99", "100", "101", "18446744073709551615", "99999999999999999999"];
    for first in numbers {
        for last in numbers {
            for complete in [0, 1, 99, 100, 101, u64::MAX] {
                if let Part::Octets { first, last } =
                    range(&format!("bytes={first}-{last}"), complete)
                {
                    assert!(first <= last && last < complete, "{first}-{last} of {complete}");
                }
            }
        }
    }
}
