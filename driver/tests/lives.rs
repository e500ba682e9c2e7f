//! How connections begin and end: limits, deadlines, rude peers, unloading.
mod machine;

use std::io::Write;
use std::time::{Duration, Instant};

use machine::{Client, Machine, body, declared, image, number, refusal, text};
use nthost::{Options, Value};
use wskhttpd_abi::Counter;

/// True when the server refuses a new connection: it is reset without an answer.
fn is_refused(machine: &Machine) -> bool {
    let mut client = machine.connect();
    let sent =
        client.stream.write_all(b"GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    sent.is_err() || client.rest().is_empty()
}

fn per_address_limit(mode: &str) {
    let machine =
        Machine::start(vec![text("AcceptMode", mode), number("MaxConnectionsPerAddress", 3)]);
    let mut clients: Vec<Client> = (0..3).map(|_| machine.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/hello.txt").status, 200);
    }
    assert!(is_refused(&machine));
    assert_eq!(machine.counter(Counter::RefusedPerAddress), 1);
    assert!(machine.log().contains("MaxConnectionsPerAddress"), "{}", machine.log());
    // Another address has its own count.
    let mut other = machine.connect_from(std::net::Ipv4Addr::new(127, 0, 0, 2));
    assert_eq!(other.get("/hello.txt").status, 200);
    drop(other);
    machine.wait_for(Counter::ConnectionsOpen, 3);
    // One leaves, one may come.
    drop(clients.pop());
    machine.wait_for(Counter::ConnectionsOpen, 2);
    let mut another = machine.connect();
    assert_eq!(another.get("/hello.txt").status, 200);
    assert!(is_refused(&machine));
    drop((clients, another));
    machine.wait_for(Counter::Addresses, 0);
    machine.stop();
}

#[test]
fn an_address_has_so_many_connections_and_no_more_conditional() {
    per_address_limit("conditional");
}

#[test]
fn an_address_has_so_many_connections_and_no_more_event() {
    per_address_limit("event");
}

#[test]
fn an_address_has_so_many_connections_and_no_more_irp() {
    per_address_limit("irp");
}

#[test]
fn deadlines_do_not_wait_for_user_mode() {
    // LOW_REALTIME_PRIORITY of the one thread, which ends what has been idle for too long.
    assert_eq!(Machine::start(vec![]).host().thread_priorities(), [16]);
}

#[test]
fn everything_may_come_by_irp() {
    let machine = Machine::start(vec![text("AcceptMode", "irp")]);
    let mut client = machine.connect();
    for name in ["hello.txt", "large", "medium", "hello.txt"] {
        assert!(client.get(&format!("/{name}")).body == body(name), "{name}");
    }
    let request = "GET /medium HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(request.repeat(500)).end_sending();
    for _ in 0..500 {
        assert!(client.response(true).body == body("medium"));
    }
    client.expect_end();
    machine.wait_for(Counter::ConnectionsOpen, 0);
}

#[test]
fn a_provider_without_events_is_served_by_irp() {
    let machine = Machine::start(vec![]);
    let said = machine.log().contains("no event callbacks");
    assert_eq!(said, machine::is_irp_only(), "{}", machine.log());
    assert_eq!(machine.connect().get("/hello.txt").status, 200);
}

/// Lists are used where they can be made and deleted, pool where one of the two is missing.
#[test]
fn a_kernel_with_half_of_a_pair_is_served() {
    for absent in ["ExInitializeLookasideListEx", "ExDeleteLookasideListEx"] {
        let absent = vec![absent.to_owned()];
        let machine = Machine::start_as(vec![], |options| Options { absent, ..options });
        assert_eq!(machine.connect().get("/hello.txt").status, 200);
        machine.stop();
    }
}

#[test]
fn a_limit_of_zero_is_none() {
    let machine = Machine::start(vec![number("MaxConnectionsPerAddress", 0)]);
    let clients: Vec<Client> = (0..1_100).map(|_| machine.connect()).collect();
    machine.wait_for(Counter::ConnectionsOpen, 1_100);
    drop(clients);
    machine.wait_for(Counter::ConnectionsOpen, 0);
}

#[test]
fn max_connections_is_the_whole_machine_s_limit() {
    let machine = Machine::start(vec![number("MaxConnections", 5)]);
    let mut clients: Vec<Client> = (0..5).map(|_| machine.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.get("/hello.txt").status, 200);
    }
    assert!(is_refused(&machine));
    assert_eq!(machine.counter(Counter::RefusedCrowded), 1);
    assert_eq!(machine.counter(Counter::ConnectionsAccepted), 5);
    assert!(machine.log().contains("refused by MaxConnections"), "{}", machine.log());
    drop(clients);
    machine.wait_for(Counter::ConnectionsOpen, 0);
    assert_eq!(machine.connect().get("/hello.txt").status, 200);
}

#[test]
fn storms_of_connections_leave_no_count_behind() {
    let machine = Machine::start(vec![number("MaxConnectionsPerAddress", 3)]);
    let address = machine.address();
    let storms = (0..4).map(|seed| {
        std::thread::spawn(move || {
            for n in 0..500 {
                let Ok(mut stream) = std::net::TcpStream::connect(address) else { continue };
                if (n + seed) % 3 == 0 {
                    // May be refused: then the write fails, or nothing comes back.
                    let _ = stream.write_all(b"GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n");
                }
            }
        })
    });
    storms.collect::<Vec<_>>().into_iter().for_each(|storm| storm.join().unwrap());
    machine.wait_for(Counter::ConnectionsOpen, 0);
    machine.wait_for(Counter::Addresses, 0);
    machine.wait_for(Counter::Handshakes, 0);
    assert_eq!(machine.connect().get("/hello.txt").status, 200);
}

#[test]
fn a_head_that_takes_too_long_is_answered_by_408() {
    let machine = Machine::start(vec![number("HeadTimeoutMs", 300)]);
    let mut slow = machine.connect();
    let start = Instant::now();
    slow.send("GET /hello.txt HT");
    let response = slow.response(true);
    assert_eq!((response.status, response.field("connection")), (408, Some("close")));
    assert!(start.elapsed() >= Duration::from_millis(300));
    slow.expect_end();
    assert_eq!(machine.counter(Counter::TimerHead), 1);
}

#[test]
fn more_octets_do_not_move_the_deadline_of_a_head() {
    let machine = Machine::start(vec![number("HeadTimeoutMs", 500)]);
    let mut slow = machine.connect();
    slow.send("GET /hello.txt HTTP/1.1\r\n");
    let start = Instant::now();
    let mut writer = slow.stream.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        while start.elapsed() < Duration::from_secs(5) && writer.write_all(b"A: b\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(slow.response(true).status, 408);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    drop(slow);
    drip.join().unwrap();
}

#[test]
fn an_idle_connection_ends_in_silence() {
    let machine = Machine::start(vec![number("IdleTimeoutMs", 300)]);
    machine.connect().expect_end();
    let mut used = machine.connect();
    assert_eq!(used.get("/hello.txt").status, 200);
    used.expect_end();
    assert_eq!(machine.counter(Counter::TimerIdle), 2);
    machine.wait_for(Counter::ConnectionsOpen, 0);
}

#[test]
fn a_peer_that_does_not_read_is_reset() {
    let machine = Machine::start(vec![
        number("SendGraceMs", 300),
        number("SendBytesPerSecondMin", 1_000_000),
    ]);
    let mut stuck = machine.connect();
    for _ in 0..8 {
        stuck.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    machine.wait_for(Counter::TimerSend, 1);
    machine.wait_for(Counter::ConnectionsOpen, 0);
    // Others are served meanwhile.
    assert_eq!(machine.connect().get("/hello.txt").status, 200);
}

#[test]
fn a_peer_has_time_for_the_octets_that_are_on_their_way_to_it() {
    let machine =
        Machine::start(vec![number("SendGraceMs", 100), number("SendBytesPerSecondMin", 10_000)]);
    let mut slow = machine.connect();
    slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(8));
    // Far longer than the grace, and not as long as the octets of one send may take.
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    for _ in 0..8 {
        assert!(slow.response(true).body == machine::body("large"));
    }
    assert_eq!(machine.counter(Counter::TimerSend), 0);
}

#[test]
fn a_peer_that_reads_no_short_response_is_reset() {
    let machine = Machine::start(vec![
        number("SendGraceMs", 300),
        number("SendBytesPerSecondMin", 1_000_000),
    ]);
    // Each of the first is one send, of the others there are two in one.
    let manifest = format!("[[response]]\npath = '/short'\nbody = '{}'\n", "x".repeat(4_000));
    for (path, ended) in [("medium", 1), ("short", 2)] {
        let mut stuck = machine.connect();
        let request = format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n");
        stuck.send(request.repeat(3_500));
        machine.wait_for(Counter::TimerSend, ended);
        machine.wait_for(Counter::ConnectionsOpen, 0);
        assert_eq!(machine.load(&declared(&manifest)).refusal.as_str(), "");
    }
    machine.stop();
}

#[test]
fn slow_readers_hold_two_send_slots_each_and_no_copy_of_the_response() {
    const SEND_SLOT_BYTES_MAX: usize = 16 * 1024;
    let machine = Machine::start(vec![]);
    let mut readers: Vec<Client> = (0..12).map(|_| machine.connect()).collect();
    for reader in &mut readers {
        for _ in 0..8 {
            reader.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        }
    }
    // All are under way, and hardly any of the 24 MB of each has been read.
    let count = readers.len() as u64;
    let start = std::time::Instant::now();
    while machine.counter(Counter::Requests) < count {
        assert!(start.elapsed() < machine::PATIENCE);
    }
    for reader in &mut readers {
        assert!(reader.response(true).body == machine::body("large"));
    }
    let sends = machine.ledger().items["pool WhSn"].clone();
    let octets_max = 2 * readers.len() * SEND_SLOT_BYTES_MAX;
    assert!(sends.peak > 0 && sends.peak <= octets_max, "{} octets at the peak", sends.peak);
    // Others are served meanwhile.
    assert_eq!(machine.connect().get("/hello.txt").status, 200);
}

/// Also where the provider cannot end one side of a connection.
#[test]
fn the_end_comes_soon_however_long_a_peer_may_linger() {
    let machine = Machine::start(vec![number("LingerMs", 60_000)]);
    let mut client = machine.connect();
    client.send("GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response(true).status, 200);
    client.expect_end();
    machine.wait_for(Counter::ConnectionsOpen, 0);
}

#[test]
fn a_probe_that_only_connects_leaves_no_trace() {
    let machine = Machine::start(vec![]);
    for _ in 0..20 {
        drop(machine.connect());
    }
    machine.wait_for(Counter::ConnectionsAccepted, 20);
    machine.wait_for(Counter::ConnectionsOpen, 0);
    assert_eq!(machine.counter(Counter::Requests), 0);
}

#[test]
fn unloading_waits_for_no_peer() {
    let machine = Machine::start(vec![number("StopMs", 500), number("LingerMs", 500)]);
    let idle: Vec<Client> = (0..50).map(|_| machine.connect()).collect();
    let mut used = machine.connect();
    assert_eq!(used.get("/hello.txt").status, 200);
    let mut unfinished = machine.connect();
    unfinished.send("GET /hello.txt HT");
    let mut content = machine.connect();
    content.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nabc");
    let mut stuck = machine.connect();
    for _ in 0..8 {
        stuck.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    machine.wait_for(Counter::ConnectionsOpen, 54);
    let took = machine.stop();
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop((idle, used, unfinished, content, stuck));
}

#[test]
fn a_response_under_way_is_finished_before_unloading() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    machine.wait_for(Counter::Requests, 1);
    let reader = std::thread::spawn(move || {
        let response = client.response(true);
        assert!(response.body == body("large"));
    });
    machine.stop();
    reader.join().unwrap();
}

#[test]
fn it_loads_and_unloads_again_and_again() {
    for _ in 0..20 {
        let machine = Machine::start(vec![]);
        let mut client = machine.connect();
        assert_eq!(client.get("/hello.txt").status, 200);
        machine.stop();
    }
}

#[test]
fn a_bad_parameter_fails_the_start_and_is_named() {
    let text_row = |name: &str, value: &str, said: &str| (text(name, value), said.to_owned());
    let rows = [
        (number("MaxConnections", 0), "MaxConnections: 0 is not in 1..=1048576".to_owned()),
        (number("ListenPort", 65_536), "ListenPort: 65536 is not in 0..=65535".to_owned()),
        (number("HeadTimeoutMs", 1), "HeadTimeoutMs: 1 is not in 100..=600000".to_owned()),
        text_row("IdleTimeoutMs", "soon", "IdleTimeoutMs: must be a REG_DWORD"),
        text_row("ListenAddress", "localhost", "ListenAddress: localhost is not an IPv4"),
        text_row("AcceptMode", "maybe", "AcceptMode: maybe is none of conditional, event, irp"),
        text_row("ListenAddress", "192.0.2.1", "192.0.2.1:0 is not an address of this machine"),
        text_row("SiteImage", "\\??\\none", "cannot be opened: STATUS_OBJECT_NAME_NOT_FOUND"),
        // More than an entry of the event log has room for.
        text_row("SiteImage", &format!("\\??\\{}", "none".repeat(30)), "cannot be opened"),
        (("SiteImage".into(), Value::Dword(7)), "SiteImage: must be a REG_SZ".to_owned()),
    ];
    for (setting, said) in rows {
        let log = refusal(vec![setting], image());
        assert!(log.contains(&said), "{log}");
    }
}

#[test]
fn a_bad_image_fails_the_start_and_says_why() {
    let good = image();
    for cut in [0, 1, 64, good.len() / 2, good.len() - 1] {
        let log = refusal(vec![], good[..cut].to_vec());
        assert!(log.contains("SiteImage"), "{cut}: {log}");
    }
    let mut flipped = good.clone();
    flipped[good.len() / 3] ^= 4;
    assert!(refusal(vec![], flipped).contains("checksum"));
}

#[test]
fn an_address_in_use_is_named_and_nothing_is_left() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let log = refusal(vec![number("ListenPort", u32::from(port))], image());
    assert!(log.contains("is in use"), "{log}");
    assert!(log.contains("http.sys"), "{log}");
}
