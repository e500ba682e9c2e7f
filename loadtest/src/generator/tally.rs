//! What a load counts while it runs.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::generator::connection::Answer;
use crate::generator::fault::{Fault, Faults};
use crate::generator::plan::Refusals;

/// Longest latency told apart, in nanoseconds; longer ones count as this.
const LATENCY_NS_MAX: u64 = 60 * 60 * 1_000_000_000;
/// How long each count of a timeline is.
pub const INTERVAL: Duration = Duration::from_millis(100);

/// Answers, bytes, latencies and faults of one thread, or of all.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Complete, right answers.
    pub answers: u64,
    /// Those of them whose requests began after the ramp: what rates and latencies are of.
    pub measured: u64,
    /// Content of all answers, in bytes.
    pub content_bytes: u64,
    /// Requests lost with their connection.
    pub unanswered: u64,
    /// Connections opened anew after the peer ended one in good order.
    pub reconnects: u64,
    /// Connections that were refused, where the server is meant to do that.
    pub refused: u64,
    /// What went wrong.
    pub faults: Faults,
    /// Answers in each [`INTERVAL`] since the start.
    pub timeline: Vec<u64>,
    /// Nanoseconds from a request's beginning to its answer's last byte.
    pub latency_ns: Histogram<u64>,
    refusals: Refusals,
    started: Instant,
    measured_from: Instant,
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
#[allow(missing_docs, reason = "each name says which quantile it is")]
pub struct Quantiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

impl Tally {
    /// Nothing counted yet of a load that began at `started` and rises for `ramp`.
    ///
    /// # Errors
    /// None in practice: the histogram's bounds are constants.
    pub fn new(started: Instant, ramp: Duration, refusals: Refusals) -> Result<Self> {
        Ok(Self {
            answers: 0,
            measured: 0,
            content_bytes: 0,
            unanswered: 0,
            reconnects: 0,
            refused: 0,
            faults: Faults::default(),
            timeline: Vec::new(),
            latency_ns: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?,
            refusals,
            started,
            measured_from: started + ramp,
        })
    }

    /// Counts an answer completed at `now`.
    pub fn answer(&mut self, answer: Answer, now: Instant) {
        self.answers += 1;
        self.content_bytes += answer.content_bytes as u64;
        let since = now.saturating_duration_since(self.started);
        let tenths = since.as_secs() * 10 + u64::from(since.subsec_millis() / 100);
        let interval = usize::try_from(tenths).unwrap_or(0);
        if interval >= self.timeline.len() {
            self.timeline.resize(interval + 1, 0);
        }
        self.timeline[interval] += 1;
        if answer.queued_at >= self.measured_from {
            self.measured += 1;
            let latency = now.saturating_duration_since(answer.queued_at).as_nanos();
            self.latency_ns.saturating_record(u64::try_from(latency).unwrap_or(u64::MAX));
        }
    }

    /// Counts a fault that took `unanswered` requests with it; false when it is none, because the
    /// server is meant to refuse.
    pub fn fault(&mut self, fault: Fault, unanswered: usize) -> bool {
        if fault.is_refusal && self.refusals == Refusals::Allowed {
            self.refused += 1;
            return false;
        }
        self.unanswered += unanswered as u64;
        self.faults.add(fault);
        true
    }

    /// Adds what another thread counted.
    ///
    /// # Errors
    /// None in practice: all histograms have the same bounds.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.answers += other.answers;
        self.measured += other.measured;
        self.content_bytes += other.content_bytes;
        self.unanswered += other.unanswered;
        self.reconnects += other.reconnects;
        self.refused += other.refused;
        self.faults.merge(&other.faults);
        if other.timeline.len() > self.timeline.len() {
            self.timeline.resize(other.timeline.len(), 0);
        }
        for (count, more) in self.timeline.iter_mut().zip(&other.timeline) {
            *count += more;
        }
        self.latency_ns.add(&other.latency_ns)?;
        Ok(())
    }

    /// The latencies' quantiles.
    pub fn quantiles(&self) -> Quantiles {
        quantiles(&self.latency_ns)
    }
}

/// The quantiles of latencies in nanoseconds.
#[allow(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]
pub fn quantiles(latency_ns: &Histogram<u64>) -> Quantiles {
    let us = |ns: u64| ns as f64 / 1e3;
    let at = |quantile| us(latency_ns.value_at_quantile(quantile));
    Quantiles {
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        max: us(latency_ns.max()),
    }
}
