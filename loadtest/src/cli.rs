//! Arguments.

#![allow(rustdoc::broken_intra_doc_links, reason = "these comments are also the help texts")]

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Parser, Subcommand};

use crate::compare::rounds::ComparePlan;
use crate::compare::target::Target;
use crate::generator::churn::ChurnPlan;
use crate::generator::hold::HoldPlan;
use crate::generator::plan::{Ask, Plan, Refusals};
use crate::generator::run::{Bound, Pace, Reuse, RunPlan};
use crate::scenario::file::Beside;
use crate::scenario::shipped;
use crate::soak::{SoakPlan, Subject};

/// Load generator that checks every answer.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What it can do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Keep connections busy: closed loop, or open loop with --rate
    Run(RunArguments),
    /// Open many connections, ask on each, hold them, ask again, close
    Hold(HoldArguments),
    /// A connection for each request; --rude: most are left in another way
    Churn(ChurnArguments),
    /// Play a scenario; without a name, list them
    Scenario(ScenarioArguments),
    /// A scenario against several servers in turn, and a report of how they differ
    Compare(CompareArguments),
    /// Everything at once, over several lives of a server
    Soak(SoakArguments),
    /// Serve: a constant to every blank line, the bound of any server in user mode
    Raw(RawArguments),
}

/// What the bound takes.
#[derive(Args, Debug)]
pub struct RawArguments {
    /// Where to listen
    #[arg(default_value = "127.0.0.1:0")]
    pub address: SocketAddr,
    /// Every response ends its connection
    #[arg(long)]
    pub close: bool,
}

impl Arguments {
    /// True when the report is to be JSON.
    pub fn json(&self) -> bool {
        match &self.task {
            Task::Run(run) => run.shared.json,
            Task::Hold(hold) => hold.shared.json,
            Task::Churn(churn) => churn.shared.json,
            Task::Scenario(scenario) => scenario.json,
            Task::Compare(compare) => compare.json,
            Task::Soak(soak) => soak.json,
            Task::Raw(_) => false,
        }
    }
}

/// What every load takes.
#[derive(Args, Debug)]
pub struct SharedArguments {
    /// http://host[:port]/path; several are asked in turn
    #[arg(required = true)]
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
            asks: self
                .urls
                .into_iter()
                .map(|url| Ask { status: self.status, ..Ask::get(url) })
                .collect(),
            check_content: !self.no_check,
            connections,
            timeout: self.timeout,
            errors_max: self.errors_max,
            refusals: Refusals::Errors,
            sources: self.sources,
            source: self.source,
            has_bar: true,
        }
    }
}

/// `loadtest run`.
#[derive(Args, Debug)]
pub struct RunArguments {
    /// What every load takes.
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
    /// Requests that begin per second, whatever the answers do: open loop, latency counted from
    /// when each was to begin
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// A connection for each request
    #[arg(long, conflicts_with = "pipeline")]
    pub close: bool,
    /// How long the rate, or the number of connections, rises before it is measured
    #[arg(long, default_value = "0", value_parser = duration_or_none)]
    pub ramp: Duration,
}

impl RunArguments {
    /// The plan these arguments describe.
    pub fn plan(self) -> RunPlan {
        let bound = self.requests.map_or(Bound::Duration(self.duration), Bound::Requests);
        RunPlan {
            threads: self.threads.min(self.connections),
            pipeline: self.pipeline,
            reuse: if self.close { Reuse::Close } else { Reuse::KeepAlive },
            pace: self.rate.map_or(Pace::Answers, Pace::PerSecond),
            ramp: self.ramp,
            bound,
            plan: self.shared.plan(self.connections),
        }
    }
}

/// `loadtest hold`.
#[derive(Args, Debug)]
pub struct HoldArguments {
    /// What every load takes.
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
    /// What every load takes.
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
        ChurnPlan {
            bound,
            rude: self.rude,
            send_pace: pace,
            read_pace: pace,
            plan: self.shared.plan(self.clients),
        }
    }
}

/// `loadtest scenario`.
#[derive(Args, Debug)]
pub struct ScenarioArguments {
    /// A shipped scenario (hello, churn, ...) or a file
    #[arg(requires = "url")]
    pub name: Option<String>,
    /// http://host[:port]
    pub url: Option<String>,
    /// Another duration than the scenario's
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `loadtest compare`.
#[derive(Args, Debug)]
pub struct CompareArguments {
    /// NAME=http://host[:port] of servers that run
    #[arg(value_parser = named, required_unless_present = "start")]
    pub servers: Vec<(String, String)>,
    /// NAME=COMMAND of a server to start and to end, several times; in it {addr} becomes the
    /// address and port to listen on, {port} the port
    #[arg(long, value_parser = named)]
    pub start: Vec<(String, String)>,
    /// NAME=PID of a server that runs here, for its processor time
    #[arg(long, value_parser = named)]
    pub pid: Vec<(String, String)>,
    /// The one beside which the others are put [default: the first that runs, or is started]
    #[arg(long)]
    pub baseline: Option<String>,
    /// A shipped scenario (hello, churn, ...) or a file
    #[arg(long, default_value = "hello")]
    pub scenario: String,
    /// Rounds; below 5 no difference is shown
    #[arg(long, default_value_t = 11, value_parser = at_least_one)]
    pub rounds: usize,
    /// Another duration of a round than the scenario's
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
    /// What the order of the servers in each round follows from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder for report.html, report.md and report.json, and what started servers print
    #[arg(long, default_value = "target/compare")]
    pub out: PathBuf,
    /// Print the report as JSON instead of Markdown
    #[arg(long)]
    pub json: bool,
}

impl CompareArguments {
    /// The plan these arguments describe.
    ///
    /// # Errors
    /// There is no such scenario, or it is not one.
    pub fn plan(&self) -> Result<ComparePlan> {
        let mut scenario = shipped::find(&self.scenario)?;
        scenario.duration = self.duration.unwrap_or(scenario.duration);
        Ok(ComparePlan { scenario, rounds: self.rounds, seed: self.seed, has_bar: true })
    }

    /// The servers, of which some are started, with the baseline first.
    ///
    /// # Errors
    /// Names do not fit, or a server does not start.
    pub fn targets(&self) -> Result<Vec<Target>> {
        let mut names: Vec<_> =
            self.servers.iter().chain(&self.start).map(|(name, _)| name.clone()).collect();
        let baseline = self.baseline.as_ref().or(names.first()).cloned();
        let baseline = baseline.filter(|name| names.contains(name));
        let baseline = baseline.context("--baseline is not one of the servers")?;
        names.sort();
        names.dedup();
        let count = self.servers.len() + self.start.len();
        ensure!(names.len() == count, "two servers of one name");
        std::fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        let mut targets = Vec::with_capacity(count);
        for (name, base) in &self.servers {
            ensure!(base.starts_with("http://"), "{name}={base}: not http://");
            let pid = self.pid.iter().find(|(of, _)| of == name);
            let pid = pid.map(|(_, pid)| pid.parse().with_context(|| format!("--pid {name}")));
            targets.push(Target::running(name.clone(), base, pid.transpose()?));
        }
        for (name, command) in &self.start {
            let log = self.out.join(format!("{name}.log"));
            targets.push(Target::start(name.clone(), command, &log)?);
        }
        targets.sort_by_key(|target| target.name != baseline);
        Ok(targets)
    }
}

/// `loadtest soak`.
#[derive(Args, Debug)]
pub struct SoakArguments {
    /// http://host[:port] of a server that runs
    #[arg(required_unless_present = "start")]
    pub url: Option<String>,
    /// Start this server (target/release/wskhttpd) instead, again and again
    #[arg(long, conflicts_with = "url")]
    pub start: Option<PathBuf>,
    /// The scenario of each round, shipped or a file
    #[arg(long, default_value = "soak")]
    pub scenario: String,
    /// A command to run twice a second beside each round, such as a reload; in it {control} becomes
    /// the control socket of a server that was started
    #[arg(long)]
    pub beside: Option<String>,
    /// How long
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1440))]
    pub minutes: u64,
    /// One round; a server is asked what it holds after each
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub round: Duration,
    /// Rounds until the server is ended and started again
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..))]
    pub rounds_per_life: u32,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

impl SoakArguments {
    /// The plan these arguments describe.
    ///
    /// # Errors
    /// There is no such scenario, or it is not one.
    pub fn plan(self) -> Result<SoakPlan> {
        let server = match (self.start, self.url) {
            (Some(program), _) => Subject::Program(program),
            (None, url) => Subject::Running(url.context("neither a URL nor a server to start")?),
        };
        let mut scenario = shipped::find(&self.scenario)?;
        scenario.duration = self.round;
        if let Some(command) = self.beside {
            let every_ms = NonZeroU64::MIN.saturating_add(499);
            scenario.beside.push(Beside { every_ms, command });
        }
        Ok(SoakPlan {
            scenario,
            server,
            duration: Duration::from_mins(self.minutes),
            rounds_per_life: self.rounds_per_life,
        })
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=1_000_000).contains(&number) => Ok(number),
        _ => Err("a number from 1 to 1000000".to_owned()),
    }
}

/// NAME=VALUE; the name is also that of a file.
fn named(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("not NAME=VALUE")?;
    let is_name = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || "-_. ".contains(c))
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    if !is_name(name) || value.is_empty() {
        return Err("NAME of letters, digits, `-`, `_`, `.` and spaces, `=`, a value".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("a number from 0.01 to 10000000".to_owned()),
    }
}

fn duration_or_none(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { duration(text) }
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
            match Arguments::try_parse_from(words)?.task {
                Task::Run(run) => Ok::<_, clap::Error>(run.plan().bound),
                _ => panic!("not the task asked for"),
            }
        };
        assert_eq!(plan(&[]).expect("plan"), Bound::Duration(Duration::from_secs(5)));
        assert_eq!(plan(&["--requests", "9"]).expect("plan"), Bound::Requests(9));
        assert!(plan(&["--requests", "9", "--duration", "1s"]).is_err());
        assert!(plan(&["--connections", "0"]).is_err());
    }
}
