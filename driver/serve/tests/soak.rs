//! A few seconds of everything at once, over the lives of the default binary.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use loadtest::interrupt::Interrupt;
use loadtest::plan::Plan;
use loadtest::soak::{SoakPlan, soak};

#[test]
fn a_life_is_flat_and_leaves_nothing() {
    let plan = SoakPlan {
        plan: Plan {
            urls: Vec::new(),
            status: 200,
            check_content: true,
            connections: 1,
            timeout: Duration::from_mins(1),
            errors_max: 100,
            sources: None,
            source: None,
        },
        start: Some(PathBuf::from(env!("CARGO_BIN_EXE_wskhttpd"))),
        duration: Duration::from_secs(3),
        round: Duration::from_secs(1),
        rounds_per_life: 2,
    };
    let report = soak(&plan, &Interrupt::default()).unwrap();
    assert!(report.is_clean(), "{report}");
    assert!(!report.lives.is_empty() && report.rounds >= 2, "{report}");
}
