//! Everything at once, for as long as asked: rounds of a scenario, `soak` unless another is named.
//! A server of its own is asked after each round what it holds, and is ended and started again, in
//! another accept mode, after several.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::generator::report::End;
use crate::interrupt::Interrupt;
use crate::scenario::file::Scenario;
use crate::scenario::play::{Played, play};
use crate::server::{Memory, Server};

/// How much more a server may hold after the last round of a life than after the first: what its
/// lists keep of a moment that was busier.
pub const GROWTH_OCTETS_MAX: u64 = 256 * 1024;
/// What one connection may need at a time, by the driver's own limits: an unfinished head of
/// 16.5 KiB, four sends under way and one being built of 12 KiB each, and by IRP a buffer of 8 KiB;
/// the simulation has the same bound. How many need how much at the same moment is chance, so that
/// the peak of one round says nothing of the next one's.
pub const CONNECTION_OCTETS_MAX: u64 = 96 * 1024;
/// One life each, over and over.
const MODES: [&str; 3] = ["conditional", "event", "irp"];

/// What to do, to whom, for how long.
#[derive(Clone, Debug)]
pub struct SoakPlan {
    /// What each round is.
    pub scenario: Scenario,
    /// Whom to ask.
    pub server: Subject,
    /// All of it.
    pub duration: Duration,
    /// Rounds in the life of a server, at least 2.
    pub rounds_per_life: u32,
}

/// Whom to ask.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A server that runs, at this URL without a path.
    Running(String),
    /// A program to start again and again.
    Program(PathBuf),
}

/// A server from its start to its end.
#[derive(Clone, Debug, Serialize)]
pub struct Life {
    /// Its accept mode.
    pub mode: &'static str,
    /// Rounds it lived.
    pub rounds: u32,
    /// What it held after the first.
    pub first: Memory,
    /// What it held after the last.
    pub last: Memory,
    /// It left nothing behind.
    pub is_ledger_zero: bool,
}

impl Life {
    /// True when the last round left no more than the first, but for [`GROWTH_OCTETS_MAX`], and the
    /// most that was held is what the most connections at a time may need.
    pub fn is_flat(&self) -> bool {
        self.last.connections == 0
            && self.last.held <= self.first.held + GROWTH_OCTETS_MAX
            && self.last.peak <= self.first.held + self.last.sockets_peak * CONNECTION_OCTETS_MAX
    }
}

/// The outcome.
#[derive(Clone, Debug, Serialize)]
pub struct SoakReport {
    /// Why it ended.
    pub end: End,
    /// How long it took, in seconds.
    pub elapsed_s: f64,
    /// Rounds.
    pub rounds: u32,
    /// Complete, right answers.
    pub answers: u64,
    /// What an operator asked for in the middle.
    pub commands: u64,
    /// Errors, and the first line of the first report that has some.
    pub errors: u64,
    /// What the first error was.
    pub first_error: Option<String>,
    /// Servers started.
    pub lives: Vec<Life>,
}

impl SoakReport {
    /// True when it ended as asked, without an error, and every life was flat and left nothing.
    pub fn is_clean(&self) -> bool {
        self.end == End::Completed
            && self.errors == 0
            && self.answers > 0
            && self.lives.iter().all(|life| life.is_flat() && life.is_ledger_zero)
    }

    fn add(&mut self, played: &Played) {
        self.rounds += 1;
        for report in &played.reports {
            self.answers += report.answers;
            self.errors += report.errors;
            if self.first_error.is_none() {
                let load = &report.subject.load;
                self.first_error = report
                    .errors_by_class
                    .iter()
                    .next()
                    .map(|(class, line)| format!("{load}: {class}: {}", line.first));
            }
            if report.end == End::TooManyErrors {
                self.end = End::TooManyErrors;
            }
        }
        for beside in &played.beside {
            self.commands += beside.runs;
            self.errors += beside.failures;
            if self.first_error.is_none() {
                let said = beside.first.as_ref();
                self.first_error = said.map(|said| format!("{}: {said}", beside.command));
            }
        }
    }
}

impl fmt::Display for SoakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "soak: {} rounds in {:.0} s, {:?}", self.rounds, self.elapsed_s, self.end)?;
        writeln!(f, "answers     {}", self.answers)?;
        writeln!(f, "commands    {}", self.commands)?;
        for life in &self.lives {
            let Life { mode, rounds, first, last, .. } = life;
            let flat = if life.is_flat() { "flat" } else { "NOT flat" };
            let zero = if life.is_ledger_zero { "zero" } else { "NOT zero" };
            write!(f, "life        {mode}, {rounds} rounds: held {} to {}", first.held, last.held)?;
            write!(f, ", peak {} octets, {} sockets: {flat}", last.peak, last.sockets_peak)?;
            writeln!(f, ", {} connections left, ledger {zero}", last.connections)?;
        }
        writeln!(f, "errors      {}", self.errors)?;
        self.first_error.iter().try_for_each(|first| writeln!(f, "  first: {first}"))
    }
}

/// Runs it.
///
/// # Errors
/// It could not start, or its server ended by itself. What goes wrong else is in the report.
pub fn soak(plan: &SoakPlan, interrupt: &Interrupt) -> Result<SoakReport> {
    let started = Instant::now();
    let mut report = SoakReport {
        end: End::Completed,
        elapsed_s: 0.0,
        rounds: 0,
        answers: 0,
        commands: 0,
        errors: 0,
        first_error: None,
        lives: Vec::new(),
    };
    let mut modes = MODES.iter().cycle();
    let is_over = |report: &SoakReport| {
        started.elapsed() >= plan.duration || interrupt.is_raised() || report.end != End::Completed
    };
    while !is_over(&report) {
        let program = match &plan.server {
            Subject::Program(program) => program,
            Subject::Running(base) => {
                report.add(&play(&plan.scenario, base, false, interrupt)?);
                continue;
            }
        };
        let mode = modes.next().context("no mode")?;
        let settings = [format!("AcceptMode={mode}"), "MaxConnectionsPerAddress=0".into()];
        let server = Server::start(program, &settings)?;
        let mut scenario = plan.scenario.clone();
        for beside in &mut scenario.beside {
            beside.command = beside.command.replace("{control}", &server.control);
        }
        let mut held = Vec::new();
        // A life has two rounds at least, or there is nothing to compare.
        let rounds_max = plan.rounds_per_life.max(2);
        while (held.len() < 2 || !is_over(&report)) && held.len() < rounds_max as usize {
            report.add(&play(&scenario, &server.url, false, interrupt)?);
            held.push(server.quiet_memory()?);
        }
        let (first, last) = held.first().zip(held.last()).context("no round")?;
        report.lives.push(Life {
            mode,
            rounds: u32::try_from(held.len())?,
            first: *first,
            last: *last,
            is_ledger_zero: server.stop()?,
        });
    }
    report.elapsed_s = started.elapsed().as_secs_f64();
    if interrupt.is_raised() {
        report.end = End::Interrupted;
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_and_what_is_left_are_not_clean() {
        let memory = Memory { held: 1000, peak: 2000, sockets_peak: 2, connections: 0 };
        let life =
            Life { mode: "irp", rounds: 2, first: memory, last: memory, is_ledger_zero: true };
        let grown = |held, peak, connections| {
            let last = Memory { held, peak, connections, ..memory };
            Life { last, ..life.clone() }.is_flat()
        };
        let peak_max = 1000 + 2 * CONNECTION_OCTETS_MAX;
        assert!(grown(1000 + GROWTH_OCTETS_MAX, peak_max, 0));
        assert!(!grown(1001 + GROWTH_OCTETS_MAX, 2000, 0));
        assert!(!grown(1000, peak_max + 1, 0));
        assert!(!grown(1000, 2000, 1));
        let mut report = SoakReport {
            end: End::Completed,
            elapsed_s: 1.0,
            rounds: 2,
            answers: 1,
            commands: 0,
            errors: 0,
            first_error: None,
            lives: vec![life],
        };
        assert!(report.is_clean());
        report.lives[0].is_ledger_zero = false;
        assert!(!report.is_clean());
    }
}
