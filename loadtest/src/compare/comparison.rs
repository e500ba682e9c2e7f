//! All that a comparison found out.

use serde::Serialize;

use crate::compare::environment::Environment;
use crate::compare::rounds::Round;
use crate::compare::statistics::{ROUNDS_MIN, Ratio, median};
use crate::generator::tally::Quantiles;
use crate::scenario::file::{Beside, Load};

/// A figure that servers are compared by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Answers per second: more is better.
    Throughput,
    /// Median latency: less is better.
    MedianLatency,
    /// 99th percentile of latency: less is better.
    TailLatency,
    /// Processor time of the server per answer: less is better.
    CpuPerRequest,
}

impl Metric {
    /// In the order of a report.
    pub const ALL: [Self; 4] =
        [Self::Throughput, Self::CpuPerRequest, Self::MedianLatency, Self::TailLatency];

    /// What a report calls it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Throughput => "requests/s",
            Self::MedianLatency => "latency p50, µs",
            Self::TailLatency => "latency p99, µs",
            Self::CpuPerRequest => "CPU per request, µs",
        }
    }

    fn is_more_better(self) -> bool {
        self == Self::Throughput
    }

    /// Its value in one round.
    fn of(self, round: &Round) -> Option<f64> {
        match self {
            Self::Throughput => Some(round.requests_per_s),
            Self::MedianLatency => Some(round.latency_us.p50),
            Self::TailLatency => Some(round.latency_us.p99),
            Self::CpuPerRequest => round.cpu_us_per_request,
        }
    }
}

/// What may be said of a ratio.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval contains 1.
    NoDifferenceShown,
    /// It lies on the good side of 1.
    Better,
    /// It lies on the other side.
    Worse,
    /// Too few rounds for an interval.
    TooFewRounds,
}

impl Verdict {
    fn of(metric: Metric, ratio: &Ratio) -> Self {
        match (ratio.interval, ratio.shows_difference()) {
            (None, _) => Self::TooFewRounds,
            (Some(_), false) => Self::NoDifferenceShown,
            (Some(_), true) if metric.is_more_better() == (ratio.ratio > 1.0) => Self::Better,
            (Some(_), true) => Self::Worse,
        }
    }

    /// What a report says.
    pub fn words(self) -> String {
        match self {
            Self::NoDifferenceShown => "no difference shown".to_owned(),
            Self::Better => "better".to_owned(),
            Self::Worse => "worse".to_owned(),
            Self::TooFewRounds => format!("fewer than {ROUNDS_MIN} rounds: nothing shown"),
        }
    }
}

/// One server beside the first.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which figure.
    pub metric: Metric,
    /// Which server.
    pub target: String,
    /// Beside which.
    pub baseline: String,
    /// Its figure divided by the other's.
    #[serde(flatten)]
    pub ratio: Ratio,
    /// What may be said.
    pub verdict: Verdict,
}

/// One server and its rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// What it is called.
    pub name: String,
    /// Where it was.
    pub base: String,
    /// How it was started.
    pub command: Option<String>,
    /// Medians over its rounds, in the order of [`Metric::ALL`].
    pub medians: [Option<f64>; 4],
    /// Quantiles of all its latencies.
    pub latency_us: Quantiles,
    /// Part of the answers that took at most so long: points of a curve.
    pub latency_curve: Vec<(f64, f64)>,
    /// Answers of the first load, in all rounds.
    pub answers: u64,
    /// Errors of all loads and commands, in all rounds.
    pub errors: u64,
    /// What the first of them was.
    pub first_error: Option<String>,
    /// Connections refused as allowed.
    pub refused: u64,
    /// Requests that were to begin and did not.
    pub unsent: u64,
    /// Round by round.
    pub rounds: Vec<Round>,
}

/// The whole of it.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The scenario's name.
    pub scenario: String,
    /// What it is for.
    pub about: String,
    /// How long each server had in each round, in seconds.
    pub duration_s: f64,
    /// Its loads.
    pub loads: Vec<Load>,
    /// Its commands.
    pub beside: Vec<Beside>,
    /// Rounds that were finished.
    pub rounds: usize,
    /// Rounds that were asked for.
    pub rounds_wanted: usize,
    /// Why there are fewer.
    pub stopped: Option<String>,
    /// What the order within a round and the intervals follow from.
    pub seed: u64,
    /// Where.
    pub environment: Environment,
    /// The servers; the first is the one beside which the others are put.
    pub servers: Vec<Server>,
    /// Their ratios to it.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// True when all rounds were finished, and nothing went wrong in any.
    pub fn is_clean(&self) -> bool {
        self.stopped.is_none()
            && self.servers.iter().all(|server| server.errors == 0 && server.unsent == 0)
    }

    /// The row of a server and a figure.
    pub fn row(&self, metric: Metric, target: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.metric == metric && row.target == target)
    }
}

/// Medians over rounds, in the order of [`Metric::ALL`].
pub(super) fn medians(rounds: &[Round]) -> [Option<f64>; 4] {
    Metric::ALL.map(|metric| median(&values(metric, rounds)?))
}

/// The ratios of all servers to the first.
pub(super) fn rows(servers: &[Server], seed: u64) -> Vec<Row> {
    let Some((first, others)) = servers.split_first() else { return Vec::new() };
    let mut rows = Vec::new();
    for metric in Metric::ALL {
        let Some(theirs) = values(metric, &first.rounds) else { continue };
        for server in others {
            let ours = values(metric, &server.rounds);
            if let Some(ratio) = ours.and_then(|ours| Ratio::of(&ours, &theirs, seed)) {
                rows.push(Row {
                    metric,
                    target: server.name.clone(),
                    baseline: first.name.clone(),
                    ratio,
                    verdict: Verdict::of(metric, &ratio),
                });
            }
        }
    }
    rows
}

/// A figure in each round; `None` where one lacks it.
fn values(metric: Metric, rounds: &[Round]) -> Option<Vec<f64>> {
    rounds.iter().map(|round| metric.of(round)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Comparison {
        /// One of two servers in two rounds.
        pub(in crate::compare) fn example(timeline: &[u64], curve: &[(f64, f64)]) -> Self {
            let latency_us = Quantiles { p50: 1.0, p90: 2.0, p99: 3.0, p99_9: 4.0, max: 5.0 };
            let round = |started_s| Round {
                started_s,
                requests_per_s: 1000.0,
                latency_us,
                cpu_us_per_request: None,
                timeline: timeline.to_vec(),
            };
            let server = |name: &str| Server {
                name: name.to_owned(),
                base: "http://h".to_owned(),
                command: None,
                medians: [Some(1000.0), None, Some(1.0), Some(3.0)],
                latency_us,
                latency_curve: curve.to_vec(),
                answers: 1234,
                errors: 0,
                first_error: None,
                refused: 0,
                unsent: 0,
                rounds: vec![round(0.0), round(3.0)],
            };
            let servers = vec![server("a<b"), server("c")];
            Self {
                scenario: "hello".to_owned(),
                about: "An example".to_owned(),
                duration_s: 2.0,
                loads: Vec::new(),
                beside: Vec::new(),
                rounds: 2,
                rounds_wanted: 2,
                stopped: None,
                seed: 1,
                environment: Environment::here(),
                rows: rows(&servers, 1),
                servers,
            }
        }
    }

    #[test]
    fn more_is_better_of_throughput_and_worse_of_the_rest() {
        let more = Ratio { ratio: 1.2, interval: Some((1.1, 1.3)) };
        let less = Ratio { ratio: 0.8, interval: Some((0.7, 0.9)) };
        let about = Ratio { ratio: 1.2, interval: Some((0.9, 1.5)) };
        assert_eq!(Verdict::of(Metric::Throughput, &more), Verdict::Better);
        assert_eq!(Verdict::of(Metric::Throughput, &less), Verdict::Worse);
        assert_eq!(Verdict::of(Metric::CpuPerRequest, &more), Verdict::Worse);
        assert_eq!(Verdict::of(Metric::TailLatency, &less), Verdict::Better);
        assert_eq!(Verdict::of(Metric::TailLatency, &about), Verdict::NoDifferenceShown);
    }
}
