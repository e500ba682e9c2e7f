//! Deliberately broken copies of the driver, each of which the host must catch.
//!
//! A copy of the workspace's sources is patched (`planted/*.patch`), built and run against clients
//! that provoke the bug; the process must end with the verifier's exit code and name a rule.
//! The copy and its build stay in the target folder, so that only the patched crates are rebuilt.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Exit code of a process whose driver broke a rule.
const BROKE_A_RULE: i32 = 86;
const PATIENCE: Duration = Duration::from_secs(30);

/// One copy, one bug at a time.
static COPY: Mutex<()> = Mutex::new(());

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Brings the copy up to date; files that did not change keep their time, so cargo leaves them.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, target) = (entry.file_name(), to.join(entry.file_name()));
        let hidden = name.to_string_lossy().starts_with('.');
        if entry.file_type().unwrap().is_dir() {
            if !hidden && name != "target" && name != "fuzz" {
                copy(&entry.path(), &target);
            }
        } else {
            let octets = std::fs::read(entry.path()).unwrap();
            if std::fs::read(&target).ok().as_ref() != Some(&octets) {
                std::fs::write(target, octets).unwrap();
            }
        }
    }
    // What an earlier copy has and the sources have no more would be built too.
    for entry in std::fs::read_dir(to).unwrap() {
        let entry = entry.unwrap();
        if !from.join(entry.file_name()).exists() {
            let is_folder = entry.file_type().unwrap().is_dir();
            let remove = if is_folder { std::fs::remove_dir_all } else { std::fs::remove_file };
            remove(entry.path()).unwrap();
        }
    }
}

/// The default binary of a copy with this bug.
fn broken(bug: &str) -> PathBuf {
    let room = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
    let sources = room.join("sources");
    copy(&workspace(), &sources);
    let patch = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/planted/{bug}.patch"));
    let status = Command::new("git")
        .args(["apply", "--whitespace=nowarn"])
        .arg(&patch)
        .current_dir(&sources)
        // The copy is not a repository, even when it lies inside one.
        .env("GIT_CEILING_DIRECTORIES", &room)
        .status()
        .unwrap();
    assert!(status.success(), "{} does not apply any more", patch.display());
    let target = room.join("target");
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "-p", "wskhttpd-serve"])
        .current_dir(&sources)
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("debug/wskhttpd")
}

struct Server {
    child: Child,
    address: SocketAddr,
}

fn start(binary: &Path, set: &[&str]) -> Server {
    let mut command = Command::new(binary);
    command.args(["serve", "--listen", "127.0.0.1:0", "--processors", "1"]);
    for setting in set {
        command.args(["--set", setting]);
    }
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the server starts");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.find_map(|line| {
        let line = line.unwrap();
        line.split_once("http://").map(|(_, rest)| rest.trim_end_matches('/').to_owned())
    });
    // Keep reading, so that the server never waits for us.
    std::thread::spawn(move || lines.for_each(drop));
    Server { child, address: url.expect("a URL").parse().unwrap() }
}

impl Server {
    /// A request on a new connection, answered or not.
    fn request(&self, path: &str) {
        let Ok(mut stream) = TcpStream::connect(self.address) else { return };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        if stream.write_all(request.as_bytes()).is_ok() {
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }

    /// Stops the server if it still runs; its exit code and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let interrupt = format!("kill -INT {}", self.child.id());
        let _ = Command::new("sh").args(["-c", &interrupt]).stderr(Stdio::null()).status();
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if start.elapsed() > PATIENCE {
                self.child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }
}

fn is_caught(bug: &str, set: &[&str], rules: &[&str], provoke: impl FnOnce(&Server)) {
    let _one = COPY.lock().unwrap_or_else(PoisonError::into_inner);
    let server = start(&broken(bug), set);
    provoke(&server);
    let (code, said) = server.end();
    assert_eq!(code, Some(BROKE_A_RULE), "{bug} was not caught: {said}");
    let named = rules.iter().any(|rule| said.contains(&format!("broke rule {rule}:")));
    assert!(named, "none of the rules {rules:?}: {said}");
}

#[test]
fn a_context_freed_before_its_close_completed_is_caught() {
    // Which rule it trips over depends on who takes the context: its next user's IRP is in flight
    // (6), its socket is called after its close (25), has no state (110), or is forgotten, so that
    // the unload hangs (112) or leaks (2).
    let rules = ["2", "6", "25", "110", "112"];
    is_caught("context_freed_before_close_completes", &[], &rules, |server| {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..50).for_each(|_| server.request("/hello.txt")));
            }
        });
    });
}

#[test]
fn an_irp_reused_in_flight_is_caught() {
    is_caught("irp_reused_in_flight", &[], &["6"], |server| {
        // A peer that does not read: sends stay in flight.
        let mut stream = TcpStream::connect(server.address).unwrap();
        let request = "GET /100k.bin HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
        let _ = stream.write_all(request.as_bytes());
        let mut octet = [0];
        let _ = stream.read(&mut octet);
        std::thread::sleep(Duration::from_millis(300));
    });
}

#[test]
fn an_accept_count_not_returned_is_caught() {
    is_caught("accept_count_not_returned", &[], &["110"], |server| {
        server.request("/hello.txt");
    });
}

/// Bugs that need a simulated machine to show, one of each kind, and those that were found by one
/// and mended; at most so many seeds.
const SIMULATED: [&str; 30] = [
    "answer_of_another_request",
    "buffer_changed_in_flight",
    "buffer_not_emptied",
    "close_during_a_restart",
    "count_leak_on_abort",
    "deadline_of_an_earlier_request",
    "desk_given_away",
    "desk_never_refreshed",
    "dpc_not_flushed",
    "end_overtakes",
    "failed_send_ignored",
    "held_answer_of_another_site",
    "idleness_not_looked_at_again",
    "idleness_of_before",
    "image_freed_in_flight",
    "irql_too_high",
    "memo_outlives_its_site",
    "null_indication_ignored",
    "octets_held_taken_for_none",
    "offset_ignored",
    "request_completed_twice",
    "restart_missed",
    "restart_within_the_turn",
    "runner_not_alone",
    "send_not_asked_for_its_deadline",
    "socket_used_after_close",
    "told_before_it_is_there",
    "turn_without_end",
    "unload_waits_for_a_refused_one",
    "wake_up_lost",
];
const SEEDS: &str = "0..2000";
/// Of them, those that are seen where connections have events, and seldom.
const BY_EVENT: [&str; 2] = ["end_overtakes", "octets_held_taken_for_none"];

#[test]
fn bugs_are_found_by_simulation() {
    let _one = COPY.lock().unwrap_or_else(PoisonError::into_inner);
    for bug in SIMULATED {
        let mode: &[&str] = if BY_EVENT.contains(&bug) { &["--mode", "event"] } else { &[] };
        let mut sim = Command::new(broken(bug));
        let output = sim.args(["sim", "--seeds", SEEDS]).args(mode).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{bug} was not found");
        let replay = said.lines().find(|line| line.contains("replay:"));
        let wrong = said.lines().find(|line| line.starts_with("*** ")).unwrap_or_default();
        println!("{bug}: {wrong}\n{}", replay.unwrap_or_else(|| panic!("{bug}: {said}")));
    }
}

#[test]
fn the_unbroken_driver_passes_what_the_broken_ones_do_not() {
    let server = start(Path::new(env!("CARGO_BIN_EXE_wskhttpd")), &["SendGraceMs=500"]);
    (0..20).for_each(|_| server.request("/hello.txt"));
    let mut stream = TcpStream::connect(server.address).unwrap();
    let request = "GET /100k.bin HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
    let _ = stream.write_all(request.as_bytes());
    let (code, said) = server.end();
    assert_eq!((code, said.as_str()), (Some(0), ""));
}
