//! The verdict is a function of the octet stream: any way to cut any stream gives the steps of the
//! whole.
#![allow(missing_docs)]

mod feed;

use feed::{Event, feed_cut, feed_octets};
use http1::Limits;
use proptest::prelude::*;

/// Small enough for random streams to reach every one of them.
const NARROW: Limits = Limits {
    head_bytes_max: 160,
    target_bytes_max: 24,
    field_line_bytes_max: 64,
    content_bytes_max: 40,
};

const METHODS: &[&str] = &["GET", "HEAD", "POST", "OPTIONS", "CONNECT", "PUT", "G@T", "", "get"];

const TARGETS: &[&str] = &[
    "/",
    "/a?b",
    "/index.html",
    "*",
    "h:80",
    "http://h/x",
    "http://h",
    "/%41/../b",
    "/#",
    "/\u{e9}",
    "/%zz",
    "",
    "a",
    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

const VERSIONS: &[&str] =
    &["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/1", ""];

const FIELDS: &[&str] = &[
    "Host: h",
    "Host: [::1]:80",
    "Host: a b",
    "Host:",
    "Connection: close",
    "Connection: keep-alive",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 5x",
    "Content-Length: 41",
    "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Expect: 100-continue",
    "Expect: x",
    "If-None-Match: \"5f3b\"",
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
    "A: b",
    " folded",
    "A : b",
    ": b",
    "A",
    "A: \u{1}",
    "A: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
];

const LINE_ENDS: &[&str] = &["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"];

const CONTENTS: &[&str] = &[
    "",
    "",
    "abcde",
    "0\r\n\r\n",
    "5\r\nabcde\r\n0\r\nA: b\r\n\r\n",
    "2;x=\"y\"\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    "2 ;x\r\nab\r\n0\r\n\r\n",
    "29\r\n",
    "5\nabcde",
    "zz\r\n",
    "1\r\nab\r\n",
    "0\r\nA\r\n\r\n",
    "0\r\n\r",
];

fn one_of(choices: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(choices)
}

/// Something like a request, more often right than wrong.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let valid_line = Just("GET / HTTP/1.1".to_owned());
    let any_line = (one_of(METHODS), one_of(TARGETS), one_of(VERSIONS))
        .prop_map(|(method, target, version)| format!("{method} {target} {version}"));
    let line = prop_oneof![valid_line, any_line];
    let fields = prop::collection::vec((one_of(FIELDS), one_of(LINE_ENDS)), 0..5);
    let end = prop::sample::select(&["\r\n", "\r\n", "\r\n", "\r\n", "\n", ""][..]);
    (any::<bool>(), prop::bool::weighted(0.1), line, fields, end, one_of(CONTENTS)).prop_map(
        |(valid_host, empty_line, line, fields, end, content)| {
            let mut octets = String::new();
            octets.push_str(if empty_line { "\r\n" } else { "" });
            octets.push_str(&line);
            octets.push_str("\r\n");
            octets.push_str(if valid_host { "Host: h\r\n" } else { "" });
            for (field, line_end) in fields {
                octets.push_str(field);
                octets.push_str(line_end);
            }
            octets.push_str(end);
            octets.push_str(content);
            octets.into_bytes()
        },
    )
}

/// A pipeline that is all right, so that much of it is read.
fn pipeline() -> impl Strategy<Value = Vec<u8>> {
    let request = prop::sample::select(
        &[
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "\r\nGET /a?b HTTP/1.1\r\nHost: h:80\r\nA: b\r\n\r\n",
            "HEAD /%41/../b HTTP/1.1\r\nHost: h\r\nIf-None-Match: \"5f3b\"\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
             3;x\r\nGET\r\n0\r\n\r\n",
            "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            "OPTIONS * HTTP/1.2\r\nHost:\r\n\r\n",
        ][..],
    );
    prop::collection::vec(request, 0..8).prop_map(|requests| requests.concat().into_bytes())
}

/// Streams with octets changed, put in and taken out.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let messages = prop::collection::vec(message(), 1..4).prop_map(|messages| messages.concat());
    let base = prop_oneof![messages, pipeline()];
    let octet =
        prop_oneof![prop::sample::select(&b"\r\n\0 \t:;,*/?#%\x7f\xff0aA"[..]), any::<u8>()];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), octet, 0..3_u8), 0..4);
    (base, edits).prop_map(|(mut octets, edits)| {
        for (index, octet, kind) in edits {
            let at = index.index(octets.len() + 1);
            match kind {
                0 if at < octets.len() => octets[at] = octet,
                1 if at < octets.len() => {
                    octets.remove(at);
                }
                _ => octets.insert(at, octet),
            }
        }
        octets
    })
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_steps_of_the_whole(
        stream in stream(), cuts in cuts(), narrow in any::<bool>(),
    ) {
        let limits = if narrow { NARROW } else { Limits::DEFAULT };
        let whole = feed_cut(limits, &stream, &[]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&whole, &feed_cut(limits, &stream, &cuts));
        prop_assert_eq!(&whole, &feed_octets(limits, &stream));
    }

    #[test]
    fn a_longer_stream_only_adds_steps(stream in stream(), more in stream()) {
        let steps = feed_cut(NARROW, &stream, &[]);
        let longer = feed_cut(NARROW, &[stream, more].concat(), &[]);
        prop_assert!(longer.starts_with(&steps), "{steps:?} {longer:?}");
    }

    #[test]
    fn a_valid_pipeline_is_never_rejected(stream in pipeline()) {
        for event in feed_cut(Limits::DEFAULT, &stream, &[]) {
            prop_assert!(!matches!(event, Event::Reject(_)), "{event:?}");
        }
    }
}

/// The generator is worth something only if it reaches most of what can be said.
#[test]
fn the_streams_reach_most_reasons() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut reasons = std::collections::HashSet::new();
    let (mut requests, mut contents) = (0, 0);
    for _ in 0..4000 {
        let stream = stream().new_tree(&mut runner).unwrap().current();
        for event in feed_cut(NARROW, &stream, &[]) {
            match event {
                Event::Request(_) => requests += 1,
                Event::ContentEnd => contents += 1,
                Event::Reject(rejection) => {
                    reasons.insert((rejection.status, rejection.reason));
                }
            }
        }
    }
    assert!(requests > 1000, "{requests}");
    assert!(contents > 100, "{contents}");
    assert!(reasons.len() >= 15, "{reasons:?}");
}

#[test]
fn a_connection_is_at_its_start_until_an_octet_comes() {
    let mut connection = http1::Connection::new();
    assert!(connection.is_at_start());
    connection.receive(&http1::Limits::DEFAULT, b"\r\n");
    assert!(!connection.is_at_start(), "the empty line is taken");
    let mut connection = http1::Connection::new();
    connection.receive(&http1::Limits::DEFAULT, b"G");
    assert!(!connection.is_at_start());
    connection.receive(&http1::Limits::DEFAULT, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(connection.is_at_start(), "another may begin");
    connection.close();
    assert!(!connection.is_at_start());
}
