//! Where something was measured: what a reader needs to know to believe it, or to try it.

use std::fs;
use std::time::SystemTime;

use serde::Serialize;

/// One machine at one time.
#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// When, as an HTTP date.
    pub date: String,
    /// The processor's name.
    pub processor: String,
    /// How many of them this process may use.
    pub processors: usize,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// The system and its version.
    pub system: String,
    /// What waited for a processor before: averages over 1, 5 and 15 minutes.
    pub load_average: String,
    /// This program's version.
    pub loadtest: &'static str,
    /// The command this was measured by.
    pub command: String,
}

impl Environment {
    /// This machine, now.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let memory_kib = memory.split(' ').next().and_then(|number| number.parse().ok());
        let names = rustix::system::uname();
        let load_average = read("/proc/loadavg");
        let arguments: Vec<_> = std::env::args().collect();
        Self {
            date: httpdate::fmt_http_date(SystemTime::now()),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: memory_kib.unwrap_or(0_u64) / 1024,
            system: format!(
                "{} {}",
                names.sysname().to_string_lossy(),
                names.release().to_string_lossy()
            ),
            load_average: load_average.split(' ').take(3).collect::<Vec<_>>().join(" "),
            loadtest: env!("CARGO_PKG_VERSION"),
            command: command(&arguments),
        }
    }

    /// Name and value of each, for a table.
    pub fn rows(&self) -> [(&'static str, String); 7] {
        [
            ("date", self.date.clone()),
            ("processor", format!("{}, {} usable", self.processor, self.processors)),
            ("memory", format!("{} MiB", self.memory_mib)),
            ("system", self.system.clone()),
            ("load average before", self.load_average.clone()),
            ("loadtest", self.loadtest.to_owned()),
            ("command", self.command.clone()),
        ]
    }
}

/// The words of a command line as a shell reads them; the program without its folder.
fn command(words: &[String]) -> String {
    let (program, arguments) =
        words.split_first().map_or(("loadtest", &[][..]), |(program, rest)| {
            (program.rsplit('/').next().unwrap_or(program), rest)
        });
    let words = [program].into_iter().chain(arguments.iter().map(String::as_str));
    shlex::try_join(words).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted() {
        let words = ["/x/y/loadtest", "compare", "a b"].map(str::to_owned);
        assert_eq!(command(&words), "loadtest compare 'a b'");
    }
}
