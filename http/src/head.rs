//! The head of a request: where it ends, its request line, and what it says as a whole.

use core::mem::MaybeUninit;

use httparse::{EMPTY_HEADER, Status as Parsed};
use memchr::{memchr, memchr3};

use crate::fields::{Fields, is_tchar};
use crate::{
    Expectation, FIELD_LINES_MAX, Framing, Limits, Persistence, Reason, Rejection, Selectors,
    Status, Target,
};

/// The methods of RFC 9110 section 9 and PATCH (RFC 5789); names are case-sensitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// OPTIONS.
    Options,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// DELETE.
    Delete,
    /// PATCH.
    Patch,
    /// TRACE.
    Trace,
    /// CONNECT.
    Connect,
    /// Any other token; 501 is the answer.
    Other,
}

impl Method {
    pub(crate) fn from_token(token: &[u8]) -> Method {
        match token {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"OPTIONS" => Method::Options,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"PATCH" => Method::Patch,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            _ => Method::Other,
        }
    }
}

/// The version to answer by; a minor version above 1 counts as 1.1 (RFC 9110 section 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1 and what claims to be above it.
    Http11,
}

/// One request head, valid as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'b> {
    /// What to do.
    pub method: Method,
    /// To what.
    pub target: Target<'b>,
    /// The host of an absolute target, else of the Host field; without the port. Empty where a
    /// 1.0 client sent none, or the client sent an empty one.
    pub host: &'b [u8],
    /// By which rules.
    pub version: Version,
    /// Whether the connection goes on afterwards.
    pub persistence: Persistence,
    /// Whether and how content follows.
    pub framing: Framing,
    /// Whether the client waits before it sends the content.
    pub expectation: Expectation,
    /// Which representation is asked for, and how much of it.
    pub selectors: Selectors<'b>,
}

/// What a request line may have besides its target: a method, two spaces, HTTP-version. More than
/// that before the first line feed means that the target is too long, or the method.
const REQUEST_LINE_OVERHEAD: usize = 32;

const FIELDS_TOO_LARGE: Rejection = Rejection::new(Status::FieldsTooLarge, Reason::FieldLength);
const HEAD_TOO_LONG: Rejection = Rejection::new(Status::FieldsTooLarge, Reason::RequestLength);
const TARGET_TOO_LONG: Rejection = Rejection::new(Status::UriTooLong, Reason::UrlLength);
const BAD_METHOD: Rejection = Rejection::bad(Reason::Verb);
const BAD_LINE: Rejection = Rejection::bad(Reason::BadRequest);

/// How far the search for the end of a head has come.
#[derive(Clone, Debug)]
pub(crate) struct HeadScan {
    /// Octets of the head seen so far; they are presented again, and not searched again.
    seen: usize,
    /// Where the unfinished line begins.
    line_start: usize,
    /// Finished lines, the request line included.
    lines: u8,
    /// An empty line stood before the request line.
    empty_line: bool,
    request_line_checked: bool,
}

impl HeadScan {
    pub(crate) const START: HeadScan = HeadScan {
        seen: 0,
        line_start: 0,
        lines: 0,
        empty_line: false,
        request_line_checked: false,
    };

    /// True if no octet of a head has been seen.
    pub(crate) const fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// True if nothing has been seen at all.
    pub(crate) const fn is_at_start(&self) -> bool {
        self.seen == 0 && !self.empty_line
    }

    /// Octets of the one empty line that may stand before a request line (RFC 9112 section 2.2).
    pub(crate) fn skip_empty_line(&mut self, input: &[u8]) -> usize {
        if self.lines > 0 || self.empty_line || !matches!(input, [b'\r', b'\n', ..]) {
            return 0;
        }
        self.empty_line = true;
        self.seen = 0;
        2
    }

    /// Looks at a head and what follows it: how long it is and what it says, or nothing while it is
    /// not complete.
    pub(crate) fn receive<'b>(
        &mut self,
        limits: &Limits,
        input: &'b [u8],
    ) -> Result<Option<(usize, Request<'b>)>, Rejection> {
        let Some(length) = self.search(limits, input)? else { return Ok(None) };
        parse(limits, input.get(..length).unwrap_or(input)).map(Some)
    }

    /// Searches on for the end of the head that `input` begins with. The verdict is that of the
    /// first octet that settles it: a limit, a line end that is not CRLF, or NUL.
    #[inline(never)]
    fn search(&mut self, limits: &Limits, input: &[u8]) -> Result<Option<usize>, Rejection> {
        let found = self.search_lines(limits, input);
        if matches!(found, Ok(Some(_))) || self.lines == 0 || self.request_line_checked {
            return found;
        }
        // The first line is complete, in a head that is not, or is broken further on.
        self.request_line_checked = true;
        RequestLine::split(limits, first_line(input))?;
        found
    }

    fn search_lines(&mut self, limits: &Limits, input: &[u8]) -> Result<Option<usize>, Rejection> {
        let visible = input.get(..limits.head_bytes_max).unwrap_or(input);
        // A CR that was the last octet is looked at again, together with what follows it.
        let last = self.seen.saturating_sub(1);
        let mut from = if visible.get(last) == Some(&b'\r') { last } else { self.seen };
        loop {
            let rest = visible.get(from..).unwrap_or(&[]);
            if let ([b'\r', b'\n', ..], 1..) = (rest, self.lines)
                && from == self.line_start
            {
                return Ok(Some(from.saturating_add(2)));
            }
            let special = memchr3(b'\r', b'\n', 0, rest).map(|at| from.saturating_add(at));
            let line_end_max = self.line_start.saturating_add(self.line_bytes_max(limits));
            if special.unwrap_or(visible.len()) > line_end_max {
                return Err(self.line_too_long(limits, visible));
            }
            let Some(special) = special else { break };
            let next = special.saturating_add(2);
            match visible.get(special..).unwrap_or(&[]) {
                [b'\r', b'\n', ..] if special > self.line_start => {
                    self.lines = self.lines.saturating_add(1);
                    if usize::from(self.lines) > FIELD_LINES_MAX.saturating_add(1) {
                        return Err(FIELDS_TOO_LARGE);
                    }
                    self.line_start = next;
                    from = next;
                }
                [b'\r'] => break,
                [0, ..] if self.lines > 0 => return Err(Rejection::bad(Reason::Header)),
                [0, ..] => return Err(BAD_LINE),
                _ => return Err(Rejection::bad(Reason::InvalidCrLf)),
            }
        }
        if input.len() > visible.len() {
            return Err(if self.lines == 0 { TARGET_TOO_LONG } else { HEAD_TOO_LONG });
        }
        self.seen = visible.len();
        Ok(None)
    }

    const fn line_bytes_max(&self, limits: &Limits) -> usize {
        if self.lines == 0 {
            limits.target_bytes_max.saturating_add(REQUEST_LINE_OVERHEAD)
        } else {
            limits.field_line_bytes_max
        }
    }

    /// `visible` has at least one octet more than the line may have. A request line without a space
    /// has a method longer than any that is implemented (RFC 9112 section 3: 501).
    #[cold]
    #[inline(never)]
    fn line_too_long(&self, limits: &Limits, visible: &[u8]) -> Rejection {
        if self.lines > 0 {
            return FIELDS_TOO_LARGE;
        }
        let line = visible.get(..=self.line_bytes_max(limits)).unwrap_or(visible);
        if memchr(b' ', line).is_some() {
            TARGET_TOO_LONG
        } else if line.iter().all(|octet| is_tchar(*octet)) {
            Rejection::new(Status::NotImplemented, Reason::Verb)
        } else {
            BAD_METHOD
        }
    }
}

/// The request line (RFC 9112 section 3).
#[derive(Clone, Copy)]
pub(crate) struct RequestLine<'b> {
    pub(crate) method: Method,
    pub(crate) target: Target<'b>,
    pub(crate) version: Version,
}

impl<'b> RequestLine<'b> {
    fn new(
        limits: &Limits,
        method: &[u8],
        target: &'b [u8],
        version: Version,
    ) -> Result<Self, Rejection> {
        if target.len() > limits.target_bytes_max {
            return Err(TARGET_TOO_LONG);
        }
        let method = Method::from_token(method);
        Ok(RequestLine { method, target: Target::parse(method, target)?, version })
    }

    /// The same for a line whose head is not complete, or not to httparse's liking. Spaces are
    /// single and there are two; a line without a version is that of HTTP/0.9.
    fn split(limits: &Limits, line: &'b [u8]) -> Result<Self, Rejection> {
        let (method, rest) = split_at_space(line).ok_or(BAD_LINE)?;
        if method.is_empty() || !method.iter().all(|octet| is_tchar(*octet)) {
            return Err(BAD_METHOD);
        }
        let (target, version) = split_at_space(rest).ok_or(BAD_LINE)?;
        if target.is_empty() {
            return Err(BAD_LINE);
        }
        Self::new(limits, method, target, version_of(version)?)
    }
}

/// The line without its CRLF; all of `head` if none ends.
fn first_line(head: &[u8]) -> &[u8] {
    let line = memchr(b'\r', head).and_then(|end| head.get(..end));
    line.unwrap_or(head)
}

fn split_at_space(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, rest) = octets.split_at_checked(memchr(b' ', octets)?)?;
    Some((before, rest.get(1..)?))
}

/// RFC 9112 section 2.3; 505 for another major version, the preface of HTTP/2 among them.
fn version_of(octets: &[u8]) -> Result<Version, Rejection> {
    match octets {
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => Ok(Version::Http11),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Rejection::new(Status::VersionNotSupported, Reason::Version))
        }
        _ => Err(Rejection::bad(Reason::Version)),
    }
}

/// Reads a head that [`HeadScan`] found complete.
fn parse<'b>(limits: &Limits, head: &'b [u8]) -> Result<(usize, Request<'b>), Rejection> {
    match parse_whole(limits, head) {
        // Were this to end elsewhere than the search did, one of the two would be smuggling.
        Ok((length, request)) if length == head.len() => Ok((length, request)),
        Err(Some(rejection)) => Err(rejection),
        _ => parse_in_parts(limits, head).map(|request| (head.len(), request)),
    }
}

/// `Err(None)` where httparse refused the head: what is wrong with it, if anything is, is not known
/// from that. The search has seen that every line ends with CRLF, which httparse does not ask for.
// Its own frame: the field lines are 2 KiB of stack that nobody else has to carry.
#[inline(never)]
fn parse_whole<'b>(
    limits: &Limits,
    head: &'b [u8],
) -> Result<(usize, Request<'b>), Option<Rejection>> {
    let mut storage = [const { MaybeUninit::uninit() }; FIELD_LINES_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(Parsed::Complete(length)) = parsed.parse_with_uninit_headers(head, &mut storage) else {
        return Err(None);
    };
    // A complete request has all its parts.
    let (method, target) = (parsed.method.ok_or(None)?, parsed.path.ok_or(None)?);
    let minor = parsed.version.ok_or(None)?;
    let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    let line = RequestLine::new(limits, method.as_bytes(), target.as_bytes(), version)?;
    Ok((length, Request::new(limits, head, line, fields(parsed.headers)?)?))
}

fn fields<'b>(lines: &[httparse::Header<'b>]) -> Result<Fields<'b>, Rejection> {
    let mut fields = Fields::new();
    for line in lines {
        fields.take(line.name.as_bytes(), line.value)?;
    }
    Ok(fields)
}

/// What httparse refuses and we need not (HTTP/1.2), or the reason why it is wrong.
#[cold]
#[inline(never)]
fn parse_in_parts<'b>(limits: &Limits, head: &'b [u8]) -> Result<Request<'b>, Rejection> {
    const BAD_FIELD: Rejection = Rejection::bad(Reason::Header);
    let first = first_line(head);
    let line = RequestLine::split(limits, first)?;
    let rest = head.get(first.len()..).and_then(|rest| rest.strip_prefix(b"\r\n"));
    let rest = rest.ok_or(BAD_LINE)?;
    let mut storage = [EMPTY_HEADER; FIELD_LINES_MAX];
    match httparse::parse_headers(rest, &mut storage) {
        Ok(Parsed::Complete((length, lines))) if length == rest.len() => {
            Request::new(limits, head, line, fields(lines)?)
        }
        _ => Err(BAD_FIELD),
    }
}

impl<'b> Request<'b> {
    #[allow(clippy::needless_pass_by_value, reason = "what is taken from it would be copied")]
    #[allow(
        clippy::inline_always,
        reason = "it is moved about otherwise, for the cold caller's sake"
    )]
    #[inline(always)]
    pub(crate) fn new(
        limits: &Limits,
        head: &'b [u8],
        line: RequestLine<'b>,
        fields: Fields<'b>,
    ) -> Result<Self, Rejection> {
        let RequestLine { method, target, version } = line;
        // A 1.1 client sends Host even where the target overrides it (RFC 9112 section 3.2).
        let host = match (fields.host, version) {
            (Some(host), _) => host,
            (None, Version::Http10) => &[],
            (None, Version::Http11) => return Err(Rejection::bad(Reason::Hostname)),
        };
        let framing = fields.framing(version, limits)?;
        Ok(Request {
            method,
            target,
            host: target.host().unwrap_or(host),
            version,
            persistence: fields.persistence(version),
            framing,
            expectation: fields.expectation(version, framing)?,
            selectors: fields.selectors.of(head),
        })
    }
}
