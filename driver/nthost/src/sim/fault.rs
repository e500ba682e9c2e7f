//! Calls that fail: by chance, or one by one in a sweep.
use std::collections::BTreeMap;

use super::freedom::Freedom;
use super::world::{is_on, with};

/// Failures to be: of the calls of one export, those from number `first` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// The export, or the WSK function.
    pub export: String,
    /// Number of the first call that fails, from 0 on.
    pub first: u64,
    /// How many calls fail.
    pub times: u64,
}

/// What fails, and what was called.
#[derive(Default)]
pub(crate) struct Plan {
    pub(super) strike: Option<Strike>,
    /// Calls that may fail, by export.
    pub(super) calls: BTreeMap<&'static str, u64>,
    /// Calls that the strike hit.
    pub(super) hits: u64,
}

impl Plan {
    /// Something fails by plan, or is counted for one.
    pub(super) fn is_sweep(&self) -> bool {
        self.strike.is_some()
    }

    fn is_struck(&mut self, export: &'static str) -> bool {
        let count = self.calls.entry(export).or_default();
        let number = *count;
        *count += 1;
        let struck = self.strike.as_ref().is_some_and(|strike| {
            strike.export == export && (strike.first..strike.first + strike.times).contains(&number)
        });
        self.hits += u64::from(struck);
        struck
    }
}

/// True when this call of `export` is to fail, which anything may feel. Never where nothing is
/// simulated.
pub(crate) fn fails(export: &'static str, freedom: Freedom) -> bool {
    let fails = fails_alone(export, freedom);
    if fails {
        with(|world| world.network.fault());
    }
    fails
}

/// The same, of a call that only one connection feels.
pub(super) fn fails_alone(export: &'static str, freedom: Freedom) -> bool {
    if !is_on() {
        return false;
    }
    with(|world| {
        let struck = world.plan.is_struck(export);
        if struck {
            world.freedoms.count(freedom);
        }
        let fails = struck || world.take(freedom);
        if fails {
            world.note("fails", freedom as usize, 0);
        }
        fails
    })
}
