//! The parser state of one connection.

use crate::framing::{Content, Progress};
use crate::head::HeadScan;
use crate::scan;
use crate::{Framing, Limits, Persistence, Rejection, Request};

/// What one call of [`Connection::receive`] came to. `consumed` counts octets of its input that
/// are done with; what follows them is to be presented to the next call.
#[derive(Debug, PartialEq, Eq)]
// A request is handed over by value on the stack; there is no heap to box it on.
#[allow(clippy::large_enum_variant)]
pub enum Step<'b> {
    /// More octets are needed. Those behind `consumed` are an unfinished head: present the same
    /// ones again, followed by more. While content is discarded nothing is left behind.
    Incomplete {
        /// Octets done with.
        consumed: usize,
    },
    /// A complete head. Unless its framing is [`Framing::None`](crate::Framing::None) content
    /// follows; the calls after this one discard it and then return [`Step::ContentEnd`]. Hold the
    /// answer until then: content that turns out broken is answered by its rejection alone.
    Request {
        /// Octets done with: all of the head.
        consumed: usize,
        /// What it says.
        request: Request<'b>,
    },
    /// The content of the last request is complete.
    ContentEnd {
        /// Octets done with.
        consumed: usize,
    },
    /// Answer with the status and close; this is the last step that is not [`Step::Closed`].
    Reject {
        /// All octets of the input.
        consumed: usize,
        /// What to answer and what to count.
        rejection: Rejection,
    },
    /// No request is taken any more; the input was discarded.
    Closed {
        /// All octets of the input.
        consumed: usize,
    },
}

#[derive(Clone, Debug)]
enum Phase {
    Head(HeadScan),
    Content { content: Content, persistence: Persistence },
    Closed,
}

/// The parser state of one connection: 48 octets at most, and no buffer.
///
/// Requests come out in the order of the stream, at most one step each. After a request whose
/// persistence is [`Persistence::Close`], and its content, every step is [`Step::Closed`]
/// (RFC 9112 section 9.6).
#[derive(Clone, Debug)]
pub struct Connection {
    phase: Phase,
}

const _: () = assert!(size_of::<Connection>() <= 48);

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}

impl Connection {
    /// A connection of which nothing has been received.
    pub const fn new() -> Self {
        Connection { phase: Phase::Head(HeadScan::START) }
    }

    /// True between requests, while no octet of the next one has been seen: a timeout is silent
    /// then, and 408 otherwise. The empty line that may stand before a request is not part of it.
    pub const fn is_idle(&self) -> bool {
        matches!(&self.phase, Phase::Head(scan) if scan.is_empty())
    }

    /// True where a request may begin and no octet of it, nor the empty line before it, has been
    /// seen: what comes next is decided as on a new connection.
    #[inline]
    pub const fn is_at_start(&self) -> bool {
        matches!(&self.phase, Phase::Head(scan) if scan.is_at_start())
    }

    /// Takes no further request: the response under way is the last one. Content not received yet
    /// is discarded without a [`Step::ContentEnd`].
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
    }

    /// The usual case of [`Connection::receive`], in a hurry: a request that `input` begins with,
    /// whole, and written as nearly all are. `None` means nothing; nothing has changed then.
    #[allow(clippy::inline_always, reason = "a request is moved about otherwise")]
    #[inline(always)]
    pub fn receive_usual<'b>(
        &mut self,
        limits: &Limits,
        input: &'b [u8],
    ) -> Option<(usize, Request<'b>)> {
        if !self.is_at_start() {
            return None;
        }
        let (consumed, request) = scan::read(limits, input)?;
        if request.framing != Framing::None || request.persistence != Persistence::KeepAlive {
            self.goes_on_after(request.framing, request.persistence);
        }
        Some((consumed, request))
    }

    /// Takes contiguous octets, as far as the next step. Call again with what is behind `consumed`
    /// until the step is [`Step::Incomplete`] or [`Step::Closed`].
    ///
    /// `limits` are to be the same in every call.
    #[inline(never)]
    pub fn receive<'b>(&mut self, limits: &Limits, input: &'b [u8]) -> Step<'b> {
        let Phase::Head(scan) = &mut self.phase else {
            return self.receive_content(limits, input);
        };
        let skipped = scan.skip_empty_line(input);
        let pending = input.get(skipped..).unwrap_or(&[]);
        match scan.receive(limits, pending) {
            Ok(Some((length, request))) => {
                self.goes_on_after(request.framing, request.persistence);
                Step::Request { consumed: skipped.saturating_add(length), request }
            }
            Ok(None) => Step::Incomplete { consumed: skipped },
            Err(rejection) => self.reject(input, rejection),
        }
    }

    /// What follows a request.
    #[inline(never)]
    fn goes_on_after(&mut self, framing: Framing, persistence: Persistence) {
        self.phase = match Content::new(framing) {
            Some(content) => Phase::Content { content, persistence },
            None => Phase::after(persistence),
        };
    }

    /// What is not a head: content, or octets that nobody asked for any more.
    #[cold]
    #[inline(never)]
    fn receive_content<'b>(&mut self, limits: &Limits, input: &'b [u8]) -> Step<'b> {
        let Phase::Content { content, persistence } = &mut self.phase else {
            return Step::Closed { consumed: input.len() };
        };
        match content.receive(limits, input) {
            Progress::Unfinished => Step::Incomplete { consumed: input.len() },
            Progress::End(consumed) => {
                self.phase = Phase::after(*persistence);
                Step::ContentEnd { consumed }
            }
            Progress::Broken(rejection) => self.reject(input, rejection),
        }
    }

    #[cold]
    #[inline(never)]
    fn reject<'b>(&mut self, input: &'b [u8], rejection: Rejection) -> Step<'b> {
        self.phase = Phase::Closed;
        Step::Reject { consumed: input.len(), rejection }
    }
}

impl Phase {
    const fn after(persistence: Persistence) -> Phase {
        match persistence {
            Persistence::KeepAlive => Phase::Head(HeadScan::START),
            Persistence::Close => Phase::Closed,
        }
    }
}
