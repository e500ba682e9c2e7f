//! Scenario: closed loop. Every connection keeps `pipeline` requests in flight and sends the
//! next when an answer is complete, until the time or the count is used up; then it waits for
//! what is in flight, so that every request sent is answered or counted as an error.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use mio::{Events, Poll, Token};

use crate::connection::{AfterRead, Connection, SCRATCH_BYTES};
use crate::fault::{Fault, FaultClass};
use crate::interrupt::Interrupt;
use crate::plan::Plan;
use crate::progress::Bar;
use crate::report::{End, Report, Subject};
use crate::site::{Site, Sources};
use crate::tally::Tally;

/// Longest time a run that is bounded by a count may take.
pub const COUNTED_RUN_MAX: Duration = Duration::from_mins(10);
/// How long a poll waits when nothing happens, and how often waits are checked.
const TICK: Duration = Duration::from_millis(50);
/// Events taken from the system at a time.
const EVENTS_PER_POLL: usize = 1024;

/// What ends a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bound {
    /// Sending stops after this long.
    Duration(Duration),
    /// Sending stops after this many requests, or after [`COUNTED_RUN_MAX`].
    Requests(u64),
}

/// A closed-loop run.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// What all scenarios share.
    pub plan: Plan,
    /// Threads, from 1 to the number of connections.
    pub threads: usize,
    /// Requests in flight on one connection, at least 1.
    pub pipeline: usize,
    /// What ends it.
    pub bound: Bound,
}

/// What the threads of a run share.
struct Shared<'a> {
    plan: &'a RunPlan,
    site: Site,
    sources: Sources,
    interrupt: &'a Interrupt,
    started: Instant,
    answers: AtomicU64,
    faults: AtomicU64,
}

/// What one thread brings back.
struct Outcome {
    tally: Tally,
    /// Requests it had no time to send, of a run bounded by a count.
    unsent: u64,
    ended: Instant,
}

/// Runs the scenario.
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
    let mut tally = Tally::new()?;
    let mut ended = shared.started;
    let mut unsent = 0;
    for outcome in run_threads(&shared)? {
        tally.merge(outcome.tally)?;
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
        scenario: "run",
        urls: plan.plan.urls.clone(),
        connections: plan.plan.connections,
        threads: plan.threads,
        pipeline: plan.pipeline,
    };
    Ok(Report::new(subject, &tally, ended - shared.started, end))
}

fn run_threads(shared: &Shared<'_>) -> Result<Vec<Outcome>> {
    let mut workers = Vec::with_capacity(shared.plan.threads);
    for index in 0..shared.plan.threads {
        workers.push(Worker::new(shared, index)?);
    }
    thread::scope(|scope| {
        let handles: Vec<_> =
            workers.into_iter().map(|worker| scope.spawn(|| worker.work())).collect();
        let bar = Bar::new(shared.full());
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
    fn gave_up(&self) -> bool {
        self.faults.load(Ordering::Relaxed) > self.plan.plan.errors_max
    }

    fn send_for(&self) -> Duration {
        match self.plan.bound {
            Bound::Duration(duration) => duration,
            Bound::Requests(_) => COUNTED_RUN_MAX,
        }
    }

    /// Where the bar is full: milliseconds or requests.
    fn full(&self) -> u64 {
        match self.plan.bound {
            Bound::Duration(duration) => milliseconds(duration),
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
    fn share(&self, total: u64, index: usize) -> u64 {
        let threads = self.plan.threads as u64;
        total / threads + u64::from((index as u64) < total % threads)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One thread: its poll and its connections.
struct Worker<'a> {
    shared: &'a Shared<'a>,
    poll: Poll,
    slots: Vec<Slot>,
    /// Requests it may still send.
    budget: u64,
    is_sending: bool,
    tally: Tally,
    scratch: Vec<u8>,
}

/// The place of one connection, which outlives it.
struct Slot {
    connection: Option<Connection>,
    /// Number of the connection in the whole run.
    number: usize,
    next_target: usize,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared<'a>, index: usize) -> Result<Self> {
        let budget = match shared.plan.bound {
            Bound::Duration(_) => u64::MAX,
            Bound::Requests(count) => shared.share(count, index),
        };
        let numbers = (index..shared.plan.plan.connections).step_by(shared.plan.threads);
        let slot = |number| Slot { connection: None, number, next_target: number };
        Ok(Self {
            shared,
            poll: Poll::new()?,
            slots: numbers.map(slot).collect(),
            budget,
            is_sending: true,
            tally: Tally::new()?,
            scratch: vec![0; SCRATCH_BYTES],
        })
    }

    fn work(mut self) -> Result<Outcome> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        let send_until = self.shared.started + self.shared.send_for();
        let mut checked = Instant::now();
        for index in 0..self.slots.len() {
            self.open(index);
        }
        loop {
            let now = Instant::now();
            if self.is_sending && (self.budget == 0 || now >= send_until) {
                self.is_sending = false;
                (0..self.slots.len()).for_each(|index| self.feed(index, now));
            }
            if self.is_over() {
                break;
            }
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
            let before = self.tally.answers;
            for event in &events {
                self.on_event(event.token().0, event);
            }
            self.shared.answers.fetch_add(self.tally.answers - before, Ordering::Relaxed);
            if checked.elapsed() >= TICK {
                checked = Instant::now();
                self.check_waits(checked);
                // Connections that the system refused to open are not tried again.
                self.is_sending &= !self.is_empty();
            }
        }
        let unsent = match self.shared.plan.bound {
            Bound::Duration(_) => 0,
            Bound::Requests(_) => self.budget,
        };
        Ok(Outcome { tally: self.tally, unsent, ended: Instant::now() })
    }

    fn is_over(&self) -> bool {
        let is_done = !self.is_sending && self.is_empty();
        is_done || self.shared.interrupt.is_raised() || self.shared.gave_up()
    }

    fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| slot.connection.is_none())
    }

    fn open(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let source = self.shared.sources.of(slot.number);
        let (address, now) = (self.shared.site.address, Instant::now());
        match Connection::open(address, source, self.poll.registry(), Token(index), now) {
            Ok(connection) => slot.connection = Some(connection),
            // Not tried again: the system has no socket or port for it.
            Err(fault) => self.count(fault, 0),
        }
    }

    fn on_event(&mut self, index: usize, event: &mio::event::Event) {
        let Self { slots, tally, shared, scratch, .. } = self;
        let Some(connection) = slots[index].connection.as_mut() else { return };
        let mut outcome = Ok(AfterRead::Open);
        if event.is_writable() || event.is_error() {
            outcome = connection.on_writable().map(|()| AfterRead::Open);
        }
        let is_ended = event.is_read_closed() || event.is_error();
        if outcome.is_ok() && connection.is_connected() && (event.is_readable() || is_ended) {
            let mut now = None;
            outcome = connection.on_readable(&shared.site, scratch, is_ended, |answer| {
                // Answers read at once were complete at once.
                tally.answer(answer, *now.get_or_insert_with(Instant::now));
            });
        }
        match outcome {
            Ok(AfterRead::Open) => self.feed(index, Instant::now()),
            Ok(AfterRead::ClosedByPeer) => {
                slots[index].connection = None;
                if self.is_sending && self.budget > 0 {
                    self.tally.reconnects += 1;
                    self.open(index);
                }
            }
            Err(fault) => self.fail(index, fault),
        }
    }

    /// Sends what may be sent, or lets go of a connection that has nothing left to do.
    fn feed(&mut self, index: usize, now: Instant) {
        let slot = &mut self.slots[index];
        let Some(connection) = slot.connection.as_mut() else { return };
        if !connection.is_connected() {
            return;
        }
        while self.is_sending
            && self.budget > 0
            && connection.in_flight() < self.shared.plan.pipeline
        {
            connection.queue(&self.shared.site, slot.next_target, now);
            slot.next_target += 1;
            self.budget -= 1;
        }
        if connection.in_flight() == 0 {
            slot.connection = None;
        } else if let Err(fault) = connection.flush() {
            self.fail(index, fault);
        }
    }

    fn check_waits(&mut self, now: Instant) {
        let timeout = self.shared.plan.plan.timeout;
        for index in 0..self.slots.len() {
            let Some(connection) = self.slots[index].connection.as_ref() else { continue };
            let is_late = connection
                .waiting_since()
                .is_some_and(|since| now.saturating_duration_since(since) > timeout);
            if is_late {
                let what = if connection.is_connected() { "answer" } else { "connection" };
                let detail = format!("no {what} within {timeout:?}");
                self.fail(index, Fault::new(FaultClass::Timeout, detail));
            }
        }
    }

    /// Counts a fault, drops its connection, and opens another while there is work.
    fn fail(&mut self, index: usize, fault: Fault) {
        let lost = self.slots[index].connection.take();
        self.count(fault, lost.map_or(0, |connection| connection.in_flight()));
        if self.is_sending && self.budget > 0 && !self.shared.gave_up() {
            self.open(index);
        }
    }

    fn count(&mut self, fault: Fault, unanswered: usize) {
        self.tally.fault(fault, unanswered);
        self.shared.faults.fetch_add(1, Ordering::Relaxed);
    }
}
