//! A few machines of each mode in the process of the test: enough to see that something is wrong,
//! which ends the process. Thousands of them are run by `wskhttpd sim` and its tests.
#![forbid(unsafe_code)]

use wskhttpd_sim::{Case, Mode, run};

/// Seeds that are run in each mode.
const SEEDS: u64 = 60;

#[test]
fn a_few_machines_pass() {
    let mut started = 0;
    for mode in Mode::ALL {
        for seed in 0..SEEDS {
            let (image, strike) = (None, None);
            let case = Case { seed, mode, image, interruptions: true, whole_trace: false, strike };
            started += u64::from(run(&case).started);
        }
    }
    assert!(started > SEEDS, "{started} drivers started");
}
