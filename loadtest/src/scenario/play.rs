//! Running a scenario against one server.

use std::fmt;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::generator::churn::churn;
use crate::generator::hold::hold;
use crate::generator::report::Report;
use crate::generator::run::run;
use crate::interrupt::Interrupt;
use crate::scenario::beside::{BesideReport, repeat};
use crate::scenario::file::{Kind, Load, Scenario};

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Played {
    /// One for each load, in their order.
    pub reports: Vec<Report>,
    /// One for each command beside them.
    pub beside: Vec<BesideReport>,
}

impl Played {
    /// True when every load ended as asked without an error, and every command succeeded. A load
    /// that may be refused may have had no answer at all.
    pub fn is_clean(&self) -> bool {
        let mut loads = self.reports.iter();
        loads.all(|report| report.is_clean() || report.is_all_refused())
            && self.beside.iter().all(|beside| beside.failures == 0)
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reports.iter().try_for_each(|report| write!(f, "{report}"))?;
        for BesideReport { command, runs, failures, first } in &self.beside {
            writeln!(f, "beside {command}")?;
            writeln!(f, "  run {runs} times, failed {failures} times")?;
            first.iter().try_for_each(|first| writeln!(f, "  first: {first}"))?;
        }
        Ok(())
    }
}

/// Runs it against the server at `base`, a URL without a path. A bar is shown when there is one
/// load and `has_bar`.
///
/// # Errors
/// It could not start. What the server does wrong is in the reports.
pub fn play(
    scenario: &Scenario,
    base: &str,
    has_bar: bool,
    interrupt: &Interrupt,
) -> Result<Played> {
    let base = base.trim_end_matches('/');
    let has_bar = has_bar && scenario.loads.len() == 1;
    let ramp_ms = scenario.loads.iter().map(|load| load.ramp_ms).max().unwrap_or_default();
    let duration = scenario.duration + Duration::from_millis(ramp_ms);
    thread::scope(|scope| {
        let play = |load| move || play_load(load, base, scenario.duration, has_bar, interrupt);
        let loads: Vec<_> = scenario.loads.iter().map(|load| scope.spawn(play(load))).collect();
        let command = |beside| move || repeat(beside, base, duration, interrupt);
        let beside: Vec<_> =
            scenario.beside.iter().map(|beside| scope.spawn(command(beside))).collect();
        let reports = loads.into_iter().map(|load| load.join().ok().context("a load panicked")?);
        let reports = reports.collect::<Result<_>>()?;
        let beside = beside.into_iter().map(|beside| beside.join().ok());
        let beside = beside.collect::<Option<_>>().context("a command's thread panicked")?;
        Ok(Played { reports, beside })
    })
}

fn play_load(
    load: &Load,
    base: &str,
    duration: Duration,
    has_bar: bool,
    interrupt: &Interrupt,
) -> Result<Report> {
    let mut kind = load.plan(base, duration);
    let plan = match &mut kind {
        Kind::Run(plan) => &mut plan.plan,
        Kind::Churn(plan) => &mut plan.plan,
        Kind::Hold(plan) => &mut plan.plan,
    };
    plan.has_bar = has_bar;
    let report = match &kind {
        Kind::Run(plan) => run(plan, interrupt),
        Kind::Churn(plan) => churn(plan, interrupt),
        Kind::Hold(plan) => hold(plan, interrupt),
    };
    let mut report = report.with_context(|| format!("load `{}`", load.name))?;
    report.subject.load.clone_from(&load.name);
    Ok(report)
}
