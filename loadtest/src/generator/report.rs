//! What a load prints at the end: as text, or as one JSON object.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::generator::tally::{Quantiles, Tally};

/// Why a load ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// It did what it was asked to do.
    Completed,
    /// Ctrl-C.
    Interrupted,
    /// More faults than allowed.
    TooManyErrors,
    /// Not all requests asked for could be sent in the time allowed.
    Unfinished,
}

impl End {
    /// The words for it in a report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Interrupted => "interrupted",
            Self::TooManyErrors => "too many errors",
            Self::Unfinished => "not all requests sent",
        }
    }
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Subject {
    /// The name of the load.
    pub load: String,
    /// Its URLs.
    pub urls: Vec<String>,
    /// Connections open at a time.
    pub connections: usize,
    /// Threads.
    pub threads: usize,
    /// Requests in flight on one connection.
    pub pipeline: usize,
}

/// Errors of one class.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorLine {
    /// How many.
    pub count: u64,
    /// What the first of them was.
    pub first: String,
}

/// The outcome of a load.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was asked for.
    #[serde(flatten)]
    pub subject: Subject,
    /// Why it ended.
    pub end: End,
    /// How long it took, in seconds.
    pub elapsed_s: f64,
    /// Complete, right answers.
    pub answers: u64,
    /// Answers per second after the ramp.
    pub requests_per_s: f64,
    /// Content received, in bytes.
    pub content_bytes: u64,
    /// Content per second, in bytes.
    pub transfer_bytes_per_s: f64,
    /// From a request's beginning to its answer's last byte, in microseconds; in an open loop from
    /// when it was to begin.
    pub latency_us: Quantiles,
    /// Connections opened anew after an orderly end.
    pub reconnects: u64,
    /// Requests lost with their connection.
    pub unanswered: u64,
    /// Requests that were to begin and did not.
    pub unsent: u64,
    /// Connections refused where the server is meant to do that.
    pub refused: u64,
    /// Connections still open at the end, where that is what the load is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<usize>,
    /// Number of errors of every class.
    pub errors: u64,
    /// The errors by class.
    pub errors_by_class: BTreeMap<&'static str, ErrorLine>,
    /// Answers in each tenth of a second.
    #[serde(skip)]
    pub timeline: Vec<u64>,
    /// All latencies, in nanoseconds.
    #[serde(skip)]
    pub latency_ns: Histogram<u64>,
}

impl Report {
    /// Sums up what was counted in `elapsed`, of which `ramp` is not measured.
    #[allow(clippy::cast_precision_loss, reason = "rates are for people")]
    pub fn new(
        subject: Subject,
        tally: Tally,
        elapsed: Duration,
        ramp: Duration,
        end: End,
    ) -> Self {
        let elapsed_s = elapsed.as_secs_f64();
        let measured_s = elapsed.saturating_sub(ramp).as_secs_f64();
        let per = |count: u64, s: f64| if s > 0.0 { count as f64 / s } else { 0.0 };
        let errors_by_class = tally
            .faults
            .seen()
            .map(|(class, count, first)| {
                (class.word(), ErrorLine { count, first: first.to_owned() })
            })
            .collect();
        Self {
            subject,
            end,
            elapsed_s,
            answers: tally.answers,
            requests_per_s: per(tally.measured, measured_s),
            content_bytes: tally.content_bytes,
            transfer_bytes_per_s: per(tally.content_bytes, elapsed_s),
            latency_us: tally.quantiles(),
            reconnects: tally.reconnects,
            unanswered: tally.unanswered,
            unsent: 0,
            refused: tally.refused,
            held: None,
            errors: tally.faults.total(),
            errors_by_class,
            timeline: tally.timeline,
            latency_ns: tally.latency_ns,
        }
    }

    /// True when it ended as asked and the server let none of its connections in, as it may.
    pub fn is_all_refused(&self) -> bool {
        self.end == End::Completed && self.errors == 0 && self.refused > 0
    }

    /// True when it ended as asked, with answers and without an error.
    pub fn is_clean(&self) -> bool {
        self.end == End::Completed && self.errors == 0 && self.answers > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject { load, urls, connections, threads, pipeline } = &self.subject;
        writeln!(f, "{load} {}", urls.join(" "))?;
        writeln!(f, "  {connections} connections, {threads} threads, pipeline {pipeline}")?;
        writeln!(f, "  {} after {:.2} s", self.end.words(), self.elapsed_s)?;
        writeln!(f, "answers     {} ({:.0} requests/s)", self.answers, self.requests_per_s)?;
        let mib = 1024.0 * 1024.0;
        writeln!(f, "transfer    {:.2} MiB/s of content", self.transfer_bytes_per_s / mib)?;
        let Quantiles { p50, p90, p99, p99_9, max } = self.latency_us;
        write!(f, "latency us  p50 {p50:.0}  p90 {p90:.0}  p99 {p99:.0}")?;
        writeln!(f, "  p99.9 {p99_9:.0}  max {max:.0}")?;
        if let Some(held) = self.held {
            writeln!(f, "held        {held} of {connections} connections to the end")?;
        }
        if self.reconnects > 0 {
            writeln!(f, "reconnects  {}", self.reconnects)?;
        }
        if self.refused > 0 {
            writeln!(f, "refused     {} connections, as allowed", self.refused)?;
        }
        if self.unsent > 0 {
            writeln!(f, "unsent      {} requests that were to begin", self.unsent)?;
        }
        writeln!(f, "errors      {} ({} requests unanswered)", self.errors, self.unanswered)?;
        for (class, ErrorLine { count, first }) in &self.errors_by_class {
            writeln!(f, "  {class:<11} {count}, first: {first}")?;
        }
        Ok(())
    }
}
