//! RFC 9112 but for sections 6 and 7: a row for each requirement or decision, named after its
//! section.
#![allow(missing_docs)]

mod feed;

use feed::{
    Event, accepted, chunked, feed, feed_both, feed_cut, get, get_with, rejection,
    rejection_within, request,
};
use http1::{
    Connection, FIELD_LINES_MAX, Framing, Limits, Method, Persistence, Reason, Rejection, Status,
    Step, Version,
};

/// Each stream is answered by one rejection and nothing else.
macro_rules! rejected {
    ($($name:ident: $stream:expr => $status:ident $reason:ident;)*) => { $(
        #[test]
        fn $name() {
            assert_eq!(rejection($stream.as_ref()), (Status::$status, Reason::$reason));
        }
    )* };
}

rejected! {
    s9112_2_2_bare_lf_after_request_line_is_400:
        "GET / HTTP/1.1\nHost: h\r\n\r\n" => BadRequest InvalidCrLf;
    s9112_2_2_bare_lf_after_field_line_is_400:
        "GET / HTTP/1.1\r\nHost: h\n\r\n" => BadRequest InvalidCrLf;
    s9112_2_2_bare_lf_as_empty_line_is_400:
        "GET / HTTP/1.1\r\nHost: h\r\n\n" => BadRequest InvalidCrLf;
    s9112_2_2_bare_lf_as_leading_empty_line_is_400:
        "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest InvalidCrLf;
    s9112_2_2_bare_lf_behind_leading_empty_line_is_400:
        "\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest InvalidCrLf;
    s9112_2_2_bare_cr_in_request_line_is_400:
        "GET /a\rb HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest InvalidCrLf;
    s9112_2_2_bare_cr_in_field_value_is_400:
        "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n" => BadRequest InvalidCrLf;
    s9112_2_2_cr_cr_lf_is_400:
        "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n" => BadRequest InvalidCrLf;
    s9112_2_2_second_leading_empty_line_is_400:
        "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest InvalidCrLf;
    s9112_2_2_space_before_first_field_line_is_400:
        "GET / HTTP/1.1\r\n Host: h\r\n\r\n" => BadRequest Header;
    s9112_2_2_space_before_request_line_is_400:
        "\r\n GET / HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest Verb;
    s9112_2_2_bare_cr_before_request_line_is_400:
        "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest InvalidCrLf;
    s9112_2_2_lf_cr_is_400: "GET / HTTP/1.1\n\rHost: h\r\n\r\n" => BadRequest InvalidCrLf;
    s9112_2_3_version_2_is_505:
        "GET / HTTP/2.0\r\nHost: h\r\n\r\n" => VersionNotSupported Version;
    s9112_2_3_version_0_9_spelled_out_is_505:
        "GET / HTTP/0.9\r\n\r\n" => VersionNotSupported Version;
    s9112_2_3_preface_of_http_2_is_505:
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" => VersionNotSupported Version;
    s9112_2_3_version_without_minor_is_400:
        "GET / HTTP/1\r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_2_3_version_with_two_minor_digits_is_400:
        "GET / HTTP/1.10\r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_2_3_version_without_digit_is_400:
        "GET / HTTP/1.\r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_2_3_version_with_letter_is_400:
        "GET / HTTP/1.x\r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_2_3_version_of_two_major_digits_is_400:
        "GET / HTTP/01.1\r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_2_3_version_3_is_505:
        "GET / HTTP/3.0\r\nHost: h\r\n\r\n" => VersionNotSupported Version;
    s9112_2_3_other_protocol_is_400:
        "GET / RTSP/1.0\r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_2_3_version_name_is_case_sensitive:
        "GET / http/1.1\r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_2_3_octet_behind_version_is_400:
        "GET / HTTP/1.1x\r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_2_3_space_behind_version_is_400:
        "GET / HTTP/1.1 \r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_3_request_line_of_http_0_9_is_400_at_its_end: "GET /\r\n" => BadRequest BadRequest;
    s9112_3_method_alone_is_400: "GET\r\n" => BadRequest BadRequest;
    s9112_3_two_spaces_before_target_is_400:
        "GET  / HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest BadRequest;
    s9112_3_two_spaces_behind_target_is_400:
        "GET /  HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_3_tab_as_delimiter_is_400:
        "GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest BadRequest;
    s9112_3_leading_space_is_400: " GET / HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest Verb;
    s9112_3_1_method_that_is_no_token_is_400:
        "G@T / HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest Verb;
    s9112_3_2_space_in_target_is_400:
        "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest Version;
    s9112_3_2_control_in_target_is_400: get("/a\x01b") => BadRequest Url;
    s9112_3_2_delete_in_target_is_400: get("/a\x7fb") => BadRequest Url;
    s9112_3_2_obs_text_in_target_is_400: get("/caf\u{e9}") => BadRequest Url;
    s9112_3_2_fragment_in_target_is_400: get("/a#b") => BadRequest Url;
    s9112_3_2_1_target_without_slash_is_400: get("index.html") => BadRequest Url;
    s9112_3_2_1_query_without_path_is_400: get("?a") => BadRequest Url;
    s9112_3_2_nul_is_400_at_once: "GET \0" => BadRequest BadRequest;
    s9112_3_2_tls_hello_is_400_at_once: "\x16\x03\x01\x02\0" => BadRequest BadRequest;
    s9112_3_2_missing_host_in_1_1_is_400: "GET / HTTP/1.1\r\n\r\n" => BadRequest Hostname;
    s9112_3_2_missing_host_in_1_1_with_absolute_target_is_400:
        "GET http://h/ HTTP/1.1\r\n\r\n" => BadRequest Hostname;
    s9112_3_2_two_hosts_is_400:
        "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n" => BadRequest Hostname;
    s9112_3_2_two_hosts_in_1_0_is_400:
        "GET / HTTP/1.0\r\nHost: h\r\nhOST: h\r\n\r\n" => BadRequest Hostname;
    s9112_3_2_bad_host_in_1_0_is_400:
        "GET / HTTP/1.0\r\nHost: a b\r\n\r\n" => BadRequest Hostname;
    s9112_3_2_bad_host_beside_absolute_target_is_400:
        "GET http://h/ HTTP/1.1\r\nHost: a/b\r\n\r\n" => BadRequest Hostname;
    s9112_3_2_2_other_scheme_is_400: get("ftp://h/") => BadRequest Url;
    s9112_3_2_2_empty_authority_is_400: get("http:///a") => BadRequest Url;
    s9112_3_2_2_port_alone_is_400: get("http://:80/a") => BadRequest Url;
    s9112_3_2_2_userinfo_is_400: get("http://user@h/") => BadRequest Url;
    s9112_3_2_3_authority_form_with_get_is_400: get("h:80") => BadRequest Url;
    s9112_3_2_3_connect_with_path_is_400:
        "CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest Url;
    s9112_3_2_3_connect_without_port_is_400:
        "CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest Url;
    s9112_3_2_3_connect_with_empty_port_is_400:
        "CONNECT h: HTTP/1.1\r\nHost: h\r\n\r\n" => BadRequest Url;
    s9112_3_2_4_asterisk_with_get_is_400: get("*") => BadRequest Url;
    s9112_5_1_space_before_colon_is_400: get_with("A : b") => BadRequest Header;
    s9112_5_1_tab_before_colon_is_400: get_with("A\t: b") => BadRequest Header;
    s9112_5_1_empty_name_is_400: get_with(": b") => BadRequest Header;
    s9112_5_1_line_without_colon_is_400: get_with("A") => BadRequest Header;
    s9112_5_1_delimiter_in_name_is_400: get_with("A(b): c") => BadRequest Header;
    s9112_5_1_nul_in_name_is_400: get_with("A\0: c") => BadRequest Header;
    s9112_5_1_space_in_name_is_400: get_with("A B: c") => BadRequest Header;
    s9112_5_1_space_before_name_is_400: get_with(" A: c") => BadRequest Header;
    s9112_5_1_obs_text_in_name_is_400: get_with("\u{e9}: c") => BadRequest Header;
    s9112_5_2_obs_fold_is_400: get_with("A: b\r\n c") => BadRequest Header;
    s9112_5_2_obs_fold_with_tab_is_400: get_with("A: b\r\n\tc") => BadRequest Header;
    s9112_5_2_obs_fold_of_nothing_is_400: get_with("A: b\r\n ") => BadRequest Header;
}

#[test]
fn s9112_2_2_one_leading_empty_line_is_skipped() {
    assert_eq!(request(b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n").host, b"h");
}

/// A message is octets (RFC 9112 section 2.2). Read as characters, and these cut down to their low
/// octets, some would end a line.
#[test]
fn s9112_2_2_octets_are_not_characters() {
    let ours = request(&get_with("A: \u{560d}\u{560a}X: y\u{2028}\u{85}"));
    assert_eq!(ours, request(&get_with("A: b")));
    let mut stream = b"GET / HTTP/1.1\r\nHost: h\r\nA: ".to_vec();
    stream.extend(0x80..=0xff);
    stream.extend_from_slice(b"\r\n\r\n");
    assert_eq!(request(&stream), ours);
}

#[test]
fn s9112_2_2_leading_empty_line_is_not_a_request() {
    let mut connection = Connection::new();
    assert!(connection.is_idle());
    assert_eq!(connection.receive(&Limits::DEFAULT, b"\r"), Step::Incomplete { consumed: 0 });
    let step = connection.receive(&Limits::DEFAULT, b"\r\n");
    assert_eq!(step, Step::Incomplete { consumed: 2 });
    assert!(connection.is_idle());
    assert_eq!(connection.receive(&Limits::DEFAULT, b"G"), Step::Incomplete { consumed: 0 });
    assert!(!connection.is_idle());
}

/// The CR of the empty line came alone; what follows is looked at from its first octet.
#[test]
fn s9112_2_2_bare_lf_behind_split_empty_line_is_400() {
    let stream = b"\r\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let events = feed_cut(Limits::DEFAULT, stream, &[1]);
    let rejection = Rejection { status: Status::BadRequest, reason: Reason::InvalidCrLf };
    assert_eq!(events, [Event::Reject(rejection)]);
}

#[test]
fn s9112_2_2_each_request_may_have_a_leading_empty_line() {
    let stream = b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3);
    assert_eq!(accepted(Limits::DEFAULT, &stream), (3, 0));
}

#[test]
fn s9112_2_3_higher_minor_version_counts_as_1_1() {
    let asked = request(b"GET /a HTTP/1.9\r\nHost: h\r\nConnection: x\r\n\r\n");
    assert_eq!((asked.version, asked.persistence), (Version::Http11, Persistence::KeepAlive));
    assert_eq!(rejection(b"GET /a HTTP/1.2\r\n\r\n"), (Status::BadRequest, Reason::Hostname));
}

#[test]
fn s9112_3_1_method_is_case_sensitive() {
    assert_eq!(request(b"get / HTTP/1.1\r\nHost: h\r\n\r\n").method, Method::Other);
    assert_eq!(request(b"GETX / HTTP/1.1\r\nHost: h\r\n\r\n").method, Method::Other);
}

#[test]
fn s9112_3_1_methods_are_recognised() {
    let methods = [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("OPTIONS", Method::Options),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("DELETE", Method::Delete),
        ("PATCH", Method::Patch),
        ("TRACE", Method::Trace),
        ("PROPFIND", Method::Other),
    ];
    for (token, method) in methods {
        let stream = format!("{token} / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(request(stream.as_bytes()).method, method);
    }
}

#[test]
fn s9112_3_method_longer_than_any_is_501() {
    let stream = vec![b'G'; 9000];
    assert_eq!(rejection(&stream), (Status::NotImplemented, Reason::Verb));
    let stream = vec![b'@'; 9000];
    assert_eq!(rejection(&stream), (Status::BadRequest, Reason::Verb));
}

#[test]
fn s9112_3_target_of_8000_octets_is_accepted_and_its_limit_is_exact() {
    let target = |octets: usize| format!("/{}", "a".repeat(octets - 1));
    assert_eq!(accepted(Limits::DEFAULT, &get(&target(8000))), (1, 0));
    assert_eq!(accepted(Limits::DEFAULT, &get(&target(8192))), (1, 0));
    for octets in [8193, 8210, 8300, 20_000] {
        let answer = rejection(&get(&target(octets)));
        assert_eq!(answer, (Status::UriTooLong, Reason::UrlLength));
    }
}

#[test]
fn s9112_3_unfinished_target_over_limit_is_414_without_line_end() {
    let stream = format!("GET /{}", "a".repeat(8220));
    assert_eq!(rejection(stream.as_bytes()), (Status::UriTooLong, Reason::UrlLength));
}

#[test]
fn s9112_3_head_limit_inside_request_line_is_414() {
    let limits = Limits { head_bytes_max: 20, ..Limits::DEFAULT };
    let answer = rejection_within(limits, b"GET /aaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n");
    assert_eq!(answer, (Status::UriTooLong, Reason::UrlLength));
}

#[test]
fn s9112_3_2_empty_host_is_legal() {
    assert_eq!(request(b"GET / HTTP/1.1\r\nHost:\r\n\r\n").host, b"");
    assert_eq!(request(b"GET / HTTP/1.1\r\nHost: \t \r\n\r\n").host, b"");
}

#[test]
fn s9112_3_2_host_may_be_missing_in_1_0() {
    assert_eq!(request(b"GET / HTTP/1.0\r\n\r\n").host, b"");
}

#[test]
fn s9112_3_2_host_is_without_port() {
    let hosts = [
        ("example.test", "example.test"),
        ("example.test:8080", "example.test"),
        ("example.test:", "example.test"),
        ("127.0.0.1:65535", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[2001:db8::7]:8080", "[2001:db8::7]"),
        ("[::ffff:1.2.3.4]:", "[::ffff:1.2.3.4]"),
        ("a_b-c.~!$&'()*+,;=", "a_b-c.~!$&'()*+,;="),
        ("a%20b:1", "a%20b"),
    ];
    for (value, host) in hosts {
        let stream = format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
        assert_eq!(request(stream.as_bytes()).host, host.as_bytes());
    }
}

#[test]
fn s9112_3_2_invalid_host_is_400() {
    let hosts = [
        ":80",
        "a:b",
        "a:1:2",
        "a:65536",
        "a:99999999999999999999",
        "a:+1",
        "a/b",
        "a b",
        "a@b",
        "a%2",
        "a%zz",
        "[::1",
        "::1",
        "[]",
        "[::1]x",
        "[::1]:x",
        "[1.2.3.4]",
        "[fe80::1%25eth0]",
        "[v1.a]",
        "a?",
        "a#",
        "a\\b",
        "a\"",
        "<a>",
        "a,b c",
        "caf\u{e9}",
    ];
    for value in hosts {
        let stream = format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
        let answer = rejection(stream.as_bytes());
        assert_eq!(answer, (Status::BadRequest, Reason::Hostname), "{value}");
    }
}

#[test]
fn s9112_3_2_1_origin_form_has_path_and_query() {
    let asked = request(&get("/a/b?c=d?e"));
    assert_eq!(asked.path, Ok(Some(b"/a/b".to_vec())));
    let limits = Limits::DEFAULT;
    let stream = get("/a?");
    let mut connection = Connection::new();
    let Step::Request { request, .. } = connection.receive(&limits, &stream) else { panic!() };
    let target = http1::Target::Origin { path: b"/a", query: Some(b"") };
    assert_eq!(request.target, target);
}

#[test]
fn s9112_3_2_2_absolute_form_overrides_host() {
    for (target, path) in [
        ("http://a.test/x?y", "/x"),
        ("HTTP://a.test:80/x", "/x"),
        ("https://a.test/x", "/x"),
        ("http://a.test", "/"),
        ("http://a.test?y", "/"),
        ("http://a.test:8080?y=/z", "/"),
    ] {
        let asked = request(&get(target));
        assert_eq!((asked.host, asked.path), (b"a.test".into(), Ok(Some(path.into()))));
    }
    assert_eq!(request(&get("http://[::1]:80/")).host, b"[::1]");
}

#[test]
fn s9112_3_2_3_connect_takes_authority_form() {
    let asked = request(b"CONNECT a.test:443 HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_eq!((asked.method, asked.path), (Method::Connect, Ok(None)));
    assert_eq!(asked.host, b"a.test");
}

#[test]
fn s9112_3_2_4_options_takes_asterisk() {
    let asked = request(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((asked.method, asked.target), (Method::Options, b"Asterisk".to_vec()));
    assert_eq!(asked.path, Ok(None));
    let asked = request(b"OPTIONS /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(asked.path, Ok(Some(b"/a".to_vec())));
}

#[test]
fn s9112_5_whitespace_around_values_is_not_part_of_them() {
    let asked = request(b"POST / HTTP/1.1\r\nHost: \t h \t\r\nContent-Length:2 \r\n\r\nab");
    assert_eq!((asked.host, asked.framing), (b"h".to_vec(), Framing::Length(2)));
}

/// TE says what a client takes in a response; ours have no transfer coding.
#[test]
fn s9112_7_4_te_is_ignored() {
    let plain = request(&get("/"));
    for fields in ["TE:", "TE: trailers", "TE: trailers, deflate;q=0.5", "TE: chunked"] {
        assert_eq!(request(&get_with(fields)), plain, "{fields}");
    }
    assert_eq!(request(&get_with("Connection: TE\r\nTE: trailers")), plain);
}

/// RFC 9112 section 8: a request that ends early is no request.
#[test]
fn s9112_8_unfinished_request_is_none() {
    for stream in [get("/a"), chunked("5\r\nhello\r\n0\r\nA: b\r\n\r\n")] {
        for end in 0..stream.len() {
            let ends = |event: &Event| matches!(event, Event::ContentEnd | Event::Reject(_));
            let events = feed(&stream[..end]);
            assert!(!events.iter().any(ends), "{end}: {events:?}");
            assert!(events.len() <= 1);
        }
    }
}

#[test]
fn limits_and_connections_have_defaults() {
    let (mut one, mut other) = (Connection::default(), Connection::new());
    let stream = get("/");
    let limits = Limits::default();
    assert_eq!(limits, Limits::DEFAULT);
    assert_eq!(one.receive(&limits, &stream), other.receive(&limits, &stream));
}

#[test]
fn s9112_9_3_persistence() {
    use Persistence::{Close, KeepAlive};
    for (version, fields, persistence) in [
        ("1.1", "", KeepAlive),
        ("1.1", "Connection: close\r\n", Close),
        ("1.1", "Connection: Close\r\n", Close),
        ("1.1", "Connection: keep-alive, close\r\n", Close),
        ("1.1", "Connection: close\r\nConnection: keep-alive\r\n", Close),
        ("1.1", "Connection: te,\tclose ,\r\n", Close),
        ("1.1", "Connection: closed\r\n", KeepAlive),
        ("1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n", KeepAlive),
        ("1.0", "", Close),
        ("1.0", "Connection: keep-alive\r\n", KeepAlive),
        ("1.0", "Connection: x\r\nConnection: Keep-Alive\r\n", KeepAlive),
        ("1.0", "Connection: keep-alive\r\nConnection: close\r\n", Close),
    ] {
        let stream = format!("GET / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
        assert_eq!(request(stream.as_bytes()).persistence, persistence, "{stream}");
    }
}

#[test]
fn s9112_9_3_head_end_says_what_the_version_does_not() {
    let close = &b"Connection: close\r\n\r\n"[..];
    assert_eq!(Persistence::Close.head_end(Version::Http11), close);
    assert_eq!(Persistence::Close.head_end(Version::Http10), close);
    assert_eq!(Persistence::KeepAlive.head_end(Version::Http11), b"\r\n");
    let keep_alive = &b"Connection: keep-alive\r\n\r\n"[..];
    assert_eq!(Persistence::KeepAlive.head_end(Version::Http10), keep_alive);
}

#[test]
fn s9112_9_3_2_pipelined_requests_come_in_order() {
    let targets: Vec<String> = (0..40).map(|n| format!("/{n}")).collect();
    let stream: Vec<u8> = targets.iter().flat_map(|target| get(target)).collect();
    let paths: Vec<Vec<u8>> = feed_both(Limits::DEFAULT, &stream)
        .into_iter()
        .map(|event| match event {
            Event::Request(asked) => asked.path.unwrap().unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(paths, targets.iter().map(|t| t.as_bytes().to_vec()).collect::<Vec<_>>());
}

#[test]
fn s9112_9_6_nothing_is_processed_after_close() {
    let mut stream = get_with("Connection: close");
    stream.extend_from_slice(&get("/b"));
    assert_eq!(accepted(Limits::DEFAULT, &stream), (1, 0));

    let mut stream = get_with("Connection: close\r\nContent-Length: 2");
    stream.extend_from_slice(b"ab");
    stream.extend_from_slice(&get("/b"));
    let events = feed_both(Limits::DEFAULT, &stream);
    assert!(matches!(events.as_slice(), [Event::Request(_), Event::ContentEnd]));
}

#[test]
fn s9112_9_6_nothing_is_processed_after_a_rejection() {
    let mut stream = b"GET /\r\n".to_vec();
    stream.extend_from_slice(&get("/b"));
    assert_eq!(rejection(&stream), (Status::BadRequest, Reason::BadRequest));
}

#[test]
fn s9112_9_6_the_caller_may_close_at_any_time() {
    let mut connection = Connection::new();
    let stream = get_with("Content-Length: 2");
    assert!(matches!(connection.receive(&Limits::DEFAULT, &stream), Step::Request { .. }));
    connection.close();
    assert!(!connection.is_idle());
    assert_eq!(connection.receive(&Limits::DEFAULT, b"abGET"), Step::Closed { consumed: 5 });
}

#[test]
fn s9112_9_5_idle_means_that_nothing_of_a_request_was_seen() {
    let limits = Limits::DEFAULT;
    let mut connection = Connection::new();
    let stream = get_with("Content-Length: 2");
    assert_eq!(connection.receive(&limits, &stream[..9]), Step::Incomplete { consumed: 0 });
    assert!(!connection.is_idle());
    assert!(matches!(connection.receive(&limits, &stream), Step::Request { .. }));
    assert!(!connection.is_idle(), "content is missing");
    assert_eq!(connection.receive(&limits, b"ab"), Step::ContentEnd { consumed: 2 });
    assert!(connection.is_idle());
    assert_eq!(connection.receive(&limits, b""), Step::Incomplete { consumed: 0 });
    assert!(connection.is_idle());
}

#[test]
fn s9110_5_4_limits_of_fields_are_exact() {
    let line = |octets: usize| get_with(&format!("A:{}", "x".repeat(octets - 2)));
    assert_eq!(accepted(Limits::DEFAULT, &line(8192)), (1, 0));
    assert_eq!(rejection(&line(8193)), (Status::FieldsTooLarge, Reason::FieldLength));

    let lines = |count: usize| get_with(&vec!["A: b"; count - 1].join("\r\n"));
    assert_eq!(accepted(Limits::DEFAULT, &lines(FIELD_LINES_MAX)), (1, 0));
    let answer = rejection(&lines(FIELD_LINES_MAX + 1));
    assert_eq!(answer, (Status::FieldsTooLarge, Reason::FieldLength));

    let head = get_with(&format!("A:{}\r\nB:{}", "x".repeat(8000), "x".repeat(4000)));
    for (head_bytes_max, inside) in [(head.len(), true), (head.len() - 1, false)] {
        let limits = Limits { head_bytes_max, ..Limits::DEFAULT };
        if inside {
            assert_eq!(accepted(limits, &head), (1, 0));
        } else {
            let answer = rejection_within(limits, &head);
            assert_eq!(answer, (Status::FieldsTooLarge, Reason::RequestLength));
        }
    }
}

#[test]
fn s9110_5_4_limits_do_not_depend_on_each_other() {
    let head = get_with("A: bcdef");
    let octets = |line: usize, target: usize| Limits {
        field_line_bytes_max: line,
        target_bytes_max: target,
        ..Limits::DEFAULT
    };
    for target in [1, 4, 100, 8192] {
        assert_eq!(accepted(octets(8, target), &head), (1, 0));
        let answer = rejection_within(octets(7, target), &head);
        assert_eq!(answer, (Status::FieldsTooLarge, Reason::FieldLength));
    }
    for line in [8, 9, 100, 8192] {
        let answer = rejection_within(octets(line, 1), &get("/a"));
        assert_eq!(answer, (Status::UriTooLong, Reason::UrlLength));
    }
}

#[test]
fn s9110_5_4_limits_apply_to_each_head_of_a_pipeline() {
    let limits = Limits { head_bytes_max: get("/a").len(), ..Limits::DEFAULT };
    let stream = get("/a").repeat(20);
    assert_eq!(accepted(limits, &stream), (20, 0));
}
