//! Conditional requests over real sockets (RFC 9110 section 13).
mod machine;

use machine::{Client, Machine, Response, body};

const BEFORE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Fri, 31 Dec 9999 23:59:59 GMT";

/// The response, and proof that the connection is still in step.
fn ask(client: &mut Client, method: &str, path: &str, fields: &[&str]) -> Response {
    let response = client.ask(method, path, fields);
    assert_eq!(client.get("/hello.txt").body, body("hello.txt"), "after {method} {fields:?}");
    response
}

#[test]
fn s9110_13_2_2_conditions_in_their_order() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let full = client.get("/hello.txt");
    let (tag, date) = (full.field("etag").unwrap(), full.field("last-modified").unwrap());
    let rows: &[(&[String], u16)] = &[
        (&[format!("If-None-Match: {tag}")], 304),
        (&[format!("If-None-Match: \"x\", W/{tag}")], 304),
        (&["If-None-Match: *".to_owned()], 304),
        (&["If-None-Match: \"x\"".to_owned()], 200),
        (&[format!("If-Modified-Since: {date}")], 304),
        (&[format!("If-Modified-Since: {BEFORE}")], 200),
        (&["If-None-Match: \"x\"".to_owned(), format!("If-Modified-Since: {date}")], 200),
        (&[format!("If-Match: {tag}")], 200),
        (&["If-Match: *".to_owned()], 200),
        (&["If-Match: \"x\"".to_owned()], 412),
        (&[format!("If-Match: W/{tag}")], 412),
        (&[format!("If-Match: {tag}"), format!("If-None-Match: {tag}")], 304),
        (&["If-Match: \"x\"".to_owned(), format!("If-None-Match: {tag}")], 412),
        (&[format!("If-Unmodified-Since: {date}")], 200),
        (&[format!("If-Unmodified-Since: {BEFORE}")], 412),
        (&[format!("If-Unmodified-Since: {AFTER}"), format!("If-Modified-Since: {date}")], 304),
        (&[format!("If-Match: {tag}"), format!("If-Unmodified-Since: {BEFORE}")], 200),
        (
            &["If-None-Match: \"x\"".to_owned(), "A: b".to_owned(), format!("if-none-match:{tag}")],
            304,
        ),
    ];
    for (fields, status) in rows {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        for method in ["GET", "HEAD"] {
            let response = ask(&mut client, method, "/hello.txt", &fields);
            assert_eq!(response.status, *status, "{method} {fields:?}");
            assert!(response.field("date").is_some());
            let has_content = method == "GET" && *status != 304;
            assert_eq!(!response.body.is_empty(), has_content, "{method} {fields:?}");
            match status {
                412 => assert_eq!(response.field("cache-control"), Some("no-store")),
                _ => assert_eq!(response.field("etag"), Some(tag)),
            }
            assert_eq!(response.field("content-length").is_some(), *status != 304);
        }
    }
}

#[test]
fn s9110_13_2_1_conditions_count_only_where_the_answer_would_be_2xx() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let fails = ["If-Match: \"x\"", "If-None-Match: *"];
    for (method, path, status) in [
        ("GET", "/nothing", 404),
        ("GET", "/old", 301),
        ("GET", "/gone", 410),
        ("POST", "/hello.txt", 405),
        ("OPTIONS", "/hello.txt", 204),
        ("TRACE", "/hello.txt", 405),
        ("BREW", "/hello.txt", 501),
    ] {
        assert_eq!(ask(&mut client, method, path, &fails).status, status, "{method} {path}");
    }
    // A health endpoint has no validators: a tag matches none of them, and there is no 304.
    for (field, status) in [
        ("If-Match: \"x\"", 412),
        ("If-Match: *", 200),
        ("If-None-Match: *", 200),
        ("If-None-Match: \"x\"", 200),
        ("If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("Range: bytes=0-0", 200),
    ] {
        assert_eq!(ask(&mut client, "GET", "/health", &[field]).status, status, "{field}");
    }
}

#[test]
fn s9110_5_6_7_two_digits_of_year_are_read_by_the_clock() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    // Next year, and then what would be 51 years ahead: both by their last two digits.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let year = 1970 + now.as_secs() / 31_556_952;
    for (years, status) in [(1, 304), (51, 200)] {
        let digits = (year + years) % 100;
        let field = format!("If-Modified-Since: Monday, 01-Dec-{digits:02} 00:00:00 GMT");
        assert_eq!(client.ask("GET", "/hello.txt", &[&field]).status, status, "{field}");
    }
}
