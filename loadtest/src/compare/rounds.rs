//! The servers in turn: each once in every round, in an order that is drawn anew for each, so that
//! nothing that drifts or alternates on the machine sides with one of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use fastrand::Rng;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::compare::comparison::{Comparison, Server, medians, rows};
use crate::compare::cpu::time_used;
use crate::compare::environment::Environment;
use crate::compare::target::Target;
use crate::generator::report::End;
use crate::generator::tally::{Quantiles, quantiles};
use crate::interrupt::Interrupt;
use crate::progress::Bar;
use crate::scenario::file::Scenario;
use crate::scenario::play::{Played, play};

/// How long each server is warmed up before the first round.
const WARM_UP: Duration = Duration::from_millis(300);

/// What to compare.
#[derive(Debug)]
pub struct ComparePlan {
    /// What each server gets in each round.
    pub scenario: Scenario,
    /// How many rounds.
    pub rounds: usize,
    /// What orders follow from.
    pub seed: u64,
    /// Whether a bar shows how far it is.
    pub has_bar: bool,
}

/// One server in one round: of the first load, but for errors and processor time.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// When it began, in seconds since the first.
    pub started_s: f64,
    /// Answers per second.
    pub requests_per_s: f64,
    /// Latencies.
    pub latency_us: Quantiles,
    /// Processor time of the server per answer to any load, where its process is known.
    pub cpu_us_per_request: Option<f64>,
    /// Answers in each tenth of a second.
    pub timeline: Vec<u64>,
}

/// A server and what was found out so far.
struct Contestant<'a> {
    target: &'a mut Target,
    rounds: Vec<Round>,
    latency_ns: Histogram<u64>,
    answers: u64,
    errors: u64,
    first_error: Option<String>,
    refused: u64,
    unsent: u64,
}

/// Compares `targets`, of which the first is the one beside which the others are put.
///
/// # Errors
/// A server could not be asked, or not one round was finished.
pub fn compare(
    plan: &ComparePlan,
    targets: &mut [Target],
    interrupt: &Interrupt,
) -> Result<Comparison> {
    ensure!(!targets.is_empty(), "no server to compare");
    let environment = Environment::here();
    let count = targets.len();
    // The servers have to say the same, in all rounds, or they are not doing the same work.
    let mut scenario = plan.scenario.clone();
    scenario.learn(&targets[0].base).with_context(|| targets[0].name.clone())?;
    let mut contestants = Vec::with_capacity(count);
    for target in targets {
        let warm_up = Scenario { duration: WARM_UP, ..scenario.clone() };
        play(&warm_up, &target.base, false, interrupt)?;
        contestants.push(Contestant::new(target)?);
    }
    let mut random = Rng::with_seed(plan.seed);
    let started = Instant::now();
    let bar = Bar::new(plan.has_bar, (plan.rounds * count) as u64);
    let mut rounds = 0;
    let mut stopped = None;
    while rounds < plan.rounds && stopped.is_none() {
        let mut order: Vec<_> = (0..count).collect();
        random.shuffle(&mut order);
        let mut round = Vec::with_capacity(count);
        for index in order {
            match contestants[index].round(&scenario, started, interrupt) {
                Ok(measured) => round.push((index, measured)),
                Err(error) => {
                    stopped = Some(format!("{}: {error:#}", contestants[index].target.name));
                    break;
                }
            }
            let answers = contestants.iter().map(|contestant| contestant.answers).sum();
            bar.show((rounds * count + round.len()) as u64, answers, started.elapsed());
        }
        if interrupt.is_raised() {
            stopped = Some("interrupted".to_owned());
        }
        if stopped.is_none() {
            for (index, (measured, played)) in round {
                contestants[index].add(measured, &played)?;
            }
            rounds += 1;
        }
    }
    bar.clear();
    if let Some(stopped) = stopped.as_ref().filter(|_| rounds == 0) {
        bail!("not one round was finished: {stopped}");
    }
    let servers: Vec<_> = contestants.into_iter().map(Contestant::into_server).collect();
    Ok(Comparison {
        duration_s: scenario.duration.as_secs_f64(),
        scenario: scenario.name,
        about: scenario.about,
        loads: scenario.loads,
        beside: scenario.beside,
        rounds,
        rounds_wanted: plan.rounds,
        stopped,
        seed: plan.seed,
        environment,
        rows: rows(&servers, plan.seed),
        servers,
    })
}

impl<'a> Contestant<'a> {
    fn new(target: &'a mut Target) -> Result<Self> {
        Ok(Self {
            target,
            rounds: Vec::new(),
            latency_ns: Histogram::new(3)?,
            answers: 0,
            errors: 0,
            first_error: None,
            refused: 0,
            unsent: 0,
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "answers are far below 2^53")]
    fn round(
        &mut self,
        scenario: &Scenario,
        started: Instant,
        interrupt: &Interrupt,
    ) -> Result<(Round, Played)> {
        self.target.check()?;
        let started_s = started.elapsed().as_secs_f64();
        let pid = self.target.pid;
        let used = || pid.and_then(time_used);
        let before = used();
        let played = play(scenario, &self.target.base, false, interrupt)?;
        // What a server that ended meanwhile answered is no figure of it.
        self.target.check()?;
        let spent = used().zip(before).map(|(after, before)| after.saturating_sub(before));
        let answers: u64 = played.reports.iter().map(|report| report.answers).sum();
        let per_answer = |spent: Duration| spent.as_secs_f64() * 1e6 / answers as f64;
        let first = &played.reports[0];
        let round = Round {
            started_s,
            requests_per_s: first.requests_per_s,
            latency_us: first.latency_us,
            cpu_us_per_request: spent.filter(|_| answers > 0).map(per_answer),
            timeline: first.timeline.clone(),
        };
        Ok((round, played))
    }

    fn add(&mut self, round: Round, played: &Played) -> Result<()> {
        self.rounds.push(round);
        self.latency_ns.add(&played.reports[0].latency_ns)?;
        self.answers += played.reports[0].answers;
        for report in &played.reports {
            self.errors += report.errors;
            self.refused += report.refused;
            self.unsent += report.unsent;
            let named = report.errors_by_class.iter().next();
            let named = named.map(|(class, line)| format!("{class}: {}", line.first));
            let cut = (report.end != End::Completed).then(|| report.end.words().to_owned());
            if let Some(error) = named.or(cut) {
                let load = &report.subject.load;
                self.first_error.get_or_insert(format!("{load}: {error}"));
            }
        }
        for beside in &played.beside {
            self.errors += beside.failures;
            if let Some(first) = &beside.first {
                self.first_error.get_or_insert(format!("{}: {first}", beside.command));
            }
        }
        Ok(())
    }

    fn into_server(self) -> Server {
        Server {
            name: self.target.name.clone(),
            base: self.target.base.clone(),
            command: self.target.command.clone(),
            medians: medians(&self.rounds),
            latency_us: quantiles(&self.latency_ns),
            latency_curve: curve(&self.latency_ns),
            answers: self.answers,
            errors: self.errors,
            first_error: self.first_error,
            refused: self.refused,
            unsent: self.unsent,
            rounds: self.rounds,
        }
    }
}

/// Points (part of the answers, microseconds), closer together towards the slowest answer.
#[allow(clippy::cast_precision_loss, reason = "latencies are far below 2^53 ns")]
fn curve(latency_ns: &Histogram<u64>) -> Vec<(f64, f64)> {
    let count = latency_ns.len() as f64;
    let parts = (0..=100).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 20.0));
    // Beyond the slowest answer there is nothing to see.
    parts
        .take_while(|part| (1.0 - part) * count >= 1.0)
        .map(|part| (part, latency_ns.value_at_quantile(part) as f64 / 1e3))
        .collect()
}
