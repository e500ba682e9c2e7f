//! The open loop: requests begin when they are due, and count from then.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::peer::{PATIENCE, Peer, Wrong};
use loadtest::generator::plan::{Ask, Plan};
use loadtest::generator::report::{End, Report};
use loadtest::generator::run::{Bound, Pace, Reuse, RunPlan, run};
use loadtest::interrupt::Interrupt;

const STALL: Duration = Duration::from_millis(200);

/// A server of one connection at a time that stalls once, before the answer of this number.
fn stalling(number: u64) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
    let url = format!("http://{}/a", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        let mut answered = 0;
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut buffer = [0; 1024];
            while let Ok(1..) = stream.read(&mut buffer) {
                if answered == number {
                    thread::sleep(STALL);
                }
                answered += 1;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
                if stream.write_all(answer).is_err() {
                    break;
                }
            }
        }
    });
    url
}

fn plan(url: String, connections: usize, bound: Bound, pace: Pace) -> RunPlan {
    let asks = vec![Ask::get(url)];
    let plan = Plan { asks, connections, timeout: PATIENCE, ..Plan::default() };
    RunPlan { pace, ..RunPlan::new(plan, bound) }
}

fn start(plan: &RunPlan) -> Report {
    run(plan, &Interrupt::default()).expect("a report")
}

#[test]
fn a_stall_shows_in_an_open_loop_where_a_closed_one_hides_it() {
    const REQUESTS: u64 = 600;
    let report_of = |pace| {
        let plan = plan(stalling(REQUESTS / 2), 1, Bound::Requests(REQUESTS), pace);
        let report = start(&plan);
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.answers, REQUESTS);
        report
    };
    let stall_us = 200_000.0;
    // One answer of 600 was late, says the closed loop. Its 90th percentile says nothing, nor would
    // its 99th on a machine that does nothing else.
    let closed = report_of(Pace::Answers);
    assert!(closed.latency_us.max >= stall_us, "{closed}");
    assert!(closed.latency_us.p90 < stall_us / 4.0, "{closed}");
    // At 1000 a second 200 were to begin meanwhile; each of them was late by what was left.
    let open = report_of(Pace::PerSecond(1000.0));
    assert!(open.latency_us.max >= stall_us, "{open}");
    assert!(open.latency_us.p99 > stall_us * 0.75, "{open}");
    assert!(open.latency_us.p90 > stall_us / 4.0, "{open}");
}

#[test]
fn the_rate_is_kept_and_the_count_is_exact() {
    for reuse in [Reuse::KeepAlive, Reuse::Close] {
        // The two first answers excepted, this peer ends each connection as it is asked to.
        let wrong = if reuse == Reuse::Close { Wrong::Announced } else { Wrong::Never };
        let peer = Peer::start(wrong, 1);
        let mut plan = plan(peer.url("/a"), 8, Bound::Requests(200), Pace::PerSecond(1000.0));
        plan.threads = 2;
        plan.reuse = reuse;
        let report = start(&plan);
        assert!(report.is_clean(), "{reuse:?}: {report}");
        assert_eq!((report.answers, peer.requests()), (200, 201), "{reuse:?}");
        // Not early. The last of 200 is due after 199 ms.
        assert!(report.elapsed_s >= 0.199, "{reuse:?}: {report}");
    }
}

#[test]
fn requests_that_could_not_begin_are_not_forgotten() {
    // One connection, one request in flight, and a server that never answers from the third on.
    let peer = Peer::start(Wrong::Silent, 3);
    let bound = Bound::Duration(Duration::from_millis(300));
    let mut plan = plan(peer.url("/a"), 1, bound, Pace::PerSecond(1000.0));
    plan.plan.timeout = Duration::from_millis(200);
    let report = start(&plan);
    assert_eq!(report.end, End::Unfinished, "{report}");
    assert!(report.unsent > 250, "{report}");
    assert_eq!(report.answers + report.unanswered + report.unsent, 300, "{report}");
}

#[test]
fn a_ramp_is_not_measured() {
    for pace in [Pace::Answers, Pace::PerSecond(500.0)] {
        let peer = Peer::start(Wrong::Never, 0);
        let bound = Bound::Duration(Duration::from_millis(200));
        let mut plan = plan(peer.url("/a"), 4, bound, pace);
        plan.ramp = Duration::from_millis(200);
        let report = start(&plan);
        assert!(report.is_clean(), "{report}");
        // The last of an open loop is due 2 ms before the end.
        assert!(report.elapsed_s >= 0.398, "{report}");
        let measured = report.latency_ns.len();
        assert!(measured > 0 && measured < report.answers, "{measured} of {report}");
        if pace != Pace::Answers {
            assert_eq!((measured, report.answers), (100, 150), "{report}");
        }
    }
}
