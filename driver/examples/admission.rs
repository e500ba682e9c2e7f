//! What a decision costs with so many addresses in the table:
//!
//!     cargo run --release -p wskhttpd --example admission -- 10
//!     valgrind --tool=callgrind --toggle-collect='*decide*' target/release/examples/admission 10
//!
//! Prints nanoseconds per decision; callgrind counts the instructions of as many.
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use nthost::{Host, Options};
use wskhttpd::admission::address::PrefixLengths;
use wskhttpd::admission::table::Allowance;
use wskhttpd::admission::{Admission, Lists, Overload, RefuseWith, Rules, Ticket};

/// Decisions that are measured: connections that come and go.
const DECISIONS: u32 = 200_000;

/// An address of a /64 of its own, far from its neighbours in memory.
fn address(number: u32) -> IpAddr {
    let spread = u128::from(number.wrapping_mul(0x9E37_79B1));
    IpAddr::V6(Ipv6Addr::from_bits(0x2001_0DB8 << 96 | spread << 64))
}

fn come(admission: &Admission, number: u32) -> Ticket {
    admission.accept(address(number), None, 0, 0).0.expect("a place")
}

#[inline(never)]
fn decide(admission: &Admission, addresses: u32) {
    for number in 0..DECISIONS {
        let ticket = come(admission, number % addresses);
        admission.release(ticket);
    }
}

fn main() {
    let addresses: u32 = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(10);
    let host = Host::start(Options { processors: 1, ..Options::default() }).expect("a host");
    let rules = Rules {
        connections_max: 1_048_576,
        reserved: 0,
        handshakes_max: 64,
        allowance: Allowance { connections: 1_024, per_second: 0, burst: 1, tick_ms: 125 },
        prefix_lengths: PrefixLengths { v4: 32, v6: 64 },
        overload: Overload::Reject,
        hold_max: 0,
        hold_ticks: 0,
        refuse_with: RefuseWith::Reset,
    };
    let admission = Admission::new(rules, Lists::empty().expect("lists"), [3, 4]).expect("tables");
    let tickets: Vec<Ticket> = (0..addresses).map(|number| come(&admission, number)).collect();
    let start = Instant::now();
    decide(&admission, addresses);
    let nanoseconds = start.elapsed().as_nanos() / u128::from(DECISIONS);
    println!("{addresses} addresses: {nanoseconds} ns per decision, accepted and released");
    for ticket in tickets {
        admission.release(ticket);
    }
    drop((admission, host));
}
