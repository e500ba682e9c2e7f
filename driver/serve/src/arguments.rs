//! The command line.
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use nthost::Value;
use nthost::sim::Strike;
use wskhttpd::parameters::{CHOICES, LISTS, NUMBERS};
use wskhttpd_sim::Mode;

/// The wskhttpd driver, run in a user-mode host of NT and Winsock Kernel on this machine's sockets.
#[derive(Parser)]
#[command(name = "wskhttpd", version, args_conflicts_with_subcommands = true)]
#[command(after_long_help = parameters_help())]
pub(crate) struct Arguments {
    /// What to do; `serve` when nothing is said.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Arguments of `serve`.
    #[command(flatten)]
    pub(crate) serve: Serve,
}

/// What can be done.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve a site until Ctrl-C, then unload the driver and print its ledger.
    #[command(after_long_help = parameters_help())]
    Serve(Serve),
    /// Run the driver on simulated machines, whose every choice follows from a seed.
    Sim(Sim),
}

/// Arguments of `sim`.
#[derive(Args)]
pub(crate) struct Sim {
    /// Run one seed, and print its trace's hash.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    pub(crate) seed: Option<u64>,
    /// Run the seeds from A up to, but without, B; 0..100 unless said.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    pub(crate) seeds: Option<Range<u64>>,
    /// How connections come in; all ways in turn unless said.
    #[arg(long, value_name = "conditional|event|irp", value_parser = mode)]
    pub(crate) mode: Option<Mode>,
    /// Run this driver image (wskhttpd.sys) instead of the driver that is linked in.
    #[arg(long, value_name = "FILE.sys")]
    pub(crate) image: Option<PathBuf>,
    /// Do not interrupt the driver between two instructions, which are others in another build: so
    /// a seed has the same trace on the linked driver and on the image.
    #[arg(long)]
    pub(crate) uninterrupted: bool,
    /// Show everything that happened, not only the last of it.
    #[arg(long, requires = "seed")]
    pub(crate) trace: bool,
    /// Let every call that can fail do so, one by one, in the given mode or in all.
    #[arg(long, conflicts_with_all = ["seed", "seeds", "fail"])]
    pub(crate) sweep: bool,
    /// Let calls number FIRST to FIRST+TIMES-1 of one export fail, and nothing else.
    #[arg(long, value_name = "EXPORT:FIRST:TIMES", value_parser = strike)]
    pub(crate) fail: Option<Strike>,
}

fn seeds(text: &str) -> Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("not of the form A..B")?;
    Ok(from.parse()?..to.parse()?)
}

fn mode(text: &str) -> Result<Mode> {
    let found = Mode::ALL.into_iter().find(|mode| mode.name() == text);
    found.context("neither conditional, event nor irp")
}

fn strike(text: &str) -> Result<Strike> {
    let mut parts = text.splitn(3, ':');
    let (Some(export), Some(first), Some(times)) = (parts.next(), parts.next(), parts.next())
    else {
        bail!("not of the form EXPORT:FIRST:TIMES");
    };
    Ok(Strike { export: export.to_owned(), first: first.parse()?, times: times.parse()? })
}

/// Arguments of `serve`.
#[derive(Args)]
pub(crate) struct Serve {
    /// Address and port to listen on; port 0 takes a free one, `[::]` serves IPv6 and IPv4.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Folder to serve (its site.toml adds responses without files), or a packed site image.
    /// Without it a sample site is served.
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) site: Option<PathBuf>,
    /// Run this driver image (wskhttpd.sys) instead of the driver that is linked in.
    #[arg(long, value_name = "FILE.sys")]
    pub(crate) image: Option<PathBuf>,
    /// Processors of the simulated machine, each a thread with its own event loop.
    #[arg(long, value_name = "N", default_value_t = default_processors())]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) processors: u32,
    /// A parameter of the driver, as in its registry key; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print counters and the memory the driver holds, before unloading and on SIGUSR1.
    #[arg(long)]
    pub(crate) report: bool,
    /// Unix socket by which tools reach the driver's control device, in a directory of mode 0700;
    /// `none` for none. Unless given, `wskhttpd/PID.sock` in $XDG_RUNTIME_DIR, or else
    /// `wskhttpd-UID/PID.sock` in the folder for temporary files: tools find it there.
    #[arg(long, value_name = "PATH|none")]
    pub(crate) control: Option<PathBuf>,
    /// Print the driver's events, one line each; driver/docs/events.md lists them.
    #[arg(long)]
    pub(crate) trace_events: bool,
    /// Print what the driver writes to the kernel debugger.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

fn default_processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1)).min(64)
}

fn parameters_help() -> String {
    let mut help = String::from("Parameters (--set NAME=VALUE):\n");
    for number in NUMBERS {
        let (name, default, min, max) = (number.name, number.default, number.min, number.max);
        let _ = writeln!(help, "  {name}={default}  ({min} to {max})\n     {}", number.help);
    }
    for choice in CHOICES {
        let (first, others) = choice.words.split_first().unwrap_or((&"", &[]));
        let _ = writeln!(help, "  {}={first}  (or {})", choice.name, others.join(", "));
        let _ = writeln!(help, "     {}", choice.help);
    }
    for list in LISTS {
        let _ = writeln!(help, "  {}=PREFIX[,PREFIX...]\n     {}", list.name, list.help);
    }
    help.push('\n');
    help.push_str(
        "Exit codes: 0 served and left nothing behind; 2 refused to start; 3 the driver ",
    );
    help.push_str("leaked; 86 the driver broke a rule of the kernel; 87 a check of `sim` failed.");
    help
}

/// The registry values that the arguments amount to.
pub(crate) fn registry(serve: &Serve) -> Result<Vec<(String, Value)>> {
    let mut values = vec![
        ("ListenAddress".to_owned(), Value::String(serve.listen.ip().to_string())),
        ("ListenPort".to_owned(), Value::Dword(u32::from(serve.listen.port()))),
    ];
    for setting in &serve.set {
        let (name, value) = setting
            .split_once('=')
            .with_context(|| format!("--set {setting}: not of the form NAME=VALUE"))?;
        values.push((name.to_owned(), parameter(name, value)?));
    }
    Ok(values)
}

fn parameter(name: &str, value: &str) -> Result<Value> {
    if CHOICES.iter().any(|choice| choice.name == name) {
        return Ok(Value::String(value.to_owned()));
    }
    if LISTS.iter().any(|list| list.name == name) {
        let prefixes = value.split(',').filter(|prefix| !prefix.is_empty());
        return Ok(Value::MultiString(prefixes.map(str::to_owned).collect()));
    }
    if !NUMBERS.iter().any(|number| number.name == name) {
        let all = NUMBERS.iter().map(|number| number.name);
        let all = all.chain(CHOICES.iter().map(|choice| choice.name));
        let all = all.chain(LISTS.iter().map(|list| list.name)).collect::<Vec<_>>().join(", ");
        bail!("--set {name}: there is no such parameter; there are {all}");
    }
    let number = value.parse().with_context(|| format!("--set {name}={value}: not a number"))?;
    Ok(Value::Dword(number))
}
