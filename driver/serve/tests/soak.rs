//! A few seconds of everything at once, over the lives of the default binary.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use loadtest::interrupt::Interrupt;
use loadtest::scenario::file::Scenario;
use loadtest::scenario::shipped;
use loadtest::soak::{SoakPlan, Subject, soak};

#[test]
fn a_life_is_flat_and_leaves_nothing() {
    let scenario = shipped::find("soak").unwrap();
    let plan = SoakPlan {
        scenario: Scenario { duration: Duration::from_secs(1), ..scenario },
        server: Subject::Program(PathBuf::from(env!("CARGO_BIN_EXE_wskhttpd"))),
        duration: Duration::from_secs(3),
        rounds_per_life: 2,
    };
    let report = soak(&plan, &Interrupt::default()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(!report.lives.is_empty() && report.rounds >= 2, "{report}");
}
