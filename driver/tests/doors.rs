//! Who gets in over real sockets: lists, rates, overload, exempt sources, the listener's life.
mod machine;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use machine::{Client, Machine, PATIENCE, list, number, refusal, text};
use wskhttpd_abi::{Counter, IOCTL_QUERY_STATE, ServerState, decode};

const GET: &str = "GET /hello.txt HTTP/1.1\r\nHost: a\r\n\r\n";

const GET_ONCE: &str = "GET /hello.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

const fn loopback(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// True when the connection ends without an answer.
fn is_refused(mut client: Client) -> bool {
    client.stream.write_all(GET_ONCE.as_bytes()).is_err() || client.rest().is_empty()
}

/// The modes of accepting that this machine has.
fn modes() -> &'static [&'static str] {
    if machine::is_irp_only() { &["irp"] } else { &["conditional", "event", "irp"] }
}

fn in_each_mode(settings: &[(String, nthost::Value)], test: impl Fn(&Machine)) {
    for mode in modes() {
        let mut settings = settings.to_vec();
        settings.push(text("AcceptMode", mode));
        let machine = Machine::start(settings);
        test(&machine);
        machine.wait_for(Counter::ConnectionsOpen, 0);
        for counter in [Counter::Addresses, Counter::Handshakes, Counter::Waiting] {
            machine.wait_for(counter, 0);
        }
        machine.wait_for(Counter::PlacesTaken, 0);
        machine.stop();
    }
}

/// An answer of 503, and the end.
#[track_caller]
fn expect_503(mut client: Client) {
    client.send(GET);
    let response = client.response(true);
    assert_eq!(response.status, 503);
    assert_eq!(response.field("connection"), Some("close"));
    assert!(response.field("retry-after").is_some(), "{}", response.head);
    assert_eq!(response.field("cache-control"), Some("no-store"));
    client.expect_end();
}

#[test]
fn each_of_five_addresses_has_three_connections() {
    in_each_mode(&[number("MaxConnectionsPerAddress", 3)], |machine| {
        let mut clients: Vec<Vec<Client>> = (1..=5)
            .map(|last| (0..3).map(|_| machine.connect_from(loopback(last))).collect())
            .collect();
        for client in clients.iter_mut().flatten() {
            assert_eq!(client.get("/hello.txt").status, 200);
        }
        for last in 1..=5 {
            assert!(is_refused(machine.connect_from(loopback(last))), "a fourth of {last}");
        }
        assert_eq!(machine.counter(Counter::RefusedPerAddress), 5);
        for last in 1..=5_u8 {
            let line = format!("{} refused by MaxConnectionsPerAddress", loopback(last));
            assert!(machine.log().contains(&line), "{}", machine.log());
        }
        // One goes, one may come.
        for (own, last) in clients.iter_mut().zip(1..=5) {
            let open = machine.counter(Counter::ConnectionsOpen);
            drop(own.pop());
            machine.wait_for(Counter::ConnectionsOpen, open - 1);
            own.push(machine.connect_from(loopback(last)));
            assert_eq!(own[2].get("/hello.txt").status, 200);
            assert!(is_refused(machine.connect_from(loopback(last))));
        }
    });
}

#[test]
fn a_refusal_may_be_an_answer() {
    let settings = [number("MaxConnectionsPerAddress", 1), text("RefuseWith", "503")];
    in_each_mode(&settings, |machine| {
        let mut first = machine.connect();
        assert_eq!(first.get("/hello.txt").status, 200);
        expect_503(machine.connect());
        let mut head = machine.connect();
        head.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(head.response(false).status, 503);
        head.expect_end();
        assert_eq!(machine.counter(Counter::RefusedPerAddress), 2);
        assert_eq!(machine.counter(Counter::RefusedByAnswer), 2);
        assert_eq!(first.get("/hello.txt").status, 200, "the first is served on");
    });
}

#[test]
fn a_refused_connection_that_asks_nothing_ends_soon() {
    let settings =
        [number("MaxConnectionsPerAddress", 1), text("RefuseWith", "503"), number("LingerMs", 300)];
    in_each_mode(&settings, |machine| {
        let first = machine.connect();
        machine.wait_for(Counter::ConnectionsAccepted, 1);
        let start = Instant::now();
        machine.connect().expect_end();
        assert!(start.elapsed() < PATIENCE);
        drop(first);
    });
}

#[test]
fn lists_decide_before_limits() {
    let settings = [
        list("AllowList", &["127.0.0.0/29"]),
        list("DenyList", &["127.0.0.2", "127.0.0.4/31"]),
        list("ExemptList", &["127.0.0.3"]),
        number("MaxConnectionsPerAddress", 1),
    ];
    in_each_mode(&settings, |machine| {
        for denied in [2, 4, 5, 9] {
            assert!(is_refused(machine.connect_from(loopback(denied))), "{denied}");
        }
        machine.wait_for(Counter::RefusedDenied, 4);
        let mut one = machine.connect_from(loopback(1));
        assert_eq!(one.get("/hello.txt").status, 200);
        assert!(is_refused(machine.connect_from(loopback(1))));
        let mut exempt: Vec<_> = (0..4).map(|_| machine.connect_from(loopback(3))).collect();
        for client in &mut exempt {
            assert_eq!(client.get("/hello.txt").status, 200);
        }
    });
}

#[test]
fn a_rate_has_a_burst() {
    // One in ten seconds would be less than one a second, so the test has that long.
    let settings = [
        number("ConnectionRatePerAddress", 1),
        number("ConnectionBurstPerAddress", 40),
        number("MaxConnectionsPerAddress", 0),
    ];
    in_each_mode(&settings, |machine| {
        let start = Instant::now();
        let clients: Vec<_> = (0..100).map(|_| machine.connect()).collect();
        let refused = clients.into_iter().map(is_refused).filter(|refused| *refused).count();
        let gained = usize::try_from(start.elapsed().as_secs()).unwrap() + 1;
        assert!(refused <= 60 && refused + gained >= 60, "{refused} in {:?}", start.elapsed());
        assert_eq!(machine.counter(Counter::RefusedRate), refused as u64);
        assert!(machine.log().contains("refused by ConnectionRatePerAddress"));
        let mut other = machine.connect_from(loopback(2));
        assert_eq!(other.get("/hello.txt").status, 200, "another address has its own");
    });
}

#[test]
fn who_is_held_gets_the_place_of_who_leaves() {
    let settings = [number("MaxConnections", 2), number("HoldMs", 10_000)];
    in_each_mode(&settings, |machine| {
        let mut first = [machine.connect(), machine.connect()];
        for client in &mut first {
            assert_eq!(client.get("/hello.txt").status, 200);
        }
        let mut held: Vec<_> = (0..3).map(|_| machine.connect()).collect();
        for client in &mut held {
            client.send(GET);
        }
        machine.wait_for(Counter::Held, 3);
        machine.wait_for(Counter::Waiting, 3);
        drop(first);
        machine.wait_for(Counter::HeldAdmitted, 2);
        machine.wait_for(Counter::Waiting, 1);
        let mut served = 0;
        for mut client in held {
            assert_eq!(client.response(true).status, 200);
            served += 1;
        }
        assert_eq!(served, 3);
        machine.wait_for(Counter::HeldAdmitted, 3);
        assert_eq!(machine.counter(Counter::HeldExpired), 0);
    });
}

#[test]
fn who_is_held_too_long_is_refused() {
    let settings = [number("MaxConnections", 1), number("HoldMs", 300)];
    in_each_mode(&settings, |machine| {
        let mut first = machine.connect();
        assert_eq!(first.get("/hello.txt").status, 200);
        let start = Instant::now();
        assert!(is_refused(machine.connect()));
        assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
        assert_eq!(machine.counter(Counter::HeldExpired), 1);
        assert_eq!(machine.counter(Counter::RefusedCrowded), 1);
        assert!(machine.log().contains("MaxConnections"), "{}", machine.log());
        assert_eq!(first.get("/hello.txt").status, 200);
    });
}

#[test]
fn who_leaves_while_held_is_forgotten() {
    let settings = [number("MaxConnections", 1), number("HoldMs", 10_000)];
    in_each_mode(&settings, |machine| {
        let mut first = machine.connect();
        assert_eq!(first.get("/hello.txt").status, 200);
        for leave in [Client::reset, drop::<Client>] {
            let held: Vec<_> = (0..3).map(|_| machine.connect()).collect();
            machine.wait_for(Counter::Waiting, 3);
            held.into_iter().for_each(leave);
            machine.wait_for(Counter::Waiting, 0);
        }
        drop(first);
        machine.wait_for(Counter::ConnectionsOpen, 0);
        assert_eq!(machine.connect().get("/hello.txt").status, 200);
        assert_eq!(machine.counter(Counter::HeldAdmitted), 0);
        assert_eq!(machine.counter(Counter::HeldExpired), 0);
    });
}

#[test]
fn overload_may_be_answered() {
    let settings = [number("MaxConnections", 1), text("OverloadPolicy", "answer503")];
    in_each_mode(&settings, |machine| {
        let mut first = machine.connect();
        assert_eq!(first.get("/hello.txt").status, 200);
        for _ in 0..3 {
            expect_503(machine.connect());
        }
        assert_eq!(machine.counter(Counter::RefusedByAnswer), 3);
        assert_eq!(machine.counter(Counter::RefusedCrowded), 3);
    });
}

#[test]
fn overload_may_be_refused() {
    let settings = [number("MaxConnections", 1), text("OverloadPolicy", "reject")];
    in_each_mode(&settings, |machine| {
        let mut first = machine.connect();
        assert_eq!(first.get("/hello.txt").status, 200);
        assert!(is_refused(machine.connect()));
        machine.wait_for(Counter::RefusedCrowded, 1);
        assert_eq!(machine.counter(Counter::Held), 0);
    });
}

#[test]
fn exempt_sources_find_a_place_when_nobody_else_does() {
    let settings = [
        number("MaxConnections", 6),
        number("ReservedConnections", 2),
        list("ExemptList", &["127.0.0.9"]),
        number("HoldMs", 10_000),
        number("PressureIdleMs", 0),
    ];
    in_each_mode(&settings, |machine| {
        let mut common: Vec<_> = (0..4).map(|_| machine.connect()).collect();
        for client in &mut common {
            assert_eq!(client.get("/hello.txt").status, 200);
        }
        let waiting = machine.connect();
        machine.wait_for(Counter::Waiting, 1);
        for _ in 0..5 {
            let mut probe = machine.connect_from(loopback(9));
            probe.send("GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assert_eq!(probe.response(true).status, 200);
            let open = machine.counter(Counter::ConnectionsOpen);
            probe.expect_end();
            assert!(open >= 5);
        }
        drop((common, waiting));
    });
}

#[test]
fn idle_connections_make_room() {
    let settings = [
        number("MaxConnections", 4),
        number("PressureIdleMs", 200),
        number("HoldMs", 10_000),
        number("IdleTimeoutMs", 3_600_000),
    ];
    in_each_mode(&settings, |machine| {
        let mut idle: Vec<_> = (0..4).map(|_| machine.connect()).collect();
        for client in &mut idle {
            assert_eq!(client.get("/hello.txt").status, 200);
        }
        let mut newcomer = machine.connect();
        newcomer.send(GET);
        // Not before they have been idle for so long; whoever is, goes.
        assert_eq!(newcomer.response(true).status, 200);
        let ended = machine.counter(Counter::EndedByPressure);
        assert!((1..=4).contains(&ended), "{ended}");
        let alive = idle.into_iter().filter_map(|mut client| client.try_get("/hello.txt")).count();
        assert_eq!(alive as u64 + ended, 4, "the others are served on");
    });
}

#[test]
fn who_has_been_idle_the_longest_goes_first() {
    let machine = Machine::start(vec![
        number("MaxConnections", 2),
        number("PressureIdleMs", 200),
        number("HoldMs", 10_000),
        number("IdleTimeoutMs", 3_600_000),
    ]);
    let seconds = || {
        let state: ServerState = decode(&machine.query(IOCTL_QUERY_STATE)).unwrap();
        state.uptime_s
    };
    let [mut oldest, mut younger] = [machine.connect(), machine.connect()];
    for client in [&mut oldest, &mut younger] {
        assert_eq!(client.get("/hello.txt").status, 200);
        // So that the driver's clock has moved on, however busy this machine is.
        let (start, then) = (Instant::now(), seconds());
        while seconds() == then {
            assert!(start.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    // Should it be the one that is told to go, it goes at once, and nobody else has to.
    let younger = std::thread::spawn(move || younger.expect_end());
    let mut newcomer = machine.connect();
    newcomer.send(GET);
    oldest.expect_end();
    assert_eq!(newcomer.response(true).status, 200);
    machine.stop();
    younger.join().unwrap();
}

#[test]
fn requests_are_held_before_their_connection_is_there_in_one_mode_only() {
    for mode in modes() {
        let settings = vec![number("MaxConnections", 1), number("HoldMs", 10_000)];
        let machine = Machine::start([settings, vec![text("AcceptMode", mode)]].concat());
        let mut first = machine.connect();
        assert_eq!(first.get("/hello.txt").status, 200);
        let held = machine.connect();
        machine.wait_for(Counter::Waiting, 1);
        let open = if *mode == "conditional" { 1 } else { 2 };
        assert_eq!(machine.counter(Counter::ConnectionsOpen), open, "{mode}");
        drop((first, held));
        machine.stop();
    }
}

#[test]
fn a_dead_listener_is_replaced_at_its_address() {
    if machine::is_irp_only() {
        return;
    }
    for mode in ["conditional", "event"] {
        let machine = Machine::start(vec![text("AcceptMode", mode)]);
        let mut before = machine.connect();
        assert_eq!(before.get("/hello.txt").status, 200);
        for deaths in 1..=3 {
            machine.lose_listeners();
            machine.wait_for(Counter::ListenersRestored, deaths);
            assert_eq!(machine.counter(Counter::ListenersLost), deaths);
            assert_eq!(before.get("/hello.txt").status, 200, "connections live on");
            assert_eq!(machine.connect().get("/hello.txt").status, 200);
        }
        machine.stop();
    }
}

#[test]
fn requests_that_are_held_die_with_their_listener() {
    if machine::is_irp_only() {
        return;
    }
    let machine = Machine::start(vec![number("MaxConnections", 1), number("HoldMs", 10_000)]);
    let mut first = machine.connect();
    assert_eq!(first.get("/hello.txt").status, 200);
    let held: Vec<_> = (0..5).map(|_| machine.connect()).collect();
    machine.wait_for(Counter::Waiting, 5);
    machine.lose_listeners();
    machine.wait_for(Counter::ListenersRestored, 1);
    assert_eq!(machine.counter(Counter::Waiting), 0);
    assert!(held.into_iter().all(is_refused));
    drop(first);
    machine.wait_for(Counter::ConnectionsOpen, 0);
    assert_eq!(machine.connect().get("/hello.txt").status, 200);
    machine.stop();
}

#[test]
fn the_driver_stops_while_requests_are_held() {
    in_each_mode(&[number("MaxConnections", 1), number("HoldMs", 10_000)], |machine| {
        let first = machine.connect();
        machine.wait_for(Counter::ConnectionsAccepted, 1);
        let held: Vec<_> = (0..5).map(|_| machine.connect()).collect();
        machine.wait_for(Counter::Waiting, 5);
        drop((first, held));
    });
    for mode in modes() {
        let settings =
            vec![number("MaxConnections", 1), number("HoldMs", 10_000), text("AcceptMode", mode)];
        let machine = Machine::start(settings);
        let first = machine.connect();
        machine.wait_for(Counter::ConnectionsAccepted, 1);
        let held: Vec<_> = (0..5).map(|_| machine.connect()).collect();
        machine.wait_for(Counter::Waiting, 5);
        let took = machine.stop();
        assert!(took < Duration::from_secs(8), "{took:?}");
        drop((first, held));
    }
}

#[test]
fn a_bad_list_fails_the_start_and_is_named() {
    let rows = [
        (list("AllowList", &["10.0.0.0/8", "10.0.0.1/8"]), "AllowList: 10.0.0.1/8 has bits behind"),
        (list("DenyList", &["fe80::/129"]), "DenyList: fe80::/129 has a length"),
        (list("ExemptList", &["probe.example"]), "ExemptList: probe.example is not an IPv4"),
        (text("ExemptList", "10.0.0.0/8"), "ExemptList: must be a REG_MULTI_SZ"),
        (list("DenyList", &["10.0.0.1"; 65]), "DenyList: has 65 entries, 64 allowed"),
        (list("DenyList", &[&"1".repeat(80)]), "is longer than a prefix can be"),
        (text("OverloadPolicy", "panic"), "OverloadPolicy: panic is none of hold, reject"),
        (text("RefuseWith", "418"), "RefuseWith: 418 is none of reset, 503"),
    ];
    for (setting, said) in rows {
        let log = refusal(vec![setting], machine::image());
        assert!(log.contains(said), "{log}");
    }
    let both = vec![list("ExemptList", &["10.0.0.0/8"]), number("MaxConnections", 16)];
    let log = refusal(both, machine::image());
    assert!(log.contains("ReservedConnections: 16 of MaxConnections (16) leaves none"), "{log}");
}

/// Many short connections of several addresses at once, in a crowd.
#[test]
fn storms_leave_no_count_behind() {
    let settings = [
        number("MaxConnections", 8),
        number("MaxConnectionsPerAddress", 3),
        number("HoldMs", 200),
        number("HoldMax", 16),
        number("LingerMs", 200),
    ];
    in_each_mode(&settings, |machine| {
        let address: SocketAddr = machine.address();
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                scope.spawn(move || {
                    for n in 0..250_u32 {
                        let Some(client) = Client::try_from_address(loopback(thread + 1), address)
                        else {
                            continue;
                        };
                        match n % 4 {
                            0 => client.reset(),
                            1 => drop(client),
                            2 => drop(is_refused(client)),
                            _ => {
                                let mut client = client;
                                let _ = client.stream.write_all(&GET.as_bytes()[..9]);
                            }
                        }
                    }
                });
            }
        });
    });
}
