//! `cargo xtask mutants`: cargo-mutants over the crates that decide, each with its own fast tests.
//!
//! A mutant is caught when a test fails or does not end. Fewer than [`PERCENT_MIN`] of 100 caught
//! is a failure; every one that is missed is printed, and driver/docs/mutants.md is where the
//! reasons are.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// Caught mutants of 100 that could be built, at least.
const PERCENT_MIN: usize = 85;
/// Where survivors have their reasons.
const REASONS: &str = "driver/docs/mutants.md";

/// What tests with a mutant may take at least: one that waits in vain is caught by it.
const TIMEOUT_MIN: Duration = Duration::from_mins(4);

/// What mutants have to face.
struct Round {
    tests: &'static [&'static str],
    /// Simulated machines of each mode.
    seeds: u32,
    /// Seconds of processor time that a process may take: a mutant that loops is caught by it,
    /// however busy the machine is.
    cpu_seconds_max: u32,
}

/// A crate, and what `cargo test` is told so that its tests are quick: the long ones find no
/// mutant that these do not.
struct Subject {
    package: &'static str,
    /// Packages whose tests are run.
    tests_of: &'static [&'static str],
    /// Which of their tests: quick ones that catch most.
    tests: &'static [&'static str],
    /// Those that are worth their time for what the first ones miss.
    more_tests: &'static [&'static str],
    /// How much the compiler may think, where tests are longer than builds.
    opt_level: &'static str,
    /// More for cargo.
    config: &'static [&'static str],
}

const SUBJECTS: [Subject; 4] = [
    Subject {
        package: "http1",
        tests_of: &["http1"],
        tests: &[
            "--test=rfc9110*",
            "--test=rfc9112*",
            "--test=smuggling",
            "--test=split",
            "--test=seeds",
        ],
        more_tests: &[],
        opt_level: "0",
        config: &[],
    },
    Subject {
        package: "response-cache",
        tests_of: &["response-cache"],
        tests: &[
            "--lib",
            "--test=builder",
            "--test=model",
            "--test=site_toml",
            "--test=variants",
            "--test=validate",
        ],
        more_tests: &[],
        opt_level: "1",
        // The workspace has 3 for it, which is worth its time where nothing of it is changed.
        config: &["--config=profile.dev.package.response-cache.opt-level=1"],
    },
    Subject {
        package: "wskhttpd",
        tests_of: &["wskhttpd", "wskhttpd-sim"],
        tests: &[
            "--lib",
            "--test=admission",
            "--test=conditional",
            "--test=health",
            "--test=memo",
            "--test=models",
            "--test=observe",
            "--test=parameters",
            "--test=ranges",
            "--test=responses",
        ],
        more_tests: &[
            "--test=seeds",
            "--test=clock",
            "--test=control",
            "--test=negotiation",
            "--test=lives*",
            "--test=doors*",
            "--test=reload",
            "--test=probes",
            "--test=smuggling",
            "--test=trace",
        ],
        opt_level: "0",
        config: &[],
    },
    Subject {
        package: "nt",
        tests_of: &["nt", "wskhttpd", "wskhttpd-sim"],
        tests: &["--lib", "--test=models", "--test=objects", "--test=responses*", "--test=seeds"],
        more_tests: &[
            "--test=seeds",
            "--test=try_cell",
            "--test=clock",
            "--test=control",
            "--test=doors*",
            "--test=health",
            "--test=lives*",
            "--test=observe",
            "--test=parameters",
            "--test=reload",
            "--test=trace",
        ],
        opt_level: "0",
        config: &[],
    },
];

impl Subject {
    /// For all mutants.
    const fn first(&self) -> Round {
        Round { tests: self.tests, seeds: 60, cpu_seconds_max: 60 }
    }

    /// For those that the first one missed.
    const fn second(&self) -> Round {
        Round { tests: self.more_tests, seeds: 500, cpu_seconds_max: 400 }
    }
}

/// What became of a crate's mutants.
struct Tally {
    /// A test failed, or did not end.
    caught: usize,
    missed: Vec<String>,
    /// They do not compile.
    unviable: usize,
}

impl Tally {
    /// Reads what cargo-mutants leaves: a file for each outcome, with a mutant on each line.
    fn read(folder: &Path) -> Result<Tally> {
        let lines = |name: &str| -> Result<Vec<String>> {
            let path = folder.join(name);
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Ok(text.lines().map(str::to_owned).collect())
        };
        Ok(Tally {
            caught: lines("caught.txt")?.len() + lines("timeout.txt")?.len(),
            missed: lines("missed.txt")?,
            unviable: lines("unviable.txt")?.len(),
        })
    }

    fn is_enough(&self) -> bool {
        let viable = self.caught + self.missed.len();
        viable > 0 && self.caught * 100 >= PERCENT_MIN * viable
    }
}

/// The crates named, or all; of each, mutants `shard` (`k/n`). True when enough are caught of each.
pub(crate) fn mutants(
    root: &Path,
    target: &Path,
    packages: &[String],
    shard: Option<&str>,
    files: &[String],
) -> Result<bool> {
    let reasons = fs::read_to_string(root.join(REASONS)).context(REASONS)?;
    let is_named = |subject: &&Subject| {
        packages.is_empty() || packages.iter().any(|name| name == subject.package)
    };
    let subjects: Vec<_> = SUBJECTS.iter().filter(is_named).collect();
    ensure!(!subjects.is_empty(), "no such crate; there are http1, response-cache, wskhttpd, nt");
    let mut is_enough = true;
    for subject in subjects {
        let tally = run(root, target, subject, shard, files)?;
        let Tally { caught, missed, unviable } = &tally;
        let verdict = if tally.is_enough() { "enough" } else { "NOT enough" };
        println!(
            "{}: {caught} caught, {} missed, {unviable} unviable: {verdict}",
            subject.package,
            missed.len()
        );
        for name in missed {
            let listed = if has_reason(&reasons, name) { "" } else { " (no reason yet)" };
            println!("    {name}{listed}");
        }
        is_enough &= tally.is_enough();
    }
    Ok(is_enough)
}

/// Two rounds: what the first misses has to face the longer tests.
fn run(
    root: &Path,
    target: &Path,
    subject: &Subject,
    shard: Option<&str>,
    files: &[String],
) -> Result<Tally> {
    let mut filter: Vec<String> = Vec::new();
    let shard = shard.iter().flat_map(|shard| ["--sharding=round-robin", "--shard", shard]);
    filter.extend(shard.map(str::to_owned));
    filter.extend(files.iter().flat_map(|file| ["--file".to_owned(), file.clone()]));
    let mut tally = round(root, target, subject, &subject.first(), &filter)?;
    if !tally.missed.is_empty() && !subject.more_tests.is_empty() {
        let these = tally.missed.iter().map(|name| format!("--re=^{}$", literal(name)));
        let these: Vec<String> = these.collect();
        let second = round(root, target, subject, &subject.second(), &these)?;
        let missed = tally.missed.len();
        // Others may have been run too: not every kind of mutant is filtered.
        tally.missed.retain(|name| second.missed.contains(name));
        tally.caught += missed - tally.missed.len();
    }
    Ok(tally)
}

fn round(
    root: &Path,
    target: &Path,
    subject: &Subject,
    round: &Round,
    filter: &[String],
) -> Result<Tally> {
    let Round { tests, seeds, cpu_seconds_max } = round;
    let output = target.join("mutants").join(subject.package);
    fs::create_dir_all(&output)?;
    // Of its own, so that dependencies are built once.
    let build = target.join("mutants/build");
    let cargo = || {
        let mut cargo = Command::new("sh");
        let limited = format!("ulimit -t {cpu_seconds_max}; exec cargo \"$@\"");
        cargo
            .args(["-c", &limited, "cargo"])
            .current_dir(root)
            .env("CARGO_TARGET_DIR", &build)
            .env("WSKHTTPD_SEEDS", seeds.to_string())
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", subject.opt_level);
        cargo
    };
    // cargo-mutants would run the changed crate's own tests only.
    let packages = subject.tests_of.iter().flat_map(|package| ["--package", package]);
    // What is built there may be the last mutant of an earlier round: cargo tells copies of the
    // workspace apart neither by their place nor by times that are older than the build.
    let changed = SUBJECTS.iter().flat_map(|subject| ["--package", subject.package]);
    let cleaned = cargo().args(["clean", "--quiet"]).args(changed).status()?;
    ensure!(cleaned.success(), "cargo clean");
    let started = Instant::now();
    let mut baseline = cargo();
    baseline.args(["test", "--quiet"]).args(subject.config).args(packages).args(*tests);
    let baseline = baseline.status()?;
    ensure!(baseline.success(), "the tests fail without a mutant");
    let timeout = TIMEOUT_MIN.max(started.elapsed() * 2).as_secs().to_string();
    let mut command = cargo();
    command
        // Shuffled, so that a run that is cut short is a sample still.
        .args(["mutants", "--shuffle", "--package", subject.package, "--output"])
        .arg(&output)
        .args(["--baseline=skip", "--timeout", &timeout])
        .args(filter)
        .args(["--test-package", &subject.tests_of.join(",")])
        // Not behind `--`: the others are not built then.
        .args(subject.config.iter().chain(*tests).map(|arg| format!("--cargo-arg={arg}")));
    let status = command.status().context("cargo install cargo-mutants")?;
    // Its own verdict is stricter: to miss one (2) or to wait for one in vain (3) is a failure.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        bail!("cargo mutants: {status}");
    }
    Tally::read(&output.join("mutants.out"))
}

/// A regular expression for this text alone.
fn literal(text: &str) -> String {
    let mut expression = String::new();
    for character in text.chars() {
        if r"\.+*?()|[]{}^$#&-~".contains(character) {
            expression.push('\\');
        }
        expression.push(character);
    }
    expression
}

/// True when the table has it: outside of that are those that have none.
fn has_reason(reasons: &str, name: &str) -> bool {
    let name = without_place(name);
    let in_table = reasons.lines().filter(|line| line.starts_with('|'));
    // A bar in a cell is escaped.
    in_table.map(|line| line.replace(r"\|", "|")).any(|line| line.contains(&name))
}

/// `file:line:column: what` without line and column, which every edit above moves.
fn without_place(name: &str) -> String {
    match name.splitn(4, ':').collect::<Vec<_>>()[..] {
        [file, _, _, what] => format!("{file}:{what}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn outcomes_are_counted() {
        let tally = |caught, missed: usize| Tally {
            caught,
            missed: vec![String::new(); missed],
            unviable: 9,
        };
        assert!(tally(85, 15).is_enough() && tally(1, 0).is_enough());
        assert!(!tally(84, 15).is_enough() && !tally(0, 0).is_enough());
        let folder = env::temp_dir().join(format!("wskhttpd-mutants-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = [
            ("caught.txt", "a\nb\n"),
            ("timeout.txt", "c\n"),
            ("missed.txt", "d\n"),
            ("unviable.txt", ""),
        ];
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        let read = Tally::read(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let Tally { caught, missed, unviable } = read.unwrap();
        assert_eq!((caught, missed, unviable), (3, vec!["d".to_owned()], 0));
        assert!(Tally::read(&folder).is_err());
    }

    #[test]
    fn a_name_is_an_expression_for_itself() {
        assert_eq!(literal("a.rs:1: replace + with *"), r"a\.rs:1: replace \+ with \*");
    }

    #[test]
    fn only_the_table_has_reasons() {
        let reasons = "`a.rs: replace + with *` is new\n| `b.rs: replace \\| with ^` | alike |\n";
        assert!(has_reason(reasons, "b.rs:1:2: replace | with ^"));
        assert!(!has_reason(reasons, "a.rs:1:2: replace + with *"));
        assert!(!has_reason(reasons, "c.rs:1:2: replace | with ^"));
    }

    #[test]
    fn a_reason_is_for_a_mutant_wherever_its_line_is() {
        assert_eq!(without_place("a/b.rs:12:3: replace + with *"), "a/b.rs: replace + with *");
    }
}
