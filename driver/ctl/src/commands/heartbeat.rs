//! `heartbeat`: keeps a health endpoint up while a command lives.
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::arguments::{Heartbeat, Target};
use crate::driver::Driver;
use crate::failure::Failure;
use crate::output;

/// What the driver takes as timeout of beats.
pub(crate) const TIMEOUT_MIN: Duration = Duration::from_millis(125);
pub(crate) const TIMEOUT_MAX: Duration = Duration::from_hours(1);
/// Unless said: two beats may be late or lost.
const TIMEOUT_BEATS: u32 = 3;
/// How soon the end of the command, or a signal, is seen.
const LOOK: Duration = Duration::from_millis(25);

/// Beats until the command ends or somebody says stop.
pub(crate) fn run(target: &Target, heartbeat: &Heartbeat, json: bool) -> Result<ExitCode> {
    let Heartbeat { name, every, .. } = heartbeat;
    if heartbeat.stop {
        Driver::find(target)?.beat(name, 0)?;
        if json {
            output::json(&json!({ "name": name, "timeout_ms": 0 }))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let timeout = heartbeat.timeout.unwrap_or(*every * TIMEOUT_BEATS);
    let timeout = timeout.clamp(TIMEOUT_MIN, TIMEOUT_MAX);
    if timeout <= *every {
        return Err(Failure::Usage("--timeout must be longer than --every".to_owned()).into());
    }
    let timeout_ms = u32::try_from(timeout.as_millis())?;
    let stop = Stop::register()?;
    // The first one is to arrive: a wrong name ends here, and before the command begins.
    let mut pulse = Pulse::start(target, name, timeout_ms)?;
    if json {
        let every_ms = u64::try_from(every.as_millis())?;
        let value = json!({ "name": name, "every_ms": every_ms, "timeout_ms": timeout_ms });
        output::json(&value)?;
    }
    let mut child = spawn(heartbeat)?;
    let mut next = Instant::now() + *every;
    loop {
        if let Some(child) = &mut child {
            if let Some(status) = child.try_wait().context("the command cannot be waited for")? {
                return Ok(exit_code(status));
            }
            stop.pass_on(child);
        } else if stop.is_asked() {
            return Ok(ExitCode::SUCCESS);
        }
        let now = Instant::now();
        if now >= next {
            pulse.beat();
            // After a pause, such as that of a suspended machine, beats are not made up for.
            next = (next + *every).max(now);
        }
        thread::sleep(LOOK.min(next.saturating_duration_since(Instant::now())));
    }
}

/// The beats, and whether they arrive.
struct Pulse<'p> {
    target: &'p Target,
    name: &'p str,
    timeout_ms: u32,
    /// `None` after a failure: a server that starts again may be found at another place.
    driver: Option<Driver>,
}

impl<'p> Pulse<'p> {
    fn start(target: &'p Target, name: &'p str, timeout_ms: u32) -> Result<Pulse<'p>> {
        let driver = Driver::find(target)?;
        driver.beat(name, timeout_ms)?;
        Ok(Pulse { target, name, timeout_ms, driver: Some(driver) })
    }

    /// One beat. A failure is told once, and the command goes on: the server is not its business.
    fn beat(&mut self) {
        let was_lost = self.driver.is_none();
        match self.try_beat() {
            Ok(driver) => {
                if was_lost {
                    eprintln!("wskhttpctl: beats for {} arrive again", self.name);
                }
                self.driver = Some(driver);
            }
            Err(error) if !was_lost => {
                eprintln!("wskhttpctl: beats for {} do not arrive: {error:#}", self.name);
            }
            Err(_) => {}
        }
    }

    /// The driver that took it.
    fn try_beat(&mut self) -> Result<Driver> {
        let driver = self.driver.take().map_or_else(|| Driver::find(self.target), Ok)?;
        driver.beat(self.name, self.timeout_ms)?;
        Ok(driver)
    }
}

/// Signals that ask for the end.
struct Stop {
    interrupted: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
}

impl Stop {
    fn register() -> Result<Stop> {
        let register = |signal| {
            let flag = Arc::default();
            signal_hook::flag::register(signal, Arc::clone(&flag))
                .context("signals cannot be handled")?;
            anyhow::Ok(flag)
        };
        Ok(Stop { interrupted: register(SIGINT)?, terminated: register(SIGTERM)? })
    }

    fn is_asked(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed) || self.terminated.load(Ordering::Relaxed)
    }

    /// SIGTERM goes on to the command; Ctrl-C has reached it already, from the terminal.
    fn pass_on(&self, child: &Child) {
        if self.terminated.swap(false, Ordering::Relaxed) {
            terminate(child);
        }
    }
}

#[cfg(unix)]
fn terminate(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It was not waited for, so the number is still its own; if it has ended, so be it.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// There, closing the console ends all its processes.
#[cfg(windows)]
fn terminate(_child: &Child) {}

fn spawn(heartbeat: &Heartbeat) -> Result<Option<Child>> {
    let Some((program, arguments)) = heartbeat.command.split_first() else { return Ok(None) };
    let child = Command::new(program).args(arguments).spawn();
    Ok(Some(child.with_context(|| program.display().to_string())?))
}

/// That of the command; as shells have it if a signal ended it.
fn exit_code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(windows)]
    let signal = None;
    let code = status.code().or_else(|| signal.map(|signal: i32| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
