//! Range requests over real sockets (RFC 9110 section 14).
mod machine;

use machine::{LARGE, Machine, body};
use wskhttpd_abi::Counter;

#[test]
fn s9110_15_3_7_a_part_has_the_fields_of_the_whole() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for path in ["/hello.txt", "/medium", "/page.html"] {
        let full = client.get(path);
        assert_eq!(full.field("accept-ranges"), Some("bytes"));
        assert_eq!(full.field("content-range"), None);
        let part = client.ask("GET", path, &["Range: bytes=1-3"]);
        assert_eq!(part.status, 206, "{path}");
        assert_eq!(part.body, full.body[1..=3], "{path}");
        let range = format!("bytes 1-3/{}", full.body.len());
        assert_eq!(part.field("content-range"), Some(range.as_str()));
        for name in ["content-type", "etag", "last-modified", "cache-control", "vary"] {
            assert_eq!(part.field(name), full.field(name), "{path} {name}");
        }
        assert!(part.field("date").is_some());
        assert_eq!(part.head.matches("Content-Length").count(), 1);
    }
}

#[test]
fn s9110_14_2_ranges_of_every_size_arrive_whole() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let last = LARGE - 1;
    for (name, range, first, end) in [
        ("hello.txt", "0-0".to_owned(), 0, 1),
        ("hello.txt", "12-".to_owned(), 12, 13),
        ("hello.txt", "-5".to_owned(), 8, 13),
        ("hello.txt", "-500".to_owned(), 0, 13),
        ("medium", "1-8998".to_owned(), 1, 8_999),
        ("medium", "17-4112".to_owned(), 17, 4_113),
        ("medium", "17-4113".to_owned(), 17, 4_114),
        ("medium", "0-18446744073709551615".to_owned(), 0, 9_000),
        ("large", "0-131071".to_owned(), 0, 131_072),
        ("large", "0-131072".to_owned(), 0, 131_073),
        ("large", format!("4095-{last}"), 4_095, LARGE),
        ("large", "1-2999998".to_owned(), 1, 2_999_999),
        ("large", format!("{last}-"), last, LARGE),
        ("large", "-1000001".to_owned(), LARGE - 1_000_001, LARGE),
        ("large", "5-99999999999999999999999".to_owned(), 5, LARGE),
    ] {
        let whole = body(name);
        let field = format!("Range: bytes={range}");
        let part = client.ask("GET", &format!("/{name}"), &[&field]);
        assert_eq!(part.status, 206, "{name} {range}");
        assert!(part.body == whole[first..end], "{name} {range}: {} octets", part.body.len());
        let expected = format!("bytes {first}-{}/{}", end - 1, whole.len());
        assert_eq!(part.field("content-range"), Some(expected.as_str()), "{name} {range}");
    }
    assert_eq!(client.get("/hello.txt").body, body("hello.txt"));
}

#[test]
fn s9110_15_5_17_what_is_not_there_is_416() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for (path, range, complete) in [
        ("/hello.txt", "13-", 13),
        ("/hello.txt", "13-14", 13),
        ("/hello.txt", "-0", 13),
        ("/hello.txt", "18446744073709551615-", 13),
        ("/hello.txt", "99999999999999999999999-", 13),
        ("/large", "3000000-3000000", LARGE),
        ("/empty", "0-", 0),
        ("/empty", "0-0", 0),
    ] {
        let response = client.ask("GET", path, &[&format!("Range: bytes={range}")]);
        assert_eq!(response.status, 416, "{path} {range}");
        let expected = format!("bytes */{complete}");
        assert_eq!(response.field("content-range"), Some(expected.as_str()), "{path} {range}");
        assert_eq!(response.field("cache-control"), Some("no-store"));
        assert_eq!(response.field("connection"), None, "the connection goes on");
    }
    assert_eq!(client.get("/hello.txt").body, body("hello.txt"));
    assert_eq!(machine.counter(Counter::Responses4xx), 8);
}

#[test]
fn s9110_14_2_what_is_no_single_range_of_octets_is_the_whole() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let tag = client.get("/medium").field("etag").unwrap().to_owned();
    let several = format!("Range: bytes={}", "0-0,".repeat(1_000));
    for fields in [
        &["Range: bytes=0-0,2-3"][..],
        &[several.as_str()],
        &["Range: bytes=5-2"],
        &["Range: bytes=x"],
        &["Range: lines=0-0"],
        &["Range: bytes=0-0", "Range: bytes=1-1"],
        &["Range: bytes=0-0", "If-Range: \"x\""],
        &["Range: bytes=0-0", &format!("If-Range: W/{tag}")],
        &["Range: bytes=0-0", "If-Range: Sun, 06 Nov 1994 08:49:37 GMT"],
        // Not 416 either: the whole is what the condition asks for.
        &["Range: bytes=9000-", "If-Range: \"x\""],
    ] {
        let response = client.ask("GET", "/medium", fields);
        assert_eq!((response.status, response.field("content-range")), (200, None), "{fields:?}");
        assert!(response.body == body("medium"), "{fields:?}");
    }
    let empty = client.ask("GET", "/empty", &["Range: bytes=-1"]);
    assert_eq!((empty.status, empty.body.len()), (200, 0));
}

#[test]
fn s9110_13_2_2_conditions_come_before_the_range() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let full = client.get("/medium");
    let (tag, date) = (full.field("etag").unwrap(), full.field("last-modified").unwrap());
    for (fields, status) in [
        (vec![format!("If-None-Match: {tag}")], 304),
        (vec![format!("If-None-Match: {tag}"), format!("If-Range: {tag}")], 304),
        (vec!["If-Match: \"x\"".to_owned()], 412),
        (vec![format!("If-Match: {tag}")], 206),
        (vec![format!("If-Range: {tag}")], 206),
        (vec![format!("If-Range: {date}")], 206),
        (vec![format!("If-Modified-Since: {date}")], 304),
        (vec!["If-None-Match: \"x\"".to_owned()], 206),
    ] {
        let mut lines: Vec<&str> = fields.iter().map(String::as_str).collect();
        lines.push("Range: bytes=10-19");
        let response = client.ask("GET", "/medium", &lines);
        assert_eq!(response.status, status, "{fields:?}");
        assert!(status != 206 || response.body == body("medium")[10..20], "{fields:?}");
    }
}

#[test]
fn s9110_14_2_ranges_are_for_get_and_for_200_alone() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for (method, path, status) in [
        ("HEAD", "/medium", 200),
        ("GET", "/old", 301),
        ("GET", "/gone", 410),
        ("GET", "/nothing", 404),
        ("OPTIONS", "/medium", 204),
        ("PUT", "/medium", 405),
    ] {
        for range in ["Range: bytes=0-0", "Range: bytes=999999-"] {
            let response = client.ask(method, path, &[range]);
            assert_eq!(response.status, status, "{method} {path}");
            assert_eq!(response.field("content-range"), None, "{method} {path}");
        }
    }
    let head = client.ask("HEAD", "/medium", &["Range: bytes=0-0"]);
    assert_eq!(head.field("content-length"), Some("9000"));
    assert_eq!(client.get("/hello.txt").body, body("hello.txt"));
}

#[test]
fn parts_that_are_pipelined_or_last_are_framed_like_all_else() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let large = body("large");
    for first in [0, 4_000, 700_001] {
        client.send(format!("GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes={first}-\r\n\r\n"));
        client.send("GET /hello.txt HTTP/1.1\r\nHost: a\r\nRange: bytes=0-3\r\n\r\n");
    }
    client.send("GET /medium HTTP/1.0\r\nRange: bytes=1-1\r\n\r\n");
    for first in [0, 4_000, 700_001] {
        assert!(client.response(true).body == large[first..], "from {first}");
        assert_eq!(client.response(true).body, b"Hell");
    }
    let last = client.response(true);
    assert_eq!((last.status, last.field("connection")), (206, Some("close")));
    assert_eq!(last.body, body("medium")[1..=1]);
    client.expect_end();
    // Content that comes with the request is discarded before its part is sent.
    let mut client = machine.connect();
    client.send("GET /medium HTTP/1.1\r\nHost: a\r\nRange: bytes=-2\r\nContent-Length: 5\r\n\r\n");
    client.send("hello");
    assert_eq!(client.response(true).body, body("medium")[8_998..]);
}
