//! Comparisons from the command line: servers that run and servers that are started.

use std::path::Path;
use std::process::{Command, Output};

use crate::peer::{Peer, Wrong};
use loadtest::compare::cpu::time_used;
use loadtest::compare::target::Target;

fn loadtest(arguments: &[&str], out: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    let fixed = ["compare", "--duration", "50ms", "--out"];
    command.args(fixed).arg(out).args(arguments).output().expect("it runs")
}

fn printed(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).expect("text")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn two_that_run_are_compared_and_the_report_is_written() {
    let (one, other) = (Peer::start(Wrong::Never, 0), Peer::start(Wrong::Never, 0));
    let out = folder();
    let (one, other) = (format!("one={}", one.url("")), format!("other={}", other.url("")));
    let pid = format!("one={}", std::process::id());
    let arguments = [&*one, &other, "--pid", &pid, "--rounds", "3"];
    let output = loadtest(&arguments, out.path());
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(printed.contains("| one |") && printed.contains("nothing shown"), "{printed}");
    let read = |name: &str| std::fs::read_to_string(out.path().join(name)).expect(name);
    assert!(read("report.html").contains("</svg>"));
    assert!(printed.starts_with(&read("report.md")));
    let json: serde_json::Value = serde_json::from_str(&read("report.json")).expect("JSON");
    assert_eq!(json["servers"][0]["rounds"].as_array().map(Vec::len), Some(3));
    assert!(json["servers"][0]["rounds"][0]["cpu_us_per_request"].as_f64() > Some(0.0));
    assert!(json["servers"][1]["rounds"][0]["cpu_us_per_request"].is_null());
}

#[test]
fn a_wrong_one_is_named_and_the_exit_code_says_so() {
    let (right, wrong) = (Peer::start(Wrong::Never, 0), Peer::start(Wrong::Byte, 0));
    let out = folder();
    let (right, wrong) = (format!("right={}", right.url("")), format!("wrong={}", wrong.url("")));
    // It is wrong from the first on: what is right is what the baseline says.
    let output = loadtest(&[&*right, &wrong, "--rounds", "2"], out.path());
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("**wrong:") && printed.contains("content: byte"), "{printed}");
    let page = std::fs::read_to_string(out.path().join("report.html")).expect("a page");
    assert!(page.contains("content: byte"));
}

#[test]
fn one_is_started_on_the_address_it_is_given() {
    let out = folder();
    let raw = format!("raw={} raw {{addr}}", env!("CARGO_BIN_EXE_loadtest"));
    let output = loadtest(&["--start", &raw, "--rounds", "1"], out.path());
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    let json = std::fs::read_to_string(out.path().join("report.json")).expect("JSON");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let server = &json["servers"][0];
    assert!(server["rounds"][0]["cpu_us_per_request"].as_f64() > Some(0.0));
    let address = server["base"].as_str().expect("a URL").trim_start_matches("http://");
    assert!(server["command"].as_str().expect("a command").ends_with(address));
}

#[test]
fn one_that_was_started_is_ended() {
    let out = folder();
    let command = format!("{} raw {{addr}}", env!("CARGO_BIN_EXE_loadtest"));
    let target = Target::start("raw".to_owned(), &command, &out.path().join("log"));
    let target = target.expect("a server");
    let pid = target.pid.expect("its process");
    assert!(time_used(pid).is_some());
    drop(target);
    assert_eq!(time_used(pid), None);
}

#[test]
fn what_was_measured_before_a_server_ended_is_reported() {
    let out = folder();
    let right = format!("right={} raw {{addr}}", env!("CARGO_BIN_EXE_loadtest"));
    // Ends by itself, long after the first rounds and long before the last.
    let brief = format!("brief=timeout 4 {} raw {{addr}}", env!("CARGO_BIN_EXE_loadtest"));
    let arguments = ["--start", &right, "--start", &brief, "--rounds", "1000"];
    let output = loadtest(&arguments, out.path());
    let printed = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("**Stopped early**: brief"), "{printed}");
    assert!(printed.contains(" of 1000 rounds") && printed.contains("| right |"), "{printed}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let out = folder();
    for (arguments, part) in [
        (&["a=http://127.0.0.1:1", "a=http://127.0.0.1:2"][..], "two servers of one name"),
        (&["a=http://127.0.0.1:1", "--baseline", "b"], "--baseline"),
        (&["a=ftp://127.0.0.1:1"], "not http://"),
        (&["a=http://127.0.0.1:1", "--scenario", "odd"], "no scenario of that name"),
        (&["http://127.0.0.1:1"], "NAME"),
        (&["--start", "a=false"], "ended at once"),
    ] {
        let output = loadtest(arguments, out.path());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(printed(&output).contains(part), "{arguments:?}: {}", printed(&output));
    }
}
