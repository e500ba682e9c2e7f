//! What health checks and common clients send, octet for octet, and what they call healthy.
mod machine;

use std::time::{Duration, Instant};

use machine::{Client, Machine, PATIENCE, Response, body};
use rustix::net::sockopt::set_socket_linger;
use wskhttpd_abi::Counter;

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!("../../http/tests/requests/", $name, ".http"))
    };
}

/// The answer has to be one of these, by what the prober's documentation calls healthy.
enum Healthy {
    /// Kubernetes: 200 to 399.
    Below400,
    /// ALB's widest matcher: 200 to 499; NLB: 200 to 399. Theirs and ours by default: 200.
    Exactly200,
    /// HAProxy: 2xx or 3xx; ours is 204 with Allow.
    NoContentWithAllow,
}

impl Healthy {
    fn check(&self, name: &str, response: &Response) {
        let status = response.status;
        match self {
            Healthy::Below400 => assert!((200..400).contains(&status), "{name}: {status}"),
            Healthy::Exactly200 => assert_eq!(status, 200, "{name}"),
            Healthy::NoContentWithAllow => {
                assert_eq!(status, 204, "{name}");
                assert_eq!(response.field("allow"), Some("GET, HEAD, OPTIONS"), "{name}");
            }
        }
    }
}

/// Name, request, verdict, whether the server ends the connection.
type Probe = (&'static str, &'static str, Healthy, bool);

const PROBES: &[Probe] = &[
    ("kube-probe", recorded!("kube-probe"), Healthy::Below400, true),
    ("ALB", recorded!("elb-health-checker"), Healthy::Exactly200, true),
    (
        "classic ELB",
        "GET /health HTTP/1.1\r\nhost: 10.0.3.41\r\nUser-Agent: ELB-HealthChecker/1.0\r\n\
         Accept: */*\r\nConnection: keep-alive\r\n\r\n",
        Healthy::Exactly200,
        false,
    ),
    ("Azure", recorded!("azure-lb"), Healthy::Exactly200, false),
    ("GCP", recorded!("google-hc"), Healthy::Exactly200, false),
    ("HAProxy", recorded!("haproxy"), Healthy::NoContentWithAllow, true),
    (
        "HAProxy, asterisk",
        "OPTIONS * HTTP/1.1\r\nHost: www\r\n\r\n",
        Healthy::NoContentWithAllow,
        false,
    ),
    ("HAProxy, asterisk, 1.0", "OPTIONS * HTTP/1.0\r\n\r\n", Healthy::NoContentWithAllow, true),
    (
        "HAProxy, httpchk GET",
        "GET /health HTTP/1.1\r\nhost: www\r\nconnection: close\r\n\r\n",
        Healthy::Below400,
        true,
    ),
    (
        "nginx, health_check",
        "GET /health HTTP/1.0\r\nHost: backend\r\nConnection: close\r\n\r\n",
        Healthy::Below400,
        true,
    ),
    ("without Host or anything", "GET /health HTTP/1.0\r\n\r\n", Healthy::Exactly200, true),
    ("HEAD over 1.0", "HEAD /health HTTP/1.0\r\n\r\n", Healthy::Exactly200, true),
];

/// A browser's request of some 700 octets.
const BROWSER: &str = "GET /hello.txt HTTP/1.1\r\nHost: www.example.test:8080\r\n\
    Connection: keep-alive\r\nCache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"126\", \"Not.A/Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Windows\"\r\nUpgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
    Chrome/126.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
    image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7\r\n\
    Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n\
    Sec-Fetch-Dest: document\r\nAccept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; consent=1\r\n\r\n";

#[test]
fn every_probe_calls_it_healthy() {
    let machine = Machine::start(vec![]);
    for (name, request, healthy, ends) in PROBES {
        let has_content = request.starts_with("GET");
        let mut client = machine.connect();
        let rounds = if *ends { 1 } else { 3 };
        for _ in 0..rounds {
            let response = client.send(request).response(has_content);
            healthy.check(name, &response);
            let said = response.field("connection");
            assert_eq!(said == Some("close"), *ends, "{name}: {}", response.head);
            if request.contains("/health") {
                assert_eq!(response.field("cache-control"), Some("no-store"), "{name}");
                // A probe reads little; Kubernetes stops at 10 KB.
                assert!(response.body.len() < 1_000, "{name}");
            }
        }
        if *ends {
            client.expect_end();
        }
    }
    assert_eq!(machine.counter(Counter::Rejected), 0);
    assert_eq!(machine.counter(Counter::Responses4xx), 0);
}

/// HTTP/1.1 has no request without Host (RFC 9112 section 3.2), not even for HAProxy: `OPTIONS *
/// HTTP/1.1` needs `http-check send hdr Host`.
#[test]
fn asterisk_without_host_is_refused_in_1_1() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    assert_eq!(client.send("OPTIONS * HTTP/1.1\r\n\r\n").response(true).status, 400);
    client.expect_end();
    assert_eq!(machine.counter(Counter::Rejected), 1);
}

#[test]
fn a_probe_for_each_connection_leaves_nothing_open() {
    let machine = Machine::start(vec![]);
    for round in 0..100 {
        let (name, request, healthy, _) = &PROBES[round % PROBES.len()];
        let mut client = machine.connect();
        let response = client.send(request).response(request.starts_with("GET"));
        healthy.check(name, &response);
    }
    machine.wait_for(Counter::ConnectionsOpen, 0);
    machine.wait_for(Counter::Addresses, 0);
    assert_eq!(machine.counter(Counter::Requests), 100);
}

#[test]
fn browsers_and_curl_are_answered_and_kept() {
    assert!(BROWSER.len() > 650, "{}", BROWSER.len());
    let machine = Machine::start(vec![]);
    let curl = recorded!("curl").to_owned();
    let wrk = recorded!("wrk").replace("GET / ", "GET /hello.txt ");
    for request in [BROWSER.to_owned(), curl, wrk] {
        let mut client = machine.connect();
        for _ in 0..3 {
            let response = client.send(&request).response(true);
            assert_eq!((response.status, response.body), (200, body("hello.txt")));
        }
        assert_eq!(client.get("/medium").body, body("medium"));
    }
}

/// Ends it by RST.
fn reset(client: Client) {
    set_socket_linger(&client.stream, Some(Duration::ZERO)).unwrap();
    drop(client);
}

#[test]
fn probes_of_the_port_alone_are_silent() {
    const PROBES: u64 = 40;
    let machine = Machine::start(vec![]);
    let said = machine.log();
    for round in 0..PROBES {
        let client = machine.connect();
        if round % 2 == 0 { drop(client) } else { reset(client) }
    }
    let start = Instant::now();
    let seen = |counters: [Counter; 2]| counters.map(|c| machine.counter(c)).iter().sum::<u64>();
    while seen([Counter::ConnectionsAccepted, Counter::HandshakesAborted]) < PROBES {
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(5));
    }
    machine.wait_for(Counter::ConnectionsOpen, 0);
    machine.wait_for(Counter::Addresses, 0);
    for counter in [
        Counter::Requests,
        Counter::Rejected,
        Counter::Responses4xx,
        Counter::Responses5xx,
        Counter::TimerHead,
        Counter::TimerIdle,
        Counter::BytesSent,
    ] {
        assert_eq!(machine.counter(counter), 0, "{}", counter.name());
    }
    assert_eq!(machine.log(), said);
    assert_eq!(machine.connect().get("/health").status, 200);
}

#[test]
fn an_unfinished_request_that_is_given_up_is_not_a_bad_one() {
    let machine = Machine::start(vec![]);
    for (round, part) in ["G", "GET /health HTTP/1.1\r\n", "\r\n"].into_iter().enumerate() {
        let mut client = machine.connect();
        client.send(part);
        if round == 0 { reset(client) } else { drop(client) }
    }
    machine.wait_for(Counter::ConnectionsAccepted, 3);
    machine.wait_for(Counter::ConnectionsOpen, 0);
    assert_eq!(machine.counter(Counter::Rejected), 0);
    assert_eq!(machine.counter(Counter::Requests), 0);
}
