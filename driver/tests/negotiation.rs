//! What is chosen by method, target and Accept-Encoding, over real sockets.
mod machine;

use machine::{Client, Machine, Response, body};

/// Content-Encoding of `/page.html` with these field lines.
fn coding_of(client: &mut Client, fields: &[&str]) -> Option<String> {
    let response = client.ask("GET", "/page.html", fields);
    assert_eq!((response.status, response.field("vary")), (200, Some("Accept-Encoding")));
    response.field("content-encoding").map(str::to_owned)
}

#[test]
fn s9110_12_5_3_the_coding_wanted_most_is_sent() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for (fields, coding) in [
        (&[][..], None),
        (&["Accept-Encoding: gzip, deflate, br, zstd"], Some("br")),
        (&["Accept-Encoding: gzip, deflate"], Some("gzip")),
        (&["Accept-Encoding: x-gzip"], Some("gzip")),
        (&["Accept-Encoding: gzip;q=1.0, br;q=0.5"], Some("gzip")),
        (&["Accept-Encoding: identity, *;q=0.1"], None),
        (&["Accept-Encoding: identity;q=0, gzip"], Some("gzip")),
        (&["Accept-Encoding: *"], Some("br")),
        (&["Accept-Encoding: *;q=0"], None),
        (&["Accept-Encoding:"], None),
        (&["Accept-Encoding: gzip;q=0, br;q=0"], None),
        (&["Accept-Encoding: deflate", "accept-encoding: br;q=0.1"], Some("br")),
    ] {
        assert_eq!(coding_of(&mut client, fields).as_deref(), coding, "{fields:?}");
    }
    // One variant: nothing to choose, and nothing to vary.
    for path in ["/hello.txt", "/medium"] {
        let response = client.ask("GET", path, &["Accept-Encoding: gzip, br"]);
        assert_eq!((response.field("content-encoding"), response.field("vary")), (None, None));
        assert_eq!(response.body, body(&path[1..]));
    }
}

#[test]
fn s9110_8_8_3_each_variant_has_its_own_tag_304_412_206_and_head() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let lines = ["Accept-Encoding: identity", "Accept-Encoding: gzip", "Accept-Encoding: br"];
    let fulls: Vec<Response> =
        lines.iter().map(|line| client.ask("GET", "/page.html", &[line])).collect();
    assert_eq!(fulls[0].body, body("page.html"));
    assert!(fulls[0].body.len() > fulls[1].body.len() && fulls[1].body.len() > fulls[2].body.len());
    let modified = format!("If-Range: {}", fulls[0].field("last-modified").unwrap());
    for (full, line) in fulls.iter().zip(lines) {
        let head = client.ask("HEAD", "/page.html", &[line]);
        for name in ["etag", "content-length", "content-encoding", "vary", "content-type"] {
            assert_eq!(head.field(name), full.field(name), "{line} {name}");
        }
        for (other, other_line) in fulls.iter().zip(lines) {
            let (tag, same) = (other.field("etag").unwrap(), line == other_line);
            let none_match = format!("If-None-Match: {tag}");
            let response = client.ask("GET", "/page.html", &[line, &none_match]);
            assert_eq!(response.status, if same { 304 } else { 200 }, "{line} {other_line}");
            assert_eq!(response.field("etag"), full.field("etag"));
            assert_eq!(response.field("vary"), Some("Accept-Encoding"));
            let if_match = format!("If-Match: {tag}");
            let response = client.ask("GET", "/page.html", &[&if_match, line]);
            assert_eq!(response.status, if same { 200 } else { 412 }, "{line} {other_line}");
            // A part is one of the variant that is selected, if that is the one meant.
            let fields = [line, "Range: bytes=2-9", &format!("If-Range: {tag}")];
            let part = client.ask("GET", "/page.html", &fields);
            assert_eq!(part.status, if same { 206 } else { 200 }, "{line} {other_line}");
            assert!(!same || part.body == full.body[2..=9], "{line}");
            assert_eq!(part.field("content-encoding"), full.field("content-encoding"));
        }
        let tail = client.ask("GET", "/page.html", &[line, "Range: bytes=-3"]);
        assert_eq!(tail.body, full.body[full.body.len() - 3..]);
        // The date is that of all variants, so it proves nothing.
        let part = client.ask("GET", "/page.html", &[line, "Range: bytes=0-0", &modified]);
        assert_eq!(part.status, 200, "{line}");
    }
}

#[test]
fn s9110_9_methods() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let secret = "X-Secret: 7c9e6679";
    for (method, path, status) in [
        ("POST", "/hello.txt", 405),
        ("PUT", "/hello.txt", 405),
        ("PATCH", "/hello.txt", 405),
        ("DELETE", "/", 405),
        ("TRACE", "/hello.txt", 405),
        ("TRACE", "/nothing", 404),
        ("POST", "/nothing", 404),
        ("OPTIONS", "/hello.txt", 204),
        ("OPTIONS", "/nothing", 204),
        ("OPTIONS", "*", 204),
        ("OPTIONS", "http://test/hello.txt", 204),
        ("get", "/hello.txt", 501),
        ("BREW", "/hello.txt", 501),
    ] {
        let response = client.ask(method, path, &[secret]);
        assert_eq!(response.status, status, "{method} {path}");
        let allow = matches!(status, 204 | 405).then_some("GET, HEAD, OPTIONS");
        assert_eq!(response.field("allow"), allow, "{method} {path}");
        let text = response.head + &String::from_utf8_lossy(&response.body);
        assert!(!text.contains("7c9e6679"), "{method} {path} echoes: {text}");
    }
    for target in ["test:80", "[::1]:443"] {
        let mut client = machine.connect();
        let response = client.ask("CONNECT", target, &[]);
        assert_eq!((response.status, response.field("connection")), (405, Some("close")));
        client.expect_end();
    }
}

#[test]
fn s9112_3_2_2_the_host_of_an_absolute_target_counts() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for (target, expected) in [
        ("http://other.example/hello.txt", &b"other"[..]),
        ("HTTPS://Other.Example:8443/hello.txt?a=b", b"other"),
        ("http://another.example/hello.txt", b"Hello, world!"),
        ("/./x/..//../hello.txt", b"Hello, world!"),
        ("/%68ello%2Etxt", b"Hello, world!"),
    ] {
        assert_eq!(client.get(target).body, expected, "{target}");
    }
    for (target, status) in
        [("/hello%2ftxt", 404), ("/hello%252etxt", 404), ("/hello%zz", 400), ("/hello%00", 400)]
    {
        let response = client.get(target);
        assert_eq!((response.status, response.field("connection")), (status, None), "{target}");
    }
}
