//! A peer over `std::net` that answers rightly or, from some request on, wrongly in one way.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What the peer does to the answer of the request it goes wrong at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wrong {
    /// Nothing, ever.
    Never,
    /// One byte of the content is another.
    Byte,
    /// The content is a byte shorter, and so says its Content-Length.
    Shorter,
    /// Content-Length is right but the connection ends inside the content.
    EndsInside,
    /// The connection ends instead of an answer.
    EndsBefore,
    /// The status is 503.
    Status,
    /// A byte follows the answer.
    Excess,
    /// No answer, but the connection stays.
    Silent,
    /// The answer is that of the other path.
    OtherPath,
    /// It says `Connection: close`, and does.
    Announced,
}

/// A peer that listens until the process ends.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Where.
    pub(crate) address: SocketAddr,
    answered: Arc<AtomicUsize>,
}

impl Peer {
    /// Goes wrong at every request from number `from` on (the first is 0), over all connections.
    pub(crate) fn start(wrong: Wrong, from: usize) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
        let address = listener.local_addr().expect("its address");
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, count) = (stream.expect("a connection"), Arc::clone(&count));
                thread::spawn(move || serve(&stream, wrong, from, &count));
            }
        });
        Self { address, answered }
    }

    /// The URL of `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Number of requests read.
    pub(crate) fn requests(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

/// The content of `path`: long enough to be split by the network.
fn content(path: &str) -> Vec<u8> {
    path.bytes().cycle().take(3000).collect()
}

fn serve(stream: &TcpStream, wrong: Wrong, from: usize, count: &AtomicUsize) {
    let mut lines = BufReader::new(stream);
    while let Some(path) = read_request(&mut lines) {
        let is_wrong = count.fetch_add(1, Ordering::SeqCst) >= from;
        let wrong = if is_wrong { wrong } else { Wrong::Never };
        let mut body = match wrong {
            Wrong::OtherPath => content(if path == "/a" { "/b" } else { "/a" }),
            _ => content(&path),
        };
        match wrong {
            Wrong::Byte => body[2000] ^= 1,
            Wrong::Shorter => body.truncate(2999),
            _ => {}
        }
        let status = if wrong == Wrong::Status { "503 No" } else { "200 OK" };
        let close = if wrong == Wrong::Announced { "Connection: close\r\n" } else { "" };
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{close}Content-Length: {length}\r\n\r\n");
        let mut answer = [head.into_bytes(), body].concat();
        match wrong {
            Wrong::EndsBefore => return,
            Wrong::EndsInside => answer.truncate(answer.len() - 1),
            Wrong::Excess => answer.push(b'!'),
            Wrong::Silent => answer.clear(),
            _ => {}
        }
        if (&*stream).write_all(&answer).is_err() {
            return;
        }
        if matches!(wrong, Wrong::EndsInside | Wrong::Announced) {
            return;
        }
    }
}

/// The path of the next request; `None` at the end of the stream.
fn read_request(lines: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut path = None;
    loop {
        let mut line = String::new();
        match lines.read_line(&mut line) {
            Ok(0) => return None,
            Ok(_) if line == "\r\n" => return path,
            Ok(_) => path = path.or_else(|| Some(line.split(' ').nth(1)?.to_owned())),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// Long enough for any answer of a peer that means to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
