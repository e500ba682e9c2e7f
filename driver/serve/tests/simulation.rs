//! The driver on simulated machines, each in a process of its own: one that breaks a rule ends it.
//!
//! With WSKHTTPD_IMAGE set to a file, that driver image is run besides the linked driver.
#![forbid(unsafe_code)]

use std::process::{Child, Command, Stdio};

/// Seeds of one process, of which there are two.
const SEEDS: u64 = 1_200;
/// Seeds that are run on the image.
const IMAGE_SEEDS: u64 = 300;
/// Calls that the sweep finds to fail, in all modes, at least. What it found is in its output.
const SITES_MIN: u64 = 3_400;

fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_wskhttpd"))
        .arg("sim")
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the simulation starts")
}

/// The last line of a run that passed.
fn passed(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {said}", output.status.code());
    let said = String::from_utf8(output.stdout).unwrap();
    let last = said.lines().last().unwrap().to_owned();
    assert!(last.starts_with("sim: "), "{last}");
    last
}

fn image() -> Option<String> {
    std::env::var("WSKHTTPD_IMAGE").ok()
}

#[test]
fn two_thousand_seeds_and_more_pass() {
    let ranges = [format!("0..{SEEDS}"), format!("{SEEDS}..{}", 2 * SEEDS)];
    let runs = ranges.each_ref().map(|seeds| start(&["--seeds", seeds]));
    for line in runs.map(passed) {
        println!("{line}");
        assert!(line.contains(&format!(": {SEEDS} machines")), "{line}");
    }
}

#[test]
fn seeds_pass_on_the_image() {
    let Some(image) = image() else { return };
    let seeds = format!("0..{IMAGE_SEEDS}");
    println!("{}", passed(start(&["--seeds", &seeds, "--image", &image])));
}

#[test]
fn a_seed_gives_the_same_trace_again_and_on_the_image() {
    for seed in ["3", "4", "5", "11", "13", "1021", "1025", "2024"] {
        let first = passed(start(&["--seed", seed]));
        assert_eq!(first, passed(start(&["--seed", seed])));
        if let Some(image) = image() {
            let linked = passed(start(&["--seed", seed, "--uninterrupted"]));
            let image = ["--seed", seed, "--uninterrupted", "--image", &image];
            assert_eq!(linked, passed(start(&image)));
        }
        let other = passed(start(&["--seed", &format!("{seed}7")]));
        assert_ne!(first.rsplit_once(' '), other.rsplit_once(' '));
    }
}

/// Sites, as the last line of a sweep has them.
fn sites(line: &str) -> u64 {
    let (_, rest) = line.split_once(": sweep passed in ").expect(line);
    let (_, rest) = rest.split_once(": ").expect(line);
    rest.split_once(" sites").and_then(|(sites, _)| sites.parse().ok()).expect(line)
}

#[test]
fn every_call_that_can_fail_may_fail() {
    let line = passed(start(&["--sweep"]));
    println!("{line}");
    assert!(sites(&line) >= SITES_MIN, "{line}");
    if let Some(image) = image() {
        let on_image = passed(start(&["--sweep", "--image", &image]));
        assert_eq!(sites(&on_image), sites(&line));
    }
}
