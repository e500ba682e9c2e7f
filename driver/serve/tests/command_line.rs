//! What the command line refuses, and that it leaves nothing behind.
#![forbid(unsafe_code)]

use std::net::TcpListener;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wskhttpd")).args(arguments).output().unwrap()
}

/// Exit code 2, one line on stderr that says `why`, nothing on stdout.
fn is_refused(arguments: &[&str], why: &str) {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(said.contains(why), "{arguments:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{arguments:?}: {said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
}

#[test]
fn an_address_in_use_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    is_refused(&["serve", "--listen", &address], "is in use");
}

#[test]
fn an_address_of_another_machine_is_one_clear_line() {
    is_refused(&["--listen", "192.0.2.1:8080"], "192.0.2.1:8080 is not an address");
}

#[test]
fn a_missing_folder_is_named() {
    is_refused(&["--listen", "127.0.0.1:0", "--site", "no/such/folder"], "no/such/folder");
}

#[test]
fn a_file_that_is_no_image_is_named() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    is_refused(&["--listen", "127.0.0.1:0", "--site", manifest], "is not a site image");
}

#[test]
fn a_site_that_cannot_be_represented_names_its_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("site.toml"), "[[response]]\nbody = 1\n").unwrap();
    let path = folder.path().to_str().unwrap();
    is_refused(&["--listen", "127.0.0.1:0", "--site", path], "site.toml");
}

#[test]
fn bad_settings_are_named() {
    let listen = ["--listen", "127.0.0.1:0", "--set"];
    let with = |setting: &'static str| [listen[0], listen[1], listen[2], setting];
    is_refused(&with("MaxConnections=0"), "MaxConnections: 0 is not in 1..=");
    is_refused(&with("MaxConnections=many"), "--set MaxConnections=many: not a number");
    is_refused(&with("MaxConnection=1"), "there is no such parameter");
    is_refused(&with("MaxConnections"), "not of the form NAME=VALUE");
    is_refused(&with("AcceptMode=maybe"), "AcceptMode: maybe is none of");
}

#[test]
fn a_word_that_is_no_argument_has_exit_code_2() {
    assert_eq!(run(&["--lisen", "127.0.0.1:0"]).status.code(), Some(2));
    assert_eq!(run(&["--listen", "localhost"]).status.code(), Some(2));
    assert_eq!(run(&["--processors", "0"]).status.code(), Some(2));
}

#[test]
fn help_lists_every_parameter_and_exit_code() {
    let help = run(&["--help"]);
    let text = String::from_utf8_lossy(&help.stdout);
    for number in wskhttpd::parameters::NUMBERS {
        assert!(text.contains(number.name), "{}", number.name);
    }
    assert!(text.contains("Exit codes") && text.contains("AcceptMode"), "{text}");
}
