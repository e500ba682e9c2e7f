//! Arguments.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::churn::ChurnPlan;
use crate::hold::HoldPlan;
use crate::plan::Plan;
use crate::run::{Bound, RunPlan};
use crate::soak::SoakPlan;

/// Load generator that checks every answer.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub scenario: Scenario,
}

/// The scenarios.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Closed loop: every connection sends its next request when an answer is complete
    Run(RunArguments),
    /// Open many connections, ask on each, hold them, ask again, close
    Hold(HoldArguments),
    /// A connection for each request; --rude: most are left in another way
    Churn(ChurnArguments),
    /// All of them at once, over several lives of a server
    Soak(SoakArguments),
}

impl Arguments {
    /// True when the report is to be JSON.
    pub fn json(&self) -> bool {
        match &self.scenario {
            Scenario::Run(run) => run.shared.json,
            Scenario::Hold(hold) => hold.shared.json,
            Scenario::Churn(churn) => churn.shared.json,
            Scenario::Soak(soak) => soak.shared.json,
        }
    }
}

/// What every scenario takes.
#[derive(Args, Debug)]
pub struct SharedArguments {
    /// http://host[:port]/path; several are asked in turn (needed, but for `soak --start`)
    pub urls: Vec<String>,
    /// Status every answer must have
    #[arg(long, default_value_t = 200)]
    pub status: u16,
    /// Do not compare contents with the first answer's
    #[arg(long)]
    pub no_check: bool,
    /// Longest wait for a connection or an answer
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub timeout: Duration,
    /// Give up after this many errors
    #[arg(long, default_value_t = 1000)]
    pub errors_max: u64,
    /// Source addresses 127.0.0.1 to 127.0.0.N [default: as many as the ports require]
    #[arg(long)]
    pub sources: Option<u8>,
    /// The one source address of all connections
    #[arg(long, conflicts_with = "sources")]
    pub source: Option<IpAddr>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl SharedArguments {
    fn plan(self, connections: usize) -> Plan {
        Plan {
            urls: self.urls,
            status: self.status,
            check_content: !self.no_check,
            connections,
            timeout: self.timeout,
            errors_max: self.errors_max,
            sources: self.sources,
            source: self.source,
        }
    }
}

/// `loadtest run`.
#[derive(Args, Debug)]
pub struct RunArguments {
    /// What every scenario takes.
    #[command(flatten)]
    pub shared: SharedArguments,
    /// Connections, divided among the threads
    #[arg(long, default_value_t = 64, value_parser = at_least_one)]
    pub connections: usize,
    /// Threads
    #[arg(long, default_value_t = 2, value_parser = at_least_one)]
    pub threads: usize,
    /// How long to send (5s, 500ms, 2m)
    #[arg(long, default_value = "5s", value_parser = duration, conflicts_with = "requests")]
    pub duration: Duration,
    /// How many requests to send, instead of for how long (at most 10 minutes)
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub requests: Option<u64>,
    /// Requests in flight on one connection
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    pub pipeline: usize,
    /// No pace: the next request follows an answer at once (the only pace so far)
    #[arg(long)]
    pub rate_off: bool,
}

impl RunArguments {
    /// The plan these arguments describe.
    pub fn plan(self) -> RunPlan {
        let bound = self.requests.map_or(Bound::Duration(self.duration), Bound::Requests);
        RunPlan {
            threads: self.threads.min(self.connections),
            pipeline: self.pipeline,
            bound,
            plan: self.shared.plan(self.connections),
        }
    }
}

/// `loadtest hold`.
#[derive(Args, Debug)]
pub struct HoldArguments {
    /// What every scenario takes.
    #[command(flatten)]
    pub shared: SharedArguments,
    /// Connections
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one)]
    pub connections: usize,
    /// How long to hold them between the two rounds
    #[arg(long, default_value_t = 1)]
    pub seconds: u64,
}

impl HoldArguments {
    /// The plan these arguments describe.
    pub fn plan(self) -> HoldPlan {
        HoldPlan {
            hold: Duration::from_secs(self.seconds),
            plan: self.shared.plan(self.connections),
        }
    }
}

/// `loadtest churn`.
#[derive(Args, Debug)]
pub struct ChurnArguments {
    /// What every scenario takes.
    #[command(flatten)]
    pub shared: SharedArguments,
    /// Clients, each a thread with one connection at a time
    #[arg(long, default_value_t = 64, value_parser = at_least_one)]
    pub clients: usize,
    /// How long to open connections (5s, 500ms, 2m)
    #[arg(long, default_value = "5s", value_parser = duration, conflicts_with = "connections")]
    pub duration: Duration,
    /// How many connections to open, instead of for how long
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: Option<u64>,
    /// Of four connections, leave one at once, one by a reset and one in the middle of a request
    #[arg(long)]
    pub rude: bool,
    /// Send and read in small pieces, with this pause after each (20ms)
    #[arg(long, value_parser = duration)]
    pub pace: Option<Duration>,
}

impl ChurnArguments {
    /// The plan these arguments describe.
    pub fn plan(self) -> ChurnPlan {
        let bound = self.connections.map_or(Bound::Duration(self.duration), Bound::Requests);
        let pace = self.pace.unwrap_or_default();
        ChurnPlan { bound, rude: self.rude, pace, plan: self.shared.plan(self.clients) }
    }
}

/// `loadtest soak`.
#[derive(Args, Debug)]
pub struct SoakArguments {
    /// What every scenario takes.
    #[command(flatten)]
    pub shared: SharedArguments,
    /// Start this server (target/release/wskhttpd) instead of using one that runs, again and again
    #[arg(long, conflicts_with = "urls")]
    pub start: Option<PathBuf>,
    /// How long
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub minutes: u64,
    /// One round of everything; a server is asked what it holds after each
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub round: Duration,
    /// Rounds until the server is ended and started again
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..))]
    pub rounds_per_life: u32,
}

impl SoakArguments {
    /// The plan these arguments describe.
    pub fn plan(self) -> SoakPlan {
        SoakPlan {
            start: self.start,
            duration: Duration::from_mins(self.minutes),
            round: self.round,
            rounds_per_life: self.rounds_per_life,
            plan: self.shared.plan(1),
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=1_000_000).contains(&number) => Ok(number),
        _ => Err("a number from 1 to 1000000".to_owned()),
    }
}

/// `5s`, `500ms`, `2m`; a bare number is seconds. From 1 ms to a day.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        _ => return Err(format!("unit `{unit}`: ms, s or m")),
    };
    let milliseconds = number.parse::<u64>().ok().and_then(|count| count.checked_mul(unit_ms));
    match milliseconds {
        Some(milliseconds) if (1..=86_400_000).contains(&milliseconds) => {
            Ok(Duration::from_millis(milliseconds))
        }
        _ => Err("a duration from 1ms to a day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("5"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for wrong in ["", "s", "0s", "5h", "1441m", "99999999999999999999s", "-1s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_count_replaces_the_duration_and_excludes_it() {
        let url = "http://127.0.0.1/";
        let plan = |arguments: &[&str]| {
            let words = ["loadtest", "run", url].into_iter().chain(arguments.iter().copied());
            match Arguments::try_parse_from(words)?.scenario {
                Scenario::Run(run) => Ok::<_, clap::Error>(run.plan().bound),
                Scenario::Hold(_) | Scenario::Churn(_) | Scenario::Soak(_) => {
                    panic!("not the scenario asked for")
                }
            }
        };
        assert_eq!(plan(&[]).expect("plan"), Bound::Duration(Duration::from_secs(5)));
        assert_eq!(plan(&["--requests", "9", "--rate-off"]).expect("plan"), Bound::Requests(9));
        assert!(plan(&["--requests", "9", "--duration", "1s"]).is_err());
        assert!(plan(&["--connections", "0"]).is_err());
    }
}
