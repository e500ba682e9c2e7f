//! What an operator can see: rejects, who has the connections, service times, the access log.
mod machine;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use machine::{Client, Machine, PATIENCE, body, number};
use wskhttpd::ring::Ring;
use wskhttpd_abi::{
    Access, BUCKETS, Counter, Holder, IOCTL_QUERY_HOLDERS, IOCTL_QUERY_LATENCY,
    IOCTL_QUERY_REJECTS, IOCTL_READ_LOG, Latency, List, Method, OUTPUT_BYTES_MAX, Reason, Record,
    Reject, Since, decode, encode, upper_bound_ns,
};

/// One part of a list: what it has, where to read on, what is gone.
fn part<R: Record>(machine: &Machine, code: u32, since: u64) -> (Vec<R>, u64, u64) {
    let mut input = [0; 16];
    let octets = encode(&Since(since), &mut input).unwrap();
    let output = machine.control(code, &input[..octets], OUTPUT_BYTES_MAX).unwrap();
    read(&output)
}

fn read<R: Record>(output: &[u8]) -> (Vec<R>, u64, u64) {
    let list = List::new(output).unwrap();
    (list.items().map(Option::unwrap).collect(), list.next.0, list.lost)
}

/// All of a list from a position on, in as many parts as it takes.
fn all<R: Record>(machine: &Machine, code: u32, mut since: u64) -> (Vec<R>, u64, u64) {
    let (mut items, mut lost) = (Vec::new(), 0);
    loop {
        let (more, next, gone) = part(machine, code, since);
        items.extend(more);
        lost += gone;
        if next == since {
            return (items, next, lost);
        }
        since = next;
    }
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn rejected_requests_are_kept_in_order_with_their_reason() {
    let machine = Machine::start(vec![number("ContentBytesMax", 10)]);
    let rows: [(&str, Reason, u16, Counter); 6] = [
        ("GET / HTTP/1.1\r\n\r\n", Reason::Hostname, 400, Counter::RejectedHostname),
        (
            "GET / HTTP/9.1\r\nHost: a\r\n\r\n",
            Reason::VersionNotSupported,
            505,
            Counter::RejectedVersion,
        ),
        ("GET /\x7F HTTP/1.1\r\nHost: a\r\n\r\n", Reason::Url, 400, Counter::RejectedUrl),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Reason::Header, 400, Counter::RejectedHeader),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n",
            Reason::ContentTooLarge,
            413,
            Counter::RejectedContentTooLarge,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\nX: a long line to be cut\r\n\r\n",
            Reason::Expectation,
            417,
            Counter::RejectedExpectation,
        ),
    ];
    let begin = now_ms();
    let mut ports = Vec::new();
    for (request, _, status, counter) in rows {
        let mut client = machine.connect_from(Ipv4Addr::new(127, 0, 0, 9));
        ports.push(client.stream.local_addr().unwrap().port());
        assert_eq!(client.send(request).response(true).status, status, "{request}");
        assert_eq!(machine.counter(counter), 1, "{request}");
    }
    assert_eq!(machine.counter(Counter::Rejected), 6);
    assert_eq!(machine.counter(Counter::RejectsNoted), 6);
    let (rejects, next, lost) = part::<Reject>(&machine, IOCTL_QUERY_REJECTS, 0);
    assert_eq!((rejects.len(), next, lost), (6, 6, 0));
    for ((reject, row), port) in rejects.iter().zip(rows).zip(ports) {
        let (request, reason, status, _) = row;
        assert_eq!((reject.reason, reject.status), (reason, status), "{request}");
        assert_eq!((reject.address, reject.port), (IpAddr::from([127, 0, 0, 9]), port));
        let first = &request.as_bytes()[..request.len().min(48)];
        assert_eq!(reject.octets.escape_ascii().to_string(), first.escape_ascii().to_string());
        assert!((begin..=now_ms() + 1).contains(&reject.time_ms), "{}", reject.time_ms);
    }
    let (rejects, next, lost) = part::<Reject>(&machine, IOCTL_QUERY_REJECTS, 4);
    assert_eq!((rejects.len(), next, lost), (2, 6, 0));
    let (rejects, next, lost) = part::<Reject>(&machine, IOCTL_QUERY_REJECTS, 1_000_000);
    assert_eq!((rejects.len(), next, lost), (0, 6, 0), "of another time");
}

#[test]
fn refused_connections_and_late_heads_are_among_the_rejects() {
    let machine = Machine::start(vec![
        number("MaxConnectionsPerAddress", 1),
        number("HeadTimeoutMs", 100),
        number("IdleTimeoutMs", 60_000),
    ]);
    let mut client = machine.connect();
    assert_eq!(client.get("/hello.txt").status, 200);
    let port = client.stream.local_addr().unwrap().port();
    // However its own side is told, the driver has refused it by then.
    let refused = std::net::TcpStream::connect(machine.address());
    machine.wait_for(Counter::RefusedPerAddress, 1);
    drop(refused);
    client.send("GET /late HTTP/1.1\r\n");
    assert_eq!(client.response(true).status, 408);
    let (rejects, _, _) = part::<Reject>(&machine, IOCTL_QUERY_REJECTS, 0);
    let [refused, late] = &rejects[..] else { panic!("{rejects:?}") };
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert_eq!((refused.reason, refused.status), (Reason::PerAddress, 0));
    assert_eq!((refused.address, refused.octets.len()), (local, 0));
    assert_eq!((late.reason, late.status), (Reason::TimerHead, 408));
    assert_eq!((late.address, late.port), (local, port));
    assert_eq!(&late.octets[..], b"GET /late HTTP/1.1\r\n");
    assert_eq!(machine.counter(Counter::TimerHead), 1);
}

#[test]
fn a_reader_of_a_ring_misses_nothing_unnoticed() {
    const WRITERS: usize = 3;
    const ITEMS: u64 = 20_000;
    const ALL: u64 = WRITERS as u64 * ITEMS;
    // Spin locks and pool are the host's.
    let machine = Machine::start(vec![]);
    let ring = Ring::new(256).unwrap();
    let mut newest = [0; WRITERS];
    let (mut seen, mut since) = (0, 0);
    let mut buffer = vec![0; 1_000];
    let mut check = |since: &mut u64| {
        let octets = ring.read(*since, &mut buffer).unwrap();
        let (items, next, lost) = read::<Since>(&buffer[..octets]);
        let count = u64::try_from(items.len()).unwrap();
        assert_eq!(next, *since + lost + count, "each position is there or lost");
        for Since(item) in items {
            let (writer, number) = (usize::try_from(item / ITEMS).unwrap(), item % ITEMS + 1);
            assert!(newest[writer] < number, "the order of each writer");
            newest[writer] = number;
        }
        *since = next;
        seen += count;
    };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS as u64 {
            let ring = &ring;
            scope.spawn(move || {
                (0..ITEMS).for_each(|item| ring.push(&Since(writer * ITEMS + item)));
            });
        }
        while ring.count() < ALL {
            check(&mut since);
        }
    });
    while since < ALL {
        check(&mut since);
    }
    assert!(seen >= 256, "{seen}");
    drop(ring);
    machine.stop();
}

#[test]
fn the_addresses_with_the_most_connections_come_first() {
    let machine = Machine::start(vec![]);
    let from = |last: u8| machine.connect_from(Ipv4Addr::new(127, 0, 1, last));
    // Forty addresses, of which two have more than one connection.
    let mut clients: Vec<Client> = (1..=40).map(from).collect();
    clients.extend([from(17), from(17), from(33)]);
    machine.wait_for(Counter::ConnectionsOpen, 43);
    let output = machine.control(IOCTL_QUERY_HOLDERS, &[], OUTPUT_BYTES_MAX).unwrap();
    let (holders, _, _) = read::<Holder>(&output);
    let seen = |at: usize| (holders[at].address, holders[at].connections);
    assert_eq!(seen(0), (IpAddr::from([127, 0, 1, 17]), 3));
    assert_eq!(seen(1), (IpAddr::from([127, 0, 1, 33]), 2));
    assert!(holders[2..].iter().all(|holder| holder.connections == 1), "{holders:?}");
    assert_eq!(holders.len(), 32);
}

fn latency(machine: &Machine) -> (Latency, u64) {
    let output = machine.control(IOCTL_QUERY_LATENCY, &[], OUTPUT_BYTES_MAX).unwrap();
    let latency: Latency = decode(&output).unwrap();
    let count = latency.counts.iter().sum();
    (latency, count)
}

#[test]
fn one_of_sixteen_turns_is_measured() {
    // Parsed and known.
    for heads in [0, 16] {
        one_of_sixteen(&Machine::start(vec![number("MemoHeads", heads)]));
    }
}

fn one_of_sixteen(machine: &Machine) {
    let mut client = machine.connect();
    let start = Instant::now();
    for _ in 0..160 {
        assert_eq!(client.get("/hello.txt").status, 200);
    }
    // One that waits for the next tick to be measured would give way to the next that is due. The
    // last send is told to be complete before or after the peer has its octets.
    while latency(machine).1 < 10 {
        assert!(start.elapsed() < PATIENCE, "{} measured", latency(machine).1);
    }
    let elapsed = u64::try_from(start.elapsed().as_nanos()).unwrap();
    let (latency, count) = latency(machine);
    assert_eq!((count, latency.sampled), (10, 16));
    assert!(latency.sum_ns > 0 && latency.sum_ns < elapsed, "{} of {elapsed}", latency.sum_ns);
    // The sum lies between what the buckets can add up to.
    let bounds = (0..BUCKETS).map(|bucket| latency.counts[bucket] * upper_bound_ns(bucket));
    let most: u64 = bounds.sum();
    assert!(latency.sum_ns <= most && latency.sum_ns >= most / 2, "{} of {most}", latency.sum_ns);
}

#[test]
fn a_turn_lasts_until_all_of_its_response_is_sent() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for turn in 1..=16 {
        assert!(client.get("/large").body == body("large"), "{turn}");
    }
    let start = Instant::now();
    while latency(&machine).1 == 0 {
        assert!(start.elapsed() < PATIENCE);
    }
    assert_eq!(latency(&machine).1, 1);
}

#[test]
fn the_access_log_has_every_request_in_order() {
    let machine = Machine::start(vec![number("AccessLog", 1)]);
    let begin = now_ms();
    let mut client = machine.connect_from(Ipv4Addr::new(127, 0, 0, 7));
    let port = client.stream.local_addr().unwrap().port();
    let long = format!("/{}", "x".repeat(200));
    let rows: Vec<(&str, &str, &[&str], u16, Method)> = vec![
        ("GET", "/hello.txt", &[], 200, Method::Get),
        ("GET", "/hello.txt", &[], 200, Method::Get),
        ("GET", "/hello.txt", &[], 200, Method::Get),
        ("HEAD", "/medium?a=b", &[], 200, Method::Head),
        ("GET", "/medium", &["Range: bytes=5-9"], 206, Method::Get),
        ("GET", "http://test/empty?", &[], 200, Method::Get),
        ("GET", "/large", &[], 200, Method::Get),
        ("OPTIONS", "*", &[], 204, Method::Options),
        ("GET", &long, &[], 404, Method::Get),
        ("POST", "/hello.txt", &["Content-Length: 4"], 405, Method::Post),
        ("BREW", "/hello.txt", &[], 501, Method::Other),
    ];
    let mut octets = Vec::new();
    for (method, target, fields, status, kind) in &rows {
        let lines: String = fields.iter().flat_map(|line| [line, "\r\n"]).collect();
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"));
        if *kind == Method::Post {
            // Nothing is answered, and so nothing is logged, before the content is complete.
            assert_eq!(machine.counter(Counter::AccessLogged), 9);
            client.send("ab").send("cd");
        }
        let response = client.response(*kind != Method::Head);
        assert_eq!(response.status, *status, "{method} {target}");
        octets.push((response.head.len() + response.body.len()) as u64);
    }
    let (records, next, lost) = part::<Access>(&machine, IOCTL_READ_LOG, 0);
    assert_eq!((records.len(), next, lost), (rows.len(), rows.len() as u64, 0));
    for ((record, (_, target, _, status, method)), octets) in records.iter().zip(&rows).zip(octets)
    {
        assert_eq!((record.status, record.method), (*status, *method), "{target}");
        let target = &target.as_bytes()[..target.len().min(128)];
        assert_eq!(record.target.escape_ascii().to_string(), target.escape_ascii().to_string());
        assert_eq!(record.octets, octets, "{}", target.escape_ascii());
        assert_eq!((record.address, record.port), (IpAddr::from([127, 0, 0, 7]), port));
        assert!((begin..=now_ms() + 1).contains(&record.time_ms), "{}", record.time_ms);
    }
}

#[test]
fn an_access_log_that_is_overrun_says_how_much_is_lost() {
    const KEPT: u64 = 16_384;
    const REQUESTS: usize = 20_000;
    const AT_ONCE: usize = 100;
    let machine = Machine::start(vec![number("AccessLog", 1)]);
    let mut client = machine.connect();
    for _ in 0..REQUESTS / AT_ONCE {
        client.send("GET /hello.txt HTTP/1.1\r\nHost: test\r\n\r\n".repeat(AT_ONCE));
        for _ in 0..AT_ONCE {
            assert_eq!(client.response(true).status, 200);
        }
    }
    let (records, next, lost) = all::<Access>(&machine, IOCTL_READ_LOG, 0);
    assert_eq!((records.len() as u64, next, lost), (KEPT, 20_000, 20_000 - KEPT));
    let (records, next, lost) = all::<Access>(&machine, IOCTL_READ_LOG, 10_000);
    assert_eq!((records.len(), next, lost), (10_000, 20_000, 0));
    assert_eq!(machine.counter(Counter::AccessLogged), 20_000);
}

#[test]
fn without_an_access_log_there_is_nothing_to_read() {
    let machine = Machine::start(vec![]);
    assert_eq!(machine.connect().get("/hello.txt").status, 200);
    assert_eq!(part::<Access>(&machine, IOCTL_READ_LOG, 7), (vec![], 7, 0));
}

#[test]
fn requests_of_another_length_are_refused() {
    let machine = Machine::start(vec![]);
    for code in [IOCTL_QUERY_REJECTS, IOCTL_READ_LOG] {
        for length in (0..12).chain([13, 100]) {
            assert!(machine.control(code, &vec![1; length], 100).is_err(), "{length}");
        }
        let mut input = [0; 12];
        encode(&Since(0), &mut input).unwrap();
        assert!(machine.control(code, &input, 23).is_err(), "no room for a list");
        assert_eq!(machine.control(code, &input, 24).unwrap().len(), 24);
        input[0] ^= 3;
        assert!(machine.control(code, &input, 100).is_err(), "another version");
    }
    assert!(machine.control(IOCTL_QUERY_LATENCY, &[], 1_231).is_err());
    assert_eq!(machine.control(IOCTL_QUERY_LATENCY, &[], 2_000).unwrap().len(), 1_232);
    assert!(machine.control(IOCTL_QUERY_HOLDERS, &[], 23).is_err());
}
