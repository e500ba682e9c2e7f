//! A connection for each request, against right and wrong peers.

use std::time::Duration;

use crate::peer::{PATIENCE, Peer, Wrong};
use loadtest::generator::churn::{ChurnPlan, churn};
use loadtest::generator::plan::{Ask, Plan};
use loadtest::generator::report::Report;
use loadtest::generator::run::Bound;
use loadtest::interrupt::Interrupt;

fn report(peer: &Peer, count: u64, rude: bool, timeout: Duration) -> Report {
    paced(peer, count, rude, timeout, Duration::ZERO)
}

fn paced(peer: &Peer, count: u64, rude: bool, timeout: Duration, pace: Duration) -> Report {
    let plan = Plan {
        asks: ["/a", "/b"].map(|path| Ask::get(peer.url(path))).into(),
        connections: 3,
        timeout,
        errors_max: 20,
        ..Plan::default()
    };
    let plan = ChurnPlan {
        rude,
        send_pace: pace,
        read_pace: pace,
        ..ChurnPlan::new(plan, Bound::Requests(count))
    };
    churn(&plan, &Interrupt::default()).expect("a report")
}

#[test]
fn each_connection_gets_one_answer() {
    let peer = Peer::start(Wrong::Announced, 2);
    let report = report(&peer, 100, false, PATIENCE);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.answers, 100);
    assert_eq!(peer.requests(), 102, "two were the first answers");
}

#[test]
fn rude_clients_want_one_answer_in_four() {
    let peer = Peer::start(Wrong::Announced, 2);
    let report = report(&peer, 100, true, PATIENCE);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.answers, 25);
}

#[test]
fn slow_clients_take_their_time_and_get_one_answer() {
    let peer = Peer::start(Wrong::Announced, 2);
    let pace = Duration::from_millis(5);
    let report = paced(&peer, 9, false, PATIENCE, pace);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.answers, 9);
    // Three clients, three requests in turn, eight pieces each.
    assert!(report.elapsed_s >= 3.0 * 8.0 * pace.as_secs_f64(), "{report}");
}

#[test]
fn a_wrong_answer_and_none_are_errors() {
    for (wrong, class) in
        [(Wrong::Byte, "content"), (Wrong::EndsBefore, "closed"), (Wrong::Status, "status")]
    {
        // Until it goes wrong the peer does not end its connections, so the clients give up.
        let peer = Peer::start(wrong, 4);
        let report = report(&peer, 12, false, Duration::from_millis(300));
        assert!(report.errors_by_class.contains_key(class), "{wrong:?}: {report}");
    }
}
