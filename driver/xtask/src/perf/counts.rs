//! What a request costs the live host: instructions and allocations in user mode, system calls.
//!
//! Each server runs twice, under callgrind and then under strace, with two numbers of requests;
//! what the larger number costs more, divided by how many more they are, is the cost of one: the
//! start, the connections and the end are in both.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::live::{Server, address};

/// Requests of the two runs, over so many connections that are kept.
const REQUESTS: [u32; 2] = [4_000, 20_000];
const CONNECTIONS: &str = "16";
/// Instructions that the host with the driver in it may take for a request at most.
const INSTRUCTIONS_MAX: [(&str, f64); 2] = [("host, memo off", 2_000.0), ("host, memo on", 900.0)];
/// Functions of the C library that allocate.
const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];
/// How long a tool may take to write what it counted.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and its arguments.
const SERVERS: [(&str, &str, &[&str]); 3] = [
    ("raw", "loadtest", &["raw"]),
    ("host, memo off", "wskhttpd", &["--set", "MemoHeads=0"]),
    ("host, memo on", "wskhttpd", &[]),
];
/// What a server is told besides, if it is ours.
const HOST: [&str; 6] =
    ["--listen", "127.0.0.1:0", "--processors", "1", "--set", "MaxConnectionsPerAddress=0"];

/// Counts by name: of system calls by theirs.
type Counts = BTreeMap<String, f64>;

/// Counts and prints; false when a row is not met.
pub(super) fn counts(root: &Path, target: &Path) -> Result<bool> {
    for (tool, version) in [("valgrind", "--version"), ("strace", "--version")] {
        if Command::new(tool).arg(version).output().is_err() {
            println!("skipped: counts of the live host ({tool} is not installed)");
            return Ok(true);
        }
    }
    let build = ["build", "--quiet", "--release", "-p", "wskhttpd-serve", "-p", "loadtest"];
    let status = Command::new("cargo").args(build).current_dir(root).status()?;
    ensure!(status.success(), "the servers cannot be built");
    let mut met = true;
    for server in &SERVERS {
        let (name, ..) = *server;
        let mut costs = per_request(|requests| executed(target, server, requests))?;
        costs.extend(per_request(|requests| called(target, server, requests))?);
        let cost = |what: &str| costs.get(what).copied().unwrap_or_default();
        let max = INSTRUCTIONS_MAX.iter().find(|(of, _)| *of == name).map(|(_, max)| *max);
        let verdict = match max {
            None => String::new(),
            Some(max) if cost("instructions") <= max => "met".to_owned(),
            Some(max) => format!("not met ({max})"),
        };
        met &= !verdict.starts_with("not");
        println!("{name}: {:.0} instructions, {verdict}", cost("instructions"));
        for (what, count) in costs.iter().filter(|(_, count)| **count > 0.000_5) {
            println!("  {what:14} {count:9.3} per request");
        }
    }
    Ok(met)
}

/// What one request costs.
fn per_request(run: impl Fn(u32) -> Result<Counts>) -> Result<Counts> {
    let [few, many] = REQUESTS;
    let (less, more) = (run(few)?, run(many)?);
    let cost = |(what, count): (String, f64)| {
        let before = less.get(&what).copied().unwrap_or_default();
        (what, (count - before) / f64::from(many - few))
    };
    Ok(more.into_iter().map(cost).collect())
}

/// Starts a server under a tool, asks it so often, ends it.
fn serve(
    target: &Path,
    (name, program, arguments): &(&'static str, &str, &[&str]),
    tool: &[&str],
    out: &Path,
    requests: u32,
) -> Result<()> {
    let release = target.join("release");
    let [tool, options @ ..] = tool else { return Ok(()) };
    let mut command = Command::new(tool);
    command.args(options).arg(release.join(program)).args(*arguments);
    if *program == "wskhttpd" {
        command.args(HOST);
    }
    // What is there is of an earlier run.
    let _ = fs::remove_file(out);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let address = address(&mut child).with_context(|| format!("starting {name}"))?;
    let server = Server { name, child, address };
    let url = format!("http://{}/hello.txt", server.address);
    let status = Command::new(release.join("loadtest"))
        .args(["run", &url, "--no-check", "--threads", "1", "--timeout", "60s"])
        .args(["--connections", CONNECTIONS, "--requests", &requests.to_string()])
        .stdout(Stdio::null())
        .status()?;
    ensure!(status.success(), "{name}: not every request was answered");
    drop(server);
    let start = Instant::now();
    while fs::metadata(out).map_or(0, |file| file.len()) == 0 {
        ensure!(start.elapsed() < PATIENCE, "{tool} has counted nothing");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn file(target: &Path) -> Result<PathBuf> {
    let folder = target.join("perf-counts");
    fs::create_dir_all(&folder)?;
    Ok(folder.join("counted"))
}

/// Instructions, and calls of allocators.
fn executed(
    target: &Path,
    server: &(&'static str, &str, &[&str]),
    requests: u32,
) -> Result<Counts> {
    let out = file(target)?;
    let option = format!("--callgrind-out-file={}", out.display());
    serve(target, server, &["valgrind", "--tool=callgrind", "--quiet", &option], &out, requests)?;
    Ok(of_callgrind(&fs::read_to_string(&out)?))
}

/// Of a file of callgrind's.
fn of_callgrind(text: &str) -> Counts {
    let mut counts = Counts::new();
    let mut names = BTreeMap::new();
    let mut is_allocator = false;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn=")) {
            // A name is told once, with its number.
            let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
            let name = if name.is_empty() {
                names.get(number).copied().unwrap_or_default()
            } else {
                names.insert(number, name);
                name
            };
            is_allocator = line.starts_with('c') && ALLOCATORS.contains(&name);
        } else if let Some(calls) = line.strip_prefix("calls=").filter(|_| is_allocator) {
            let calls = calls.split(' ').next().and_then(|calls| calls.parse().ok());
            *counts.entry("allocations".to_owned()).or_default() += calls.unwrap_or(0.0);
        } else if let Some(total) = line.strip_prefix("totals: ") {
            counts.insert("instructions".to_owned(), total.trim().parse().unwrap_or(0.0));
        }
    }
    counts
}

/// System calls.
fn called(target: &Path, server: &(&'static str, &str, &[&str]), requests: u32) -> Result<Counts> {
    let out = file(target)?;
    let path = out.display().to_string();
    // -D: what is started is the server, and not the one who watches it.
    serve(target, server, &["strace", "-D", "-f", "-c", "-o", &path], &out, requests)?;
    Ok(of_strace(&fs::read_to_string(&out)?))
}

/// Of a summary of strace's: share, seconds, microseconds, calls, errors if any, name.
fn of_strace(text: &str) -> Counts {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words.last().filter(|name| **name != "total")?;
        Some(((*name).to_owned(), words.get(3)?.parse().ok()?))
    };
    text.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_allocators_are_counted_wherever_they_are_named() {
        let text = "fn=(1) main\n10 5\ncfn=(2) malloc\ncalls=3 0\n10 60\ncfn=(3) memcpy\n\
            calls=7 0\n11 70\nfn=(4) other\ncfn=(2)\ncalls=2 0\n12 40\ntotals: 175\n";
        let counts = of_callgrind(text);
        assert_eq!(counts.get("allocations"), Some(&5.0));
        assert_eq!(counts.get("instructions"), Some(&175.0));
    }

    #[test]
    fn system_calls_are_counted_with_and_without_errors() {
        let text = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
             60.00    0.000060           1        60           sendto\n\
             40.00    0.000040           1        40         5 recvfrom\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.000100           1       100         5 total\n";
        let counts = of_strace(text);
        assert_eq!(counts, [("recvfrom".into(), 40.0), ("sendto".into(), 60.0)].into());
    }

    #[test]
    fn one_request_costs_what_more_of_them_cost_more() {
        let run = |requests| Ok([("sendto".to_owned(), 100.0 + f64::from(requests))].into());
        assert_eq!(per_request(run).unwrap().get("sendto"), Some(&1.0));
    }
}
