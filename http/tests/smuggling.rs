//! Streams that two readers could frame in two ways. Each has one reading here: either the request
//! that hides in it does not come out, or the whole is rejected and the connection is closed.
#![allow(missing_docs)]

mod feed;

use feed::{Event, feed_both};
use http1::{Limits, Reason, Status};

/// The hidden request; `/evil` must never be a request of ours.
const EVIL: &str = "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n";

fn post(fields: &str, content: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{content}")
}

#[track_caller]
fn never_smuggles(stream: &str) -> Vec<Event> {
    let events = feed_both(Limits::DEFAULT, stream.as_bytes());
    for event in &events {
        if let Event::Request(asked) = event {
            assert_ne!(asked.path, Ok(Some(b"/evil".to_vec())), "{}", stream.escape_debug());
        }
    }
    events
}

/// Rejected, with this answer, before or behind its own request.
#[track_caller]
fn rejected(stream: &str, status: Status, reason: Reason) {
    match never_smuggles(stream).last() {
        Some(Event::Reject(rejection)) => {
            assert_eq!((rejection.status, rejection.reason), (status, reason));
        }
        other => panic!("{}: {other:?}", stream.escape_debug()),
    }
}

#[test]
fn cl_te() {
    let stream =
        post("Content-Length: 6\r\nTransfer-Encoding: chunked", &format!("0\r\n\r\n{EVIL}"));
    rejected(&stream, Status::BadRequest, Reason::Header);
}

#[test]
fn te_cl() {
    let content = format!("{:x}\r\n{EVIL}\r\n0\r\n\r\n", EVIL.len());
    let stream = post("Transfer-Encoding: chunked\r\nContent-Length: 4", &content);
    rejected(&stream, Status::BadRequest, Reason::Header);
}

#[test]
fn te_te_obfuscated() {
    use Reason::{Header, InvalidCrLf, NotImplemented};
    let (bad, not_implemented) = (Status::BadRequest, Status::NotImplemented);
    for (fields, status, reason) in [
        ("Transfer-Encoding: xchunked", bad, Header),
        ("Transfer-Encoding : chunked", bad, Header),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", bad, Header),
        ("Transfer-Encoding: x\r\nTransfer-Encoding: chunked", not_implemented, NotImplemented),
        ("Transfer-Encoding: identity, chunked", not_implemented, NotImplemented),
        (" Transfer-Encoding: chunked", bad, Header),
        ("X: X\nTransfer-Encoding: chunked", bad, InvalidCrLf),
        ("X: X\rTransfer-Encoding: chunked", bad, InvalidCrLf),
        ("Transfer-Encoding\r\n: chunked", bad, Header),
        ("Transfer-Encoding:\r\n chunked", bad, Header),
        ("Transfer-Encoding: \"chunked\"", bad, Header),
        ("Transfer-Encoding: 'chunked'", bad, Header),
        ("Transfer-Encoding: chunked\u{b}", bad, Header),
        ("Transfer-Encoding: \u{b}chunked", bad, Header),
        ("Transfer-Encoding: chunked\0", bad, Header),
        ("Transfer-Encoding: chunked\u{85}", bad, Header),
        ("Transfer-Encoding: chunked; x", bad, Header),
        ("Transfer-Encoding: chun ked", bad, Header),
        ("Transfer-Encoding: chunked x", bad, Header),
    ] {
        rejected(&post(fields, &format!("0\r\n\r\n{EVIL}")), status, reason);
    }
}

#[test]
fn te_near_miss_names_are_other_fields() {
    for name in
        ["Transfer_Encoding", "Transfer-Encodinh", "TransferEncoding", "X-Transfer-Encoding"]
    {
        let fields = format!("{name}: chunked\r\nContent-Length: {}", EVIL.len());
        let events = never_smuggles(&post(&fields, EVIL));
        assert!(matches!(events.as_slice(), [Event::Request(_), Event::ContentEnd]), "{name}");
    }
}

#[test]
fn length_that_two_readers_read_differently() {
    let length = EVIL.len();
    for value in [
        format!("+{length}"),
        format!("-{length}"),
        format!("{length} {length}"),
        format!("{length},{length}"),
        format!("{length}, 0"),
        format!("0x{length:x}"),
        format!("{length}.0"),
        format!("{length}e0"),
        format!("1_{length}"),
        format!("\"{length}\""),
        format!("{length};"),
        format!("{length}\u{a0}"),
        "\u{661}\u{662}".to_owned(),
        String::new(),
    ] {
        let stream = post(&format!("Content-Length: {value}"), EVIL);
        rejected(&stream, Status::BadRequest, Reason::Number);
    }
}

#[test]
fn length_with_octets_that_no_value_has() {
    for value in ["4\0", "\u{b}4", "4\u{c}", "\u{7f}4"] {
        let stream = post(&format!("Content-Length: {value}"), EVIL);
        rejected(&stream, Status::BadRequest, Reason::Header);
    }
}

#[test]
fn two_lengths() {
    for fields in [
        "Content-Length: 0\r\nContent-Length: 33",
        "Content-Length: 33\r\nContent-Length: 0",
        "content-length: 33\r\nCONTENT-LENGTH: 33",
    ] {
        rejected(&post(fields, EVIL), Status::BadRequest, Reason::Number);
    }
}

#[test]
fn length_hidden_behind_a_fold() {
    let stream = post("X: a\r\n Content-Length: 0", EVIL);
    rejected(&stream, Status::BadRequest, Reason::Header);
    let stream = post("Content-Length: 1\r\n 0", EVIL);
    rejected(&stream, Status::BadRequest, Reason::Header);
}

#[test]
fn length_behind_space_before_colon() {
    let stream = post("Content-Length : 33", EVIL);
    rejected(&stream, Status::BadRequest, Reason::Header);
}

#[test]
fn length_in_the_request_line() {
    let stream = format!("GET /a HTTP/1.1 \r\nContent-Length: 0\r\nHost: h\r\n\r\n{EVIL}");
    rejected(&stream, Status::BadRequest, Reason::Version);
}

#[test]
fn request_hidden_in_content_of_a_length() {
    let fields = format!("Content-Length: {}", EVIL.len());
    let events = never_smuggles(&post(&fields, EVIL));
    assert!(matches!(events.as_slice(), [Event::Request(_), Event::ContentEnd]));
}

#[test]
fn request_hidden_in_a_chunk() {
    let content = format!("{:X}\r\n{EVIL}\r\n0\r\n\r\n", EVIL.len());
    let events = never_smuggles(&post("Transfer-Encoding: chunked", &content));
    assert!(matches!(events.as_slice(), [Event::Request(_), Event::ContentEnd]));
}

#[test]
fn request_hidden_in_a_trailer() {
    let content = "0\r\nGET: /evil HTTP/1.1\r\nHost: h\r\n\r\n";
    let events = never_smuggles(&post("Transfer-Encoding: chunked", content));
    assert!(matches!(events.as_slice(), [Event::Request(_), Event::ContentEnd]));
    let content = format!("0\r\n{EVIL}");
    let stream = post("Transfer-Encoding: chunked", &content);
    rejected(&stream, Status::BadRequest, Reason::Header);
}

#[test]
fn trailers_do_not_frame() {
    let content =
        "0\r\nContent-Length: 33\r\nTransfer-Encoding: chunked\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
    let events = never_smuggles(&post("Transfer-Encoding: chunked", content));
    assert!(matches!(events.as_slice(), [Event::Request(_), Event::ContentEnd, Event::Request(_)]));
}

#[test]
fn line_end_of_an_extension_is_crlf_alone() {
    for line_end in ["\n", "\r", "\r\r\n", "\n\r\n"] {
        let content = format!("1;{line_end}x\r\n{:x}\r\n{EVIL}\r\n0\r\n\r\n", EVIL.len());
        let stream = post("Transfer-Encoding: chunked", &content);
        rejected(&stream, Status::BadRequest, Reason::InvalidCrLf);
    }
}

#[test]
fn chunk_sizes_that_wrap() {
    for size in ["100000000000000000", "1000000000000000a", "00000000000000000"] {
        let stream = post("Transfer-Encoding: chunked", &format!("{size}\r\n{EVIL}"));
        rejected(&stream, Status::BadRequest, Reason::Number);
    }
    for size in ["fffffffffffffffe", "ffffffffffffffff", "8000000000000000"] {
        let stream = post("Transfer-Encoding: chunked", &format!("{size}\r\n{EVIL}"));
        rejected(&stream, Status::ContentTooLarge, Reason::EntityTooLarge);
    }
}

#[test]
fn chunk_without_its_line_end() {
    let stream = post("Transfer-Encoding: chunked", &format!("1\r\nxx\r\n0\r\n\r\n{EVIL}"));
    rejected(&stream, Status::BadRequest, Reason::BadRequest);
    let stream = post("Transfer-Encoding: chunked", &format!("1\r\nx0\r\n\r\n{EVIL}"));
    rejected(&stream, Status::BadRequest, Reason::BadRequest);
}

#[test]
fn coding_in_1_0() {
    let stream = format!("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{EVIL}");
    rejected(&stream, Status::BadRequest, Reason::Header);
}

#[test]
fn two_hosts() {
    let stream = format!("GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n{EVIL}");
    rejected(&stream, Status::BadRequest, Reason::Hostname);
}

#[test]
fn request_behind_close() {
    let stream = format!("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n{EVIL}");
    assert!(matches!(never_smuggles(&stream).as_slice(), [Event::Request(_)]));
}

#[test]
fn upgrade_does_not_switch() {
    let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA";
    let stream = format!("{}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", post(fields, ""));
    rejected(&stream, Status::VersionNotSupported, Reason::Version);
}
