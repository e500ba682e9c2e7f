//! Health endpoints and their heartbeats.
use std::process::{Child, Command, Stdio};

use crate::program;
use crate::server::{Server, eventually};

fn heartbeat(server: &Server, arguments: &[&str]) -> Command {
    let mut command = program::command(&[&["heartbeat", "main"], arguments].concat());
    command.env("XDG_RUNTIME_DIR", server.runtime.path());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn status(server: &Server) -> u16 {
    server.get("/health").0
}

/// The record of `main`.
fn main(server: &Server) -> serde_json::Value {
    let endpoints = server.json(&["health"]);
    endpoints.as_array().unwrap().iter().find(|one| one["name"] == "main").unwrap().clone()
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

#[test]
fn an_endpoint_is_switched_and_only_that_one() {
    let server = Server::start(&[]);
    assert_eq!(status(&server), 200);
    assert_eq!(server.ctl(&["health", "main", "down"]).ok(), "");
    assert_eq!((status(&server), server.get("/ready").0), (503, 200));
    let text = server.ctl(&["health"]).ok();
    assert!(text.lines().any(|line| line.contains("main") && line.contains("down")), "{text}");
    server.ctl(&["health", "main", "drain"]).ok();
    assert_eq!((status(&server), &main(&server)["answered"]), (503, &"drain".into()));
    assert_eq!(server.json(&["health", "main", "up"])["health"], "up");
    assert_eq!(status(&server), 200);
    server.ctl(&["health", "nothing", "up"]).fails(1, "nothing");
}

#[test]
fn an_endpoint_is_up_while_the_command_lives_and_down_soon_after() {
    let server = Server::start(&[]);
    let command = ["--every", "50ms", "--timeout", "1s", "--", "cat"];
    let mut child = heartbeat(&server, &command).stdin(Stdio::piped()).spawn().unwrap();
    eventually("beats are expected", || main(&server)["timeout_ms"] == 1000);
    // Not at once if this machine has just slept through the timeout.
    eventually("it answers as up", || status(&server) == 200);
    // The command ends.
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    eventually("it answers as down", || status(&server) == 503);
    let endpoint = main(&server);
    assert_eq!((&endpoint["health"], &endpoint["answered"]), (&"up".into(), &"down".into()));
    assert!(endpoint["missed"].as_u64() >= Some(1), "{endpoint}");
    let text = server.ctl(&["health"]).ok();
    assert!(text.contains("down for want of beats, else up"), "{text}");
    // A beat brings it back, and then none is expected any more.
    server.json(&["heartbeat", "main", "--stop"]);
    assert_eq!((status(&server), &main(&server)["timeout_ms"]), (200, &0.into()));
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    let server = Server::start(&[]);
    let code = |script: &str| {
        let output = heartbeat(&server, &["--", "sh", "-c", script]).output().unwrap();
        output.status.code()
    };
    assert_eq!(code("exit 7"), Some(7));
    assert_eq!(code("kill -TERM $$"), Some(128 + 15));
    let output = heartbeat(&server, &["--", "no-such-program"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-program"));
}

#[test]
fn sigterm_goes_on_to_the_command() {
    let server = Server::start(&[]);
    let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = heartbeat(&server, &["--", "sh", "-c", script]).spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "ready\n");
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn without_a_command_it_beats_until_ctrl_c() {
    let server = Server::start(&[]);
    // Longer than the driver's tick, by which it tells when the last beat came.
    let mut child = heartbeat(&server, &["--every", "400ms", "--timeout", "2s"]).spawn().unwrap();
    eventually("beats are expected", || main(&server)["timeout_ms"] == 2000);
    let mut last = 0;
    let mut beats = 0;
    eventually("beats come", || {
        let since = main(&server)["since_beat_ms"].as_u64().unwrap();
        beats += u32::from(since < last);
        last = since;
        beats >= 3
    });
    eventually("it answers as up", || status(&server) == 200);
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    eventually("it answers as down", || status(&server) == 503);
}

#[test]
fn a_server_that_starts_again_gets_the_beats_again() {
    let mut server = Server::start(&[]);
    let said = tempfile::NamedTempFile::new().unwrap();
    let mut command = heartbeat(&server, &["--every", "50ms", "--timeout", "10s"]);
    let mut child = command.stderr(Stdio::from(said.reopen().unwrap())).spawn().unwrap();
    eventually("beats are expected", || main(&server)["timeout_ms"] == 10_000);
    server.stop();
    let has_said = |what| std::fs::read_to_string(said.path()).unwrap().contains(what);
    eventually("it says so", || has_said("beats for main do not arrive: "));
    server.start_again();
    eventually("beats are expected again", || main(&server)["timeout_ms"] == 10_000);
    eventually("it says so, too", || has_said("beats for main arrive again"));
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_to_string(said.path()).unwrap().lines().count(), 2);
}
