//! Instructions per request, counted by callgrind over a provider in memory, and the ratchet.
//!
//! Only the driver is counted: from the entry of an event or completion of its own to the end,
//! without what it calls in NT and WSK. How often it calls them is counted instead.

mod counts;
mod growth;
mod lines;
mod live;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

/// The ratchet, from the top of the repository.
const RATCHET: &str = "driver/docs/perf-ratchet.toml";
/// How much worse a row may be, in parts of its ratchet.
const TOLERANCE: f64 = 0.02;

/// Functions whose entry begins counting, beside the exports, whose entry ends it.
const COUNTED: [&str; 6] = [
    "nt::wsk::receive::*_event*",
    "nt::wsk::listener::*_event*",
    "nt::wsk::send::send_complete*",
    "nt::wsk::socket::*_complete*",
    "wskhttpd_bench::parse",
    "wskhttpd_bench::provider::wsk_*",
];

/// What to do with the figures.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// Print them.
    Print,
    /// And fail where one is worse than the ratchet.
    Check,
    /// And make them the ratchet.
    Bless,
    /// Print how the first row grows with paths, connections and processors instead.
    Growth,
    /// Compare the live host's CPU per request with other servers' instead.
    Live,
    /// Count what a request costs the live host instead.
    Counts,
    /// Look for cache lines that two processors write instead.
    Lines,
}

/// One row, per request.
#[derive(Clone, Copy, Debug)]
struct Figures {
    instructions: f64,
    calls: f64,
    allocations: f64,
    sends: f64,
}

/// Rows by name, by section.
type Table = BTreeMap<String, BTreeMap<String, Figures>>;
type Ratchet = BTreeMap<String, BTreeMap<String, f64>>;

/// Counts, prints, and does what `mode` says; false when a row is worse than the ratchet.
pub(super) fn perf(root: &Path, target: &Path, mode: Mode) -> Result<bool> {
    if mode == Mode::Live {
        return live::live(root, target);
    }
    if mode == Mode::Counts {
        return counts::counts(root, target);
    }
    if mode == Mode::Lines {
        return lines::lines(root, target);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: instructions per request (valgrind is not installed)");
        return Ok(true);
    }
    if mode == Mode::Growth {
        return growth::growth(root, target);
    }
    let mut table = Table::new();
    for (section, setting) in SECTIONS {
        table.insert(section.to_owned(), count(root, target, &[setting])?);
    }
    print(&table);
    let path = root.join(RATCHET);
    if mode == Mode::Bless {
        fs::write(&path, text(&table)).with_context(|| format!("writing {RATCHET}"))?;
        return Ok(true);
    }
    let ratchet = fs::read_to_string(&path).with_context(|| format!("reading {RATCHET}"))?;
    let ratchet: Ratchet = toml::from_str(&ratchet).with_context(|| format!("in {RATCHET}"))?;
    let findings = compare(&table, &ratchet);
    for finding in &findings {
        println!("{RATCHET}: {finding}");
    }
    Ok(mode == Mode::Print || findings.is_empty())
}

/// Each section of the ratchet, and the setting it is counted with.
const SECTIONS: [(&str, &str); 2] = [("memo_off", "memo=0"), ("memo_on", "memo=16")];

/// Builds the program.
fn build(root: &Path, target: &Path) -> Result<PathBuf> {
    let build = ["build", "--quiet", "--release", "-p", "wskhttpd-bench"];
    let status = Command::new("cargo").args(build).current_dir(root).status()?;
    ensure!(status.success(), "wskhttpd-bench cannot be built");
    Ok(target.join("release/wskhttpd-bench"))
}

/// Builds and runs the program, once.
fn count(root: &Path, target: &Path, settings: &[&str]) -> Result<BTreeMap<String, Figures>> {
    let program = build(root, target)?;
    let exports = Command::new(&program).arg("exports").output()?.stdout;
    let exports = String::from_utf8(exports)?;
    let folder = target.join("perf");
    // What is there is of an earlier run.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let toggles = COUNTED.into_iter().chain(exports.split_whitespace());
    let mut out = std::ffi::OsString::from("--callgrind-out-file=");
    out.push(folder.join("callgrind.out"));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(out)
        .args(toggles.map(|name| format!("--toggle-collect={name}")))
        .arg(&program)
        .args(settings)
        .output()
        .context("running valgrind")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let dumped = totals(&folder)?;
    let rows = String::from_utf8(output.stdout)?;
    rows.lines().map(|line| figures(line, &dumped)).collect()
}

/// Instructions of each dump, by its name.
fn totals(folder: &Path) -> Result<BTreeMap<String, f64>> {
    let mut totals = BTreeMap::new();
    let files =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    for file in files {
        let text = fs::read_to_string(&file)?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let Some(name) = value("desc: Trigger: Client Request: ") else { continue };
        let total = value("totals: ").or_else(|| value("summary: ")).context("a dump's total")?;
        totals.insert(name.to_owned(), total.trim().parse()?);
    }
    Ok(totals)
}

/// One line of the program's: name, requests, calls, allocations, sends.
fn figures(line: &str, totals: &BTreeMap<String, f64>) -> Result<(String, Figures)> {
    let (name, rest) = line.split_once(' ').with_context(|| format!("malformed: {line}"))?;
    let numbers = rest.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let [requests, calls, allocations, sends] = numbers[..] else { bail!("malformed: {line}") };
    let instructions = totals.get(name).with_context(|| format!("{name} was not dumped"))?;
    let figures = Figures {
        instructions: instructions / requests,
        calls: calls / requests,
        allocations: allocations / requests,
        sends: sends / requests,
    };
    Ok((name.to_owned(), figures))
}

fn print(table: &Table) {
    for (section, rows) in table {
        println!("{section:18} instructions  NT and WSK calls  allocations  sends (per request)");
        for (name, row) in rows {
            let Figures { instructions, calls, allocations, sends } = row;
            println!(
                "{name:18} {instructions:12.1}  {calls:16.2}  {allocations:11.2}  {sends:5.2}"
            );
        }
    }
}

fn text(table: &Table) -> String {
    let mut text = "# Instructions per request; see driver/docs/performance.md. Written by `cargo \
        xtask perf --bless`.\n"
        .to_owned();
    for (section, rows) in table {
        let _ = writeln!(text, "\n[{section}]");
        for (name, row) in rows {
            let _ = writeln!(text, "{name} = {:.1}", row.instructions);
        }
    }
    text
}

/// What is worse than the ratchet, or is not in it, or allocates.
fn compare(table: &Table, ratchet: &Ratchet) -> Vec<String> {
    let mut findings = Vec::new();
    for (section, rows) in table {
        for (name, row) in rows {
            if row.allocations > 0.0 {
                findings.push(format!("{section}.{name}: {} allocations", row.allocations));
            }
            let Some(was) = ratchet.get(section).and_then(|rows| rows.get(name)) else {
                findings.push(format!("{section}.{name} is not there"));
                continue;
            };
            if row.instructions > was * (1.0 + TOLERANCE) {
                findings.push(format!("{section}.{name}: {:.1}, not {was}", row.instructions));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(instructions: f64, allocations: f64) -> Table {
        let row = Figures { instructions, calls: 1.0, allocations, sends: 1.0 };
        Table::from([("s".to_owned(), BTreeMap::from([("r".to_owned(), row)]))])
    }

    #[test]
    fn two_per_cent_are_noise_and_more_is_not() {
        let ratchet = toml::from_str::<Ratchet>(&text(&table(100.0, 0.0))).expect("valid");
        assert!(compare(&table(102.0, 0.0), &ratchet).is_empty());
        assert_eq!(compare(&table(102.1, 0.0), &ratchet), ["s.r: 102.1, not 100"]);
        assert_eq!(compare(&table(90.0, 1.0), &ratchet), ["s.r: 1 allocations"]);
        assert_eq!(compare(&table(90.0, 0.0), &Ratchet::new()), ["s.r is not there"]);
    }
}
