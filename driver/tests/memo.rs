//! A head that is known and one that is parsed get the same answer: every request of the tables of
//! `http/tests`, and streams of a grammar, each several times, with a memo and without.
mod machine;
#[path = "../../http/tests/messages/mod.rs"]
#[allow(unused_imports)]
mod messages;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use machine::{Client, Machine, number};
use nthost::Options;
use wskhttpd_abi::Counter;

/// The string literals of a Rust source, as requests: whole ones as they are, a target or field
/// lines in a request around them.
fn requests_in(source: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = source.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            // A quote as a character.
            '\'' if rest.next_if_eq(&'"').is_some() => {}
            '"' => found.push(literal(&mut rest)),
            _ => {}
        }
    }
    found.into_iter().filter_map(|octets| request_of(&octets)).collect()
}

fn request_of(octets: &[u8]) -> Option<Vec<u8>> {
    if octets.windows(6).any(|window| window == b" HTTP/") {
        return Some(octets.to_vec());
    }
    let around = |before: &str, after: &str| [before.as_bytes(), octets, after.as_bytes()].concat();
    match octets {
        [b'/', ..] | [b'h', b't', b't', b'p', ..] => {
            Some(around("GET ", " HTTP/1.1\r\nHost: a\r\n\r\n"))
        }
        _ if octets.contains(&b':') => {
            Some(around("GET /hello.txt HTTP/1.1\r\nHost: a\r\n", "\r\n\r\n"))
        }
        _ => None,
    }
}

fn literal(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Vec<u8> {
    let mut text = Vec::new();
    while let Some(c) = rest.next().filter(|c| *c != '"') {
        if c != '\\' {
            text.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        match rest.next() {
            Some('r') => text.push(b'\r'),
            Some('n') => text.push(b'\n'),
            Some('t') => text.push(b'\t'),
            Some('0') => text.push(0),
            Some('x') => {
                let digits: String = rest.by_ref().take(2).collect();
                text.push(u8::from_str_radix(&digits, 16).unwrap());
            }
            Some('\n') => while rest.next_if(|c| c.is_whitespace()).is_some() {},
            Some(other) => text.extend(other.encode_utf8(&mut [0; 4]).bytes()),
            None => {}
        }
    }
    text
}

fn streams() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../http/tests");
    let mut streams = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            streams.extend(requests_in(&std::fs::read_to_string(path).unwrap()));
        }
    }
    streams.sort();
    streams.dedup();
    assert!(streams.len() > 150, "{} requests in the tables", streams.len());
    let real =
        ["/hello.txt", "/page.html", "/medium", "/none", "/old", "/gone", "/empty", "/health"];
    for path in real {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "BREW"] {
            for fields in
                ["", "Accept-Encoding: gzip\r\n", "Connection: close\r\n", "Range: bytes=1-2\r\n"]
            {
                streams.push(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into());
                streams.push(format!("{method} {path} HTTP/1.0\r\n{fields}\r\n").into());
            }
        }
    }
    streams.extend(messages::streams(300));
    streams
}

/// Everything that comes, with every Date the same.
fn answers(machine: &Machine, octets: &[u8]) -> Vec<u8> {
    let mut client: Client = machine.connect();
    // The server may have refused and ended before all is sent.
    let _ = std::io::Write::write_all(&mut client.stream, octets);
    client.end_sending();
    without_dates(client.rest())
}

fn without_dates(mut answers: Vec<u8>) -> Vec<u8> {
    let dates: Vec<usize> = answers
        .windows(8)
        .enumerate()
        .filter_map(|(at, window)| (window == b"\r\nDate: ").then_some(at + 8))
        .collect();
    for at in dates {
        answers[at..at + 29].fill(b'-');
    }
    answers
}

#[test]
fn a_known_head_is_answered_as_one_that_is_parsed() {
    let streams = streams();
    let machine = Machine::start(vec![number("MemoHeads", 0)]);
    let parsed: Vec<_> = streams.iter().map(|stream| answers(&machine, stream)).collect();
    drop(machine);
    // One place for all heads, and many: who is remembered differs, what is answered must not.
    for heads in [1, 64] {
        let machine = Machine::start(vec![number("MemoHeads", heads)]);
        for (stream, parsed) in streams.iter().zip(&parsed) {
            let repeated = stream.repeat(3);
            for octets in [stream, stream, stream, &repeated] {
                let known = answers(&machine, octets);
                let known = known.get(..parsed.len()).unwrap_or(&known);
                let (stream, known) = (stream.escape_ascii(), known.escape_ascii());
                assert_eq!(known.to_string(), parsed.escape_ascii().to_string(), "{stream}");
            }
        }
    }
}

/// The answer to `octets`, so long, with every Date the same.
fn answer_on(client: &mut Client, octets: &[u8], length: usize) -> Vec<u8> {
    client.send(octets);
    without_dates(client.read(length))
}

#[test]
fn a_head_that_a_connection_repeats_is_answered_as_the_first_time() {
    let streams = streams();
    let machine = Machine::start(vec![number("MemoHeads", 64)]);
    let mut repeated = 0;
    for stream in &streams {
        let heads = stream.windows(4).filter(|window| window == b"\r\n\r\n").count();
        let parsed = answers(&machine, stream);
        let ends = parsed.windows(20).any(|window| window == b"\r\nConnection: close\r")
            || stream.windows(8).any(|window| window == b"HTTP/1.0");
        if heads != 1 || !stream.ends_with(b"\r\n\r\n") || parsed.is_empty() || ends {
            continue;
        }
        let mut client = machine.connect();
        // From the fourth on it comes the shortest way.
        for time in 0..6 {
            let answer = answer_on(&mut client, stream, parsed.len());
            let (answer, parsed) = (answer.escape_ascii(), parsed.escape_ascii());
            assert_eq!(answer.to_string(), parsed.to_string(), "{time}: {}", stream.escape_ascii());
        }
        repeated += 1;
    }
    assert!(repeated > 50, "{repeated} of {}", streams.len());
}

/// How often `status` starts a response in `answers`.
fn count_of(answers: &[u8], status: &[u8]) -> usize {
    answers.windows(status.len()).filter(|window| *window == status).count()
}

#[test]
fn heads_that_repeat_in_one_indication_are_answered_each() {
    let hello: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n";
    let near: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: b\r\n\r\n";
    let other: &[u8] = b"GET /none-of-the-files HTTP/1.1\r\nHost: a\r\n\r\n";
    let last: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    // 90 responses are more than one send carries, and 700 more than may be in flight.
    let mut streams = Vec::new();
    for times in [1, 2, 3, 7, 16, 64, 90, 700] {
        for behind in [&b""[..], b"GET", &hello[..30], near, other] {
            streams.push([&hello.repeat(times), behind, last].concat());
        }
        let mixed = [&other.repeat(times), &hello.repeat(times), near, hello, last];
        streams.push(mixed.map(<[u8]>::to_vec).concat());
        streams.push(last.repeat(times));
    }
    let machine = Machine::start(vec![number("MemoHeads", 0)]);
    let parsed: Vec<_> = streams.iter().map(|stream| answers(&machine, stream)).collect();
    drop(machine);
    let machine = Machine::start(vec![number("MemoHeads", 64)]);
    for (stream, parsed) in streams.iter().zip(&parsed) {
        for _ in 0..3 {
            assert!(answers(&machine, stream) == *parsed, "{}", stream.escape_ascii());
        }
    }
    let answered = |status| parsed.iter().map(|parsed| count_of(parsed, status)).sum::<usize>();
    let (found, none) = (answered(b"HTTP/1.1 200 "), answered(b"HTTP/1.1 404 "));
    let counters = machine.counters();
    assert_eq!(counters.get(Counter::Responses2xx), 3 * found as u64);
    assert_eq!(counters.get(Counter::Responses4xx), 3 * (none + answered(b"HTTP/1.1 400 ")) as u64);
    assert!(none > 800 && found > 5_000, "{found} and {none}");
}

/// Other connections have put a head that is the last one where this connection's own was.
#[test]
fn a_last_head_ends_a_connection_that_never_sent_it_before() {
    // One place for all heads.
    let settings = vec![number("MemoHeads", 1)];
    let machine = Machine::start_as(settings, |options| Options { processors: 1, ..options });
    let mut client = machine.connect();
    for _ in 0..4 {
        assert_eq!(client.get("/hello.txt").status, 200);
    }
    let last = "GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let others = (0..4).map(|_| machine.connect());
    for mut client in others.chain([client]) {
        let response = client.send(last).response(true);
        assert_eq!((response.status, response.field("connection")), (200, Some("close")));
        client.expect_end();
    }
}

#[test]
fn a_known_head_is_answered_with_the_present_date() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let machine = Machine::start(vec![number("MemoHeads", 16)]);
    let mut client = machine.connect();
    let mut date = || {
        let (before, response) = (now(), client.get("/hello.txt"));
        let date = response.field("date").unwrap();
        let date = http1::date::parse(date.as_bytes(), before).unwrap();
        // The driver's clock is as late as the timer is.
        let late = machine::PATIENCE.as_secs();
        assert!(before - late <= date && date <= now(), "{date}, not {before}");
        date
    };
    // From the fourth on it is known.
    let known = (0..4).map(|_| date()).max().unwrap();
    let start = Instant::now();
    while date() == known {
        assert!(start.elapsed() < machine::PATIENCE, "it is {known} for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
}
