//! What `top` knows: the driver at one moment after another.
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use wskhttpd_abi::{Counter, Counters, HealthEndpoint, Holder, Latency, ServerState};

use super::super::stats::{is_gauge, per_second, times};
use super::super::{health, status};
use crate::driver::Driver;
use crate::histogram;

/// Looks that the history of rates goes back: more than a terminal has columns.
const HISTORY: usize = 512;

/// The driver at one moment.
pub(super) struct Sample {
    pub(super) at: Instant,
    pub(super) state: ServerState,
    pub(super) counters: Counters,
    pub(super) latency: Latency,
    pub(super) health: Vec<HealthEndpoint>,
    /// Most connections first.
    pub(super) holders: Vec<Holder>,
}

impl Sample {
    /// Asks the driver.
    pub(super) fn take(driver: &Driver) -> Result<Sample> {
        Ok(Sample {
            at: Instant::now(),
            counters: driver.counters()?,
            latency: driver.latency()?,
            state: driver.state()?,
            health: driver.health()?,
            holders: driver.holders()?,
        })
    }
}

/// The last two moments, and the rates of those before.
pub(super) struct History {
    earlier: Option<Sample>,
    now: Sample,
    /// Requests per second, oldest first.
    pub(super) rates: VecDeque<u64>,
}

impl History {
    pub(super) fn new(first: Sample) -> History {
        History { earlier: None, now: first, rates: VecDeque::new() }
    }

    /// Takes the next moment in.
    pub(super) fn push(&mut self, next: Sample) {
        self.earlier = Some(std::mem::replace(&mut self.now, next));
        self.rates.extend(self.rate(Counter::Requests));
        if self.rates.len() > HISTORY {
            self.rates.pop_front();
        }
    }

    /// The last moment.
    pub(super) fn now(&self) -> &Sample {
        &self.now
    }

    fn since_earlier(&self) -> Option<(&Sample, Duration)> {
        let earlier = self.earlier.as_ref()?;
        Some((earlier, self.now.at.saturating_duration_since(earlier.at)))
    }

    /// A counter at the last moment.
    pub(super) fn count(&self, counter: Counter) -> u64 {
        self.now.counters.get(counter)
    }

    /// Of a counter, per second, between the last two moments.
    pub(super) fn rate(&self, counter: Counter) -> Option<u64> {
        let (earlier, time) = self.since_earlier()?;
        let more = self.now.counters.get(counter).saturating_sub(earlier.counters.get(counter));
        Some(per_second(more, time))
    }

    /// Service times between the last two moments.
    pub(super) fn service_times(&self) -> Latency {
        match &self.earlier {
            Some(earlier) => histogram::between(&earlier.latency, &self.now.latency),
            None => self.now.latency,
        }
    }

    /// All of it, for programs.
    pub(super) fn to_json(&self) -> Value {
        let (gauges, counters): (Vec<Counter>, Vec<Counter>) =
            Counter::ALL.iter().partition(|counter| is_gauge(**counter));
        let gauges = gauges.iter().map(|gauge| (gauge.name(), self.count(*gauge)));
        let rates = counters.iter().map(|counter| (counter.name(), self.rate(*counter)));
        let holders =
            self.now.holders.iter().map(
                |holder| json!({ "address": holder.address, "connections": holder.connections }),
            );
        json!({
            "state": status::to_json(&self.now.state),
            "per_second": rates.collect::<BTreeMap<_, _>>(),
            "gauges": gauges.collect::<BTreeMap<_, _>>(),
            "service_time": times(&self.service_times()),
            "health": self.now.health.iter().map(health::to_json).collect::<Vec<_>>(),
            "addresses": holders.collect::<Vec<_>>(),
        })
    }
}

/// Two looks at a busy driver, a second apart.
#[cfg(test)]
pub(super) fn example() -> History {
    use wskhttpd_abi::{BUCKETS, Health, Name, bucket_of};

    let sample = |at: Instant, requests: u64| {
        let mut counters = Counters::default();
        counters.set(Counter::Requests, requests);
        counters.set(Counter::RefusedPerAddress, requests / 100);
        counters.set(Counter::ConnectionsOpen, 64);
        let mut latency = Latency { sampled: 1, sum_ns: requests * 1000, counts: [0; BUCKETS] };
        latency.counts[bucket_of(1_000)] = requests - requests / 100;
        latency.counts[bucket_of(1_000_000)] = requests / 100;
        let name = |name| Name::from(name).unwrap();
        Sample {
            at,
            state: ServerState {
                version: name("0.1.0"),
                listen: "127.0.0.1:8080".parse().unwrap(),
                accept_mode: name("conditional"),
                uptime_s: 61,
                now_s: 1_700_000_000,
                generation: 0x0123_4567_89AB_CDEF,
                sites_published: 2,
                sites_held: 1,
                image_bytes: 65_536,
                entries: 12,
                processors: 2,
            },
            counters,
            latency,
            health: vec![HealthEndpoint {
                name: name("main"),
                health: Health::Drain,
                answered: Health::Drain,
                timeout_ms: 0,
                since_beat_ms: 0,
                missed: 0,
            }],
            holders: vec![Holder { address: "10.0.0.7".parse().unwrap(), connections: 60 }],
        }
    };
    let start = Instant::now();
    let mut history = History::new(sample(start, 1000));
    history.push(sample(start + Duration::from_secs(1), 13_000));
    history
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_times_are_of_the_last_interval() {
        let history = example();
        assert_eq!(history.rate(Counter::Requests), Some(12_000));
        assert_eq!(Vec::from(history.rates.clone()), [12_000]);
        assert_eq!(histogram::measured(&history.service_times()), 12_000);
        let value = history.to_json();
        assert_eq!(value["per_second"]["refused_per_address"], 120);
        assert_eq!(value["gauges"]["connections_open"], 64);
        assert_eq!(value["addresses"][0]["address"], "10.0.0.7");
    }

    #[test]
    fn the_history_is_bounded() {
        let mut history = example();
        for _ in 0..HISTORY + 10 {
            history.push(example().now);
        }
        assert_eq!(history.rates.len(), HISTORY);
    }
}
