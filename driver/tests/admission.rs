//! Who gets in, by rules alone: every way a request can end gives back what it took, exactly once.
mod machine;

use std::net::IpAddr;

use nt::wsk::InspectId;
use nt::{PoolSlice, Tag};
use wskhttpd::admission::address::{Holder, PrefixLengths};
use wskhttpd::admission::prefixes::Prefix;
use wskhttpd::admission::table::Allowance;
use wskhttpd::admission::{
    Admission, Decision, Left, Lists, Overload, Reason, RefuseWith, Refused, Rules, Ticket, Verdict,
};

const RULES: Rules = Rules {
    connections_max: 65_536,
    reserved: 0,
    handshakes_max: 4_096,
    allowance: Allowance { connections: 0, per_second: 0, burst: 1, tick_ms: 125 },
    prefix_lengths: PrefixLengths { v4: 32, v6: 64 },
    overload: Overload::Reject,
    hold_max: 4,
    hold_ticks: 4,
    refuse_with: RefuseWith::Reset,
};

const fn per_address(connections: u32) -> Rules {
    Rules { allowance: Allowance { connections, ..RULES.allowance }, ..RULES }
}

const fn places(connections_max: u32, overload: Overload) -> Rules {
    Rules { connections_max, overload, ..RULES }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn id(serial: u32) -> InspectId {
    InspectId { key: 0x7F00_1000, serial }
}

fn prefixes(texts: &[&str]) -> PoolSlice<Prefix> {
    PoolSlice::from_fn(Tag::Server, texts.len(), |at| texts[at].parse().unwrap()).unwrap()
}

/// Spin locks and pool are the host's, so a machine has to run. At the end nothing is counted.
fn with(rules: Rules, lists: fn() -> Lists, test: impl FnOnce(&Admission)) {
    let _machine = machine::Machine::start(vec![]);
    let admission = Admission::new(rules, lists(), [1, 2]).unwrap();
    test(&admission);
    assert_eq!(admission.left(), Left::default());
}

fn no_lists() -> Lists {
    Lists::empty().unwrap()
}

#[allow(clippy::unnecessary_wraps)] // as it is compared
const fn refused(reason: Reason) -> Option<Refused> {
    Some(Refused { reason, first: false })
}

#[allow(clippy::unnecessary_wraps)] // as it is compared
const fn first(reason: Reason) -> Option<Refused> {
    Some(Refused { reason, first: true })
}

/// A connection that gets its place at once.
#[track_caller]
fn accepted(admission: &Admission, ip: IpAddr, id: Option<InspectId>) -> Ticket {
    let (ticket, refused) = admission.accept(ip, id, 0, 0);
    assert_eq!(refused, None);
    let ticket = ticket.unwrap();
    assert!(!ticket.is_waiting() && !ticket.is_refusing());
    ticket
}

#[test]
fn a_request_that_dies_gives_its_count_back_once() {
    with(per_address(1), no_lists, |admission| {
        let remote = ip("192.0.2.1");
        assert_eq!(admission.inspect(remote, id(1), 0), (Verdict::Accept, None));
        let left = admission.left();
        assert_eq!((left.addresses, left.handshakes, left.places), (1, 1, 1));
        let again = admission.inspect(remote, id(2), 0);
        assert_eq!(again, (Verdict::Reject, first(Reason::PerAddress)));
        let again = admission.inspect(remote, id(2), 0);
        assert_eq!(again, (Verdict::Reject, refused(Reason::PerAddress)), "said once");
        assert!(admission.abort(id(1)));
        assert!(!admission.abort(id(1)), "given back twice");
        assert_eq!(admission.inspect(remote, id(3), 0), (Verdict::Accept, None));
        assert!(admission.abort(id(3)));
    });
}

#[test]
fn an_accepted_request_is_counted_until_it_closes() {
    with(per_address(1), no_lists, |admission| {
        let remote = ip("192.0.2.1");
        assert_eq!(admission.inspect(remote, id(1), 0).0, Verdict::Accept);
        let ticket = accepted(admission, remote, Some(id(1)));
        assert_eq!(admission.left().handshakes, 0);
        assert!(!admission.abort(id(1)), "the count is the connection's");
        assert_eq!(admission.inspect(remote, id(2), 0).0, Verdict::Reject);
        admission.release(ticket);
        let again = accepted(admission, remote, None);
        assert!(admission.accept(remote, None, 0, 0).0.is_none());
        admission.release(again);
    });
}

#[test]
fn an_inspect_id_that_comes_again_does_not_leak_the_older_count() {
    with(per_address(2), no_lists, |admission| {
        let remote = ip("192.0.2.1");
        assert_eq!(admission.inspect(remote, id(1), 0).0, Verdict::Accept);
        assert_eq!(admission.inspect(remote, id(1), 0).0, Verdict::Accept);
        let left = admission.left();
        assert_eq!((left.addresses, left.handshakes, left.places), (1, 1, 1));
        assert!(admission.abort(id(1)));
    });
}

#[test]
fn ids_are_compared_by_key_and_serial_number() {
    with(RULES, no_lists, |admission| {
        assert_eq!(admission.inspect(ip("192.0.2.1"), id(1), 0).0, Verdict::Accept);
        assert!(!admission.abort(id(2)));
        assert!(!admission.abort(InspectId { key: 1, serial: 1 }));
        assert!(admission.abort(id(1)));
    });
}

#[test]
fn an_unknown_id_is_judged_like_a_connection_that_was_not_inspected() {
    with(per_address(1), no_lists, |admission| {
        let ticket = accepted(admission, ip("192.0.2.1"), Some(id(9)));
        assert!(admission.accept(ip("192.0.2.1"), Some(id(10)), 0, 0).0.is_none());
        admission.release(ticket);
    });
}

#[test]
fn races_of_abort_and_accept_end_at_zero() {
    with(RULES, no_lists, |admission| {
        let remote = ip("192.0.2.7");
        for serial in 0..2_000 {
            assert_eq!(admission.inspect(remote, id(serial), 0).0, Verdict::Accept);
            std::thread::scope(|scope| {
                let aborted = scope.spawn(|| admission.abort(id(serial)));
                // Whoever came first owns the inspected count; a late accept counts anew.
                let ticket = accepted(admission, remote, Some(id(serial)));
                let _ = aborted.join().unwrap();
                admission.release(ticket);
            });
        }
    });
}

#[test]
fn a_full_table_refuses_new_addresses_and_keeps_the_counts_of_old_ones() {
    let rules = Rules { connections_max: 64, ..per_address(1) };
    // More places than the table is made for: a table of its own.
    let _machine = machine::Machine::start(vec![]);
    let table = wskhttpd::admission::table::AddressTable::new(
        wskhttpd::admission::hash::HashKey::new([1, 2]),
        64,
    )
    .unwrap();
    let holder = |n: u32| {
        wskhttpd::admission::address::Holder::of(
            IpAddr::from(n.to_be_bytes()),
            rules.prefix_lengths,
        )
    };
    let (taken, full): (Vec<u32>, Vec<u32>) =
        (0..20_000).partition(|n| table.take(holder(*n), &rules.allowance, 0).is_ok());
    assert!(taken.len() > 64 && !full.is_empty(), "{} taken", taken.len());
    assert_eq!(table.holders(), taken.len());
    for n in &taken {
        let again = table.take(holder(*n), &rules.allowance, 0).unwrap_err();
        assert_eq!(again.shortage, wskhttpd::admission::table::Shortage::Connections);
        table.give(holder(*n));
    }
    assert_eq!(table.holders(), 0);
    assert!(table.take(holder(full[0]), &rules.allowance, 0).is_ok());
}

#[test]
fn a_million_addresses_have_their_counts() {
    const ADDRESSES: u32 = 1_000_000;
    let rules = Rules { connections_max: ADDRESSES, ..per_address(2) };
    with(rules, no_lists, |admission| {
        let remote = |n: u32| IpAddr::from((n * 4_099).to_be_bytes());
        let tickets: Vec<_> =
            (0..ADDRESSES).map(|n| accepted(admission, remote(n), None)).collect();
        let left = admission.left();
        assert_eq!((left.addresses, left.places), (1_000_000, ADDRESSES));
        let one_more = admission.accept(ip("2001:db8::1"), None, 0, 0);
        assert_eq!(one_more.1, refused(Reason::Crowded));
        for ticket in tickets {
            admission.release(ticket);
        }
    });
}

#[test]
fn a_rate_is_a_bucket_that_closing_does_not_empty() {
    let allowance = Allowance { per_second: 8, burst: 3, ..RULES.allowance };
    with(Rules { allowance, ..RULES }, no_lists, |admission| {
        let remote = ip("192.0.2.1");
        let come = |now: u32| {
            let (ticket, refused) = admission.accept(remote, None, 0, now);
            if let Some(ticket) = ticket {
                admission.release(ticket);
            }
            refused
        };
        assert_eq!([come(0), come(0), come(0)], [None; 3], "the burst");
        assert_eq!(come(0), first(Reason::Rate));
        // 8 a second are one a tick.
        assert_eq!([come(1), come(1)], [None, refused(Reason::Rate)]);
        assert_eq!([come(100), come(100), come(100)], [None; 3], "never more than the burst");
        assert_eq!(come(100), refused(Reason::Rate));
        assert_eq!(come(u32::MAX), None);
    });
}

#[test]
fn forgotten_buckets_are_the_full_ones() {
    let allowance = Allowance { per_second: 1, burst: 2, ..RULES.allowance };
    let rules = Rules { allowance, connections_max: 64, ..RULES };
    with(rules, no_lists, |admission| {
        // Many addresses come and go: when the table is full, the buckets that have filled up
        // again make room, and those that have not are kept.
        let come = |n: u32, now: u32| {
            let (ticket, refused) = admission.accept(IpAddr::from(n.to_be_bytes()), None, 0, now);
            if let Some(ticket) = ticket {
                admission.release(ticket);
            }
            refused.map(|refused| refused.reason)
        };
        assert_eq!([come(0, 0), come(0, 0), come(0, 0)], [None, None, Some(Reason::Rate)]);
        let crowded = (1..20_000).filter(|n| come(*n, 1) == Some(Reason::Table)).count();
        assert!(crowded > 10_000, "{crowded}");
        assert_eq!(come(0, 1), Some(Reason::Rate), "its bucket was kept");
        // A token takes 8 ticks.
        assert_eq!((20_000..20_500).filter(|n| come(*n, 17).is_some()).count(), 0);
    });
}

#[test]
fn lists_allow_deny_and_exempt() {
    let lists = || Lists {
        allow: prefixes(&["192.0.2.0/24", "2001:db8::/32"]),
        deny: prefixes(&["192.0.2.128/25"]),
        exempt: prefixes(&["192.0.2.7", "192.0.2.200"]),
    };
    with(per_address(1), lists, |admission| {
        let come = |text: &str| admission.accept(ip(text), None, 0, 0);
        for denied in ["198.51.100.1", "2001:db9::1", "192.0.2.129", "192.0.2.200"] {
            assert_eq!(come(denied).1, refused(Reason::Denied), "{denied}");
        }
        let allowed = come("192.0.2.1").0.unwrap();
        assert_eq!(come("192.0.2.1").1.unwrap().reason, Reason::PerAddress);
        let exempt: Vec<_> = (0..5).map(|_| come("192.0.2.7").0.unwrap()).collect();
        admission.release(allowed);
        for ticket in exempt {
            admission.release(ticket);
        }
    });
}

#[test]
fn reserved_places_are_for_exempt_sources() {
    let lists = || Lists { exempt: prefixes(&["192.0.2.7"]), ..no_lists() };
    let rules = Rules { reserved: 2, ..places(5, Overload::Reject) };
    with(rules, lists, |admission| {
        let common: Vec<_> = (0..3).map(|_| accepted(admission, ip("192.0.2.1"), None)).collect();
        assert_eq!(admission.accept(ip("192.0.2.1"), None, 0, 0).1, refused(Reason::Crowded));
        let exempt: Vec<_> = (0..2).map(|_| accepted(admission, ip("192.0.2.7"), None)).collect();
        assert_eq!(admission.accept(ip("192.0.2.7"), None, 0, 0).1, refused(Reason::Crowded));
        for ticket in common.into_iter().chain(exempt) {
            admission.release(ticket);
        }
    });
}

#[test]
fn without_exempt_sources_nothing_is_reserved() {
    let rules = Rules { reserved: 16, ..places(2, Overload::Reject) };
    with(rules, no_lists, |admission| {
        let both = [0, 1].map(|_| accepted(admission, ip("192.0.2.1"), None));
        for ticket in both {
            admission.release(ticket);
        }
    });
}

#[test]
fn handshakes_have_a_bound() {
    with(Rules { handshakes_max: 2, ..RULES }, no_lists, |admission| {
        let remote = ip("192.0.2.1");
        assert_eq!(admission.inspect(remote, id(1), 0).0, Verdict::Accept);
        assert_eq!(admission.inspect(remote, id(2), 0).0, Verdict::Accept);
        let third = admission.inspect(remote, id(3), 0);
        assert_eq!(third, (Verdict::Reject, refused(Reason::Handshakes)));
        assert!(admission.abort(id(1)) && admission.abort(id(2)));
    });
}

#[test]
fn requests_wait_for_places_and_get_them_in_order() {
    with(places(1, Overload::Hold), no_lists, |admission| {
        let remote = ip("192.0.2.1");
        let ticket = accepted(admission, remote, None);
        for serial in 1..=4 {
            let inspected = admission.inspect(remote, id(serial), 10);
            assert_eq!(inspected, (Verdict::Pend, None), "{serial}");
        }
        let fifth = admission.inspect(remote, id(5), 10);
        assert_eq!(fifth, (Verdict::Reject, refused(Reason::Crowded)), "the line is full");
        assert_eq!((admission.waiting(), admission.next_decision(10)), (4, None));
        assert!(!admission.may_decide());
        admission.release(ticket);
        assert!(admission.may_decide());
        assert_eq!(admission.next_decision(10), Some(Decision::Accept(id(1))));
        assert_eq!(admission.next_decision(10), None, "one place, one decision");
        // One that waits dies; it is not decided about any more.
        assert!(admission.abort(id(2)));
        let ticket = accepted(admission, remote, Some(id(1)));
        admission.release(ticket);
        assert_eq!(admission.next_decision(13), Some(Decision::Accept(id(3))));
        // The last one's time is over before there is a place again.
        assert_eq!(admission.next_decision(13), None);
        let holder = Some(Holder::of(remote, RULES.prefix_lengths));
        assert_eq!(admission.next_decision(14), Some(Decision::Reject(id(4), holder)));
        assert!(!admission.abort(id(4)), "it is forgotten");
        // The accepted one dies before its connection comes.
        assert!(admission.abort(id(3)));
    });
}

#[test]
fn connections_wait_for_places_too() {
    with(places(1, Overload::Hold), no_lists, |admission| {
        let remote = ip("192.0.2.1");
        let ticket = accepted(admission, remote, None);
        let wait = |slot| admission.accept(remote, None, slot, 0).0.unwrap();
        let (mut one, mut two, three) = (wait(21), wait(22), wait(23));
        assert!(one.is_waiting() && two.is_waiting() && three.is_waiting());
        assert!(!admission.has_place(&mut one));
        // Their own deadlines end them: the line does not.
        assert_eq!(admission.next_decision(1_000), None);
        admission.release(ticket);
        assert_eq!(admission.next_decision(0), Some(Decision::Admit(21)));
        assert!(admission.has_place(&mut one) && !one.is_waiting());
        assert!(!admission.has_place(&mut two));
        admission.release(three);
        // Closed before it learnt of its place: the place is free again.
        admission.release(one);
        assert_eq!(admission.next_decision(0), Some(Decision::Admit(22)));
        admission.release(two);
        assert_eq!(admission.places_taken(), 0);
    });
}

#[test]
fn exempt_sources_do_not_wait_behind_others() {
    let lists = || Lists { exempt: prefixes(&["192.0.2.7"]), ..no_lists() };
    let rules = Rules { reserved: 1, ..places(2, Overload::Hold) };
    with(rules, lists, |admission| {
        let common = accepted(admission, ip("192.0.2.1"), None);
        assert_eq!(admission.inspect(ip("192.0.2.1"), id(1), 0).0, Verdict::Pend);
        let exempt = accepted(admission, ip("192.0.2.7"), None);
        assert_eq!(admission.inspect(ip("192.0.2.7"), id(2), 0).0, Verdict::Pend);
        admission.release(exempt);
        assert_eq!(admission.next_decision(0), Some(Decision::Accept(id(2))));
        assert_eq!(admission.next_decision(0), None, "the reserved place is not for the other");
        admission.release(common);
        assert_eq!(admission.next_decision(0), Some(Decision::Accept(id(1))));
        assert!(admission.abort(id(1)) && admission.abort(id(2)));
    });
}

#[test]
fn refusals_may_be_answers() {
    let answers = Rules { refuse_with: RefuseWith::Answer503, ..per_address(1) };
    with(answers, no_lists, |admission| {
        let remote = ip("192.0.2.1");
        let ticket = accepted(admission, remote, None);
        let more: Vec<_> = (0..4).map(|_| admission.accept(remote, None, 0, 0)).collect();
        assert!(more.iter().all(|(_, why)| why.unwrap().reason == Reason::PerAddress));
        let (last, why) = admission.accept(remote, None, 0, 0);
        assert!(last.is_none() && why.is_some(), "only so many at a time");
        for (answered, _) in more {
            let answered = answered.unwrap();
            assert!(answered.is_refusing());
            admission.release(answered);
        }
        // The same before the handshake completes.
        let inspected = admission.inspect(remote, id(1), 0);
        assert_eq!(inspected, (Verdict::Accept, refused(Reason::PerAddress)));
        let answered = admission.accept(remote, Some(id(1)), 0, 0).0.unwrap();
        assert!(answered.is_refusing());
        admission.release(answered);
        admission.release(ticket);
    });
    with(places(1, Overload::Answer503), no_lists, |admission| {
        let remote = ip("192.0.2.1");
        let ticket = accepted(admission, remote, None);
        let (answered, why) = admission.accept(remote, None, 0, 0);
        assert_eq!(why, refused(Reason::Crowded));
        admission.release(answered.unwrap());
        admission.release(ticket);
    });
}

#[test]
fn a_request_that_is_never_heard_of_again_is_forgotten() {
    with(RULES, no_lists, |admission| {
        let remote = ip("192.0.2.1");
        assert_eq!(admission.inspect(remote, id(1), 10).0, Verdict::Accept);
        assert_eq!(admission.inspect(remote, id(2), 30).0, Verdict::Accept);
        admission.forget_old_requests(9);
        assert_eq!(admission.left().handshakes, 2);
        admission.forget_old_requests(10);
        assert_eq!(admission.left().handshakes, 1);
        // Its connection comes after all: it is judged like one that was not inspected.
        let late = accepted(admission, remote, Some(id(1)));
        admission.release(late);
        assert!(admission.abort(id(2)));
    });
}

#[test]
fn what_waits_or_goes_on_is_forgotten_with_the_listener() {
    with(places(1, Overload::Hold), no_lists, |admission| {
        let remote = ip("192.0.2.1");
        assert_eq!(admission.inspect(remote, id(1), 0).0, Verdict::Accept);
        assert_eq!(admission.inspect(remote, id(2), 0).0, Verdict::Pend);
        assert_eq!(admission.inspect(remote, id(3), 0).0, Verdict::Pend);
        admission.forget_requests();
        assert_eq!(admission.left(), Left::default());
        assert!(!admission.abort(id(2)), "late news");
        assert_eq!(admission.next_decision(100), None);
    });
}

/// Requests, decisions, aborts and connections of four threads at once; all counts end at zero.
#[test]
fn storms_end_at_zero() {
    for overload in [Overload::Hold, Overload::Reject, Overload::Answer503] {
        let rules = Rules { hold_max: 16, hold_ticks: 2, ..places(8, overload) };
        with(rules, no_lists, |admission| {
            std::thread::scope(|scope| {
                for thread in 0..4_u32 {
                    scope.spawn(move || {
                        storm(admission, thread);
                    });
                }
            });
            while admission.next_decision(u32::MAX).is_some() {}
            admission.forget_requests();
        });
    }
}

fn storm(admission: &Admission, thread: u32) {
    let mut waiting: Vec<Ticket> = Vec::new();
    for n in 0..20_000_u32 {
        let now = n / 16;
        let remote = IpAddr::from([10, 0, 0, (n % 5) as u8]);
        let id = InspectId { key: thread as usize, serial: n };
        if n % 3 == 0 {
            waiting.extend(admission.accept(remote, None, n, now).0);
        } else if admission.inspect(remote, id, now).0 == Verdict::Accept {
            if n % 4 == 0 {
                admission.abort(id);
            } else {
                waiting.extend(admission.accept(remote, Some(id), n, now).0);
            }
        } else if n % 7 == 0 {
            admission.abort(id);
        }
        match admission.next_decision(now) {
            Some(Decision::Accept(id)) => {
                waiting.extend(admission.accept(remote, Some(id), n, now).0);
            }
            Some(Decision::Reject(..) | Decision::Admit(_)) | None => {}
        }
        if waiting.len() > 6 {
            let mut ticket = waiting.swap_remove((n % 7) as usize);
            admission.has_place(&mut ticket);
            admission.release(ticket);
        }
    }
    for ticket in waiting {
        admission.release(ticket);
    }
}
