//! Requests of real browsers and probes, cut, split and mutated: never a panic, and never a second
//! response to one request.
mod machine;

use std::io::Write;

use machine::{Client, Machine, number};

/// The requests that the parser's own tests use.
fn requests() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../http/tests/requests");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut requests: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "http"))
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    requests.sort();
    assert!(requests.len() >= 10);
    requests
}

/// How many responses are in `octets`, every one whole.
fn responses(mut octets: &[u8], head: bool) -> usize {
    let mut count = 0;
    while !octets.is_empty() {
        let end = octets.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head") + 4;
        let text = std::str::from_utf8(&octets[..end]).unwrap();
        assert!(text.starts_with("HTTP/1.1 "), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length = length.map_or(0, |n| n.parse().unwrap());
        let length = if head || text.starts_with("HTTP/1.1 304") { 0 } else { length };
        octets = &octets[end + length..];
        count += 1;
    }
    count
}

/// Sends the parts, ends, and counts the responses.
fn exchange(machine: &Machine, parts: &[&[u8]]) -> usize {
    let mut client = Client::to(machine.address());
    for part in parts {
        // The server may have answered and closed already.
        if client.stream.write_all(part).is_err() {
            break;
        }
    }
    client.end_sending();
    let head = parts.concat().starts_with(b"HEAD");
    responses(&client.rest(), head)
}

#[test]
fn every_prefix_of_a_request_has_at_most_one_response() {
    let machine = Machine::start(vec![number("MaxConnectionsPerAddress", 0)]);
    for (name, request) in requests() {
        for end in 0..request.len() {
            let count = exchange(&machine, &[&request[..end]]);
            assert!(count <= 1, "{name} up to {end}: {count} responses");
        }
        assert_eq!(exchange(&machine, &[&request]), 1, "{name}");
    }
}

#[test]
fn every_split_of_a_request_has_one_response() {
    let machine = Machine::start(vec![number("MaxConnectionsPerAddress", 0)]);
    for (name, request) in requests() {
        for at in 1..request.len() {
            let (front, back) = request.split_at(at);
            assert_eq!(exchange(&machine, &[front, back]), 1, "{name} split at {at}");
        }
    }
}

/// 100,000 mutations run in the parser's tests; these go through sockets, MDLs and sends.
#[test]
fn mutations_of_a_request_have_at_most_one_response_each() {
    const MUTATIONS: usize = 6_000;
    let machine = Machine::start(vec![number("MaxConnectionsPerAddress", 0)]);
    let requests = requests();
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 11).unwrap()
    };
    let interesting = b"\r\n\0 :/?#%,;\"\xFFAaHh0129";
    for _ in 0..MUTATIONS {
        let mut request = requests[next() % requests.len()].1.clone();
        for _ in 0..=next() % 3 {
            let at = next() % request.len();
            match next() % 4 {
                0 => request[at] = interesting[next() % interesting.len()],
                1 => request[at] ^= 1 << (next() % 8),
                2 => drop(request.remove(at)),
                _ => request.insert(at, interesting[next() % interesting.len()]),
            }
        }
        // An empty line in the middle makes the rest another request.
        let ends = request.windows(4).filter(|w| *w == b"\r\n\r\n").count().max(1);
        let count = exchange(&machine, &[&request]);
        assert!(count <= ends + 1, "{count} responses to {}", request.escape_ascii());
        let whole = request.ends_with(b"\r\n\r\n") && ends == 1;
        assert!(!whole || count == 1, "{count} responses to {}", request.escape_ascii());
    }
}
