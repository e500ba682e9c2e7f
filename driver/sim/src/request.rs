//! What clients ask for, and the answers that they must get.
use nthost::sim::Random;

use crate::site::{ERROR_405, File, GENERATIONS, HEALTH_PATH, files};

/// A kind of request.
const MEDIUM: usize = 32;

/// The answer to one request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// What it carries, by generation of the site; `None` where that is of no interest.
    pub(crate) files: Option<[&'static File; GENERATIONS]>,
    /// It is a health endpoint's: `status` and `files` are of no interest.
    pub(crate) is_health: bool,
    /// To HEAD, and with some statuses, no content follows whatever the head says.
    pub(crate) head_only: bool,
    /// The connection ends behind it.
    pub(crate) closes: bool,
}

impl Answer {
    /// Of no interest.
    pub(crate) const NONE: Answer =
        Answer { status: 0, files: None, is_health: false, head_only: false, closes: false };
}

/// How many of a client's requests have answers that fill a send each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Large {
    Few,
    Half,
    All,
}

/// A request, and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) octets: Vec<u8>,
    pub(crate) answer: Answer,
}

impl Request {
    /// One as it comes. With `last` the connection is asked to end behind it. `health`: it may be
    /// for a health endpoint.
    pub(crate) fn random(random: &mut Random, last: bool, large: Large, health: bool) -> Request {
        let is_large = match large {
            Large::Few => false,
            Large::Half => random.one_in(2),
            Large::All => true,
        };
        let kind = if is_large { MEDIUM } else { random.below(64) };
        let (method, path, fields, rest) = match kind {
            0..=23 => ("GET", "/hello.txt", "", ""),
            24..=31 => ("HEAD", "/hello.txt", "", ""),
            MEDIUM..=39 => ("GET", "/medium", "", ""),
            40 => ("GET", "/large", "", ""),
            41..=46 => ("GET", "/missing", "", ""),
            47..=49 => ("POST", "/hello.txt", "Content-Length: 11\r\n", "some octets"),
            50..=52 => (
                "PUT",
                "/medium",
                "Transfer-Encoding: chunked\r\n",
                "4\r\nsome\r\n1;x=y\r\n!\r\n0\r\n\r\n",
            ),
            53..=55 => ("OPTIONS", "*", "", ""),
            57 if health => ("GET", HEALTH_PATH, "", ""),
            56 | 57 => ("GET", "/old", "", ""),
            58..=60 => ("GET", "/hello.txt", "If-None-Match: *\r\n", ""),
            61 => return Request::malformed("GET /hello.txt HTTP/1.1\r\n\r\n"),
            62 => return Request::malformed("GET /hello.txt\r\nHost: a\r\n\r\n"),
            _ => return Request::old(),
        };
        let (status, files, head_only) = match (method, path) {
            ("POST" | "PUT", _) => (405, Some(files(ERROR_405)), false),
            ("OPTIONS", _) => (204, None, true),
            (_, "/missing") => (404, None, false),
            (_, "/old") => (301, None, false),
            (_, HEALTH_PATH) => (0, None, false),
            _ if !fields.is_empty() => (304, Some(files(path)), true),
            _ => (200, Some(files(path)), method == "HEAD"),
        };
        let close = if last { "Connection: close\r\n" } else { "" };
        let octets = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}{close}\r\n{rest}");
        let is_health = path == HEALTH_PATH;
        let answer = Answer { status, files, is_health, head_only, closes: last };
        Request { octets: octets.into_bytes(), answer }
    }

    /// A request that is refused, with the end of the connection.
    fn malformed(octets: &str) -> Request {
        let answer = Answer { status: 400, closes: true, ..Answer::NONE };
        Request { octets: octets.as_bytes().to_vec(), answer }
    }

    /// A request of a client that knows of no connections that persist.
    fn old() -> Request {
        let files = Some(files("/hello.txt"));
        let answer = Answer { status: 200, files, closes: true, ..Answer::NONE };
        Request { octets: b"GET /hello.txt HTTP/1.0\r\n\r\n".to_vec(), answer }
    }
}
