//! `stats`: the counters.
use std::thread;
use std::time::Instant;

use anyhow::Result;
use serde_json::{Map, Value, json};
use wskhttpd_abi::{Counter, Counters, Latency};

use crate::arguments::Stats;
use crate::driver::Driver;
use crate::prometheus::{self, Snapshot};
use crate::{histogram, output};

/// Shown of service times: a name, and how many of a thousand turns took no longer.
pub(crate) const PERCENTILES: [(&str, u64); 4] =
    [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999)];

/// Asks once, or again and again.
pub(crate) fn run(driver: &Driver, stats: &Stats, json: bool) -> Result<()> {
    if stats.prometheus {
        let snapshot = Snapshot {
            counters: driver.counters()?,
            state: driver.state()?,
            latency: driver.latency()?,
            health: driver.health()?,
        };
        return Ok(output::text(&prometheus::page(&snapshot))?);
    }
    let mut last: Option<(Instant, Counters)> = None;
    loop {
        let (now, counters, latency) = (Instant::now(), driver.counters()?, driver.latency()?);
        if json {
            output::json(&to_json(&counters, &latency))?;
        } else {
            let rows = rows(&counters, last.as_ref().map(|(then, last)| (last, now - *then)));
            let table = output::table(&["", "all", "per second"], &[1, 2], rows);
            let apart = if last.is_some() { "\n" } else { "" };
            output::text(&format!("{apart}{table}\n{}\n", service_time(&latency)))?;
        }
        if !stats.watch {
            return Ok(());
        }
        last = Some((now, counters));
        thread::sleep(stats.every);
    }
}

fn rows(counters: &Counters, last: Option<(&Counters, std::time::Duration)>) -> Vec<Vec<String>> {
    let row = |counter: &Counter| {
        let rate = last.filter(|_| !is_gauge(*counter)).map(|(last, time)| {
            let more = counters.get(*counter).saturating_sub(last.get(*counter));
            output::grouped(per_second(more, time))
        });
        let value = output::grouped(counters.get(*counter));
        vec![counter.name().to_owned(), value, rate.unwrap_or_default()]
    };
    Counter::ALL.iter().map(row).collect()
}

/// Its value also falls.
pub(crate) fn is_gauge(counter: Counter) -> bool {
    counter.help().starts_with("Gauge: ")
}

/// A rate, rounded.
pub(crate) fn per_second(more: u64, time: std::time::Duration) -> u64 {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    (more.saturating_mul(1000) + ms / 2) / ms
}

/// One line.
fn service_time(latency: &Latency) -> String {
    let parts = PERCENTILES.iter().filter_map(|(name, permille)| {
        let ns = histogram::permille(latency, *permille)?;
        Some(format!("{name} {}", output::time(ns)))
    });
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        return "service time: none measured yet".to_owned();
    }
    let measured = output::grouped(histogram::measured(latency));
    let sampled = match latency.sampled {
        0 | 1 => String::new(),
        sampled => format!(", one in {sampled}"),
    };
    format!("service time: {} ({measured} measured{sampled})", parts.join(", "))
}

fn to_json(counters: &Counters, latency: &Latency) -> Value {
    let all = Counter::ALL.iter();
    let all = all.map(|counter| (counter.name().to_owned(), json!(counters.get(*counter))));
    json!({ "counters": all.collect::<Map<_, _>>(), "service_time": times(latency) })
}

/// Service times as a value.
pub(crate) fn times(latency: &Latency) -> Value {
    let mut value = json!({
        "sampled_one_in": latency.sampled,
        "measured": histogram::measured(latency),
        "mean_ns": histogram::mean(latency),
    });
    for (name, permille) in PERCENTILES {
        value[format!("{name}_ns")] = json!(histogram::permille(latency, permille));
    }
    value
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rates_are_of_what_came_between_and_gauges_have_none() {
        let (mut earlier, mut later) = (Counters::default(), Counters::default());
        earlier.set(Counter::Requests, 1000);
        later.set(Counter::Requests, 4000);
        later.set(Counter::ConnectionsOpen, 9);
        let rows = rows(&later, Some((&earlier, Duration::from_millis(1500))));
        let row = |name: &str| rows.iter().find(|row| row[0] == name).unwrap()[1..].to_vec();
        assert_eq!(row("requests"), ["4,000", "2,000"]);
        assert_eq!(row("connections_open"), ["9", ""]);
        assert_eq!(per_second(1, Duration::ZERO), 1000);
    }
}
