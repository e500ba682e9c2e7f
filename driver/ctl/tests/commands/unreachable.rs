//! Servers that are not there, not alone, or not right; the last by a socket that answers wrongly
//! on purpose.
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::program::{Run, run, run_in};

/// Every command that talks to a server.
const COMMANDS: [&[&str]; 12] = [
    &["load", "Cargo.toml"],
    &["status"],
    &["stats"],
    &["stats", "--prometheus"],
    &["top", "--once"],
    &["rejects"],
    &["health"],
    &["health", "main", "down"],
    &["heartbeat", "main"],
    &["set", "IdleTimeoutMs", "1000"],
    &["limits"],
    &["log", "--json"],
];

/// A folder for sockets of servers, with one in it.
fn runtime(listen: bool) -> (tempfile::TempDir, PathBuf, Option<UnixListener>) {
    let runtime = tempfile::tempdir().unwrap();
    let folder = runtime.path().join("wskhttpd");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("1.sock");
    let listener = UnixListener::bind(&path).unwrap();
    (runtime, path, listen.then_some(listener))
}

/// Runs a command against a server that answers each request with these octets, and hangs up.
fn against(answer: &[u8], arguments: &[&str]) -> Run {
    let answer = answer.to_vec();
    let (runtime, path, listener) = runtime(true);
    let listener = listener.unwrap();
    let server = std::thread::spawn(move || {
        loop {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            match stream.read_exact(&mut length) {
                // Somebody looked whether there is a server.
                Err(_) => continue,
                Ok(()) if length == [0xFF; 4] => return,
                Ok(()) => {}
            }
            let mut request = vec![0; u32::from_le_bytes(length) as usize];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(&answer).unwrap();
        }
    });
    let run = run_in(runtime.path(), arguments);
    UnixStream::connect(path).unwrap().write_all(&[0xFF; 4]).unwrap();
    server.join().unwrap();
    run
}

fn in_folder(runtime: &Path, code: i32, why: &str) {
    for command in COMMANDS {
        run_in(runtime, command).fails(code, why);
    }
}

#[test]
fn without_a_server_every_command_says_so() {
    let empty = tempfile::tempdir().unwrap();
    in_folder(empty.path(), 3, "no server is running");
    let (dead, _, _) = runtime(false);
    in_folder(dead.path(), 3, "no server is running");
    run(&["status", "--socket", "no/such.sock"]).fails(3, "no/such.sock");
}

#[test]
fn with_two_servers_both_are_named() {
    let (runtime, path, _listener) = runtime(true);
    let other = path.with_file_name("2.sock");
    let _other = UnixListener::bind(&other).unwrap();
    run_in(runtime.path(), &["status"]).fails(3, other.to_str().unwrap());
    run_in(runtime.path(), &["status"]).fails(3, path.to_str().unwrap());
}

#[test]
fn a_status_becomes_words() {
    for (status, code, why) in [
        (&b"\x10\0\0\xC0\0\0\0\0"[..], 1, "does not do that"),
        (b"\x22\0\0\xC0\0\0\0\0", 1, "access denied"),
        (b"\x34\0\0\xC0\0\0\0\0", 3, "no driver is loaded"),
        (b"\x59\0\0\xC0\0\0\0\0", 1, "another version"),
        (b"\x01\0\0\xC0\0\0\0\0", 1, "0xc0000001"),
    ] {
        against(status, &["status"]).fails(code, why);
        against(status, &["health", "main", "down"]).fails(code, why);
    }
    let not_found = b"\x25\x02\0\xC0\0\0\0\0";
    against(not_found, &["health", "x", "down"])
        .fails(1, "x: the site has no such health endpoint");
    against(not_found, &["heartbeat", "x"]).fails(1, "x: the site has no such health endpoint");
}

#[test]
fn an_answer_that_is_none_is_an_error_not_a_panic() {
    for answer in [&b"\0\0\0\0\x04\0\0\0abcd"[..], b"\0\0\0\0\0\0\0\0"] {
        for command in COMMANDS.iter().filter(|command| {
            // Orders without an answer of their own.
            !matches!(command[0], "health" | "heartbeat") || command.len() == 1
        }) {
            against(answer, command).fails(4, "malformed");
        }
    }
    for answer in [&b""[..], b"\0\0", b"\0\0\0\0\xFF\0\0\0abc"] {
        against(answer, &["status"]).fails(3, "hung up");
    }
}

#[test]
fn whatever_a_server_answers_it_ends_with_one_of_its_exit_codes() {
    // A list of a thousand items, then octets that mean nothing.
    let mut noise: u32 = 1;
    let mut octets = |count: usize| -> Vec<u8> {
        std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if noise & 0xC0 == 0 { 0 } else { (noise >> 24) as u8 }
        })
        .take(count)
        .collect()
    };
    for round in 0..60 {
        let command = COMMANDS[1 + round % (COMMANDS.len() - 1)];
        let mut record = [&1_u32.to_le_bytes()[..], &1000_u32.to_le_bytes()].concat();
        record.extend(octets(round * 40));
        let length = u32::try_from(record.len()).unwrap();
        let answer = [&[0; 4][..], &length.to_le_bytes(), &record].concat();
        // It would beat and beat.
        if command[0] != "heartbeat" {
            let run = against(&answer, command);
            assert!(matches!(run.code, Some(0 | 1 | 3 | 4)), "{command:?}: {run:?}");
        }
    }
}

#[test]
fn a_name_that_no_site_can_have_is_refused_before_it_is_sent() {
    let (runtime, _, _listener) = runtime(true);
    let long = "x".repeat(65);
    run_in(runtime.path(), &["health", &long, "up"]).fails(1, "no such health endpoint");
    run_in(runtime.path(), &["set", &long, "1"]).fails(1, "no such parameter");
}
