//! Streams of messages for other parsers to read: a grammar that is right most of the time, odd
//! parts where parsers are known to differ, and octets changed afterwards. The same ones in every
//! run.
#![allow(dead_code)] // Every binary uses its own part of this.

#[path = "../plain/mod.rs"]
mod plain;
#[path = "../random/mod.rs"]
mod random;

use http1::{Connection, Framing, Limits, Step};
use random::{Random, mutate};

/// What a reader says of a stream, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A head ends after so many octets.
    Head(usize),
    /// Its content ends after so many, and this is what it was.
    End(usize, Vec<u8>),
}

/// A whole stream, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) marks: Vec<Mark>,
    /// No further message will be read: the last one was refused, or ended the connection.
    pub(crate) ended: bool,
    /// It ended with a refusal.
    pub(crate) refused: bool,
}

/// How this crate reads `stream`.
pub(crate) fn read(stream: &[u8]) -> Reading {
    let (mut connection, mut at, mut marks) = (Connection::new(), 0, Vec::new());
    let mut framing = Framing::None;
    let mut head_end = 0;
    let (ended, refused) = loop {
        match connection.receive(&Limits::DEFAULT, &stream[at..]) {
            Step::Incomplete { .. } => break (false, false),
            Step::Closed { .. } => break (true, false),
            Step::Reject { .. } => break (true, true),
            Step::Request { consumed, request } => {
                at += consumed;
                (head_end, framing) = (at, request.framing);
                marks.push(Mark::Head(at));
                if framing == Framing::None {
                    marks.push(Mark::End(at, Vec::new()));
                }
            }
            Step::ContentEnd { consumed } => {
                at += consumed;
                let content = &stream[head_end..at];
                let content = match framing {
                    Framing::Chunked => match plain::chunked(content) {
                        plain::Chunked::End(_, content) => content,
                        other => panic!("{other:?}: {}", stream.escape_ascii()),
                    },
                    _ => content.to_vec(),
                };
                marks.push(Mark::End(at, content));
            }
        }
    };
    Reading { marks, ended, refused }
}

/// Where to cut a stream so that a reader shows whether it sees the marks: before each and at it.
pub(crate) fn cuts(marks: &[Mark], length: usize) -> Vec<usize> {
    let at = |mark: &Mark| match mark {
        Mark::Head(at) | Mark::End(at, _) => *at,
    };
    let mut cuts: Vec<usize> = marks.iter().flat_map(|mark| [at(mark) - 1, at(mark)]).collect();
    cuts.push(length);
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// How a stream in which `ours` was seen is read otherwise, if it is. A reader that has ended says
/// nothing about the rest.
pub(crate) fn difference(ours: &Reading, theirs: &Reading) -> Option<String> {
    let longest = ours.marks.len().max(theirs.marks.len());
    for index in 0..longest {
        match (ours.marks.get(index), theirs.marks.get(index)) {
            (ours, theirs) if ours == theirs => {}
            (None, Some(_)) if ours.ended => return None,
            (Some(_), None) if theirs.ended => return None,
            (ours, theirs) => return Some(format!("{index}: {ours:?}, not {theirs:?}")),
        }
    }
    None
}

/// The streams, of `messages` messages together at least.
pub(crate) fn streams(messages: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random(0x6a09_e667_f3bc_c908);
    let mut made = 0;
    std::iter::from_fn(move || {
        (made < messages).then(|| {
            let mut stream = Vec::new();
            for _ in 0..=random.below(3) {
                made += 1;
                stream.extend(Writer::message(&mut random, made));
            }
            if random.below(4) == 0 {
                for _ in 0..=random.below(2) {
                    mutate(&mut random, &mut stream);
                }
            }
            // Where the last message ends shows in what follows it.
            stream.extend_from_slice(b"GET /end HTTP/1.1\r\nHost: h\r\n\r\n");
            stream
        })
    })
}

/// One message under way.
struct Writer<'r> {
    random: &'r mut Random,
    /// One in so many parts is odd; 0 is never.
    oddness: usize,
    octets: Vec<u8>,
}

const METHODS: &[&str] = &["GET", "GET", "POST", "HEAD", "PUT", "OPTIONS"];
const ODD_METHODS: &[&str] = &["DELETE", "get", "G@T", "PROPFIND", "TRACE", ""];
const ODD_TARGETS: &[&str] = &["*", "http://h/a", "/a?b#c", "/%zz", "//a", "/caf\u{e9}", "/a b"];
const ODD_VERSIONS: &[&str] = &[
    "HTTP/1.0",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/1.10",
    "http/1.1",
    "HTTP/1.1 ",
    "",
    "X",
];
const ODD_LINE_ENDS: &[&str] = &["\n", "\r", "\r\r\n", "\n\r\n", " \r\n", "\r\n "];
const ODD_STARTS: &[&str] = &["\r\n", "\r\n\r\n", "\n", " ", "\r"];
const ODD_HOSTS: &[&str] = &["", "Host:\r\n", "Host: h:80\r\n", "Host: a b\r\n", "Host : h\r\n"];
const FIELDS: &[&str] =
    &["Connection: keep-alive", "Accept: */*", "User-Agent: x", "X: y z", "Cookie: a=b; c", "Y:"];
const ODD_FIELDS: &[&str] = &[
    "Connection: close",
    "Connection: te, Close",
    "Expect: 100-continue",
    "Expect: x",
    "Connection: upgrade\r\nUpgrade: h2c",
    "A : b",
    "A\t: b",
    ": b",
    "A",
    "A:\tb\t",
    "A: b\r\n c",
    "A: b\r\n\tContent-Length: 3",
    "A: \0",
    "A: \x7f",
    "A: \u{e9}",
    "A(: b",
    "A: b\rc",
    "A: b\n c",
    "Content-Encoding: gzip",
    "Trailer: A",
    "TE: trailers",
    "Transfer_Encoding: chunked",
    "Content_Length: 3",
];
const ODD_CODINGS: &[&str] = &[
    "Transfer-Encoding: Chunked",
    "transfer-encoding:chunked",
    "Transfer-Encoding: \tchunked ",
    "Transfer-Encoding: ,chunked,",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: chunked\x0b",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:",
    "Transfer-Encoding : chunked",
    " Transfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
];
const ODD_EXTENSIONS: &[&str] =
    &[";a=b", ";a", " ;a=b", ";a=\"b;c\"", "\t; a", ";", " ", ";\x01", "; a\u{e9}", "x", ";a\nb"];
const TRAILERS: &[&str] = &["", "", "A: b\r\n", "A: b\r\nC:\r\n"];
const ODD_TRAILERS: &[&str] = &[
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "A : b\r\n",
    "A\r\n",
    "A: b\r\n c\r\n",
    "A: b\n",
    "A: \0\r\n",
    "GET /evil HTTP/1.1\r\n",
];
const PIECES: &[&str] =
    &["a", "bc", "\r\n", "\n", "0\r\n\r\n", "GET /evil HTTP/1.1\r\n", " ", "\0"];

impl Writer<'_> {
    fn message(random: &mut Random, number: usize) -> Vec<u8> {
        let oddness = [0, 0, 24, 12, 12, 6][random.below(6)];
        let mut writer = Writer { random, oddness, octets: Vec::new() };
        writer.head_and_content(number);
        writer.octets
    }

    fn is_odd(&mut self) -> bool {
        self.oddness > 0 && self.random.below(self.oddness) == 0
    }

    fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.random.below(choices.len())]
    }

    fn put(&mut self, text: &str) {
        self.octets.extend_from_slice(text.as_bytes());
    }

    fn put_or(&mut self, usual: &str, odd: &[&'static str]) {
        let odd = if self.is_odd() { Some(self.one_of(odd)) } else { None };
        self.put(odd.unwrap_or(usual));
    }

    fn line_end(&mut self) {
        // As often odd as anything else, over the whole of a message.
        let odd = self.random.below(4) == 0 && self.is_odd();
        let end = if odd { self.one_of(ODD_LINE_ENDS) } else { "\r\n" };
        self.put(end);
    }

    fn head_and_content(&mut self, number: usize) {
        self.put_or("", ODD_STARTS);
        let method = self.one_of(METHODS);
        self.put_or(method, ODD_METHODS);
        self.put_or(" ", &["  ", "\t"]);
        self.put_or(&format!("/{number}"), ODD_TARGETS);
        self.put_or(" ", &["  ", "\t"]);
        self.put_or("HTTP/1.1", ODD_VERSIONS);
        self.line_end();
        self.put_or("Host: h\r\n", ODD_HOSTS);
        self.fields();
        let content = match self.random.below(5) {
            0 | 1 => Vec::new(),
            2 | 3 => self.length(),
            _ => self.chunked(),
        };
        self.fields();
        self.line_end();
        self.octets.extend(content);
    }

    fn fields(&mut self) {
        for _ in 0..self.random.below(3) {
            let field = self.one_of(FIELDS);
            self.put_or(field, ODD_FIELDS);
            self.line_end();
        }
    }

    fn content(&mut self) -> Vec<u8> {
        let pieces = self.random.below(5);
        (0..pieces).flat_map(|_| self.one_of(PIECES).bytes()).collect()
    }

    /// Writes Content-Length, right or not; returns the content.
    fn length(&mut self) -> Vec<u8> {
        let content = self.content();
        let length = content.len();
        let mut field = format!("Content-Length: {length}");
        if self.is_odd() {
            let odd = [
                format!("Content-Length: +{length}"),
                format!("Content-Length: 0{length}"),
                format!("Content-Length: {length}, {length}"),
                format!("Content-Length:\t{length} "),
                format!("Content-Length: {length};"),
                format!("Content-Length: 0x{length:x}"),
                format!("Content-Length: {length}\r\nContent-Length: {length}"),
                format!("Content-Length: {length}\r\nContent-Length: 0"),
                format!("Content-Length: {}", length + 3),
                format!("Content-Length: {}", length.saturating_sub(1)),
                format!("Content-Length : {length}"),
                format!("content-length:{length}"),
                format!("Content-Length: -{length}"),
                format!("Content-Length: {length} {length}"),
                format!("Content-Length:\r\n {length}"),
                format!("Content-Length: 1844674407370955161{length}"),
                format!("Content-Length: {length}_0"),
                "Content-Length:".to_owned(),
            ];
            odd[self.random.below(odd.len())].clone_into(&mut field);
        }
        self.put(&field);
        self.line_end();
        content
    }

    /// Writes Transfer-Encoding, right or not; returns the content.
    fn chunked(&mut self) -> Vec<u8> {
        self.put_or("Transfer-Encoding: chunked", ODD_CODINGS);
        self.line_end();
        let head = std::mem::take(&mut self.octets);
        for _ in 0..self.random.below(4) {
            let data = self.content();
            if !data.is_empty() {
                self.chunk(&data);
            }
        }
        self.put_or("0", &["00", "0x0", "", "-0", "0000000000000000", "00000000000000000"]);
        self.put_or("", ODD_EXTENSIONS);
        self.line_end();
        let trailers = self.one_of(TRAILERS);
        self.put_or(trailers, ODD_TRAILERS);
        self.line_end();
        std::mem::replace(&mut self.octets, head)
    }

    fn chunk(&mut self, data: &[u8]) {
        let size = data.len();
        let mut text = format!("{size:x}");
        if self.is_odd() {
            let odd = [
                format!("{size:X}"),
                format!("{size:016x}"),
                format!("{size:017x}"),
                format!("0x{size:x}"),
                format!("+{size:x}"),
                format!(" {size:x}"),
                format!("{size:x} "),
                format!("{size:x}_"),
                format!("{:x}", size + 1),
                format!("{:x}", size.saturating_sub(1)),
                format!("1000000000000000{size:x}"),
                format!("ffffffffffffff{size:02x}"),
            ];
            odd[self.random.below(odd.len())].clone_into(&mut text);
        }
        self.put(&text);
        self.put_or("", ODD_EXTENSIONS);
        self.line_end();
        self.octets.extend_from_slice(data);
        self.line_end();
    }
}
