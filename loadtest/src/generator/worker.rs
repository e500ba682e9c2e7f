//! One thread of a run: its poll and its connections.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use mio::event::Event;
use mio::{Events, Poll, Token};

use crate::generator::connection::{AfterRead, Checker, Connection};
use crate::generator::fault::{Fault, FaultClass};
use crate::generator::run::{Bound, Pace, Reuse, Shared};
use crate::generator::schedule::Schedule;
use crate::generator::tally::Tally;
use crate::generator::timer::Timer;

/// How long a poll waits when nothing happens, how often waits are checked, and how long a
/// connection that failed stays away.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// Events taken from the system at a time.
const EVENTS_PER_POLL: usize = 1024;
const TIMER: Token = Token(usize::MAX);

/// What a thread brings back.
pub(super) struct Outcome {
    pub(super) tally: Tally,
    /// Requests that were to begin and did not.
    pub(super) unsent: u64,
    pub(super) ended: Instant,
}

pub(super) struct Worker<'a> {
    shared: &'a Shared<'a>,
    poll: Poll,
    timer: Timer,
    slots: Vec<Slot>,
    /// Slots that have begun; the others wait for their part of the ramp.
    begun: usize,
    /// When requests begin, of an open loop.
    schedule: Option<Schedule>,
    /// Slots that can take a request, of an open loop.
    ready: VecDeque<usize>,
    /// Slots whose connection failed, until the next tick.
    failed: Vec<usize>,
    /// Requests it may still send.
    budget: u64,
    is_sending: bool,
    tally: Tally,
    checker: Checker,
}

/// The place of one connection, which outlives it.
struct Slot {
    connection: Option<Connection>,
    /// Number of the connection in the whole run.
    number: usize,
    /// Number of its next request.
    next: usize,
    is_ready: bool,
}

impl<'a> Worker<'a> {
    #[allow(clippy::cast_precision_loss, reason = "few threads")]
    pub(super) fn new(shared: &'a Shared<'a>, index: usize) -> Result<Self> {
        let plan = shared.plan;
        let budget = match plan.bound {
            Bound::Duration(_) => u64::MAX,
            Bound::Requests(count) => shared.share(count, index),
        };
        let schedule = match plan.pace {
            Pace::Answers => None,
            Pace::PerSecond(rate) => {
                let threads = plan.threads as f64;
                let (rate, phase) = (rate / threads, index as f64 / threads);
                let until = shared.send_until();
                Some(Schedule::new(shared.started, until, rate, plan.ramp, phase))
            }
        };
        let numbers = (index..plan.plan.connections).step_by(plan.threads);
        let slot = |number| Slot { connection: None, number, next: number, is_ready: false };
        let poll = Poll::new()?;
        Ok(Self {
            shared,
            timer: Timer::new(poll.registry(), TIMER)?,
            poll,
            slots: numbers.map(slot).collect(),
            begun: 0,
            schedule,
            ready: VecDeque::new(),
            failed: Vec::new(),
            budget,
            is_sending: true,
            tally: Tally::new(shared.started, plan.ramp, plan.plan.refusals)?,
            checker: Checker::new(&shared.site),
        })
    }

    pub(super) fn work(mut self) -> Result<Outcome> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        let mut ticked = Instant::now();
        loop {
            let now = Instant::now();
            if self.is_sending && self.is_all_sent(now) {
                self.is_sending = false;
                (0..self.slots.len()).for_each(|index| self.feed(index, now));
            }
            if self.is_over() {
                break;
            }
            self.begin(now);
            self.dispatch(now);
            if let Some(at) = self.next_wake(now) {
                self.timer.set(at, now)?;
            }
            match self.poll.poll(&mut events, Some(TICK)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
            let before = self.tally.answers;
            for event in events.iter().filter(|event| event.token() != TIMER) {
                self.on_event(event.token().0, event);
            }
            self.shared.answers.fetch_add(self.tally.answers - before, Ordering::Relaxed);
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                self.check_waits(ticked);
                for index in std::mem::take(&mut self.failed) {
                    self.start(index, ticked);
                }
            }
        }
        let ended = Instant::now();
        let unsent = match (self.shared.plan.bound, &self.schedule) {
            (Bound::Requests(_), _) => self.budget,
            (Bound::Duration(_), Some(schedule)) => schedule.overdue(ended),
            (Bound::Duration(_), None) => 0,
        };
        Ok(Outcome { tally: self.tally, unsent, ended })
    }

    /// True when no further request begins. What was due in an open loop gets the time of one wait
    /// after the end.
    fn is_all_sent(&self, now: Instant) -> bool {
        let until = self.shared.send_until();
        let is_late = match &self.schedule {
            None => now >= until,
            Some(schedule) => {
                schedule.next_at().is_none() || now >= until + self.shared.plan.plan.timeout
            }
        };
        self.budget == 0 || is_late
    }

    fn is_over(&self) -> bool {
        let is_done = !self.is_sending && self.slots.iter().all(|slot| slot.connection.is_none());
        is_done || self.shared.interrupt.is_raised() || self.shared.gave_up()
    }

    /// Starts the slots that are due: all at once, or one by one over the ramp of a closed loop.
    fn begin(&mut self, now: Instant) {
        while let Some(at) = self.next_beginning()
            && at <= now
        {
            let index = self.begun;
            self.begun += 1;
            self.start(index, now);
        }
    }

    fn next_beginning(&self) -> Option<Instant> {
        let slot = self.slots.get(self.begun)?;
        let plan = self.shared.plan;
        if self.schedule.is_some() || plan.ramp.is_zero() {
            return Some(self.shared.started);
        }
        let part = f64::from(u32::try_from(slot.number).unwrap_or(u32::MAX))
            / f64::from(u32::try_from(plan.plan.connections).unwrap_or(u32::MAX));
        Some(self.shared.started + plan.ramp.mul_f64(part))
    }

    /// Gives the requests that are due to slots that can take one.
    fn dispatch(&mut self, now: Instant) {
        while self.budget > 0
            && self.next_arrival().is_some_and(|at| at <= now)
            && let Some(index) = self.ready.pop_front()
        {
            self.slots[index].is_ready = false;
            self.feed(index, now);
        }
    }

    fn next_arrival(&self) -> Option<Instant> {
        self.schedule.as_ref().and_then(Schedule::next_at)
    }

    /// The next moment at which something has to be done that no event announces.
    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let arrival = self.next_arrival().filter(|_| !self.ready.is_empty() && self.is_sending);
        let beginning = self.next_beginning();
        arrival.into_iter().chain(beginning).min().filter(|at| *at < now + TICK)
    }

    /// Takes the next request if one is to begin now; since when its latency counts.
    fn next_request(&mut self, now: Instant) -> Option<Instant> {
        if !self.is_sending || self.budget == 0 {
            return None;
        }
        let at = match &mut self.schedule {
            None => now,
            Some(schedule) => schedule.take(now)?,
        };
        self.budget -= 1;
        Some(at)
    }

    /// Puts a slot to work that has no connection.
    fn start(&mut self, index: usize, now: Instant) {
        if self.shared.plan.reuse == Reuse::KeepAlive && self.is_sending && self.budget > 0 {
            self.open(index, now);
        } else {
            self.feed(index, now);
        }
    }

    fn open(&mut self, index: usize, now: Instant) -> bool {
        let slot = &mut self.slots[index];
        let source = self.shared.sources.of(slot.number);
        let address = self.shared.site.address;
        match Connection::open(address, source, self.poll.registry(), Token(index), now) {
            Ok(connection) => {
                slot.connection = Some(connection);
                true
            }
            Err(fault) => {
                self.fail(index, fault);
                false
            }
        }
    }

    fn on_event(&mut self, index: usize, event: &Event) {
        let Self { slots, tally, shared, checker, .. } = self;
        let Some(connection) = slots[index].connection.as_mut() else { return };
        let mut outcome = Ok(AfterRead::Open);
        if event.is_writable() || event.is_error() {
            outcome = connection.on_writable().map(|()| AfterRead::Open);
        }
        let is_ended = event.is_read_closed() || event.is_error();
        let mut now = None;
        if outcome.is_ok() && connection.is_connected() && (event.is_readable() || is_ended) {
            outcome = connection.on_readable(&shared.site, checker, is_ended, |answer| {
                // Answers read at once were complete at once.
                tally.answer(answer, *now.get_or_insert_with(Instant::now));
            });
        }
        let now = now.unwrap_or_else(Instant::now);
        match outcome {
            Ok(AfterRead::Open) => self.feed(index, now),
            Ok(AfterRead::ClosedByPeer) => {
                slots[index].connection = None;
                if self.shared.plan.reuse == Reuse::KeepAlive && self.is_sending && self.budget > 0
                {
                    self.tally.reconnects += 1;
                }
                self.start(index, now);
            }
            Err(fault) => self.fail(index, fault),
        }
    }

    /// Sends what may be sent, or lets go of a connection that has nothing left to do.
    fn feed(&mut self, index: usize, now: Instant) {
        match self.shared.plan.reuse {
            Reuse::KeepAlive => self.feed_open(index, now),
            Reuse::Close => self.feed_closed(index, now),
        }
    }

    /// More requests on a connection that stays.
    fn feed_open(&mut self, index: usize, now: Instant) {
        let Self { shared, .. } = *self;
        let is_usable =
            |connection: &&mut Connection| connection.is_connected() && !connection.is_ending();
        while let Some(connection) = self.slots[index].connection.as_mut().filter(is_usable)
            && connection.in_flight() < shared.plan.pipeline
        {
            let Some(at) = self.next_request(now) else { break };
            let Slot { connection: Some(connection), next, .. } = &mut self.slots[index] else {
                break;
            };
            connection.queue(&shared.site, shared.site.target(*next), at, now);
            *next += 1;
        }
        let slot = &mut self.slots[index];
        let Some(connection) = slot.connection.as_mut().filter(is_usable) else { return };
        if let Err(fault) = connection.flush() {
            self.fail(index, fault);
        } else if !self.is_sending || self.budget == 0 {
            if connection.in_flight() == 0 {
                slot.connection = None;
            }
        } else if connection.in_flight() < shared.plan.pipeline {
            self.make_ready(index);
        }
    }

    /// A connection for the next request, when the one before has ended.
    fn feed_closed(&mut self, index: usize, now: Instant) {
        if let Some(connection) = self.slots[index].connection.as_mut() {
            if connection.is_connected()
                && let Err(fault) = connection.flush()
            {
                self.fail(index, fault);
            }
            return;
        }
        let Some(at) = self.next_request(now) else {
            if self.is_sending {
                self.make_ready(index);
            }
            return;
        };
        if self.open(index, now) {
            let Slot { connection, next, .. } = &mut self.slots[index];
            if let Some(connection) = connection {
                let site = &self.shared.site;
                connection.queue_last(site, site.target(*next), at, now);
                *next += 1;
            }
        }
    }

    fn make_ready(&mut self, index: usize) {
        if self.schedule.is_some() && !std::mem::replace(&mut self.slots[index].is_ready, true) {
            self.ready.push_back(index);
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
                let what = match (connection.is_connected(), connection.is_ending()) {
                    (false, _) => "connection",
                    (true, false) => "answer",
                    (true, true) => "end after `Connection: close`",
                };
                let detail = format!("no {what} within {timeout:?}");
                self.fail(index, Fault::new(FaultClass::Timeout, detail));
            }
        }
    }

    /// Counts a fault and drops its connection; another follows at the next tick.
    fn fail(&mut self, index: usize, fault: Fault) {
        let lost = self.slots[index].connection.take();
        let unanswered = lost.map_or(0, |connection| connection.in_flight());
        if self.tally.fault(fault, unanswered) {
            self.shared.faults.fetch_add(1, Ordering::Relaxed);
        }
        self.failed.push(index);
    }
}
