//! Streams that two readers could frame in two ways, over real sockets: each is answered once, the
//! connection ends, and the request that hides behind it is never answered.
mod machine;

use machine::{Client, Machine, number};
use wskhttpd_abi::Counter;

/// What must not be answered; its content gives it away.
const HIDDEN: &str = "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n";

/// Head fields, content, status.
const POSTS: &[(&str, &str, u16)] = &[
    ("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n", 400),
    ("Content-Length: 0\r\nContent-Length: 5", "12345", 400),
    ("Content-Length: 5\r\nContent-Length: 5", "12345", 400),
    ("Content-Length: 5, 5", "12345", 400),
    ("Content-Length: +5", "12345", 400),
    ("Content-Length: 5 5", "12345", 400),
    ("Content-Length: 0x5", "12345", 400),
    ("Content-Length: 18446744073709551621", "12345", 400),
    ("Content-Length : 5", "12345", 400),
    ("Content-Length:\r\n 5", "12345", 400),
    ("X: y\r\n Content-Length: 5", "12345", 400),
    ("X: y\nContent-Length: 5", "12345", 400),
    ("X: y\rContent-Length: 5", "12345", 400),
    ("X: \0", "", 400),
    ("X\0: y", "", 400),
    (": y", "", 400),
    ("X", "", 400),
    ("Transfer-Encoding: chunked, identity", "0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked, chunked", "0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n", 400),
    ("Transfer-Encoding: xchunked", "0\r\n\r\n", 400),
    ("Transfer-Encoding: gzip, chunked", "0\r\n\r\n", 501),
    ("Transfer-Encoding : chunked", "0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "0x5\r\n12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", " 5\r\n12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "+5\r\n12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "5_\r\n12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "10000000000000005\r\n12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "ffffffffffffffff\r\n12345\r\n0\r\n\r\n", 413),
    ("Transfer-Encoding: chunked", "5\n12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "5;a\n12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "5;a\r12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "5;\0\r\n12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "5\r\n12345\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "4\r\n12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "6\r\n12345\r\n0\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "0\r\nA: b\n\r\n", 400),
    ("Transfer-Encoding: chunked", "0\r\nA : b\r\n\r\n", 400),
    ("Transfer-Encoding: chunked", "0\r\n\n", 400),
];

/// Whole streams that are answered by 400.
const STREAMS: &[&str] = &[
    "GET /medium HTTP/1.1\nHost: a\n\n",
    "GET /medium HTTP/1.1\r\nHost: a\r\n\n",
    "GET /medium HTTP/1.1\r\nHost: a\r\r\n\r\n",
    "GET /medium HTTP/1.1\r\n Host: a\r\n\r\n",
    "GET /medium HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET /medium HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET /medium\r\n\r\n",
    "GET /medium HTTP/1.1x\r\nHost: a\r\n\r\n",
    "GET  /medium HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET\t/medium HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\n\r\nGET /medium HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
];

fn streams() -> Vec<(String, u16)> {
    let posts = POSTS.iter().map(|(fields, content, status)| {
        let head = format!("POST /medium HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        (head + content + HIDDEN, *status)
    });
    posts.chain(STREAMS.iter().map(|stream| ((*stream).to_owned() + HIDDEN, 400))).collect()
}

#[test]
fn each_is_answered_once_and_ends_the_connection() {
    let machine = Machine::start(vec![number("MaxConnectionsPerAddress", 0)]);
    // Their ends are waited for together, because the server may linger.
    let mut clients = Vec::new();
    for (stream, status) in streams() {
        // In one write, in two with the hidden request in the second, and in single octets.
        let front = stream.len() - HIDDEN.len();
        for parts in [
            vec![stream.as_bytes()],
            vec![&stream.as_bytes()[..front], HIDDEN.as_bytes()],
            stream.as_bytes().chunks(1).collect(),
        ] {
            let mut client = machine.connect();
            for part in parts {
                client.send(part);
            }
            let response = client.response(true);
            let shown = stream.escape_debug();
            assert_eq!(response.status, status, "{shown}");
            assert_eq!(response.field("connection"), Some("close"), "{shown}");
            clients.push(client);
        }
    }
    let requests = clients.len() as u64;
    clients.into_iter().for_each(Client::expect_end);
    assert_eq!(machine.counter(Counter::Requests), requests);
    assert_eq!(machine.counter(Counter::Rejected), requests);
    assert_eq!(machine.counter(Counter::Responses2xx), 0);
}

#[test]
fn what_came_before_is_answered_first() {
    let machine = Machine::start(vec![number("MaxConnectionsPerAddress", 0)]);
    let mut clients = Vec::new();
    for (stream, status) in streams() {
        let mut client = machine.connect();
        client.send(format!("HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n{stream}"));
        assert_eq!(client.response(false).status, 200);
        assert_eq!(client.response(true).status, status, "{}", stream.escape_debug());
        clients.push(client);
    }
    clients.into_iter().for_each(Client::expect_end);
}

/// RFC 9112 section 9.6: were the connection closed at once, the octets that nobody reads would
/// have it reset, and the peer might never see the answer.
#[test]
fn an_answer_survives_what_the_peer_still_sends() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    client.send("GET /medium HTTP/1.1\nHost: a\n\n");
    client.send(HIDDEN.repeat(20_000));
    assert_eq!(client.response(true).status, 400);
    client.expect_end();
    assert_eq!(machine.counter(Counter::Requests), 1);
}

/// RFC 9112 section 6.1: never to a 1.0 client, nor in a 204; here, in nothing. What a peer takes
/// for the end of a response is its Content-Length.
#[test]
fn no_response_has_a_transfer_coding() {
    let machine = Machine::start(vec![]);
    for version in ["1.0", "1.1"] {
        for (method, path) in [
            ("GET", "/hello.txt"),
            ("GET", "/large"),
            ("HEAD", "/large"),
            ("GET", "/health"),
            ("GET", "/old"),
            ("GET", "/nothing"),
            ("OPTIONS", "/"),
            ("DELETE", "/hello.txt"),
            ("BREW", "/pot"),
        ] {
            let mut client = machine.connect();
            client.send(format!(
                "{method} {path} HTTP/{version}\r\nHost: a\r\nTE: trailers, chunked\r\n\
                 Connection: TE, close\r\n\r\n"
            ));
            let response = client.response(method != "HEAD");
            assert!(response.head.starts_with("HTTP/1.1 "), "{}", response.head);
            assert_eq!(response.field("transfer-encoding"), None, "{}", response.head);
            let has_length = response.field("content-length").is_some();
            assert_eq!(has_length, response.status != 204, "{}", response.head);
            client.expect_end();
        }
    }
}
