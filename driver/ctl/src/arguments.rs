//! The command line.
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use wskhttpd_abi::Health;

use crate::failure::EXIT_CODES;

/// Packs sites, and asks and tells a running wskhttpd. With one server running it is found by
/// itself.
#[derive(Parser)]
#[command(name = "wskhttpctl", version, after_long_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// Which server.
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON; lists that go on print one value on each line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which server.
#[derive(Args, Clone)]
pub(crate) struct Target {
    /// Socket of the server, if several are running.
    #[cfg(unix)]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Control device of the driver.
    #[cfg(windows)]
    #[arg(long, global = true, value_name = "PATH", default_value = r"\\.\WskHttpd")]
    pub(crate) device: PathBuf,
}

/// What can be done.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Pack a folder into a site image.
    Pack(Pack),
    /// Show what is in a site image, or what is wrong with it.
    Inspect {
        /// The image.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Let the server serve another site, without losing a request.
    Load {
        /// A site image, or a folder, which is packed first.
        #[arg(value_name = "FILE|DIR")]
        site: PathBuf,
    },
    /// Show what is served where.
    Status,
    /// Show the counters.
    Stats(Stats),
    /// Watch rates, service times, connections and refusals in the terminal.
    Top(Top),
    /// Show what was refused lately.
    Rejects {
        /// Go on showing what comes.
        #[arg(long, short)]
        follow: bool,
    },
    /// Show the health endpoints, or switch one.
    Health {
        /// The endpoint, as site.toml names it.
        #[arg(requires = "state")]
        name: Option<String>,
        /// What it answers from now on.
        state: Option<State>,
    },
    /// Keep a health endpoint up by beats; without one in time it answers as down.
    Heartbeat(Heartbeat),
    /// Change a parameter of the running driver.
    Set {
        /// As `limits` names it.
        #[arg(value_name = "PARAM")]
        name: String,
        /// A number, a word, or address prefixes with commas between.
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Show the parameters in force, and which of them can be changed.
    Limits,
    /// Print the access log in the W3C extended format.
    Log {
        /// Go on printing what comes.
        #[arg(long, short)]
        follow: bool,
        /// Append to this file instead.
        #[arg(long, value_name = "FILE", conflicts_with = "json")]
        w3c: Option<PathBuf>,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Arguments of `pack`.
#[derive(Args)]
pub(crate) struct Pack {
    /// The folder; its site.toml adds responses without files.
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Where the image goes; a file that is there is replaced as a whole.
    #[arg(long, short, value_name = "FILE", default_value = "site.img")]
    pub(crate) output: PathBuf,
}

/// Arguments of `stats`.
#[derive(Args)]
pub(crate) struct Stats {
    /// Go on, with rates.
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// Time between two looks.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(crate) every: Duration,
    /// Print the text format of Prometheus.
    #[arg(long, conflicts_with_all = ["watch", "json"])]
    pub(crate) prometheus: bool,
}

/// Arguments of `top`.
#[derive(Args)]
pub(crate) struct Top {
    /// Time between two looks.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(crate) every: Duration,
    /// Print one screen as text and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// With --once: look so many times before.
    #[arg(long, value_name = "N", default_value_t = 2, requires = "once")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=600))]
    pub(crate) looks: u32,
    /// With --once: write the screen as a picture instead.
    #[arg(long, value_name = "FILE", requires = "once", conflicts_with = "json")]
    pub(crate) svg: Option<PathBuf>,
}

/// Arguments of `heartbeat`.
#[derive(Args)]
pub(crate) struct Heartbeat {
    /// The endpoint, as site.toml names it.
    pub(crate) name: String,
    /// Time between two beats.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = interval)]
    pub(crate) every: Duration,
    /// Without a beat for so long the endpoint answers as down; three times --every unless said.
    #[arg(long, value_name = "TIME", value_parser = beat_timeout)]
    pub(crate) timeout: Option<Duration>,
    /// Expect no more beats, and end.
    #[arg(long, conflicts_with_all = ["every", "timeout", "command"])]
    pub(crate) stop: bool,
    /// Beat while this command lives; until Ctrl-C without one.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// A word for [`Health`].
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum State {
    /// Healthy.
    Up,
    /// No new work is wanted.
    Drain,
    /// Not healthy.
    Down,
}

impl From<State> for Health {
    fn from(state: State) -> Health {
        match state {
            State::Up => Health::Up,
            State::Drain => Health::Drain,
            State::Down => Health::Down,
        }
    }
}

/// Between 10 ms and an hour: more often is load, more seldom a slip.
fn interval(text: &str) -> Result<Duration, String> {
    duration(text, Duration::from_millis(10), Duration::from_hours(1))
}

/// What a beat may say.
fn beat_timeout(text: &str) -> Result<Duration, String> {
    duration(text, crate::commands::TIMEOUT_MIN, crate::commands::TIMEOUT_MAX)
}

fn duration(text: &str, min: Duration, max: Duration) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (min..=max).contains(&duration) {
        return Ok(duration);
    }
    let [min, max] = [min, max].map(humantime::format_duration);
    Err(format!("not between {min} and {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_usage(arguments: &[&str]) -> bool {
        let words = std::iter::once("wskhttpctl").chain(arguments.iter().copied());
        Arguments::try_parse_from(words).is_err_and(|error| error.exit_code() == 2)
    }

    #[test]
    fn durations_have_units_and_bounds() {
        assert_eq!(interval("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("1m"), Ok(Duration::from_mins(1)));
        for text in ["", "5", "1ms", "2h", "-1s"] {
            assert!(interval(text).is_err(), "{text}");
        }
        assert!(beat_timeout("124ms").is_err() && beat_timeout("125ms").is_ok());
    }

    #[test]
    fn what_does_not_fit_together_is_a_matter_of_usage() {
        assert!(!is_usage(&["health"]) && !is_usage(&["health", "main", "down"]));
        assert!(is_usage(&["health", "main"]) && is_usage(&["health", "main", "sideways"]));
        assert!(is_usage(&["stats", "--prometheus", "--watch"]));
        assert!(is_usage(&["top", "--svg", "a.svg"]));
        assert!(is_usage(&["heartbeat", "main", "--stop", "--", "sleep"]));
        assert!(is_usage(&["log", "--w3c", "a", "--json"]));
        assert!(is_usage(&[]) && is_usage(&["fly"]));
    }
}
