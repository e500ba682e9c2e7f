//! Every record survives the wire; a truncated or longer one, or any octets, are refused or read,
//! never a panic.
use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;
use proptest::prelude::*;
use wskhttpd_abi::{
    Access, BUCKETS, Beat, Health, HealthEndpoint, Holder, Latency, List, ListWriter, LoadSite,
    Loaded, Method, Parameter, Reason, Record, Reject, ServerState, SetParameter, Since, Switch,
    cut, decode, encode,
};

fn survives<R: Record + PartialEq + std::fmt::Debug>(record: &R) {
    let mut wire = [0; 4096];
    let octets = encode(record, &mut wire).expect("room");
    assert_eq!(decode::<R>(&wire[..octets]).as_ref(), Some(record));
    assert!(decode::<R>(&wire[..=octets]).is_none(), "longer");
    for length in 0..octets {
        assert!(decode::<R>(&wire[..length]).is_none(), "{length} of {octets}");
        assert_eq!(encode(record, &mut [0; 4096][..length]), None, "room of {length}");
    }
    wire[0] ^= 1;
    assert!(decode::<R>(&wire[..octets]).is_none(), "of another version");
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn every_record_survives_the_wire_and_a_truncated_one_does_not() {
    let name = cut("main");
    survives(&Since(u64::MAX));
    survives(&Switch { name, health: Health::Drain });
    survives(&Beat { name, timeout_ms: 500 });
    survives(&HealthEndpoint {
        name,
        health: Health::Up,
        answered: Health::Down,
        timeout_ms: 1,
        since_beat_ms: 2,
        missed: 3,
    });
    survives(&LoadSite { path: cut("\\??\\C:\\site.img") });
    survives(&Loaded { refusal: cut("no"), generation: 1, image_bytes: 2, entries: 3 });
    survives(&SetParameter { name, value: cut("10.0.0.0/8,::1/128") });
    survives(&Parameter { name, value: cut("7"), is_changeable: true });
    survives(&Holder { address: address("192.0.2.1"), connections: 7 });
    survives(&Latency { sampled: 16, sum_ns: 5, counts: [9; BUCKETS] });
    survives(&ServerState {
        version: cut("0.1.0"),
        listen: SocketAddr::new(address("2001:db8::1"), 80),
        accept_mode: cut("event"),
        uptime_s: 1,
        now_s: 2,
        generation: 3,
        sites_published: 4,
        sites_held: 5,
        image_bytes: 6,
        entries: 7,
        processors: 8,
    });
    for reason in Reason::ALL {
        survives(&Reject {
            time_ms: 1,
            address: address("192.0.2.1"),
            port: 2,
            reason: *reason,
            status: 400,
            octets: ArrayVec::try_from(b"GET \x00".as_slice()).expect("short"),
        });
    }
    for method in Method::ALL {
        survives(&Access {
            time_ms: 1,
            address: address("::1"),
            port: 2,
            method,
            status: 200,
            octets: 1 << 40,
            target: ArrayVec::try_from(b"/a?b".as_slice()).expect("short"),
        });
    }
}

#[test]
fn a_list_is_as_long_as_there_is_room() {
    let holder = |n| Holder { address: address("192.0.2.1"), connections: n };
    for room in 0..200 {
        let mut buffer = [0; 200];
        let Some(mut list) = ListWriter::new(&mut buffer[..room]) else {
            assert!(room < 24);
            continue;
        };
        let mut pushed = 0;
        while list.push(&holder(pushed)) {
            pushed += 1;
        }
        let octets = list.finish(u64::from(pushed), 3);
        assert!(octets <= room);
        let read = List::new(&buffer[..octets]).expect("a list");
        assert_eq!((read.next, read.lost), (Since(u64::from(pushed)), 3));
        let items: Vec<_> = read.items::<Holder>().collect();
        assert_eq!(items, (0..pushed).map(|n| Some(holder(n))).collect::<Vec<_>>());
    }
}

proptest! {
    #[test]
    fn any_octets_are_refused_or_read(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut input = vec![1, 0, 0, 0];
        input.extend(&octets);
        let _ = decode::<Switch>(&input);
        let _ = decode::<Beat>(&input);
        let _ = decode::<LoadSite>(&input);
        let _ = decode::<SetParameter>(&input);
        let _ = decode::<Since>(&input);
        let _ = decode::<Latency>(&input);
        if let Some(list) = List::new(&input) {
            // As many items as are announced may be announced of nothing.
            let _ = list.items::<Reject>().take(100).flatten().count();
            let _ = list.items::<Access>().take(100).flatten().count();
        }
    }
}
