//! What clients get, over real sockets.
mod machine;

use machine::{Client, Machine, body};
use wskhttpd_abi::Counter;

#[test]
fn every_status_this_driver_sends_by_itself() {
    let machine = Machine::start(vec![]);
    let long_target = "a".repeat(9_000);
    let long_field = "a".repeat(17_000);
    // name, octets, status, ends the connection
    let rows: &[(&str, String, u16, bool)] = &[
        ("200", "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n".into(), 200, false),
        ("index", "GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 200, false),
        ("query", "GET /hello.txt?a=b HTTP/1.1\r\nHost: a\r\n\r\n".into(), 200, false),
        ("absolute", "GET http://a/hello.txt HTTP/1.1\r\nHost: b\r\n\r\n".into(), 200, false),
        ("encoded", "GET /%68ello.txt HTTP/1.1\r\nHost: a\r\n\r\n".into(), 200, false),
        ("dots", "GET /x/../hello.txt HTTP/1.1\r\nHost: a\r\n\r\n".into(), 200, false),
        ("1.0", "GET /hello.txt HTTP/1.0\r\n\r\n".into(), 200, true),
        ("options", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".into(), 204, false),
        ("haproxy", "OPTIONS / HTTP/1.0\r\n\r\n".into(), 204, true),
        ("301", "GET /old HTTP/1.1\r\nHost: a\r\n\r\n".into(), 301, false),
        ("no host", "GET / HTTP/1.1\r\n\r\n".into(), 400, true),
        ("0.9", "GET /\r\n\r\n".into(), 400, true),
        ("bare lf", "GET / HTTP/1.1\nHost: a\n\n".into(), 400, true),
        ("404", "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n".into(), 404, false),
        ("404 post", "POST /nothing HTTP/1.1\r\nHost: a\r\n\r\n".into(), 404, false),
        ("405", "DELETE /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405, false),
        ("trace", "TRACE /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405, false),
        ("connect", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".into(), 405, true),
        ("413", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n".into(), 413, true),
        ("414", format!("GET /{long_target} HTTP/1.1\r\nHost: a\r\n\r\n"), 414, true),
        (
            "417",
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1\r\n\r\n".into(),
            417,
            true,
        ),
        ("431", format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long_field}\r\n\r\n"), 431, true),
        ("501", "BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n".into(), 501, false),
        (
            "501 te",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x, chunked\r\n\r\n".into(),
            501,
            true,
        ),
        ("505", "GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), 505, true),
        ("preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505, true),
    ];
    for (name, request, status, ends) in rows {
        let mut client = machine.connect();
        let response = client.send(request).response(true);
        assert_eq!((*name, response.status), (*name, *status), "{response:?}");
        assert!(response.field("date").is_some(), "{name}");
        let persistence = response.field("connection");
        assert_eq!(persistence == Some("close"), *ends, "{name}: {}", response.head);
        if *ends {
            client.expect_end();
        } else {
            assert_eq!(client.get("/hello.txt").body, body("hello.txt"), "after {name}");
        }
    }
    let statuses = rows.len() as u64 + rows.iter().filter(|row| !row.3).count() as u64;
    assert_eq!(machine.counter(Counter::Requests), statuses);
}

#[test]
fn bodies_of_every_size_arrive_whole() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for name in ["hello.txt", "medium", "large", "hello.txt", "large", "medium"] {
        let response = client.get(&format!("/{name}"));
        assert!(response.status == 200 && response.body == body(name), "{name}");
    }
}

#[test]
fn head_has_the_head_of_get_and_no_content() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for path in ["/large", "/hello.txt", "/nothing", "/health"] {
        let get = client.get(path);
        let head = client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n")).response(false);
        let without_date = |head: &str| {
            head.lines().filter(|line| !line.starts_with("Date")).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(without_date(&get.head), without_date(&head.head));
    }
    assert_eq!(client.get("/hello.txt").body, body("hello.txt"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let names = ["hello.txt", "medium", "hello.txt", "large", "medium", "hello.txt"];
    let requests = (0..60).map(|n| format!("GET /{} HTTP/1.1", names[n % names.len()]));
    let batch = requests.collect::<Vec<_>>().join("\r\nHost: a\r\n\r\n") + "\r\nHost: a\r\n\r\n";
    let mut writer = client.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writer, batch.as_bytes()).unwrap();
    });
    for n in 0..60 {
        let name = names[n % names.len()];
        assert!(client.response(true).body == body(name), "response {n}, {name}");
    }
    sender.join().unwrap();
}

#[test]
fn a_request_in_single_octets_is_one_request() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for octet in b"\r\nGET /hello.txt HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n" {
        client.send([*octet]);
    }
    assert_eq!(client.response(true).body, body("hello.txt"));
    assert_eq!(client.get("/medium").body, body("medium"));
}

#[test]
fn content_is_discarded_before_the_next_request() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    client.send("POST /hello.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n");
    client.send("GET /medium HTTP/1.1\r\nHost: a\r\n\r\n0123456");
    client.send("GET /hello.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.response(true).status, 405);
    assert_eq!(client.response(true).body, body("hello.txt"));
    // A broken chunk is answered once, by 400, and nothing after it is looked at.
    client.send("POST /hello.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("xyz\r\nGET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response(true).status, 400);
    client.expect_end();
}

#[test]
fn an_expectation_is_answered_at_once_and_for_good() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    client.send(
        "PUT /hello.txt HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    );
    let response = client.response(true);
    assert_eq!((response.status, response.field("connection")), (405, Some("close")));
    client.expect_end();
}

#[test]
fn a_host_has_its_own_responses_and_shares_the_others() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    let mut get = |host: &str, path: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).response(true).body
    };
    assert_eq!(get("other.example", "/hello.txt"), b"other");
    assert_eq!(get("OTHER.example:80", "/hello.txt"), b"other");
    assert_eq!(get("another.example", "/hello.txt"), body("hello.txt"));
    assert_eq!(get("other.example", "/medium"), body("medium"));
}

#[test]
fn a_1_0_client_that_asks_for_it_is_kept() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for _ in 0..3 {
        client.send("GET /hello.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let response = client.response(true);
        assert_eq!(response.field("connection"), Some("keep-alive"));
    }
    client.send("GET /hello.txt HTTP/1.0\r\n\r\n");
    assert_eq!(client.response(true).field("connection"), Some("close"));
    client.expect_end();
}

#[test]
fn a_client_that_ended_its_side_still_gets_its_answers() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    client.send("GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").end_sending();
    assert_eq!(client.response(true).body, body("hello.txt"));
    assert!(client.response(true).body == body("large"));
    client.expect_end();
}

#[test]
fn both_address_families_of_a_dual_stack_listener_are_served() {
    let machine = Machine::start(vec![machine::text("ListenAddress", "::")]);
    let port = machine.address().port();
    let v4: std::net::SocketAddr = ([127, 0, 0, 1], port).into();
    assert_eq!(Client::to(v4).get("/hello.txt").status, 200);
    if machine.address().is_ipv6() {
        let v6 = (std::net::Ipv6Addr::LOCALHOST, port).into();
        assert_eq!(Client::to(v6).get("/hello.txt").status, 200);
    } else {
        println!("skipped: this machine has no IPv6; the listener fell back to IPv4");
    }
}
