//! The text format of Prometheus, version 0.0.4.
use std::fmt::Write as _;

use wskhttpd_abi::{
    BUCKETS, Counter, Counters, Health, HealthEndpoint, Latency, Reason, ServerState,
    upper_bound_ns,
};

use crate::histogram;

/// Buckets of the driver that become one here: those of a power of two.
const BUCKETS_PER_POWER: usize = 4;
/// Bounds that are shown: of the powers from 2^10 ns, about a microsecond, to 2^34 ns, about 17
/// seconds. What is shorter or longer is in the first and in the last bucket.
const POWERS: std::ops::RangeInclusive<usize> = 10..=34;

/// Responses by class.
pub(crate) const RESPONSES: [(&str, Counter); 4] = [
    ("2xx", Counter::Responses2xx),
    ("3xx", Counter::Responses3xx),
    ("4xx", Counter::Responses4xx),
    ("5xx", Counter::Responses5xx),
];

/// What is exported of one moment.
pub(crate) struct Snapshot {
    pub(crate) counters: Counters,
    pub(crate) state: ServerState,
    pub(crate) latency: Latency,
    pub(crate) health: Vec<HealthEndpoint>,
}

/// The whole page.
pub(crate) fn page(snapshot: &Snapshot) -> String {
    let mut page = Page(String::new());
    let Snapshot { counters, state, latency, health } = snapshot;
    page.responses(counters);
    page.refused(counters);
    let has_family = |counter: &Counter| {
        RESPONSES.iter().any(|(_, other)| other == counter)
            || Reason::ALL.iter().any(|reason| reason.counter() == *counter)
    };
    for counter in Counter::ALL.iter().filter(|counter| !has_family(counter)) {
        let value = counters.get(*counter);
        match counter.help().strip_prefix("Gauge: ") {
            Some(help) => page.gauge(counter.name(), help, &[], value),
            None => page.counter(counter.name(), counter.help(), &[], value),
        }
    }
    let (listen, generation) = (state.listen.to_string(), format!("{:016x}", state.generation));
    let info =
        [("version", &state.version[..]), ("listen", &listen), ("accept_mode", &state.accept_mode)];
    page.gauge("info", "What is running; always 1.", &info, 1);
    let info = [("generation", &generation[..])];
    page.gauge("site_info", "The site that is served; always 1.", &info, 1);
    page.gauge("uptime_seconds", "Seconds since the driver started.", &[], state.uptime_s);
    page.gauge("processors", "Processors.", &[], state.processors.into());
    page.counter("sites_published", "Sites published.", &[], state.sites_published);
    page.gauge("sites_held", "Sites in memory.", &[], state.sites_held.into());
    page.health(health);
    page.service_time(latency);
    page.0
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, help: &str, kind: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.0, "# HELP wskhttpd_{name} {help}\n# TYPE wskhttpd_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.0, "wskhttpd_{name}");
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        let name = format!("{name}_total");
        self.family(&name, help, "counter");
        self.sample(&name, labels, value);
    }

    fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        self.family(name, help, "gauge");
        self.sample(name, labels, value);
    }

    fn responses(&mut self, counters: &Counters) {
        self.family("responses_total", "Responses, by the class of their status.", "counter");
        for (class, counter) in RESPONSES {
            self.sample("responses_total", &[("class", class)], counters.get(counter));
        }
    }

    fn refused(&mut self, counters: &Counters) {
        let help = "Requests and connections that were refused or ended early, by reason.";
        self.family("refused_total", help, "counter");
        for reason in Reason::ALL {
            let value = counters.get(reason.counter());
            self.sample("refused_total", &[("reason", reason.word())], value);
        }
    }

    fn health(&mut self, health: &[HealthEndpoint]) {
        if health.is_empty() {
            return;
        }
        self.family("health_answered", "1 for what a health endpoint answers, 0 else.", "gauge");
        for endpoint in health {
            for state in Health::ALL {
                let labels = [("endpoint", &endpoint.name[..]), ("state", state.word())];
                self.sample("health_answered", &labels, u8::from(endpoint.answered == state));
            }
        }
        let name = "health_beats_missed_total";
        self.family(name, "Times that the beats of one health endpoint stayed away.", "counter");
        for endpoint in health {
            self.sample(name, &[("endpoint", &endpoint.name)], endpoint.missed);
        }
    }

    fn service_time(&mut self, latency: &Latency) {
        let help = "One of so many turns has its service time measured.";
        self.gauge("service_time_sampled_one_in", help, &[], latency.sampled.into());
        let help = "From a turn's first octet to the completion of its send.";
        self.family("service_time_seconds", help, "histogram");
        for power in POWERS {
            // The last bucket below 2^power.
            let last = BUCKETS_PER_POWER * (power - 1) - 1;
            let below: u64 = latency.counts.iter().take(last + 1).sum();
            let bound = seconds(upper_bound_ns(last.min(BUCKETS - 1)));
            self.sample("service_time_seconds_bucket", &[("le", &bound)], below);
        }
        let all = histogram::measured(latency);
        self.sample("service_time_seconds_bucket", &[("le", "+Inf")], all);
        self.sample("service_time_seconds_sum", &[], seconds(latency.sum_ns));
        self.sample("service_time_seconds_count", &[], all);
    }
}

/// Nanoseconds as seconds, exactly.
fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use prometheus_parse::{Scrape, Value};
    use wskhttpd_abi::{Name, bucket_of};

    use super::*;

    fn snapshot(times: &[u64]) -> Snapshot {
        let mut counters = Counters::default();
        counters.set(Counter::Requests, 7);
        let mut latency = Latency { sampled: 1, sum_ns: times.iter().sum(), counts: [0; BUCKETS] };
        for time in times {
            latency.counts[bucket_of(*time)] += 1;
        }
        let state = ServerState {
            version: Name::from("0.1.0").unwrap(),
            listen: "[::1]:80".parse().unwrap(),
            accept_mode: Name::from("conditional").unwrap(),
            uptime_s: 3,
            now_s: 4,
            generation: 0xAB,
            sites_published: 1,
            sites_held: 1,
            image_bytes: 5,
            entries: 6,
            processors: 2,
        };
        let endpoint = HealthEndpoint {
            name: Name::from("a\"b\\c\nd").unwrap(),
            health: Health::Up,
            answered: Health::Down,
            timeout_ms: 500,
            since_beat_ms: 600,
            missed: 9,
        };
        Snapshot { counters, state, latency, health: vec![endpoint] }
    }

    fn parse(page: &str) -> Scrape {
        Scrape::parse(page.lines().map(|line| Ok(line.to_owned()))).unwrap()
    }

    #[test]
    fn a_parser_reads_every_sample_with_its_kind() {
        let page = page(&snapshot(&[]));
        let scrape = parse(&page);
        let find = |name: &str| scrape.samples.iter().find(|sample| sample.metric == name).unwrap();
        assert_eq!(find("wskhttpd_requests_total").value, Value::Counter(7.0));
        assert_eq!(find("wskhttpd_slots").value, Value::Gauge(0.0));
        assert_eq!(find("wskhttpd_info").labels.get("listen"), Some("[::1]:80"));
        assert_eq!(find("wskhttpd_health_beats_missed_total").value, Value::Counter(9.0));
        for sample in &scrape.samples {
            // The parser has no place for these two parts of a histogram.
            let is_part = sample.metric.ends_with("_sum") || sample.metric.ends_with("_count");
            assert!(is_part || !matches!(sample.value, Value::Untyped(_)), "{sample:?}");
        }
        let mut families: Vec<_> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
        let count = families.len();
        families.sort_unstable();
        families.dedup_by_key(|line| line.split(' ').nth(2));
        assert_eq!(families.len(), count, "a family twice");
        assert!(page.contains(r#"endpoint="a\"b\\c\nd""#), "{page}");
    }

    #[test]
    fn the_histogram_is_cumulative_and_in_seconds() {
        let scrape = parse(&page(&snapshot(&[5, 1023, 1024, 3_000_000, 1 << 50])));
        let find = |name: &str| scrape.samples.iter().find(|sample| sample.metric == name).unwrap();
        let Value::Histogram(buckets) = &find("wskhttpd_service_time_seconds").value else {
            panic!("no histogram");
        };
        assert!(buckets.is_sorted_by(|a, b| a.less_than < b.less_than && a.count <= b.count));
        let below = |bound: f64| {
            let bucket = buckets.iter().find(|bucket| bucket.less_than >= bound);
            bucket.map(|bucket| bucket.count)
        };
        assert_eq!(below(0.000_001_023), Some(2.0));
        assert_eq!(below(0.000_002), Some(3.0));
        assert_eq!(below(0.003), Some(4.0));
        assert_eq!(below(f64::INFINITY), Some(5.0));
    }
}
