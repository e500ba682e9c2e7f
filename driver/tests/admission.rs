//! Counts per address: every way a request can end gives its count back exactly once.
mod machine;

use std::net::SocketAddr;

use nt::wsk::InspectId;
use wskhttpd::admission::{Admission, Refusal};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn id(serial: u32) -> InspectId {
    InspectId { key: 0x7F00_1000, serial }
}

/// Spin locks and pool are the host's, so a machine has to run.
fn with_admission(per_address_max: u32, test: impl FnOnce(&Admission)) {
    let _machine = machine::Machine::start(vec![]);
    let admission = Admission::new(65_536, per_address_max).unwrap();
    test(&admission);
    assert_eq!(admission.counted(), (0, 0));
}

#[test]
fn a_request_that_dies_gives_its_count_back_once() {
    with_admission(1, |admission| {
        let remote = address("192.0.2.1:1000");
        admission.inspect(&remote, id(1)).unwrap();
        assert_eq!(admission.counted(), (1, 1));
        assert_eq!(admission.inspect(&remote, id(2)), Err(Refusal::PerAddress));
        assert!(admission.abort(id(1)));
        assert!(!admission.abort(id(1)), "given back twice");
        admission.inspect(&remote, id(3)).unwrap();
        assert!(admission.abort(id(3)));
    });
}

#[test]
fn an_accepted_request_is_counted_until_it_closes() {
    with_admission(1, |admission| {
        let remote = address("192.0.2.1:1000");
        admission.inspect(&remote, id(1)).unwrap();
        let ticket = admission.accept(&remote, Some(id(1))).unwrap();
        assert_eq!(admission.counted(), (1, 0));
        assert!(!admission.abort(id(1)), "the count is the connection's");
        assert_eq!(admission.inspect(&remote, id(2)), Err(Refusal::PerAddress));
        admission.release(ticket);
        let again = admission.accept(&remote, None).unwrap();
        assert!(admission.accept(&remote, None).is_err());
        admission.release(again);
    });
}

#[test]
fn an_inspect_id_that_comes_again_does_not_leak_the_older_count() {
    with_admission(2, |admission| {
        let remote = address("192.0.2.1:1000");
        admission.inspect(&remote, id(1)).unwrap();
        admission.inspect(&remote, id(1)).unwrap();
        assert_eq!(admission.counted(), (1, 1));
        assert!(admission.abort(id(1)));
    });
}

#[test]
fn ids_are_compared_by_key_and_serial_number() {
    with_admission(0, |admission| {
        let remote = address("192.0.2.1:1000");
        admission.inspect(&remote, id(1)).unwrap();
        assert!(!admission.abort(id(2)));
        assert!(!admission.abort(InspectId { key: 1, serial: 1 }));
        assert!(admission.abort(id(1)));
    });
}

#[test]
fn an_ipv6_holder_is_a_64_and_an_ipv4_holder_an_address() {
    with_admission(1, |admission| {
        let rows = [
            ("[2001:db8:0:1::1]:1", "[2001:db8:0:1:ffff::9]:2", true),
            ("[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:2", false),
            ("192.0.2.1:1", "192.0.2.1:2", true),
            ("192.0.2.1:1", "192.0.2.2:1", false),
            // Unmapped before it gets here; as an address of its own it is not IPv4.
            ("[::1]:1", "127.0.0.1:1", false),
        ];
        for (first, second, same) in rows {
            let ticket = admission.accept(&address(first), None).unwrap();
            let other = admission.accept(&address(second), None);
            assert_eq!(other.is_err(), same, "{first} {second}");
            admission.release(ticket);
            if let Ok(ticket) = other {
                admission.release(ticket);
            }
        }
    });
}

#[test]
fn races_of_abort_and_accept_end_at_zero() {
    with_admission(0, |admission| {
        let remote = address("192.0.2.7:1");
        for serial in 0..2_000 {
            admission.inspect(&remote, id(serial)).unwrap();
            std::thread::scope(|scope| {
                let aborted = scope.spawn(|| admission.abort(id(serial)));
                let ticket = admission.accept(&remote, Some(id(serial))).unwrap();
                // Whoever came first owns the inspected count; a late accept counts anew.
                let _ = aborted.join().unwrap();
                admission.release(ticket);
            });
        }
    });
}

#[test]
fn a_full_table_refuses_new_addresses_and_keeps_the_counts_of_old_ones() {
    let _machine = machine::Machine::start(vec![]);
    let admission = Admission::new(64, 1).unwrap();
    let mut tickets = Vec::new();
    let mut refused = 0;
    for n in 0..20_000_u32 {
        let remote = SocketAddr::from((n.to_be_bytes(), 1));
        match admission.accept(&remote, None) {
            Ok(ticket) => tickets.push((remote, ticket)),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Table);
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && tickets.len() >= 64, "{refused} refused, {} taken", tickets.len());
    for (remote, _) in &tickets {
        assert_eq!(admission.accept(remote, None).err(), Some(Refusal::PerAddress));
    }
    for (_, ticket) in tickets {
        admission.release(ticket);
    }
    assert_eq!(admission.counted(), (0, 0));
}
