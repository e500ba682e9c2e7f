//! Load over many connections. In a closed loop every connection keeps `pipeline` requests in
//! flight and sends the next when an answer is complete; in an open loop requests begin at a rate,
//! on whichever connection is free. When the time or the count is used up it waits for what is in
//! flight, so that every request sent is answered or counted as an error.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::generator::plan::Plan;
use crate::generator::report::{End, Report, Subject};
use crate::generator::site::{Site, Sources};
use crate::generator::tally::Tally;
use crate::generator::worker::{Outcome, TICK, Worker};
use crate::interrupt::Interrupt;
use crate::progress::Bar;

/// Longest time a run that is bounded by a count may take.
pub const COUNTED_RUN_MAX: Duration = Duration::from_mins(10);

/// What ends a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bound {
    /// Sending stops this long after the ramp.
    Duration(Duration),
    /// Sending stops after this many requests, or after [`COUNTED_RUN_MAX`].
    Requests(u64),
}

/// How long connections last.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reuse {
    /// For as long as the peer keeps them.
    #[default]
    KeepAlive,
    /// For one request, which says so; latency counts from the SYN.
    Close,
}

/// What begins a request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// The answer before it: closed loop.
    #[default]
    Answers,
    /// So many begin per second, whatever the answers do: open loop.
    PerSecond(f64),
}

/// A run.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// What all kinds of load share.
    pub plan: Plan,
    /// Threads, from 1 to the number of connections.
    pub threads: usize,
    /// Requests in flight on one connection at most, at least 1.
    pub pipeline: usize,
    /// How long connections last; with [`Reuse::Close`] `pipeline` is 1.
    pub reuse: Reuse,
    /// What begins a request.
    pub pace: Pace,
    /// How long the rate, or the number of connections, rises. Not measured.
    pub ramp: Duration,
    /// What ends it.
    pub bound: Bound,
}

impl RunPlan {
    /// A closed loop on one thread, one request in flight on each connection.
    pub fn new(plan: Plan, bound: Bound) -> Self {
        Self {
            plan,
            threads: 1,
            pipeline: 1,
            reuse: Reuse::KeepAlive,
            pace: Pace::Answers,
            ramp: Duration::ZERO,
            bound,
        }
    }
}

/// What the threads of a run share.
pub(super) struct Shared<'a> {
    pub(super) plan: &'a RunPlan,
    pub(super) site: Site,
    pub(super) sources: Sources,
    pub(super) interrupt: &'a Interrupt,
    pub(super) started: Instant,
    /// Answers so far, for the bar.
    pub(super) answers: AtomicU64,
    pub(super) faults: AtomicU64,
}

/// Runs it.
///
/// # Errors
/// It could not start, or the system failed underneath it. What the peer does wrong is in the
/// report.
pub fn run(plan: &RunPlan, interrupt: &Interrupt) -> Result<Report> {
    let (site, sources) = plan.plan.prepare()?;
    let shared = Shared {
        plan,
        site,
        sources,
        interrupt,
        started: Instant::now(),
        answers: AtomicU64::new(0),
        faults: AtomicU64::new(0),
    };
    let mut tally = Tally::new(shared.started, plan.ramp, plan.plan.refusals)?;
    let mut ended = shared.started;
    let mut unsent = 0;
    for outcome in run_threads(&shared)? {
        tally.merge(&outcome.tally)?;
        ended = ended.max(outcome.ended);
        unsent += outcome.unsent;
    }
    let end = if interrupt.is_raised() {
        End::Interrupted
    } else if shared.gave_up() {
        End::TooManyErrors
    } else if unsent > 0 {
        End::Unfinished
    } else {
        End::Completed
    };
    let subject = Subject {
        load: "run".to_owned(),
        urls: plan.plan.urls(),
        connections: plan.plan.connections,
        threads: plan.threads,
        pipeline: plan.pipeline,
    };
    let mut report = Report::new(subject, tally, ended - shared.started, plan.ramp, end);
    report.unsent = unsent;
    Ok(report)
}

fn run_threads(shared: &Shared<'_>) -> Result<Vec<Outcome>> {
    let mut workers = Vec::with_capacity(shared.plan.threads);
    for index in 0..shared.plan.threads {
        workers.push(Worker::new(shared, index)?);
    }
    thread::scope(|scope| {
        let handles: Vec<_> =
            workers.into_iter().map(|worker| scope.spawn(|| worker.work())).collect();
        let bar = Bar::new(shared.plan.plan.has_bar, shared.full());
        while !handles.iter().all(thread::ScopedJoinHandle::is_finished) {
            thread::sleep(TICK);
            let answers = shared.answers.load(Ordering::Relaxed);
            bar.show(shared.position(answers), answers, shared.started.elapsed());
        }
        bar.clear();
        let joined = handles.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|outcome| outcome.map_err(|_| anyhow!("a thread panicked"))?).collect()
    })
}

impl Shared<'_> {
    pub(super) fn gave_up(&self) -> bool {
        self.faults.load(Ordering::Relaxed) > self.plan.plan.errors_max
    }

    /// When no more requests begin.
    pub(super) fn send_until(&self) -> Instant {
        let send_for = match self.plan.bound {
            Bound::Duration(duration) => self.plan.ramp + duration,
            Bound::Requests(_) => COUNTED_RUN_MAX,
        };
        self.started + send_for
    }

    /// Where the bar is full: milliseconds or requests.
    fn full(&self) -> u64 {
        match self.plan.bound {
            Bound::Duration(duration) => milliseconds(self.plan.ramp + duration),
            Bound::Requests(count) => count,
        }
    }

    fn position(&self, answers: u64) -> u64 {
        match self.plan.bound {
            Bound::Duration(_) => milliseconds(self.started.elapsed()),
            Bound::Requests(_) => answers,
        }
    }

    /// The share of worker `index` in `total`.
    pub(super) fn share(&self, total: u64, index: usize) -> u64 {
        let threads = self.plan.threads as u64;
        total / threads + u64::from((index as u64) < total % threads)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
