//! Accept-Encoding (RFC 9110 section 12.5.3), a row for each requirement or decision.
#![allow(missing_docs)]

mod feed;

use feed::get_with;
use http1::{Coding, Connection, Limits, Step};

/// The weights of identity, gzip and br; nothing if there is no such field.
fn weights(fields: &str) -> Option<[u16; 3]> {
    let stream = get_with(fields);
    match Connection::new().receive(&Limits::DEFAULT, &stream) {
        Step::Request { request, .. } => request.selectors.has_accept_encoding().then(|| {
            let weights = request.selectors.weights();
            [Coding::Identity, Coding::Gzip, Coding::Br].map(|coding| weights.of(coding))
        }),
        other => panic!("{}: {other:?}", stream.escape_ascii()),
    }
}

/// A name that is as long as Accept-Encoding and begins like it has no say in codings.
#[test]
fn a_field_like_accept_encoding_is_another_field() {
    assert_eq!(weights("Accept-Encoders: gzip"), None);
}

#[test]
fn s9110_12_5_3_codings_and_their_weights() {
    for (value, expected) in [
        ("gzip", [1, 1000, 0]),
        ("br", [1, 0, 1000]),
        ("gzip, br", [1, 1000, 1000]),
        ("GZIP,Br", [1, 1000, 1000]),
        ("x-gzip", [1, 1000, 0]),
        ("X-GZip;q=0.5", [1, 500, 0]),
        ("identity", [1000, 0, 0]),
        ("identity;q=0.5, gzip;q=0.25", [500, 250, 0]),
        ("identity;q=0", [0, 0, 0]),
        ("*", [1000, 1000, 1000]),
        ("*;q=0", [0, 0, 0]),
        ("*;q=0, gzip", [0, 1000, 0]),
        ("gzip, *;q=0", [0, 1000, 0]),
        ("*;q=0, identity;q=0.1", [100, 0, 0]),
        ("gzip;q=0, *;q=0.5", [500, 0, 500]),
        ("deflate, compress, zstd", [1, 0, 0]),
        ("", [1, 0, 0]),
        (",, ,", [1, 0, 0]),
        ("gzip;q=1, br;q=1.0", [1, 1000, 1000]),
        // Two for one coding: the later.
        ("gzip, gzip;q=0", [1, 0, 0]),
        ("gzip;q=0, x-gzip", [1, 1000, 0]),
    ] {
        assert_eq!(weights(&format!("Accept-Encoding: {value}")), Some(expected), "{value}");
    }
    assert_eq!(weights("Accept: gzip\r\nTE: gzip\r\nX-Accept-Encoding: gzip"), None);
}

#[test]
fn s9110_12_4_2_weights() {
    for (weight, expected) in [
        ("q=0", Some(0)),
        ("q=0.", Some(0)),
        ("q=0.0", Some(0)),
        ("q=0.000", Some(0)),
        ("q=0.001", Some(1)),
        ("q=0.01", Some(10)),
        ("q=0.1", Some(100)),
        ("q=0.123", Some(123)),
        ("q=0.999", Some(999)),
        ("q=1", Some(1000)),
        ("q=1.", Some(1000)),
        ("q=1.000", Some(1000)),
        ("Q=0.5", Some(500)),
        (" \tq=0.5", Some(500)),
        // What is no weight makes no member.
        ("q=1.001", None),
        ("q=2", None),
        ("q=0.0001", None),
        ("q=0.a", None),
        ("q=.5", None),
        ("q=-0", None),
        ("q=", None),
        ("q", None),
        ("q =0.5", None),
        ("q= 0.5", None),
        ("q=00", None),
        ("q=0,5", Some(0)),
        ("", None),
        ("x=1", None),
        ("q=0.5;x=1", None),
    ] {
        let expected = [1, expected.unwrap_or(0), 0];
        let field = format!("Accept-Encoding: gzip;{weight}");
        assert_eq!(weights(&field), Some(expected), "{weight}");
        // Whitespace is allowed before the semicolon too; beside it, other members go on to count.
        let field = format!("Accept-Encoding: gzip ;{weight}, br;q=0.3");
        assert_eq!(weights(&field), Some([1, expected[1], 300]), "{weight}");
    }
}

#[test]
fn s9110_5_3_lines_of_accept_encoding_are_one_list() {
    let fields = "Accept-Encoding: gzip;q=0.2\r\nA: b\r\naccept-encoding:br;q=0.3\r\n\
                  ACCEPT-ENCODING: identity;q=0.1";
    assert_eq!(weights(fields), Some([100, 200, 300]));
    let many = "Accept-Encoding: x\r\n".repeat(60);
    assert_eq!(weights(&format!("{many}Accept-Encoding: br")), Some([1, 0, 1000]));
}

#[test]
fn a_list_of_any_length_is_three_numbers() {
    // CVE-2021-31166 was a list of members that were not all there.
    for value in ["gzip,".repeat(1_600), ",".repeat(8_000), "a,".repeat(4_000) + "gzip"] {
        let [identity, gzip, br] = weights(&format!("Accept-Encoding: {value}")).unwrap();
        assert_eq!((identity, br), (1, 0));
        assert_eq!(gzip, if value.contains("gzip") { 1000 } else { 0 });
    }
    for value in ["doar-e, ftw, imo, , ", "gzip, deflate, ,", ","] {
        assert!(weights(&format!("Accept-Encoding: {value}")).is_some());
    }
}
