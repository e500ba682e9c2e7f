//! A server under comparison: where it is, and its process where that is known.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for a started server to listen, and for it to end.
const START_WAIT: Duration = Duration::from_mins(1);
const END_WAIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// A server.
#[derive(Debug)]
pub struct Target {
    /// What it is called.
    pub name: String,
    /// Its URL without a path.
    pub base: String,
    /// The command that it was started by, filled in.
    pub command: Option<String>,
    /// Its process, where that is known.
    pub pid: Option<u32>,
    process: Option<Process>,
}

/// A process of one's own; ended when dropped.
#[derive(Debug)]
struct Process(Child);

impl Target {
    /// A server that runs.
    pub fn running(name: String, base: &str, pid: Option<u32>) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { name, base, command: None, pid, process: None }
    }

    /// Starts one on a free port of 127.0.0.1 by the words of `command`, in which `{addr}` becomes
    /// its address and port and `{port}` its port; waits until it listens. What it prints goes
    /// into `log`.
    ///
    /// # Errors
    /// It does not start, or does not listen within a minute.
    pub fn start(name: String, command: &str, log: &Path) -> Result<Self> {
        // Free now; nobody else is expected to take it at once.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let words = shlex::split(command).with_context(|| format!("{command}: an open quote"))?;
        let fill = |word: &String| {
            word.replace("{addr}", &address.to_string())
                .replace("{port}", &address.port().to_string())
        };
        let words: Vec<_> = words.iter().map(fill).collect();
        let (program, arguments) = words.split_first().context("an empty command")?;
        let output = File::create(log).with_context(|| log.display().to_string())?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let pid = Some(child.id());
        let mut process = Process(child);
        process
            .await_listening(address)
            .with_context(|| format!("{name} (what it printed is in {})", log.display()))?;
        let command = shlex::try_join(words.iter().map(String::as_str)).ok();
        let base = format!("http://{address}");
        Ok(Self { name, base, command, pid, process: Some(process) })
    }

    /// Fails when a server that was started has ended.
    ///
    /// # Errors
    /// It has.
    pub fn check(&mut self) -> Result<()> {
        if let Some(Process(child)) = &mut self.process
            && let Some(status) = child.try_wait()?
        {
            bail!("{} has ended: {status}", self.name);
        }
        Ok(())
    }
}

impl Process {
    fn await_listening(&mut self, address: SocketAddr) -> Result<()> {
        let until = Instant::now() + START_WAIT;
        while TcpStream::connect_timeout(&address, POLL).is_err() {
            if let Some(status) = self.0.try_wait()? {
                bail!("ended at once: {status}");
            }
            ensure!(Instant::now() < until, "does not listen on {address}");
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        // It may have ended already.
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
        let until = Instant::now() + END_WAIT;
        while Instant::now() < until {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_does_not_serve_is_named_with_what_it_printed() {
        let log = std::env::temp_dir().join(format!("loadtest-target-{}", std::process::id()));
        let error = Target::start("x".to_owned(), "sh -c 'echo {port}; exit 3'", &log);
        let error = format!("{:#}", error.expect_err("no server"));
        assert!(error.contains("exit status: 3") && error.contains("loadtest-target"), "{error}");
        let printed = std::fs::read_to_string(&log).expect("a log");
        assert!(printed.trim().parse::<u16>().is_ok_and(|port| port > 0), "{printed}");
        std::fs::remove_file(log).expect("removed");
    }
}
