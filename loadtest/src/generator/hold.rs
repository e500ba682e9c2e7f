//! Load: many keep-alive connections. All are opened and answered once, held open for a
//! while, answered again, and closed. A connection that ends before that is an error.

use std::time::{Duration, Instant};

use anyhow::Result;
use mio::{Events, Poll, Token};

use crate::generator::connection::{AfterRead, Checker, Connection};
use crate::generator::fault::{Fault, FaultClass};
use crate::generator::plan::Plan;
use crate::generator::report::{End, Report, Subject};
use crate::generator::site::{Site, Sources};
use crate::generator::tally::Tally;
use crate::interrupt::Interrupt;
use crate::progress::Bar;

/// Connections being opened or answered at a time: below a listener's usual backlog, so that
/// no handshake is dropped and retried.
pub const WINDOW: usize = 256;
/// How long a poll waits when nothing happens, and how often waits are checked.
const TICK: Duration = Duration::from_millis(50);
/// Events taken from the system at a time.
const EVENTS_PER_POLL: usize = 1024;

/// Connections to hold.
#[derive(Clone, Debug)]
pub struct HoldPlan {
    /// What all kinds of load share.
    pub plan: Plan,
    /// How long they are held between the two rounds.
    pub hold: Duration,
}

/// Runs it.
///
/// # Errors
/// It could not start, or the system failed underneath it. What the peer does wrong is in the
/// report.
pub fn hold(plan: &HoldPlan, interrupt: &Interrupt) -> Result<Report> {
    let (site, sources) = plan.plan.prepare()?;
    let started = Instant::now();
    let checker = Checker::new(&site);
    let mut holder = Holder {
        plan,
        interrupt,
        site,
        sources,
        started,
        poll: Poll::new()?,
        events: Events::with_capacity(EVENTS_PER_POLL),
        slots: (0..plan.plan.connections).map(|_| None).collect(),
        waiting: 0,
        tally: Tally::new(started, Duration::ZERO, plan.plan.refusals)?,
        checker,
        bar: Bar::new(plan.plan.has_bar, 2 * plan.plan.connections as u64),
        checked: started,
    };
    holder.round(Round::Open)?;
    let hold_until = Instant::now() + plan.hold;
    while Instant::now() < hold_until && !holder.is_over() {
        holder.turn()?;
    }
    holder.round(Round::AskAgain)?;
    holder.bar.clear();
    let end = if interrupt.is_raised() {
        End::Interrupted
    } else if holder.gave_up() {
        End::TooManyErrors
    } else {
        End::Completed
    };
    let subject = Subject {
        load: "hold".to_owned(),
        urls: plan.plan.urls(),
        connections: plan.plan.connections,
        threads: 1,
        pipeline: 1,
    };
    let held = holder.slots.iter().flatten().count();
    let mut report = Report::new(subject, holder.tally, started.elapsed(), Duration::ZERO, end);
    report.held = Some(held);
    Ok(report)
}

/// What is done with each connection in turn.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Round {
    /// Open it and ask.
    Open,
    /// Ask on the open one.
    AskAgain,
}

struct Holder<'a> {
    plan: &'a HoldPlan,
    interrupt: &'a Interrupt,
    site: Site,
    sources: Sources,
    started: Instant,
    poll: Poll,
    events: Events,
    slots: Vec<Option<Connection>>,
    /// Connections being opened or having a request in flight.
    waiting: usize,
    tally: Tally,
    checker: Checker,
    bar: Bar,
    checked: Instant,
}

impl Holder<'_> {
    /// Takes every connection through `round`, at most [`WINDOW`] at a time.
    fn round(&mut self, round: Round) -> Result<()> {
        let mut next = 0;
        while (next < self.slots.len() || self.waiting > 0) && !self.is_over() {
            while next < self.slots.len() && self.waiting < WINDOW {
                match round {
                    Round::Open => self.open(next),
                    Round::AskAgain => self.ask(next, Instant::now()),
                }
                next += 1;
            }
            self.turn()?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.interrupt.is_raised() || self.gave_up()
    }

    fn gave_up(&self) -> bool {
        self.tally.faults.total() > self.plan.plan.errors_max
    }

    fn open(&mut self, index: usize) {
        let source = self.sources.of(index);
        let (address, now) = (self.site.address, Instant::now());
        match Connection::open(address, source, self.poll.registry(), Token(index), now) {
            Ok(connection) => {
                self.slots[index] = Some(connection);
                self.waiting += 1;
            }
            Err(fault) => drop(self.tally.fault(fault, 0)),
        }
    }

    /// Puts one request on an open connection that has none in flight.
    fn ask(&mut self, index: usize, now: Instant) {
        let Some(connection) = self.slots[index].as_mut() else { return };
        connection.queue(&self.site, self.site.target(index), now, now);
        self.waiting += 1;
        if let Err(fault) = connection.flush() {
            self.fail(index, fault);
        }
    }

    /// One wait for events, and what they bring.
    fn turn(&mut self) -> Result<()> {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        match self.poll.poll(&mut events, Some(TICK)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(error.into());
            }
            _ => {}
        }
        for event in &events {
            self.on_event(event.token().0, event);
        }
        self.events = events;
        let now = Instant::now();
        if now.saturating_duration_since(self.checked) >= TICK {
            self.checked = now;
            self.check_waits(now);
            let answers = self.tally.answers;
            self.bar.show(answers, answers, now.saturating_duration_since(self.started));
        }
        Ok(())
    }

    fn on_event(&mut self, index: usize, event: &mio::event::Event) {
        let Self { slots, tally, site, checker, waiting, .. } = self;
        let Some(connection) = slots[index].as_mut() else { return };
        let was_connected = connection.is_connected();
        let mut outcome = Ok(AfterRead::Open);
        if event.is_writable() || event.is_error() {
            outcome = connection.on_writable().map(|()| AfterRead::Open);
        }
        if outcome.is_ok() && connection.is_connected() && !was_connected {
            let now = Instant::now();
            connection.queue(site, site.target(index), now, now);
            outcome = connection.flush().map(|()| AfterRead::Open);
        }
        let is_ended = event.is_read_closed() || event.is_error();
        if outcome.is_ok() && connection.is_connected() && (event.is_readable() || is_ended) {
            outcome = connection.on_readable(site, checker, is_ended, |answer| {
                tally.answer(answer, Instant::now());
                *waiting -= 1;
            });
        }
        match outcome {
            Ok(AfterRead::Open) if !connection.is_ending() => {}
            Ok(_) => {
                self.fail(index, Fault::new(FaultClass::Closed, "the peer closed a held one"));
            }
            Err(fault) => self.fail(index, fault),
        }
    }

    fn check_waits(&mut self, now: Instant) {
        let timeout = self.plan.plan.timeout;
        for index in 0..self.slots.len() {
            let is_late = self.slots[index]
                .as_ref()
                .and_then(Connection::waiting_since)
                .is_some_and(|since| now.saturating_duration_since(since) > timeout);
            if is_late {
                let detail = format!("no connection or no answer within {timeout:?}");
                self.fail(index, Fault::new(FaultClass::Timeout, detail));
            }
        }
    }

    fn fail(&mut self, index: usize, fault: Fault) {
        let Some(connection) = self.slots[index].take() else { return };
        if connection.waiting_since().is_some() && !connection.is_ending() {
            self.waiting -= 1;
        }
        self.tally.fault(fault, connection.in_flight());
    }
}
