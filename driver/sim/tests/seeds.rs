//! A few machines of each mode in the process of the test: enough to see that something is wrong,
//! which ends the process. Thousands of them are run by `wskhttpd sim` and its tests.
#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use nthost::sim::Strike;
use wskhttpd_abi::Counter;
use wskhttpd_sim::{Case, Mode, Report, run};

/// There is one machine at a time.
static ONE: Mutex<()> = Mutex::new(());

/// Seeds that are run in each mode, unless `WSKHTTPD_SEEDS` says how many.
const SEEDS: u64 = 60;

fn seeds() -> u64 {
    std::env::var("WSKHTTPD_SEEDS").map_or(SEEDS, |count| count.parse().expect("a number of seeds"))
}

#[test]
fn a_few_machines_pass() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut started = 0;
    for mode in Mode::ALL {
        for seed in 0..seeds() {
            let (image, strike) = (None, None);
            let case = Case { seed, mode, image, interruptions: true, whole_trace: false, strike };
            started += u64::from(run(&case).started);
        }
    }
    assert!(started > seeds(), "{started} drivers started");
}

/// A machine on which one call of `export` fails: that with this number.
fn fails_once(export: &str, first: u64, mode: Mode) -> Report {
    let strike = Some(Strike { export: export.to_owned(), first, times: 1 });
    let (seed, image) = (first, None);
    let report = run(&Case { seed, mode, image, interruptions: false, whole_trace: false, strike });
    assert_eq!(report.outcome.hits, 1, "{export}");
    report
}

#[test]
fn a_listener_that_fails_to_accept_once_is_kept() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for first in 0..4 {
        let report = fails_once("WskAccept", first, Mode::Irp);
        assert_eq!(report.counters.get(Counter::ListenersLost), 0);
    }
}

#[test]
fn a_driver_that_gets_no_thread_leaves_nothing_behind() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for mode in Mode::ALL {
        assert!(!fails_once("PsCreateSystemThread", 0, mode).started);
    }
}
