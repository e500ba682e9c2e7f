//! Feeds a stream the way a driver does: one buffer for the unfinished head, and the steps of the
//! whole stream as owned values, so that they can be compared.
#![allow(dead_code)] // Every test binary uses its own part of this.

use http1::{
    Connection, Expectation, Framing, Limits, Method, Part, PathBuffer, Persistence, Reason,
    Rejection, Request, Status, Step, Validators, Verdict, Version, Weights,
};

/// A step without its position, and without borrowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Request(Box<Asked>),
    ContentEnd,
    Reject(Rejection),
}

/// All that a [`Request`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) target: Vec<u8>,
    pub(crate) path: Result<Option<Vec<u8>>, Rejection>,
    pub(crate) host: Vec<u8>,
    pub(crate) version: Version,
    pub(crate) persistence: Persistence,
    pub(crate) framing: Framing,
    pub(crate) expectation: Expectation,
    pub(crate) conditional: bool,
    pub(crate) verdict: Verdict,
    pub(crate) part: Part,
    pub(crate) weights: Option<Weights>,
}

/// What [`Asked::verdict`] is evaluated against.
pub(crate) const VALIDATORS: Validators<'static> =
    Validators { entity_tag: b"\"5f3b\"", last_modified: Some(784_111_777) };

/// What [`Asked::part`] is a part of.
const COMPLETE: u64 = 1_000;

/// 2026-01-01, when it is asked.
pub(crate) const NOW: u64 = 1_767_225_600;

impl Asked {
    pub(crate) fn of(request: &Request<'_>) -> Self {
        let mut buffer = PathBuffer::new();
        Asked {
            method: request.method,
            target: format!("{:?}", request.target).into_bytes(),
            path: request.target.path(&mut buffer).map(|path| path.map(<[u8]>::to_vec)),
            host: request.host.to_vec(),
            version: request.version,
            persistence: request.persistence,
            framing: request.framing,
            expectation: request.expectation,
            conditional: request.selectors.has_conditions(),
            verdict: request.selectors.evaluate(request.method, &VALIDATORS, NOW),
            part: request.selectors.part(request.method, COMPLETE, &VALIDATORS, NOW),
            weights: request.selectors.has_accept_encoding().then(|| request.selectors.weights()),
        }
    }
}

/// A connection and what it has not consumed yet.
pub(crate) struct Feed {
    pub(crate) connection: Connection,
    pub(crate) pending: Vec<u8>,
    pub(crate) events: Vec<Event>,
    pub(crate) closed: bool,
    /// Requests that were read the quick way too.
    pub(crate) usual: u32,
    limits: Limits,
}

impl Feed {
    pub(crate) fn new(limits: Limits) -> Self {
        let connection = Connection::new();
        Feed {
            connection,
            pending: Vec::new(),
            events: Vec::new(),
            closed: false,
            usual: 0,
            limits,
        }
    }

    /// Presents what is pending and `octets`, until the connection wants more.
    pub(crate) fn push(&mut self, octets: &[u8]) {
        self.pending.extend_from_slice(octets);
        loop {
            let before = self.pending.len();
            // What the quick way says, the other one says too; or it says nothing.
            let mut quick = self.connection.clone();
            let usual = quick.receive_usual(&self.limits, &self.pending);
            let usual = usual.map(|(consumed, request)| (consumed, Asked::of(&request)));
            let step = self.connection.receive(&self.limits, &self.pending);
            assert!(usual.is_none() || matches!(step, Step::Request { .. }), "by the quick way");
            let (consumed, more) = match step {
                Step::Incomplete { consumed } => (consumed, false),
                Step::Request { consumed, request } => {
                    assert!(consumed > 0);
                    let asked = Asked::of(&request);
                    if let Some((length, usual)) = &usual {
                        assert_eq!((*length, usual), (consumed, &asked), "by the quick way");
                    }
                    self.events.push(Event::Request(Box::new(asked)));
                    (consumed, true)
                }
                Step::ContentEnd { consumed } => {
                    assert!(consumed > 0);
                    self.events.push(Event::ContentEnd);
                    (consumed, true)
                }
                Step::Reject { consumed, rejection } => {
                    assert_eq!(consumed, before, "a rejection discards all");
                    assert!(!self.closed, "a step after the last one");
                    self.events.push(Event::Reject(rejection));
                    (consumed, true)
                }
                Step::Closed { consumed } => {
                    assert_eq!(consumed, before, "closed discards all");
                    self.closed = true;
                    (consumed, false)
                }
            };
            assert!(consumed <= before);
            if usual.is_some() {
                assert_eq!(format!("{quick:?}"), format!("{:?}", self.connection));
                self.usual += 1;
            }
            self.pending.drain(..consumed);
            if !more {
                assert!(self.pending.len() <= self.limits.head_bytes_max, "a head is bounded");
                return;
            }
        }
    }
}

/// The events of `stream`, cut after each of `cuts` (positions, in order).
pub(crate) fn feed_cut(limits: Limits, stream: &[u8], cuts: &[usize]) -> Vec<Event> {
    let mut feed = Feed::new(limits);
    let mut from = 0;
    for &cut in cuts.iter().chain([&stream.len()]) {
        feed.push(&stream[from..cut]);
        from = cut;
    }
    feed.events
}

/// The events of `stream`, presented as a whole.
pub(crate) fn feed(stream: &[u8]) -> Vec<Event> {
    feed_cut(Limits::DEFAULT, stream, &[])
}

/// The same, octet by octet.
pub(crate) fn feed_octets(limits: Limits, stream: &[u8]) -> Vec<Event> {
    let cuts: Vec<usize> = (1..stream.len()).collect();
    feed_cut(limits, stream, &cuts)
}

/// The events under `limits`, asserted to be the same octet by octet.
pub(crate) fn feed_both(limits: Limits, stream: &[u8]) -> Vec<Event> {
    let whole = feed_cut(limits, stream, &[]);
    assert_eq!(whole, feed_octets(limits, stream), "{}", stream.escape_ascii());
    whole
}

/// The only request of `stream`.
#[track_caller]
pub(crate) fn request(stream: &[u8]) -> Asked {
    match feed_both(Limits::DEFAULT, stream).as_slice() {
        [Event::Request(asked)] | [Event::Request(asked), Event::ContentEnd] => (**asked).clone(),
        other => panic!("{}: {other:?}", stream.escape_ascii()),
    }
}

/// How many requests, and ends of content, `stream` has; no rejection.
#[track_caller]
pub(crate) fn accepted(limits: Limits, stream: &[u8]) -> (usize, usize) {
    let (mut requests, mut contents) = (0, 0);
    for event in feed_both(limits, stream) {
        match event {
            Event::Request(_) => requests += 1,
            Event::ContentEnd => contents += 1,
            Event::Reject(rejection) => panic!("{}: {rejection:?}", stream.escape_ascii()),
        }
    }
    (requests, contents)
}

/// The rejection that `stream` ends with, and nothing before it.
#[track_caller]
pub(crate) fn rejection(stream: &[u8]) -> (Status, Reason) {
    rejection_within(Limits::DEFAULT, stream)
}

#[track_caller]
pub(crate) fn rejection_within(limits: Limits, stream: &[u8]) -> (Status, Reason) {
    match feed_both(limits, stream).as_slice() {
        [Event::Reject(rejection)] => (rejection.status, rejection.reason),
        other => panic!("{}: {other:?}", stream.escape_ascii()),
    }
}

/// The rejection of content, after its request.
#[track_caller]
pub(crate) fn content_rejection(limits: Limits, stream: &[u8]) -> (Status, Reason) {
    match feed_both(limits, stream).as_slice() {
        [Event::Request(_), Event::Reject(rejection)] => (rejection.status, rejection.reason),
        other => panic!("{}: {other:?}", stream.escape_ascii()),
    }
}

/// A GET of `target` for host `h`.
pub(crate) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

/// A GET with these field lines behind Host.
pub(crate) fn get_with(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n").into_bytes()
}

/// A chunked POST with this content.
pub(crate) fn chunked(content: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{content}")
        .into_bytes()
}
