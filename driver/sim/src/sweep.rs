//! Every call that can fail, failing once, then twice in a row.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use nthost::sim::{Strike, fail};

use crate::scenario::{Case, Mode, run};

/// Seeds of the machines that are swept: together they do what a driver has to do.
const SEEDS: [u64; 3] = [6, 7, 11];

/// What was swept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Calls that failed, by export: each once alone, and once with the next.
    pub sites: BTreeMap<&'static str, u64>,
    /// Machines that it took.
    pub machines: u64,
    /// Machines on which the driver refused to start.
    pub refused: u64,
}

impl Sweep {
    /// All sites.
    pub fn total(&self) -> u64 {
        self.sites.values().sum()
    }
}

/// Sweeps one mode: all calls that a run without failures makes. A machine that does not survive
/// one ends the process with a report.
pub fn sweep(mode: Mode, image: Option<&(PathBuf, Arc<Vec<u8>>)>) -> Sweep {
    let mut sweep = Sweep::default();
    for seed in SEEDS {
        sweep_seed(
            &mut sweep,
            Case {
                seed,
                mode,
                image: image.cloned(),
                interruptions: false,
                whole_trace: false,
                strike: None,
            },
        );
    }
    sweep
}

fn sweep_seed(sweep: &mut Sweep, mut case: Case) {
    // What nothing fails of says how many calls there are.
    case.strike = Some(Strike { export: String::new(), first: 0, times: 0 });
    for (export, calls) in run(&case).outcome.calls {
        for first in 0..calls {
            for times in [1, 2] {
                case.strike = Some(Strike { export: export.to_owned(), first, times });
                let report = run(&case);
                // Until then the run is the one that counted the calls.
                if report.outcome.hits == 0 {
                    fail(&format!("call {first} of {export} was not made"));
                }
                sweep.machines += 1;
                sweep.refused += u64::from(!report.started);
            }
        }
        *sweep.sites.entry(export).or_default() += calls;
    }
}
