//! What holds for any octets. The fuzz targets look for octets for which it does not; `cargo test`
//! tries those in `fuzz/seeds`.
#![allow(dead_code)] // Every fuzz target uses its own part of this.

#[path = "../feed/mod.rs"]
mod feed;
#[path = "../plain/mod.rs"]
mod plain;

use feed::{Event, feed_cut, feed_octets};
use http1::date::{self, ImfFixdate};
use http1::{
    Coding, Connection, Framing, Limits, Method, PATH_BYTES_MAX, Part, PathBuffer, Request, Step,
    Version,
};
use plain::Chunked;

/// Small enough that a fuzzer finds each limit.
const NARROW: Limits = Limits {
    head_bytes_max: 300,
    target_bytes_max: 12,
    field_line_bytes_max: 90,
    content_bytes_max: 30,
};

/// The steps of a stream are those of any way to cut it, and a longer one only adds some.
pub(crate) fn connection(stream: &[u8]) {
    for limits in [Limits::DEFAULT, NARROW] {
        let whole = feed_cut(limits, stream, &[]);
        let half = stream.len() / 2;
        assert_eq!(feed_cut(limits, stream, &[half]), whole);
        assert_eq!(feed_octets(limits, stream), whole);
        assert!(whole.starts_with(&feed_cut(limits, &stream[..half], &[])));
        for (at, event) in whole.iter().enumerate() {
            let content = match event {
                Event::Request(asked) => asked.framing != Framing::None,
                Event::ContentEnd => false,
                Event::Reject(_) => {
                    assert_eq!(at + 1, whole.len());
                    continue;
                }
            };
            let next_ends_content = matches!(whole.get(at + 1), Some(Event::ContentEnd));
            let next_is_a_request = matches!(whole.get(at + 1), Some(Event::Request(_)));
            assert!(if content { !next_is_a_request } else { !next_ends_content });
        }
    }
}

/// An accepted head says what a plain reading of its lines says.
pub(crate) fn head(stream: &[u8]) {
    let mut connection = Connection::new();
    let Step::Request { consumed, request } = connection.receive(&Limits::DEFAULT, stream) else {
        return;
    };
    let head = &stream[..consumed];
    let lines = plain::lines(head.strip_prefix(b"\r\n").unwrap_or(head)).expect("lines");
    let [request_line, fields @ .., b""] = lines.as_slice() else { panic!("no empty line") };
    assert!(fields.iter().all(|line| !line.is_empty() && !line.starts_with(b" ")));
    assert_eq!(request_line.split(|octet| *octet == b' ').count(), 3);
    let is_1_0 = request_line.ends_with(b" HTTP/1.0");
    assert_eq!(request.version == Version::Http10, is_1_0);

    let hosts = plain::values(fields, "Host");
    assert!(hosts.len() == 1 || (hosts.is_empty() && is_1_0));
    let lengths = plain::values(fields, "Content-Length");
    let codings = plain::values(fields, "Transfer-Encoding");
    let framing = match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Framing::None,
        ([], [length]) => match std::str::from_utf8(length).unwrap().parse().expect("a number") {
            0 => Framing::None,
            length => Framing::Length(length),
        },
        ([..], []) => {
            assert!(!is_1_0);
            let list = codings.join(&b',').to_ascii_lowercase();
            let members = list.split(|octet| *octet == b',').map(<[u8]>::trim_ascii);
            let members: Vec<_> = members.filter(|member| !member.is_empty()).collect();
            assert_eq!(members, [b"chunked"]);
            Framing::Chunked
        }
        _ => panic!("two framings"),
    };
    assert_eq!(request.framing, framing);
}

/// Chunked content ends where a plain reader of the whole sees its end, or is refused.
pub(crate) fn chunked(content: &[u8]) {
    const HEAD: &[u8] = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    // The plain reader has no limits, so it gets nothing that reaches one.
    let content = &content[..content.len().min(Limits::DEFAULT.head_bytes_max)];
    let mut connection = Connection::new();
    let step = connection.receive(&Limits::DEFAULT, HEAD);
    assert!(matches!(step, Step::Request { consumed, .. } if consumed == HEAD.len()));
    let step = connection.receive(&Limits::DEFAULT, content);
    match plain::chunked(content) {
        Chunked::End(end, _) => assert_eq!(step, Step::ContentEnd { consumed: end }),
        Chunked::Broken => assert!(matches!(step, Step::Reject { .. })),
        Chunked::Unfinished => {
            assert!(matches!(step, Step::Reject { .. } | Step::Incomplete { .. }));
        }
    }
}

fn with_request(head: &[u8], check: impl FnOnce(&Request<'_>)) {
    if let Step::Request { request, .. } = Connection::new().receive(&Limits::DEFAULT, head) {
        check(&request);
    }
}

/// A path has no dot segments, no controls, and is its own path when everything in it is escaped.
pub(crate) fn target(target: &[u8]) {
    for method in ["GET", "OPTIONS", "CONNECT"] {
        let head = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        with_request(&head, |request| {
            let mut buffer = PathBuffer::new();
            let Ok(Some(path)) = request.target.path(&mut buffer) else { return };
            assert!(path.starts_with(b"/"));
            let mut segments = path.split(|octet| *octet == b'/');
            assert!(segments.all(|segment| segment != b"." && segment != b".."));
            assert!(!path.iter().any(u8::is_ascii_control));
            if path.len() > PATH_BYTES_MAX {
                return;
            }
            let escape = |octet: &u8| match octet {
                b'/' => "/".to_owned(),
                octet => format!("%{octet:02x}"),
            };
            let escaped: String = path.iter().map(escape).collect();
            let again = feed::get(&escaped);
            let mut buffer = PathBuffer::new();
            with_request(&again, |request| {
                assert_eq!(request.target.path(&mut buffer), Ok(Some(path)));
            });
        });
    }
}

/// A date that is understood is written in the one form that is sent, and read back from it.
pub(crate) fn date(value: &[u8]) {
    let Some(seconds) = date::parse(value, feed::NOW) else { return };
    let written = ImfFixdate::from_unix(seconds);
    // A leap second may follow the last second that can be written.
    assert_eq!(date::parse(written.as_bytes(), feed::NOW), Some(seconds.min(253_402_300_799)));
    let is_leap_second = value.windows(3).any(|three| three == b":60");
    if value.get(3) == Some(&b',') && !is_leap_second {
        // The name of the day need not be the right one.
        assert_eq!(value[4..], written.as_bytes()[4..]);
    }
}

/// A field line with this value in a GET; `None` where there is no such line.
fn with_field(name: &str, value: &[u8]) -> Option<Vec<u8>> {
    let head = [b"GET / HTTP/1.1\r\nHost: h\r\n", name.as_bytes(), b": ", value, b"\r\n\r\n"];
    (!value.iter().any(|octet| b"\r\n\0".contains(octet))).then(|| head.concat())
}

/// The part that a Range selects is the one that a plain reader with wider numbers selects. `input`
/// is the length of the representation, a space, and the Range.
pub(crate) fn range(input: &[u8]) {
    let Some(space) = input.iter().position(|octet| *octet == b' ') else { return };
    let length = std::str::from_utf8(&input[..space]).ok().and_then(|text| text.parse().ok());
    let (Some(complete), value) = (length, &input[space + 1..]) else { return };
    let Some(head) = with_field("Range", value) else { return };
    with_request(&head, |request| {
        let part = request.selectors.part(Method::Get, complete, &feed::VALIDATORS, feed::NOW);
        let lines = String::from_utf8(part.fields(complete).to_vec()).unwrap();
        match (part, plain::range(value, complete)) {
            (Part::Whole, None) => assert_eq!(lines, ""),
            (Part::Unsatisfiable, Some(Err(()))) => {
                assert_eq!(lines, format!("Content-Range: bytes */{complete}\r\n"));
            }
            (Part::Octets { first, last }, Some(Ok(octets))) if (first, last) == octets => {
                assert!(first <= last && last < complete);
                let length = last - first + 1;
                let range = format!("{first}-{last}/{complete}");
                let expected =
                    format!("Content-Length: {length}\r\nContent-Range: bytes {range}\r\n");
                assert_eq!(lines, expected);
            }
            other => panic!("{other:?}"),
        }
    });
}

/// Accept-Encoding weighs the codings as a plain reader does that collects what it reads.
pub(crate) fn accept_encoding(value: &[u8]) {
    let Some(head) = with_field("Accept-Encoding", value) else { return };
    with_request(&head, |request| {
        let weights = request.selectors.weights();
        let ours = [Coding::Identity, Coding::Gzip, Coding::Br].map(|coding| weights.of(coding));
        assert_eq!(ours, plain::weights(value));
    });
}
