//! RFC 9110 (and RFC 3986 for paths), a row for each requirement or decision.
#![allow(missing_docs)]

mod feed;

use feed::{NOW, get, get_with, rejection, request};
use http1::date::{self, ImfFixdate};
use http1::{
    Expectation, Method, PATH_BYTES_MAX, Persistence, Reason, Rejection, Status, Verdict, Version,
};

const MODIFIED: u64 = 784_111_777;
const MODIFIED_DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

#[test]
fn s9110_5_5_value_octets() {
    for octet in 0..=255_u8 {
        let mut stream = b"GET / HTTP/1.1\r\nHost: h\r\nA: b".to_vec();
        stream.push(octet);
        stream.extend_from_slice(b"c\r\n\r\n");
        if octet == b'\t' || (octet >= b' ' && octet != 0x7f) {
            assert_eq!(request(&stream).host, b"h", "{octet:#x}");
        } else {
            let reason =
                if matches!(octet, b'\r' | b'\n') { Reason::InvalidCrLf } else { Reason::Header };
            assert_eq!(rejection(&stream), (Status::BadRequest, reason), "{octet:#x}");
        }
    }
}

#[test]
fn s9110_5_6_2_name_octets() {
    let token = b"!#$%&'*+-.^_`|~";
    for octet in (0..=255_u8).filter(|octet| !matches!(octet, 0 | b'\r' | b'\n' | b':')) {
        let mut stream = b"GET / HTTP/1.1\r\nHost: h\r\nA".to_vec();
        stream.push(octet);
        stream.extend_from_slice(b": c\r\n\r\n");
        if octet.is_ascii_alphanumeric() || token.contains(&octet) {
            assert_eq!(request(&stream).host, b"h", "{octet:#x}");
        } else {
            assert_eq!(rejection(&stream), (Status::BadRequest, Reason::Header), "{octet:#x}");
        }
    }
}

#[test]
fn s9110_5_6_2_method_octets() {
    for octet in 0..=255_u8 {
        let stream = [b"G", &[octet][..], b" / HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        if octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet) {
            assert_eq!(request(&stream).method, Method::Other, "{octet:#x}");
        } else {
            let (status, reason) = rejection(&stream);
            assert_eq!(status, Status::BadRequest, "{octet:#x}");
            let expected = match octet {
                b'\r' | b'\n' => Reason::InvalidCrLf,
                0 | b' ' => Reason::BadRequest,
                _ => Reason::Verb,
            };
            assert_eq!(reason, expected, "{octet:#x}");
        }
    }
}

#[test]
fn s9112_3_2_target_octets() {
    for octet in (0..=255_u8).filter(|octet| !matches!(octet, b' ' | b'%')) {
        let stream = [b"GET /", &[octet][..], b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
        if octet.is_ascii_graphic() && octet != b'#' {
            assert_eq!(request(&stream).method, Method::Get, "{octet:#x}");
        } else {
            assert_eq!(rejection(&stream).0, Status::BadRequest, "{octet:#x}");
        }
    }
}

#[test]
fn s9110_5_6_7_three_forms_of_one_date() {
    for value in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun Nov 06 08:49:37 1994",
        // An odd day name is no reason to fail.
        "Mon, 06 Nov 1994 08:49:37 GMT",
    ] {
        assert_eq!(date::parse(value.as_bytes(), NOW), Some(MODIFIED), "{value}");
    }
}

#[test]
fn s9110_5_6_7_edges_of_dates() {
    for (value, seconds) in [
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
        ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
        ("Monday, 01-Jan-90 00:00:00 GMT", 631_152_000),
    ] {
        assert_eq!(date::parse(value.as_bytes(), NOW), Some(seconds), "{value}");
    }
}

#[test]
fn s9110_5_6_7_two_digits_are_at_most_50_years_ahead() {
    let at = |date: &str| date::parse(date.as_bytes(), NOW).unwrap();
    // now, the date with two digits, the same with four
    for (now, short, long) in [
        // 2026-01-01 00:00:00 is asked from.
        (NOW, "Wednesday, 01-Jan-76 00:00:00 GMT", "Wed, 01 Jan 2076 00:00:00 GMT"),
        (NOW, "Thursday, 01-Jan-76 00:00:01 GMT", "Thu, 01 Jan 1976 00:00:01 GMT"),
        (NOW, "Thursday, 02-Jan-76 00:00:00 GMT", "Fri, 02 Jan 1976 00:00:00 GMT"),
        (NOW, "Sunday, 01-Feb-76 00:00:00 GMT", "Sun, 01 Feb 1976 00:00:00 GMT"),
        (NOW, "Tuesday, 31-Dec-75 23:59:59 GMT", "Tue, 31 Dec 2075 23:59:59 GMT"),
        (NOW, "Saturday, 01-Jan-77 00:00:00 GMT", "Sat, 01 Jan 1977 00:00:00 GMT"),
        (NOW, "Tuesday, 31-Dec-69 23:59:59 GMT", "Tue, 31 Dec 2069 23:59:59 GMT"),
        (NOW, "Monday, 31-Dec-01 23:59:59 GMT", "Mon, 31 Dec 2001 23:59:59 GMT"),
        // 1970, from where 2020 can be seen.
        (0, "Wednesday, 01-Jan-20 00:00:00 GMT", "Wed, 01 Jan 2020 00:00:00 GMT"),
        (86_399, "Wednesday, 01-Jan-20 23:59:59 GMT", "Wed, 01 Jan 2020 23:59:59 GMT"),
        // 2099: the next century is nearer.
        (4_070_908_800, "Thursday, 01-Jan-05 00:00:00 GMT", "Thu, 01 Jan 2105 00:00:00 GMT"),
    ] {
        assert_eq!(date::parse(short.as_bytes(), now), Some(at(long)), "{short} at {now}");
    }
    // What would lie before 1970 is no date here.
    assert_eq!(date::parse(b"Wednesday, 01-Jan-20 00:00:01 GMT", 0), None);
    // The end of the calendar, and beyond it.
    for now in [253_402_300_799, u64::MAX] {
        let parsed = date::parse(b"Friday, 31-Dec-99 23:59:59 GMT", now);
        assert_eq!(parsed, Some(253_402_300_799));
    }
}

#[test]
fn s9110_5_6_7_what_is_not_a_date() {
    for value in [
        "",
        ",",
        "0",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 30 Feb 2000 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1969 08:49:37 GMT",
        "Sun, 06 Nov 19:4 08:49:37 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Funday, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "Sun Nov  6 08:49:37 94",
        "Sun Foo  6 08:49:37 1994",
    ] {
        assert_eq!(date::parse(value.as_bytes(), NOW), None, "{value}");
    }
}

#[test]
fn s9110_5_6_7_what_is_written_is_read_back() {
    assert_eq!(ImfFixdate::from_unix(MODIFIED).as_bytes(), MODIFIED_DATE.as_bytes());
    // Every day of 600 years, each at another second.
    for day in 0..219_146_u64 {
        let seconds = day * 86_400 + day * 7919 % 86_400;
        let written = ImfFixdate::from_unix(seconds);
        assert_eq!(date::parse(written.as_bytes(), NOW), Some(seconds), "{written:?}");
    }
}

#[test]
fn s9110_5_6_7_day_names_advance_daily() {
    let names: Vec<Vec<u8>> =
        (0..7).map(|day| ImfFixdate::from_unix(day * 86_400).as_bytes()[..3].to_vec()).collect();
    assert_eq!(names.concat(), b"ThuFriSatSunMonTueWed");
}

#[test]
fn s9110_5_6_7_instants_beyond_the_calendar_are_clamped() {
    let last = b"Fri, 31 Dec 9999 23:59:59 GMT";
    assert_eq!(ImfFixdate::from_unix(u64::MAX).as_bytes(), last);
    assert_eq!(ImfFixdate::from_unix(253_402_300_800).as_bytes(), last);
}

#[test]
fn nt_time_counts_from_1601() {
    let epoch = 116_444_736_000_000_000;
    assert_eq!(ImfFixdate::from_nt_ticks(epoch), ImfFixdate::from_unix(0));
    let ticks = epoch + MODIFIED * 10_000_000 + 9_999_999;
    assert_eq!(ImfFixdate::from_nt_ticks(ticks).as_bytes(), MODIFIED_DATE.as_bytes());
    assert_eq!(ImfFixdate::from_nt_ticks(0), ImfFixdate::from_unix(0));
}

#[test]
fn s9110_10_1_1_continue_is_expected_where_there_is_content() {
    let expectation = |fields: &str| request(&get_with(fields)).expectation;
    let content = "Content-Length: 1\r\n";
    assert_eq!(expectation("Expect: 100-continue"), Expectation::None);
    for value in ["100-continue", "100-Continue", ", 100-continue,"] {
        let fields = format!("{content}Expect: {value}");
        assert_eq!(expectation(&fields), Expectation::Continue);
    }
    assert_eq!(expectation(&format!("{content}Expect:")), Expectation::None);
    let fields = "Transfer-Encoding: chunked\r\nExpect: 100-continue";
    assert_eq!(expectation(fields), Expectation::Continue);
}

#[test]
fn s9110_10_1_1_other_expectation_is_417() {
    for value in ["200-ok", "100-continue, x", "100-continue;q=1", "100"] {
        let answer = rejection(&get_with(&format!("Expect: {value}")));
        assert_eq!(answer, (Status::ExpectationFailed, Reason::Expectation), "{value}");
    }
    let answer = rejection(&get_with("Expect: 100-continue\r\nExpect: x"));
    assert_eq!(answer, (Status::ExpectationFailed, Reason::Expectation));
}

#[test]
fn s9110_10_1_1_expectation_of_1_0_is_ignored() {
    for value in ["100-continue", "x"] {
        let stream = format!("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: {value}\r\n\r\n");
        assert_eq!(request(stream.as_bytes()).expectation, Expectation::None);
    }
}

#[test]
fn s3986_6_2_2_paths_are_canonical() {
    for (target, path) in [
        ("/", "/"),
        ("/a/b.c", "/a/b.c"),
        ("//a//", "//a//"),
        ("/%61", "/a"),
        ("/%41%7a", "/Az"),
        ("/a%20b", "/a b"),
        ("/%25", "/%"),
        ("/%2541", "/%41"),
        ("/a+b", "/a+b"),
        ("/a?%zz", "/a"),
        ("/.", "/"),
        ("/..", "/"),
        ("/./a", "/a"),
        ("/../a", "/a"),
        ("/../../../a", "/a"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/../c", "/a/c"),
        ("/a/b/./c/", "/a/b/c/"),
        ("/a/b/../../c", "/c"),
        ("/a//../b", "/a/b"),
        ("/%2e%2E/a", "/a"),
        ("/a/%2e./b", "/b"),
        ("/a/.%2e", "/"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/..b", "/a/..b"),
        ("/a./b", "/a./b"),
        ("/a\\..\\b", "/a\\..\\b"),
        ("/a/%5c../b", "/a/\\../b"),
    ] {
        let asked = request(&get(target));
        assert_eq!(asked.path, Ok(Some(path.as_bytes().to_vec())), "{target}");
        // What is canonical stays as it is.
        let again = request(&get(&path.replace('%', "%25").replace(' ', "%20")));
        assert_eq!(again.path, asked.path, "{target}");
    }
    assert_eq!(request(&get("/%c3%A9%ff")).path, Ok(Some(b"/\xc3\xa9\xff".to_vec())));
}

#[test]
fn s3986_2_1_escape_that_is_none_is_400() {
    for target in ["/%", "/%4", "/%zz", "/%4z", "/%u0041", "/a%", "/%%41", "/%-1"] {
        let path = request(&get(target)).path;
        let Err(Rejection { status, reason }) = path else { panic!("{target}: {path:?}") };
        assert_eq!((status, reason), (Status::BadRequest, Reason::Url));
    }
}

#[test]
fn s3986_2_1_escaped_control_is_400() {
    for octet in 0..=255_u8 {
        let path = request(&get(&format!("/%{octet:02x}"))).path;
        match octet {
            0..0x20 | 0x7f => assert!(path.is_err(), "{octet:#x}"),
            b'/' => assert_eq!(path, Ok(None)),
            b'.' => assert_eq!(path, Ok(Some(b"/".to_vec()))),
            _ => assert_eq!(path, Ok(Some(vec![b'/', octet]))),
        }
    }
}

#[test]
fn s3986_2_2_escaped_slash_is_not_a_separator() {
    assert_eq!(request(&get("/a%2fb")).path, Ok(None));
    assert_eq!(request(&get("/a%2F..%2Fb")).path, Ok(None));
}

#[test]
fn s3986_long_paths() {
    let plain = "/".repeat(PATH_BYTES_MAX + 1);
    assert_eq!(request(&get(&plain)).path, Ok(Some(plain.clone().into_bytes())));
    let escaped = |octets: usize| format!("/{}", "%41".repeat(octets - 1));
    let path = request(&get(&escaped(PATH_BYTES_MAX))).path;
    assert_eq!(path.map(|path| path.map(|path| path.len())), Ok(Some(PATH_BYTES_MAX)));
    assert_eq!(request(&get(&escaped(PATH_BYTES_MAX + 1))).path, Ok(None));
    let dots = format!("{}/a", "/aaaa/..".repeat(900));
    assert_eq!(request(&get(&dots)).path, Ok(Some(b"/a".to_vec())));
}

#[test]
fn s9110_15_every_status_says_what_it_is() {
    for status in Status::ALL {
        assert_eq!(Status::from_code(status.code()), Some(*status));
        assert!(!status.reason_phrase().is_empty());
    }
    assert!(Status::ALL.is_sorted_by_key(|status| status.code()));
    assert_eq!(Status::from_code(299), None);
    assert!(Status::ERRORS.iter().all(|status| status.code() >= 400));
    assert!(Status::ERRORS.is_sorted_by_key(|status| status.code()));
}

#[test]
fn reasons_have_different_words() {
    let mut words: Vec<&str> = Reason::ALL.iter().map(|reason| reason.word()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Reason::ALL.len());
}

macro_rules! probes {
    ($($name:ident: $file:literal => $method:ident $path:literal $host:literal $version:ident
        $persistence:ident $verdict:ident;)*) => { $(
        #[test]
        fn $name() {
            let asked = request(include_bytes!(concat!("requests/", $file, ".http")));
            assert_eq!(asked.method, Method::$method);
            assert_eq!(asked.path, Ok(Some($path.to_vec())));
            assert_eq!(asked.host, $host);
            assert_eq!(asked.version, Version::$version);
            assert_eq!(asked.persistence, Persistence::$persistence);
            assert_eq!(asked.verdict, Verdict::$verdict);
        }
    )* };
}

probes! {
    client_wrk: "wrk" => Get b"/" b"127.0.0.1" Http11 KeepAlive Full;
    client_curl: "curl" => Get b"/hello.txt" b"localhost" Http11 KeepAlive Full;
    client_firefox:
        "firefox" => Get b"/index.html" b"example.test" Http11 KeepAlive NotModified;
    client_chrome: "chrome" => Get b"/style.css" b"[::1]" Http11 KeepAlive Full;
    client_safari: "safari" => Get b"/logo.svg" b"www.example.test" Http11 KeepAlive Full;
    probe_kubernetes: "kube-probe" => Get b"/health" b"10.244.1.17" Http11 Close Full;
    probe_elb: "elb-health-checker" => Get b"/health" b"10.0.3.41" Http11 Close Full;
    probe_google: "google-hc" => Get b"/health" b"10.128.0.9" Http11 KeepAlive Full;
    probe_haproxy: "haproxy" => Options b"/" b"" Http10 Close Full;
    probe_azure: "azure-lb" => Get b"/health" b"10.1.0.4" Http11 KeepAlive Full;
}
