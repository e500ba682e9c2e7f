//! What a scenario counts while it runs.

use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::connection::Answer;
use crate::fault::{Fault, Faults};

/// Longest latency told apart, in nanoseconds; longer ones count as this.
const LATENCY_NS_MAX: u64 = 60 * 60 * 1_000_000_000;

/// Answers, bytes, latencies and faults of one thread, or of all.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Complete, right answers.
    pub answers: u64,
    /// Their content, in bytes.
    pub content_bytes: u64,
    /// Requests lost with their connection.
    pub unanswered: u64,
    /// Connections opened anew after the peer ended one in good order.
    pub reconnects: u64,
    /// What went wrong.
    pub faults: Faults,
    latency_ns: Histogram<u64>,
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
    /// Nothing counted yet.
    ///
    /// # Errors
    /// None in practice: the histogram's bounds are constants.
    pub fn new() -> Result<Self> {
        Ok(Self {
            answers: 0,
            content_bytes: 0,
            unanswered: 0,
            reconnects: 0,
            faults: Faults::default(),
            latency_ns: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)?,
        })
    }

    /// Counts an answer completed at `now`.
    pub fn answer(&mut self, answer: Answer, now: Instant) {
        self.answers += 1;
        self.content_bytes += answer.content_bytes as u64;
        let latency: Duration = now.saturating_duration_since(answer.queued_at);
        self.latency_ns.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Counts a fault that took `unanswered` requests with it.
    pub fn fault(&mut self, fault: Fault, unanswered: usize) {
        self.unanswered += unanswered as u64;
        self.faults.add(fault);
    }

    /// Adds what another thread counted.
    ///
    /// # Errors
    /// None in practice: all histograms have the same bounds.
    pub fn merge(&mut self, other: Self) -> Result<()> {
        self.answers += other.answers;
        self.content_bytes += other.content_bytes;
        self.unanswered += other.unanswered;
        self.reconnects += other.reconnects;
        self.faults.merge(other.faults);
        self.latency_ns.add(other.latency_ns)?;
        Ok(())
    }

    /// The latencies' quantiles.
    #[allow(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]
    pub fn quantiles(&self) -> Quantiles {
        let us = |ns: u64| ns as f64 / 1e3;
        let at = |quantile| us(self.latency_ns.value_at_quantile(quantile));
        Quantiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: us(self.latency_ns.max()),
        }
    }
}
