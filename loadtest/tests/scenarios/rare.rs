//! Faults that are rare or subtle: a wrong byte in a million answers, two answers swapped.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::peer::PATIENCE;
use loadtest::generator::plan::{Ask, Plan};
use loadtest::generator::report::Report;
use loadtest::generator::run::{Bound, RunPlan, run};
use loadtest::interrupt::Interrupt;

const MILLION: u64 = 1_000_000;
const HEAD: &str =
    "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 5\r\n\r\n";

/// What a server says to `/a` and to `/b`.
fn answer(is_a: bool) -> Vec<u8> {
    format!("{HEAD}{}", if is_a { "aaaaa" } else { "bbbbb" }).into_bytes()
}

/// A server whose answers to what one read brought pass through `spoil`, with the number of the
/// first of them. The first connections are those that learn.
fn serve(spoil: impl Fn(u64, &mut Vec<Vec<u8>>) + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
    let base = format!("http://{}", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, spoil) = (stream.expect("a connection"), spoil.clone());
            thread::spawn(move || drop(serve_one(stream, spoil)));
        }
    });
    base
}

fn serve_one(mut stream: TcpStream, spoil: impl Fn(u64, &mut Vec<Vec<u8>>)) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut rest = Vec::new();
    let mut number = 0;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        rest.extend_from_slice(&buffer[..count]);
        let mut answers = Vec::new();
        let mut start = 0;
        for end in memchr::memmem::find_iter(&rest, b"\r\n\r\n") {
            answers.push(answer(rest[start..].starts_with(b"GET /a ")));
            start = end + 4;
        }
        rest.drain(..start);
        let first = number;
        number += answers.len() as u64;
        spoil(first, &mut answers);
        stream.write_all(&answers.concat())?;
    }
}

/// A million requests, 64 in flight on one connection.
fn million(base: &str) -> Report {
    let asks = ["/a", "/b"].map(|path| Ask::get(format!("{base}{path}")));
    let plan = Plan { asks: asks.into(), connections: 1, timeout: PATIENCE, ..Plan::default() };
    let plan = RunPlan { pipeline: 64, ..RunPlan::new(plan, Bound::Requests(MILLION)) };
    run(&plan, &Interrupt::default()).expect("a report")
}

#[test]
fn a_million_right_answers_are_right() {
    let report = million(&serve(|_, _| {}));
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.answers, MILLION);
}

#[test]
fn one_wrong_byte_in_a_million_answers_is_detected() {
    const WRONG: u64 = 876_543;
    let report = million(&serve(|first, answers| {
        let at = usize::try_from(WRONG.wrapping_sub(first)).unwrap_or(usize::MAX);
        if let Some(answer) = answers.get_mut(at) {
            let last = answer.len() - 1;
            answer[last] ^= 1;
        }
    }));
    assert_eq!(report.errors, 1, "{report}");
    let error = &report.errors_by_class["content"];
    assert_eq!(error.first, "byte 4 of 5 is not what it has to be", "{report}");
}

#[test]
fn two_swapped_answers_are_detected() {
    // Late enough not to come again on the connection that follows.
    const SWAPPED: u64 = 654_321;
    let report = million(&serve(|first, answers| {
        let is_here = first <= SWAPPED && SWAPPED < first + answers.len() as u64;
        if is_here && answers.len() > 1 {
            answers.swap(0, 1);
        }
    }));
    assert_eq!(report.errors, 1, "{report}");
    assert!(report.errors_by_class.contains_key("content"), "{report}");
}
