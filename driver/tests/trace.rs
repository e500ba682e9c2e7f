//! What the driver tells to who traces it; the same lines by the linked driver and by the image,
//! whose events are ETW's.
mod machine;

use std::time::{Duration, Instant};

use machine::{Machine, PATIENCE, number};
use nthost::Options;
use wskhttpd_abi::{Beat, Counter, Health, IOCTL_BEAT, IOCTL_SWITCH_HEALTH, Switch, cut};

/// A machine with somebody who listens.
fn traced(set: Vec<(String, nthost::Value)>) -> Machine {
    Machine::start_as(set, |options| Options { trace: true, ..options })
}

fn wait_for(machine: &Machine, line: &str) {
    let start = Instant::now();
    while !machine.events().contains(line) {
        assert!(start.elapsed() < PATIENCE, "no {line} in {}", machine.events());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn start_rejects_reloads_listeners_and_stop_are_traced() {
    let machine = traced(vec![]);
    let address = machine.address();
    assert_eq!(machine.events(), format!("event=Start listen={address}\n"));
    let mut client = machine.connect();
    let port = client.stream.local_addr().unwrap().port();
    assert_eq!(client.send("GET / HTTP/1.1\r\n\r\n").response(true).status, 400);
    let reject = format!("event=Reject address=127.0.0.1 port={port} reason=Hostname status=400\n");
    assert_eq!(machine.events(), format!("event=Start listen={address}\n{reject}"));
    let loaded = machine.load(&machine::image());
    let (generation, octets, entries) = (loaded.generation, loaded.image_bytes, loaded.entries);
    wait_for(
        &machine,
        &format!(
            "event=Reload generation={generation} image_bytes={octets} entries={entries} refusal=\n"
        ),
    );
    let refusal = machine.load(b"no image").refusal;
    assert!(!refusal.is_empty());
    wait_for(&machine, &format!("entries={entries} refusal={refusal}\n"));
    machine.lose_listeners();
    wait_for(&machine, "event=ListenerLost\n");
    wait_for(&machine, "event=ListenerRestored\n");
    let all = machine.stop_and_trace();
    assert!(all.ends_with("\nevent=Stop\n"), "{all}");
}

#[test]
fn changes_of_health_are_traced_and_nothing_that_changes_nothing() {
    let machine = traced(vec![]);
    let name = cut("main");
    for (health, count) in [(Health::Drain, 1), (Health::Drain, 1), (Health::Up, 2)] {
        machine.request(IOCTL_SWITCH_HEALTH, &Switch { name, health }).unwrap();
        assert_eq!(machine.events().matches("event=Health name=main").count(), count);
    }
    machine.request(IOCTL_BEAT, &Beat { name, timeout_ms: 125 }).unwrap();
    wait_for(&machine, "event=HeartbeatMissed endpoints=1\n");
    machine.request(IOCTL_BEAT, &Beat { name, timeout_ms: 60_000 }).unwrap();
    let events = machine.events();
    let (_, changes) = events.split_once('\n').unwrap();
    let expected = "event=Health name=main change=drain\nevent=Health name=main change=up\n\
        event=HeartbeatMissed endpoints=1\nevent=Health name=main change=beats\n";
    assert_eq!(changes, expected);
}

#[test]
fn requests_are_traced_with_the_access_log_only() {
    for log in [0, 1] {
        let machine = traced(vec![number("AccessLog", log)]);
        let mut client = machine.connect();
        let response = client.ask("HEAD", "/hello.txt?%20", &[]);
        let port = client.stream.local_addr().unwrap().port();
        let line = format!(
            "event=Request address=127.0.0.1 port={port} method=HEAD target=/hello.txt?%20 \
             status=200 octets={}\n",
            response.head.len()
        );
        assert_eq!(machine.events().contains(&line), log == 1, "{}", machine.events());
    }
}

#[test]
fn nobody_is_told_when_nobody_listens() {
    let machine = Machine::start(vec![]);
    let mut client = machine.connect();
    assert_eq!(client.send("GET / HTTP/1.1\r\n\r\n").response(true).status, 400);
    machine.wait_for(Counter::Rejected, 1);
    assert_eq!(machine.stop_and_trace(), "");
}

#[test]
fn a_kernel_without_tracing_is_served_all_the_same() {
    let absent =
        |options| Options { trace: true, absent: vec!["EtwRegister".to_owned()], ..options };
    let machine = Machine::start_as(vec![], absent);
    assert_eq!(machine.connect().get("/hello.txt").status, 200);
    assert_eq!(machine.stop_and_trace(), "");
}
