//! Run the driver on simulated machines.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nthost::sim::{Freedom, Taken};
use wskhttpd_abi::Counter;
use wskhttpd_sim::{Case, Mode, Report};

use crate::arguments::Sim;

/// Gauges of what is there now, which is nothing at the end of a run.
const PRESENT: [Counter; 5] = [
    Counter::ConnectionsOpen,
    Counter::Waiting,
    Counter::PlacesTaken,
    Counter::Addresses,
    Counter::Handshakes,
];

/// What many runs come to.
#[derive(Default)]
struct Sum {
    machines: u64,
    started: u64,
    reloads: u64,
    events: u64,
    clients: usize,
    turned_away: usize,
    time: Duration,
    taken: Taken,
    counters: Vec<u64>,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        self.machines += 1;
        self.started += u64::from(report.started);
        self.reloads += report.reloads;
        self.events += report.outcome.events;
        self.clients += report.clients;
        self.turned_away += report.turned_away;
        self.time += report.outcome.time;
        self.taken.add(&report.outcome.taken);
        self.counters.resize(Counter::ALL.len(), 0);
        for (sum, counter) in self.counters.iter_mut().zip(Counter::ALL) {
            *sum += report.counters.get(*counter);
        }
    }

    /// Marks, by name, and how often each was reached: what the provider and the kernel may do, and
    /// what the driver counts; why a head is rejected is for the tests of `http1`.
    fn marks(&self) -> Vec<(&'static str, u64)> {
        let freedoms =
            Freedom::ALL.iter().map(|freedom| (freedom.name(), self.taken.get(*freedom)));
        let counters = Counter::ALL.iter().zip(&self.counters);
        let is_mark = |counter: Counter| {
            !PRESENT.contains(&counter) && !counter.name().starts_with("rejected_")
        };
        let counters = counters.filter(|(counter, _)| is_mark(**counter));
        let counters = counters.map(|(counter, count)| (counter.name(), *count));
        let reloads = [("another site published", self.reloads)];
        freedoms.chain(counters).chain(reloads).collect()
    }

    fn print_marks(&self) {
        let marks = self.marks();
        for (name, count) in &marks {
            println!("{count:>12}  {name}");
        }
        let missed = marks.iter().filter(|(_, count)| *count == 0).map(|(name, _)| *name);
        let missed: Vec<&str> = missed.collect();
        let reached = marks.len() - missed.len();
        println!("marks: {reached} of {} reached; not: {}", marks.len(), missed.join(", "));
    }
}

/// Runs seeds until one fails, which ends the process. The last line is a summary.
pub(crate) fn run(sim: &Sim) -> Result<()> {
    let image = match &sim.image {
        Some(path) => {
            let octets = std::fs::read(path).with_context(|| path.display().to_string())?;
            Some((path.clone(), Arc::new(octets)))
        }
        None => None,
    };
    if sim.sweep {
        sweep(sim, image.as_ref());
        return Ok(());
    }
    if let Some(seed) = sim.seed {
        one(sim, seed, image);
        return Ok(());
    }
    let seeds = sim.seeds.clone().unwrap_or(0..100);
    let start = Instant::now();
    let mut sum = Sum::default();
    for seed in seeds.clone() {
        let mode = sim.mode.unwrap_or(mode_of(seed));
        let (image, strike) = (image.clone(), sim.fail.clone());
        let interruptions = interruptions(sim);
        let case = Case { seed, mode, image, interruptions, whole_trace: false, strike };
        sum.add(&wskhttpd_sim::run(&case));
    }
    sum.print_marks();
    println!(
        "sim: seeds {}..{} passed in {:.1} s: {} machines ({} started), {} connections ({} \
         refused), {} events, {:.0} virtual seconds, {} faults",
        seeds.start,
        seeds.end,
        start.elapsed().as_secs_f64(),
        sum.machines,
        sum.started,
        sum.clients,
        sum.turned_away,
        sum.events,
        sum.time.as_secs_f64(),
        sum.taken.faults(),
    );
    Ok(())
}

fn sweep(sim: &Sim, image: Option<&(PathBuf, Arc<Vec<u8>>)>) {
    let start = Instant::now();
    let modes = Mode::ALL.into_iter().filter(|mode| sim.mode.is_none_or(|only| only == *mode));
    let (mut sites, mut machines) = (0, 0);
    for mode in modes {
        let swept = wskhttpd_sim::sweep(mode, image);
        println!(
            "{mode}: {} sites, the start refused on {} machines",
            swept.total(),
            swept.refused
        );
        for (export, calls) in &swept.sites {
            println!("{calls:>8}  {export}");
        }
        sites += swept.total();
        machines += swept.machines;
    }
    println!(
        "sim: sweep passed in {:.1} s: {sites} sites, {machines} machines",
        start.elapsed().as_secs_f64()
    );
}

/// A sweep, and so the repetition of one of its machines, goes without.
fn interruptions(sim: &Sim) -> bool {
    !sim.uninterrupted && sim.fail.is_none()
}

/// All modes in turn.
fn mode_of(seed: u64) -> Mode {
    let at = usize::try_from(seed % 3).unwrap_or(0);
    Mode::ALL[at]
}

fn one(sim: &Sim, seed: u64, image: Option<(PathBuf, Arc<Vec<u8>>)>) {
    let mode = sim.mode.unwrap_or(mode_of(seed));
    let (whole_trace, strike) = (sim.trace, sim.fail.clone());
    let interruptions = interruptions(sim);
    let case = Case { seed, mode, image, interruptions, whole_trace, strike };
    let report = wskhttpd_sim::run(&case);
    print!("{}", report.outcome.trace);
    print!("{}", report.outcome.taken);
    println!(
        "sim: seed {seed} ({mode}) passed: {} connections ({} refused), {} events, {:.3} virtual \
         seconds, trace {:016x}",
        report.clients,
        report.turned_away,
        report.outcome.events,
        report.outcome.time.as_secs_f64(),
        report.outcome.hash,
    );
}
