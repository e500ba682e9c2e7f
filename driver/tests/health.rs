//! Health endpoints: switched by an operator, kept up by beats, asked when there is no place left.
mod machine;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use machine::{Client, Machine, PATIENCE, declared, list, number, text};
use nt::Status;
use wskhttpd_abi::{
    Beat, Counter, Health, HealthEndpoint, IOCTL_BEAT, IOCTL_QUERY_HEALTH, IOCTL_QUERY_STATE,
    IOCTL_SWITCH_HEALTH, List, ServerState, Since, Switch, cut, decode,
};

fn switch(machine: &Machine, name: &str, health: Health) -> Result<(), i32> {
    machine.request(IOCTL_SWITCH_HEALTH, &Switch { name: cut(name), health }).map(drop)
}

fn beat(machine: &Machine, name: &str, timeout_ms: u32) -> Result<(), i32> {
    machine.request(IOCTL_BEAT, &Beat { name: cut(name), timeout_ms }).map(drop)
}

fn endpoints(machine: &Machine) -> Vec<HealthEndpoint> {
    let output = machine.request(IOCTL_QUERY_HEALTH, &Since(0)).unwrap();
    let list = List::new(&output).unwrap();
    let rest = machine.request(IOCTL_QUERY_HEALTH, &list.next).unwrap();
    assert_eq!(List::new(&rest).unwrap().items::<HealthEndpoint>().count(), 0);
    list.items().map(Option::unwrap).collect()
}

/// Status and body as they are answered, asked in several ways.
fn asked(client: &mut Client, path: &str) -> (u16, String) {
    let answers = [(); 4].map(|()| client.get(path));
    let [first, ..] = &answers;
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (first.status, &first.body));
        assert_eq!(answer.field("cache-control"), Some("no-store"));
        assert_eq!(answer.field("etag"), None);
    }
    let conditional = client.ask("GET", path, &["If-None-Match: *", "Range: bytes=0-0"]);
    assert_eq!((conditional.status, &conditional.body), (first.status, &first.body));
    // A condition is one on what would be 2xx (RFC 9110 section 13.2.1): that has no tag.
    let failing = client.ask("GET", path, &["If-Match: \"tag\""]);
    assert_eq!(failing.status, if first.status < 300 { 412 } else { first.status });
    let head = client.ask("HEAD", path, &[]);
    assert_eq!(head.status, first.status);
    assert_eq!(head.field("content-length"), first.field("content-length"));
    assert_eq!(client.ask("POST", path, &[]).status, 405);
    (first.status, String::from_utf8(first.body.clone()).unwrap())
}

fn expect(client: &mut Client, path: &str, status: u16, body: &str) {
    assert_eq!(asked(client, path), (status, body.to_owned()));
}

/// Waits for an answer with this status.
fn wait_for(client: &mut Client, path: &str, status: u16) {
    let start = Instant::now();
    while client.get(path).status != status {
        assert!(start.elapsed() < PATIENCE, "{path} is not answered {status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_operator_switches_what_is_answered() {
    for heads in [0, 16] {
        let machine = Machine::start(vec![number("MemoHeads", heads)]);
        let mut clients = [(); 4].map(|()| machine.connect());
        let rows = [
            (Health::Up, 200, "ok\n"),
            (Health::Drain, 503, "draining\n"),
            (Health::Down, 503, "down\n"),
            (Health::Up, 200, "ok\n"),
        ];
        for (health, status, body) in rows {
            switch(&machine, "main", health).unwrap();
            for client in &mut clients {
                expect(client, "/health", status, body);
                assert_eq!(client.get("/hello.txt").status, 200, "nothing else is switched");
            }
        }
        let unknown = Err(Status::NOT_FOUND.raw());
        for name in ["", "mai", "main2", "MAIN"] {
            assert_eq!(switch(&machine, name, Health::Down), unknown, "{name}");
            assert_eq!(beat(&machine, name, 1_000), unknown, "{name}");
        }
        expect(&mut clients[0], "/health", 200, "ok\n");
        machine.stop();
    }
}

#[test]
fn a_probe_that_only_repeats_itself_hears_of_a_switch_at_once() {
    let machine = Machine::start(vec![number("MemoHeads", 16)]);
    let mut client = machine.connect();
    for (health, status) in [(Health::Up, 200), (Health::Drain, 503), (Health::Up, 200)] {
        switch(&machine, "main", health).unwrap();
        // Of a head that is repeated the answer comes from the memo, without a look at the site.
        for time in 0..6 {
            assert_eq!(client.get("/health").status, status, "{time}");
        }
    }
}

#[test]
fn the_answer_of_a_drain_may_end_the_connection() {
    let machine = Machine::start(vec![]);
    let image = declared(
        "[[response]]\npath = '/a'\nhealth = 'a'\n\
         drain = { status = 429, body = '{}', content-type = 'application/json', close = true }\n\
         [[response]]\npath = '/b'\nhost = 'test'\nhealth = 'a'\nbody = 'fine'\n",
    );
    assert_eq!(machine.load(&image).refusal.as_str(), "");
    let mut client = machine.connect();
    expect(&mut client, "/a", 200, "ok\n");
    expect(&mut client, "/b", 200, "fine");
    switch(&machine, "a", Health::Drain).unwrap();
    // All of the name, each in its own words.
    expect(&mut client, "/b", 503, "draining\n");
    for _ in 0..4 {
        let mut client = machine.connect();
        let answer = client.get("/a");
        assert_eq!((answer.status, &answer.body[..]), (429, &b"{}"[..]));
        assert_eq!(answer.field("connection"), Some("close"));
        assert_eq!(answer.field("content-type"), Some("application/json"));
        client.expect_end();
    }
    switch(&machine, "a", Health::Down).unwrap();
    expect(&mut client, "/a", 503, "down\n");
    machine.stop();
}

#[test]
fn beats_that_stay_away_are_answered_as_down_until_one_comes() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    for wrong in [1, 124, 3_600_001, u32::MAX] {
        assert_eq!(beat(&machine, "main", wrong), Err(Status::INVALID_PARAMETER.raw()), "{wrong}");
    }
    // An hour: it stays as it is.
    beat(&machine, "main", 3_600_000).unwrap();
    expect(&mut client, "/health", 200, "ok\n");
    for missed in 1..=2 {
        let start = Instant::now();
        beat(&machine, "main", 250).unwrap();
        wait_for(&mut client, "/health", 503);
        assert!(start.elapsed() >= Duration::from_millis(250), "early: {:?}", start.elapsed());
        expect(&mut client, "/health", 503, "down\n");
        assert_eq!(machine.counter(Counter::HeartbeatsMissed), missed);
        let [endpoint] = endpoints(&machine)[..] else { panic!("one name") };
        assert_eq!((endpoint.health, endpoint.answered), (Health::Up, Health::Down));
        assert_eq!((endpoint.timeout_ms, endpoint.missed), (250, missed));
        assert!(endpoint.since_beat_ms >= 250, "{}", endpoint.since_beat_ms);
        beat(&machine, "main", 3_600_000).unwrap();
        expect(&mut client, "/health", 200, "ok\n");
    }
    // What the operator said is not changed by beats.
    switch(&machine, "main", Health::Drain).unwrap();
    beat(&machine, "main", 250).unwrap();
    expect(&mut client, "/health", 503, "draining\n");
    let start = Instant::now();
    while client.get("/health").body != b"down\n" {
        assert!(start.elapsed() < PATIENCE);
    }
    // No more beats are expected: as the operator said.
    beat(&machine, "main", 0).unwrap();
    expect(&mut client, "/health", 503, "draining\n");
    // His next word ends the heartbeat.
    beat(&machine, "main", 125).unwrap();
    switch(&machine, "main", Health::Up).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    expect(&mut client, "/health", 200, "ok\n");
    assert_eq!(machine.counter(Counter::HeartbeatsMissed), 3);
    machine.stop();
}

#[test]
fn a_state_belongs_to_its_name_whatever_site_has_it() {
    let machine = Machine::start(vec![]);
    let names = |range: std::ops::Range<u32>| {
        let one = |n| format!("[[response]]\npath = '/{n}'\nhealth = 'h{n}'\n");
        declared(&range.map(one).collect::<Vec<_>>().concat())
    };
    assert_eq!(machine.load(&names(0..64)).refusal.as_str(), "");
    assert_eq!(switch(&machine, "main", Health::Down), Err(Status::NOT_FOUND.raw()));
    switch(&machine, "h7", Health::Drain).unwrap();
    switch(&machine, "h63", Health::Down).unwrap();
    let mut client = machine.connect();
    expect(&mut client, "/7", 503, "draining\n");
    // Those of two sites are kept.
    assert_eq!(machine.load(&names(1_000..1_064)).refusal.as_str(), "");
    assert_eq!(machine.load(&names(0..64)).refusal.as_str(), "");
    expect(&mut client, "/7", 503, "draining\n");
    expect(&mut client, "/63", 503, "down\n");
    // With half of them, in other places.
    assert_eq!(machine.load(&names(5..65)).refusal.as_str(), "");
    expect(&mut client, "/7", 503, "draining\n");
    expect(&mut client, "/63", 503, "down\n");
    expect(&mut client, "/64", 200, "ok\n");
    assert_eq!(switch(&machine, "h0", Health::Down), Err(Status::NOT_FOUND.raw()));
    // A site that is refused changes nothing.
    let mut broken = names(5..6);
    let last = broken.len() - 1;
    broken[last] ^= 1;
    assert!(machine.load(&broken).refusal.contains("checksum"));
    switch(&machine, "h64", Health::Drain).unwrap();
    expect(&mut client, "/64", 503, "draining\n");
    // Others, again and again: there is always room.
    for round in 1..8 {
        let range = 100 * round..100 * round + 64;
        assert_eq!(machine.load(&names(range.clone())).refusal.as_str(), "");
        let listed = endpoints(&machine);
        assert_eq!(listed.len(), 64);
        for n in range.step_by(9) {
            expect(&mut client, &format!("/{n}"), 200, "ok\n");
            switch(&machine, &format!("h{n}"), Health::Down).unwrap();
            expect(&mut client, &format!("/{n}"), 503, "down\n");
        }
    }
    machine.stop();
}

/// The reserved lane: who probes gets in when nobody else does, and hears the state.
#[test]
fn a_probe_is_answered_when_every_place_is_taken() {
    let machine = Machine::start(vec![
        number("MaxConnections", 6),
        number("ReservedConnections", 2),
        list("ExemptList", &["127.0.0.9"]),
        text("OverloadPolicy", "reject"),
    ]);
    let mut held: Vec<Client> = (0..4).map(|_| machine.connect()).collect();
    for client in &mut held {
        assert_eq!(client.get("/health").status, 200);
    }
    for health in [Health::Drain, Health::Down, Health::Up] {
        switch(&machine, "main", health).unwrap();
        let refused = Client::try_from_address(Ipv4Addr::new(127, 0, 0, 8), machine.address());
        assert!(refused.is_none_or(|mut client| client.try_get("/health").is_none()));
        let mut probe = machine.connect_from(Ipv4Addr::new(127, 0, 0, 9));
        let expected = if health == Health::Up { 200 } else { 503 };
        assert_eq!(probe.get("/health").status, expected, "{health:?}");
    }
    machine.stop();
}

#[test]
fn the_state_of_the_server_is_told() {
    let machine = Machine::start(vec![text("AcceptMode", "event")]);
    let state = || decode::<ServerState>(&machine.query(IOCTL_QUERY_STATE)).unwrap();
    let first = state();
    assert_eq!(first.listen, machine.address());
    assert_eq!(first.version.as_str(), env!("CARGO_PKG_VERSION"));
    assert_eq!(first.accept_mode.as_str(), "event");
    assert_eq!((first.sites_published, first.sites_held, first.processors), (1, 1, 2));
    assert_eq!(first.image_bytes, machine::image().len() as u64);
    assert!(first.now_s > 1_700_000_000, "{}", first.now_s);
    let image = declared("[[response]]\npath = '/a'\nhealth = 'a'\n");
    let loaded = machine.load(&image);
    let second = state();
    assert_eq!((second.generation, second.entries), (loaded.generation, 1));
    assert_ne!(second.generation, first.generation);
    assert_eq!(second.sites_published, 2);
    let start = Instant::now();
    while state().sites_held != 1 {
        assert!(start.elapsed() < PATIENCE, "{} are held", state().sites_held);
    }
    machine.stop();
}
