//! Held connections against a right peer and wrong ones, and the command around the scenarios.

use std::process::Command;
use std::time::Duration;

use crate::peer::{PATIENCE, Peer, Wrong};
use loadtest::generator::hold::{HoldPlan, hold};
use loadtest::generator::plan::{Ask, Plan};
use loadtest::generator::report::Report;
use loadtest::interrupt::Interrupt;

fn report_of(peer: &Peer, sources: Option<u8>) -> Report {
    let plan = Plan {
        asks: vec![Ask::get(peer.url("/a"))],
        connections: 300,
        timeout: PATIENCE,
        errors_max: 1000,
        sources,
        ..Plan::default()
    };
    let plan = HoldPlan { plan, hold: Duration::from_millis(100) };
    hold(&plan, &Interrupt::default()).expect("a report")
}

#[test]
fn every_connection_is_answered_twice_and_held() {
    for sources in [None, Some(3)] {
        let peer = Peer::start(Wrong::Never, 0);
        let report = report_of(&peer, sources);
        assert!(report.is_clean(), "{report}");
        assert_eq!((report.answers, report.held), (600, Some(300)));
        assert_eq!(peer.requests(), 601);
    }
}

#[test]
fn a_wrong_byte_in_the_second_round_is_detected() {
    let report = report_of(&Peer::start(Wrong::Byte, 501), None);
    assert_eq!(report.errors_by_class["content"].count, 100, "{report}");
    assert_eq!((report.answers, report.held), (500, Some(200)));
}

#[test]
fn connections_that_end_while_held_are_errors() {
    let report = report_of(&Peer::start(Wrong::Announced, 251), None);
    assert_eq!(report.errors_by_class["closed"].count, 300, "{report}");
    assert_eq!(report.held, Some(0));
}

#[test]
fn the_exit_code_says_whether_all_was_right() {
    let command = |peer: &Peer, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        let output = command.args(arguments).arg(peer.url("/a")).output().expect("it runs");
        let printed = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), printed, String::from_utf8(output.stderr).expect("text"))
    };
    let run = ["run", "--requests", "50", "--connections", "3", "--json"];
    let (code, printed, other) = command(&Peer::start(Wrong::Never, 0), &run);
    assert_eq!(code, Some(0), "{other}");
    assert!(other.is_empty(), "no progress bar where there is no terminal: {other}");
    let report: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!((&report["answers"], &report["errors"]), (&50.into(), &0.into()));

    let (code, printed, _) = command(&Peer::start(Wrong::Byte, 20), &run[..5]);
    assert_eq!(code, Some(1));
    assert!(printed.contains("is not what it has to be"), "{printed}");

    let (code, printed, _) =
        command(&Peer::start(Wrong::Never, 0), &["hold", "--connections", "40", "--seconds", "0"]);
    assert_eq!(code, Some(0));
    assert!(printed.contains("40 of 40"), "{printed}");

    let (code, _, other) = command(&Peer::start(Wrong::EndsBefore, 0), &run);
    assert_eq!(code, Some(2));
    assert!(other.contains("the first answer"), "{other}");
}
