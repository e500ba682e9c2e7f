//! The server as a process of this scenario's own: start it, ask it what it holds, end it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tempfile::TempDir;

/// Longest wait for a line of the server's.
const LINE_WAIT: Duration = Duration::from_mins(1);
/// Longest wait for its connections to be gone once the clients are.
const QUIET_WAIT: Duration = Duration::from_secs(30);
/// Pause between two reports while they are not.
const QUIET_POLL: Duration = Duration::from_millis(200);

/// What a server says it holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Memory {
    /// Octets of pool held.
    pub held: u64,
    /// The most octets of pool ever held, as a sum over kinds.
    pub peak: u64,
    /// The most sockets of connections ever open.
    pub sockets_peak: u64,
    /// Connections open.
    pub connections: u64,
}

impl Memory {
    /// Adds what one line of a report says.
    fn read(&mut self, line: &str) {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
        let behind = |name: &str| {
            let at = words.iter().position(|word| *word == name);
            at.and_then(|at| number(at + 1)).unwrap_or(0)
        };
        if words.first() == Some(&"connections_open") {
            self.connections = number(1).unwrap_or(0);
        } else if line.starts_with("connection sockets ") {
            self.sockets_peak = behind("peak");
        } else if line.starts_with("pool ") {
            self.held += behind("held");
            self.peak += behind("peak");
        }
    }
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    lines: Receiver<String>,
    /// Its first URL, which ends in a slash.
    pub url: String,
    /// The path of its control socket.
    pub control: String,
    /// Where that is; removed with it.
    _folder: TempDir,
}

impl Server {
    /// Starts it on a free port of 127.0.0.1 with these parameters.
    ///
    /// # Errors
    /// It does not start, or names no URL within a minute.
    pub fn start(program: &Path, settings: &[String]) -> Result<Self> {
        let mut command = Command::new(program);
        let folder = tempfile::tempdir()?;
        let control = folder.path().join("control");
        command.args(["serve", "--listen", "127.0.0.1:0", "--control"]).arg(&control);
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let output = child.stdout.take().context("no standard output")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        let control = control.to_string_lossy().into_owned();
        let mut server = Self { child, lines, url: String::new(), control, _folder: folder };
        let line = server.find("http://")?;
        line.trim().clone_into(&mut server.url);
        server.find("Ctrl-C")?;
        Ok(server)
    }

    /// What it holds when no connection is open any more; what it holds after half a minute, if
    /// some stay.
    ///
    /// # Errors
    /// It has ended, or does not answer the signal.
    pub fn quiet_memory(&self) -> Result<Memory> {
        let until = Instant::now() + QUIET_WAIT;
        loop {
            let memory = self.memory()?;
            if memory.connections == 0 || Instant::now() > until {
                return Ok(memory);
            }
            thread::sleep(QUIET_POLL);
        }
    }

    fn memory(&self) -> Result<Memory> {
        self.signal(Signal::USR1)?;
        let mut memory = Memory::default();
        loop {
            let line = self.line()?;
            if line.starts_with("memory per idle connection") {
                return Ok(memory);
            }
            memory.read(&line);
        }
    }

    /// Ends it by SIGINT. True when it left nothing behind.
    ///
    /// # Errors
    /// It says nothing for a minute, or says nothing of its ledger.
    pub fn stop(mut self) -> Result<bool> {
        self.signal(Signal::INT)?;
        let ledger = self.find("ledger: ")?;
        Ok(self.child.wait()?.success() && ledger == "ledger: all zero")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("no process")?, signal).context("the server is gone")
    }

    /// The next line that has this in it.
    fn find(&self, part: &str) -> Result<String> {
        loop {
            let line = self.line()?;
            if line.contains(part) {
                return Ok(line);
            }
            ensure!(!line.starts_with("wskhttpd:"), "{line}");
        }
    }

    fn line(&self) -> Result<String> {
        match self.lines.recv_timeout(LINE_WAIT) {
            Ok(line) => Ok(line),
            Err(error) => bail!("the server said nothing more: {error}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, or is not wanted any more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_summed_up() {
        let mut memory = Memory::default();
        for line in [
            "connections_open         3",
            "pool WskC                      12 held        49152 octets, peak        65536",
            "pool WskS                       1 held          100 octets, peak          200",
            "connection sockets              3 held            0 octets, peak            9",
            "IRPs in flight                  1 held            0 octets, peak           70",
            "ledger peak",
        ] {
            memory.read(line);
        }
        assert_eq!(memory, Memory { held: 49_252, peak: 65_736, sockets_peak: 9, connections: 3 });
    }
}
