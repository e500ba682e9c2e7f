//! Commands that are run now and then beside the loads: a reload, a probe, a change of settings.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::interrupt::Interrupt;
use crate::scenario::file::Beside;

/// How often it is looked whether it is time, or over.
const TICK: Duration = Duration::from_millis(20);

/// What came of a command.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BesideReport {
    /// The command, as it is in the file.
    pub command: String,
    /// How often it was run.
    pub runs: u64,
    /// How often its exit code was not 0.
    pub failures: u64,
    /// What it said the first time it failed.
    pub first: Option<String>,
}

impl BesideReport {
    fn failed(&mut self, said: String) {
        self.failures += 1;
        self.first.get_or_insert(said);
    }
}

/// Runs the command every so often for `duration`.
pub(super) fn repeat(
    beside: &Beside,
    base: &str,
    duration: Duration,
    interrupt: &Interrupt,
) -> BesideReport {
    let mut report = BesideReport { command: beside.command.clone(), ..BesideReport::default() };
    let address = base.trim_start_matches("http://");
    let Some(words) = beside.words(base, address) else { return report };
    let every = Duration::from_millis(beside.every_ms.get());
    let until = Instant::now() + duration;
    let mut next = Instant::now() + every;
    while Instant::now() < until && !interrupt.is_raised() {
        if Instant::now() < next {
            thread::sleep(TICK.min(every));
            continue;
        }
        next += every;
        report.runs += 1;
        let output = Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                report.failed(format!("{}: {said}", output.status));
            }
            Err(error) => report.failed(format!("{}: {error}", words[0])),
        }
    }
    report
}
