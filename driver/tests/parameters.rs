//! Parameters of the running driver: all are told, some change, and all are validated.
mod machine;

use std::net::Ipv4Addr;

use machine::{Client, Machine, list, number, refusal, text};
use nt::Status;
use wskhttpd::parameters::{CHOICES, LISTS, NUMBERS};
use wskhttpd_abi::{
    Counter, DEVICE_NAME, IOCTL_QUERY_PARAMETERS, IOCTL_SET_PARAMETER, List, Parameter, Sentence,
    SetParameter, Since, cut, decode, encode,
};

/// What the driver says to a change; nothing when it is made.
fn said(machine: &Machine, name: &str, value: &str) -> String {
    let set = SetParameter { name: cut(name), value: cut(value) };
    let output = machine.request(IOCTL_SET_PARAMETER, &set).unwrap();
    decode::<Sentence>(&output).unwrap().to_string()
}

fn set(machine: &Machine, name: &str, value: &str) {
    assert_eq!(said(machine, name, value), "", "{name}={value}");
}

/// All parameters, read in parts of a few.
fn all(machine: &Machine) -> Vec<Parameter> {
    let mut all = Vec::new();
    let mut from = Since(0);
    loop {
        let mut input = [0; 16];
        let octets = encode(&from, &mut input).unwrap();
        let host = machine.host();
        let output = host
            .device_query(DEVICE_NAME, IOCTL_QUERY_PARAMETERS, &input[..octets], 1_500)
            .unwrap();
        let part = List::new(&output).unwrap();
        if part.next == from {
            return all;
        }
        all.extend(part.items::<Parameter>().map(Option::unwrap));
        from = part.next;
        assert_eq!(from.0, all.len() as u64);
    }
}

fn value(machine: &Machine, name: &str) -> String {
    let all = all(machine);
    all.iter().find(|parameter| parameter.name.as_str() == name).unwrap().value.to_string()
}

/// True when a connection from this address gets an answer.
fn is_served(machine: &Machine, last: u8) -> bool {
    let source = Ipv4Addr::new(127, 0, 0, last);
    let client = Client::try_from_address(source, machine.address());
    client.is_some_and(|mut client| client.try_get("/hello.txt").is_some())
}

#[test]
fn all_parameters_are_told_as_they_are_in_force() {
    let machine = Machine::start(vec![
        number("IdleTimeoutMs", 60_000),
        text("OverloadPolicy", "reject"),
        list("DenyList", &["192.0.2.0/24", "2001:db8::/32", "192.0.2.7"]),
    ]);
    let told = all(&machine);
    let names: Vec<&str> = told.iter().map(|parameter| parameter.name.as_str()).collect();
    let mut expected = vec!["SiteImage", "ListenAddress", "ListenPort"];
    expected.extend(NUMBERS.iter().map(|number| number.name));
    expected.extend(CHOICES.iter().map(|choice| choice.name));
    expected.extend(LISTS.iter().map(|list| list.name));
    assert_eq!(names, expected);
    let shown = |name| value(&machine, name);
    assert_eq!(shown("SiteImage"), "\\??\\site.img");
    assert_eq!((shown("ListenAddress"), shown("ListenPort")), ("127.0.0.1".into(), "0".into()));
    assert_eq!(shown("IdleTimeoutMs"), "60000");
    assert_eq!(shown("OverloadPolicy"), "reject");
    assert_eq!(shown("DenyList"), "192.0.2.0/24,2001:db8::/32,192.0.2.7/32");
    assert_eq!(shown("AllowList"), "");
    for number in NUMBERS.iter().filter(|number| number.name != "IdleTimeoutMs") {
        assert_eq!(shown(number.name), number.default.to_string());
    }
    machine.stop();
}

#[test]
fn every_parameter_that_can_change_takes_its_bounds_and_nothing_else() {
    let machine = Machine::start(vec![]);
    for number in NUMBERS {
        let is_changeable =
            all(&machine).iter().any(|p| p.name.as_str() == number.name && p.is_changeable);
        if !is_changeable {
            assert!(said(&machine, number.name, "1").contains("restart"), "{}", number.name);
            continue;
        }
        let bound = matches!(number.name, "MaxConnections" | "HoldMax");
        let max = if bound { number.default } else { number.max };
        let beyond = [u64::from(number.min).wrapping_sub(1), u64::from(max) + 1];
        for wrong in beyond.map(|n| n.to_string()).iter().map(String::as_str).chain(["", "x", "-1"])
        {
            let said = said(&machine, number.name, wrong);
            let expected = format!("{}: {wrong} is not in {}..={max}", number.name, number.min);
            assert!(said.starts_with(&expected), "{said}");
            assert_eq!(value(&machine, number.name), number.default.to_string());
        }
        for right in [number.min, max, number.default] {
            set(&machine, number.name, &right.to_string());
            assert_eq!(value(&machine, number.name), right.to_string());
        }
    }
    for fixed in ["SiteImage", "ListenAddress", "ListenPort", "AcceptMode"] {
        assert!(said(&machine, fixed, "irp").contains("restart"), "{fixed}");
    }
    for choice in CHOICES.iter().filter(|choice| choice.name != "AcceptMode") {
        for word in choice.words.iter().rev() {
            set(&machine, choice.name, word);
            assert_eq!(value(&machine, choice.name), **word);
        }
        assert!(said(&machine, choice.name, "other").contains("other is none of its words"));
    }
    let many = ["10.0.0.1"; 65].join(",");
    for list in LISTS {
        for (wrong, why) in [
            ("10.0.0.1/8", "10.0.0.1/8 has bits behind its length"),
            ("10.0.0.0/8,", " is not an IPv4 or IPv6 address or prefix"),
            ("10.0.0.0/8, ::1", " ::1 is not an IPv4 or IPv6 address or prefix"),
        ] {
            assert_eq!(said(&machine, list.name, wrong), format!("{}: {why}", list.name));
        }
        assert_eq!(value(&machine, list.name), "");
    }
    // A value has 512 octets at most; 65 short prefixes fit.
    let many_short = ["1::"; 65].join(",");
    assert!(many.len() > 512 && said(&machine, "DenyList", &many_short).contains("65 entries"));
    assert_eq!(said(&machine, "DenyList", &["1::"; 64].join(",")), "");
    assert_eq!(said(&machine, "Nothing", "1"), "there is no parameter Nothing");
    set(&machine, "MaxConnections", "16");
    set(&machine, "ReservedConnections", "20");
    let said = said(&machine, "ExemptList", "127.0.0.9");
    assert_eq!(said, "ReservedConnections: 20 of MaxConnections (16) leaves none for others");
    assert_eq!(value(&machine, "ExemptList"), "");
    let short = machine.host().device_control(DEVICE_NAME, IOCTL_SET_PARAMETER, &[], 100);
    assert_eq!(short, Err(Status::BUFFER_TOO_SMALL.raw()));
    machine.stop();
}

#[test]
fn a_long_list_is_read_whole() {
    let long = |n: usize| format!("2001:db8:1111:2222:3333:4444:5555:{n:04x}");
    let mut allowed: Vec<String> = (0..63).map(long).collect();
    allowed.push("127.0.0.7".to_owned());
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    let machine = Machine::start(vec![list("AllowList", &allowed)]);
    assert!(is_served(&machine, 7) && !is_served(&machine, 8));
    machine.stop();
}

#[test]
fn a_refusal_that_is_longer_than_an_entry_of_the_event_log_is_cut_there() {
    let wrong = "2001:db8:1111:2222:3333:4444:5555:6666:7777:8888";
    let said = refusal(vec![list("AllowList", &[wrong])], machine::image());
    assert!(said.contains(wrong) && said.len() > 95, "{said}");
}

#[test]
fn a_change_is_in_force_at_once() {
    let machine = Machine::start(vec![number("MaxConnections", 8), number("HoldMax", 4)]);
    let mut kept = machine.connect();
    assert_eq!(kept.get("/hello.txt").status, 200);

    set(&machine, "ContentBytesMax", "10");
    let content = |octets: usize| format!("Content-Length: {octets}\r\n\r\n{}", "x".repeat(octets));
    let mut client = machine.connect();
    client.send(format!("POST /hello.txt HTTP/1.1\r\nHost: a\r\n{}", content(10)));
    assert_eq!(client.response(true).status, 405);
    client.send(format!("POST /hello.txt HTTP/1.1\r\nHost: a\r\n{}", content(11)));
    assert_eq!(client.response(true).status, 413);
    client.expect_end();

    set(&machine, "DenyList", "127.0.0.8");
    assert!(!is_served(&machine, 8) && is_served(&machine, 7));
    set(&machine, "RefuseWith", "503");
    let refused = machine.connect_from(Ipv4Addr::new(127, 0, 0, 8)).get("/hello.txt");
    assert_eq!(refused.status, 503);
    set(&machine, "RefuseWith", "reset");
    set(&machine, "DenyList", "");
    set(&machine, "AllowList", "127.0.0.8,127.0.0.1");
    assert!(is_served(&machine, 8) && !is_served(&machine, 7));
    assert_eq!(kept.get("/hello.txt").status, 200, "who is in stays in");
    set(&machine, "AllowList", "");

    set(&machine, "MaxConnectionsPerAddress", "1");
    let first = machine.connect_from(Ipv4Addr::new(127, 0, 0, 5));
    machine.wait_for(Counter::ConnectionsOpen, 2);
    assert!(!is_served(&machine, 5) && is_served(&machine, 6));
    drop(first);
    set(&machine, "MaxConnectionsPerAddress", "0");

    set(&machine, "ConnectionBurstPerAddress", "2");
    set(&machine, "ConnectionRatePerAddress", "1");
    assert!(is_served(&machine, 4) && is_served(&machine, 4));
    assert!((0..5).any(|_| !is_served(&machine, 4)), "a rate of one a second");
    set(&machine, "ConnectionRatePerAddress", "0");
    assert!(is_served(&machine, 4));

    machine.wait_for(Counter::ConnectionsOpen, 1);
    set(&machine, "OverloadPolicy", "reject");
    set(&machine, "MaxConnections", "2");
    let second = machine.connect();
    machine.wait_for(Counter::ConnectionsOpen, 2);
    assert!(!is_served(&machine, 3));
    set(&machine, "ReservedConnections", "1");
    set(&machine, "ExemptList", "127.0.0.3");
    assert!(!is_served(&machine, 3), "taken places are not given away");
    drop(second);
    machine.wait_for(Counter::ConnectionsOpen, 1);
    assert!(!is_served(&machine, 2) && is_served(&machine, 3), "the last one is reserved");
    set(&machine, "MaxConnections", "8");
    machine.wait_for(Counter::ConnectionsOpen, 1);
    assert!(is_served(&machine, 2));

    set(&machine, "IdleTimeoutMs", "100");
    assert_eq!(kept.get("/hello.txt").status, 200);
    kept.expect_end();
    machine.stop();
}
