//! One connection: octets to requests, requests to sends.
//!
//! Life: open (requests are answered in order), ending (our side is shut, what still comes is
//! discarded until the peer ends too or the drain deadline), closed. All of it runs in the hands
//! of the connection's one runner.
mod events;
mod known;
mod times;

use http1::{Expectation, Framing, Request, Step};
use nt::wsk::{Events, Indication, Socket};
use nt::{Lookaside, LookasideBox, PoolArc, processor};
use wskhttpd_abi::Counter;

use crate::access_log::Asked;
use crate::admission::Ticket;
use crate::answer::{self, Answer};
use crate::batch::{Batch, Class, stamp};
use crate::latency::Stopwatch;
use crate::memo::{self, Memo};
use crate::rejects::{self, Peer};
use crate::server::Server;
use crate::site::PinnedSite;
use crate::stream::Stream;

/// Octets of a buffer for an unfinished head: the largest head, and the empty line before it.
pub const HEAD_BUFFER_BYTES: usize = 16_384 + 2;
/// Sends in flight on one connection at most; more requests wait in the peer's window.
const SENDS_MAX: u32 = 4;
/// Bodies up to this many octets are copied behind their head; longer ones are chained.
const COPY_BYTES_MAX: usize = 4_096;

/// Ticks from the last response to the close, where only the close can tell the peer of our end.
const LINGER_TICKS: u32 = 2;

/// Ticks without an octet after which nothing more comes from a peer whose end overtook octets.
const OVERTAKEN_TICKS: u32 = 2;

/// What is not as usual of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Facts(u8);

impl Facts {
    const NONE: Facts = Facts(0);
    /// It waits for a place.
    const WAITS: Facts = Facts(1);
    /// It is answered 503.
    const REFUSED: Facts = Facts(1 << 1);
    /// No further request is answered.
    const LAST: Facts = Facts(1 << 2);
    /// The peer has ended its side.
    const PEER_ENDED: Facts = Facts(1 << 3);
    /// The peer's end overtook octets that are with the provider: how many is not known.
    const OVERTAKEN: Facts = Facts(1 << 4);
    /// Our side is ended.
    const DISCONNECTED: Facts = Facts(1 << 5);
    /// The provider cannot end our side alone.
    const LINGERS: Facts = Facts(1 << 6);

    fn of(ticket: &Ticket) -> Facts {
        if ticket.is_waiting() {
            Facts::WAITS
        } else if ticket.is_refusing() {
            Facts::REFUSED
        } else {
            Facts::NONE
        }
    }

    const fn has(self, other: Facts) -> bool {
        self.0 & other.0 != 0
    }

    fn note(&mut self, other: Facts, is_so: bool) {
        if is_so {
            self.0 |= other.0;
        }
    }
}

/// A connection's own state: what an idle one holds beside its socket.
pub struct Connection {
    http: http1::Connection,
    /// An unfinished head, while there is one.
    head: Option<LookasideBox<HEAD_BUFFER_BYTES>>,
    /// Decided, waiting for the end of its request's content.
    held: Option<Answer>,
    /// By which site that was, while there is one: another may be published meanwhile.
    held_by: Option<PoolArc<PinnedSite>>,
    /// What that is the answer to, where it is to be logged.
    asked: Option<Asked>,
    stream: Option<Stream>,
    ticket: Ticket,
    peer: Peer,
    stopwatch: Stopwatch,
    /// Tick by which the head or the content under way must be complete; 0 = none is under way.
    request_deadline: u32,
    /// The deadline is that of the content.
    in_content: bool,
    /// Tick of the last progress of sends; 0 = none is in flight.
    progress: u32,
    /// Tick by which an ending connection is closed; 0 = not ending.
    end_deadline: u32,
    facts: Facts,
    /// Where a memo had the last head that it knew, if it has known one.
    known: u16,
}

impl Connection {
    /// A new connection of `peer`, counted by `ticket`.
    pub fn new(ticket: Ticket, peer: Peer) -> Connection {
        Connection {
            http: http1::Connection::new(),
            head: None,
            held: None,
            held_by: None,
            asked: None,
            stream: None,
            facts: Facts::of(&ticket),
            ticket,
            peer,
            stopwatch: Stopwatch::new(peer.port),
            request_deadline: 0,
            in_content: false,
            progress: 0,
            end_deadline: 0,
            known: memo::NOWHERE,
        }
    }

    /// The end: what has to be given back.
    pub fn into_ticket(self) -> Ticket {
        self.ticket
    }

    /// Octets arrived. What is not taken while answers wait to be sent stays with the provider.
    /// Returns the events that would tell nothing new, see [`nt::wsk::Client::receive`].
    // In the image once and not twice, which are 1.1 KB of its 200.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[cfg_attr(windows, inline(never))]
    #[cfg_attr(not(windows), inline(always))]
    pub fn receive(
        &mut self,
        server: &Server,
        socket: &mut Socket<'_, Server>,
        indication: &mut Indication<'_>,
    ) -> Events {
        if !self.has_place(server, socket) {
            // What it sends stays with the provider until there is a place.
            return Events::NONE;
        }
        self.stopwatch.turn();
        let mut batch = Batch::default();
        let mut turn = server.sites.turn(socket.processor());
        let (site, memo) = turn.parts();
        let mut memo = memo.filter(|memo| !memo.is_empty());
        while let Some(segment) = indication.segment() {
            let rest = self.feed(server, site, socket, &mut batch, memo.as_deref_mut(), segment);
            indication.consume_to(rest);
            if indication.left() == 0 || !rest.is_empty() || socket.is_closing() {
                break;
            }
        }
        drop(turn);
        batch.submit(server, socket);
        if self.facts == Facts::NONE && self.is_idle(socket) {
            // All of it is sent already: the event that says so would change nothing but this. The
            // deadline must never be one from before the last response.
            self.set_idle_deadline(server, socket);
            if self.stopwatch.is_on() {
                self.measured(server, &batch);
            }
            return if batch.has_submitted() { Events::SENT } else { Events::NONE };
        }
        self.end_turn(server, socket, &batch);
        Events::NONE
    }

    /// The turn that is over is measured, if something was sent in it.
    #[cold]
    #[inline(never)]
    fn measured(&mut self, server: &Server, batch: &Batch) {
        if batch.has_submitted() {
            server.latency.sent(&mut self.stopwatch);
        } else {
            self.stopwatch.forget();
        }
    }

    /// After octets were taken, of a connection that is not idle.
    #[cold]
    #[inline(never)]
    fn end_turn(&mut self, server: &Server, socket: &mut Socket<'_, Server>, batch: &Batch) {
        if self.facts.has(Facts::LAST) && self.stream.is_none() {
            self.end(server, socket);
        }
        if !batch.has_submitted() {
            self.stopwatch.forget();
        }
        // Also when all of it is sent already: other events may come before the one that says so,
        // and the deadline must not be one from before the last response.
        self.set_deadline(server, socket);
    }

    /// True unless the connection waits for a place. One that has got it begins to live here.
    #[inline]
    fn has_place(&mut self, server: &Server, socket: &Socket<'_, Server>) -> bool {
        !self.facts.has(Facts::WAITS) || self.gets_place(server, socket)
    }

    #[cold]
    #[inline(never)]
    fn gets_place(&mut self, server: &Server, socket: &Socket<'_, Server>) -> bool {
        let placed = server.admission.has_place(&mut self.ticket);
        if placed {
            self.facts = Facts(self.facts.0 & !Facts::WAITS.0);
            server.counters.add(Counter::ConnectionsAccepted, 1);
            self.set_deadline(server, socket);
        }
        placed
    }

    /// True between requests, with nothing on its way to the peer. There is neither a part of a
    /// head then, nor an answer that waits for the end of content.
    fn is_idle(&self, socket: &Socket<'_, Server>) -> bool {
        self.http.is_idle() && !self.is_sending(socket)
    }

    /// True while an answer is on its way to the peer.
    fn is_sending(&self, socket: &Socket<'_, Server>) -> bool {
        self.stream.is_some() || socket.sends_in_flight() > 0
    }

    /// True while another request may be answered.
    fn may_answer(&self, socket: &Socket<'_, Server>) -> bool {
        let may_send = socket.sends_in_flight() < SENDS_MAX && !socket.is_spent();
        self.stream.is_none() && may_send && !socket.is_closing()
    }

    /// Takes octets up to the end of `segment` or until no more may be answered; returns the rest.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    fn feed<'s>(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        mut memo: Option<&mut Memo>,
        segment: &'s [u8],
    ) -> &'s [u8] {
        let mut rest = segment;
        loop {
            if let Some(memo) = memo.as_deref_mut() {
                rest = self.answer_known(server, site, socket, batch, memo, rest);
            }
            if rest.is_empty() {
                return rest;
            }
            let memo = memo.as_deref_mut();
            let Some(taken) = self.take_step(server, site, socket, batch, memo, rest) else {
                return rest;
            };
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Answers heads that were answered before, as many as there are at the start of `octets`;
    /// returns what follows them.
    #[inline(never)]
    fn answer_known<'s>(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        memo: &mut Memo,
        octets: &'s [u8],
    ) -> &'s [u8] {
        let mut rest = octets;
        // Who is refused is answered otherwise.
        while self.facts == Facts::NONE && self.http.is_at_start() && self.may_answer(socket) {
            let Some((known, behind)) = memo.find(&mut self.known, rest) else { break };
            let known = known.at_present(&server.clock);
            let Some(response) = known.response() else {
                rest = behind;
                self.put_long(server, site, socket, batch, known.answer());
                continue;
            };
            let response = (response, known.class());
            let (times, behind) = known.again(rest, behind);
            if !batch.put(server, socket, response, times) {
                socket.close();
                break;
            }
            rest = behind;
            if known.is_last() {
                self.end_requests();
            }
            if rest.is_empty() {
                break;
            }
        }
        rest
    }

    /// One step, and the answer to it; returns the octets taken, `None` when no more may be
    /// answered now, or the connection was closed for want of memory.
    #[inline(never)]
    fn take_step(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        memo: Option<&mut Memo>,
        input: &[u8],
    ) -> Option<usize> {
        if !self.facts.has(Facts::LAST) && !self.may_answer(socket) {
            return None;
        }
        if let Some((consumed, request)) = self.http.receive_usual(&server.limits(), input) {
            let answer = self.decide(server, site, &request);
            // By reference, so that it is not moved.
            let Some(answer) = &answer else { return Some(consumed) };
            // Who is refused is answered otherwise.
            if let Some(memo) = memo
                && !self.facts.has(Facts::REFUSED)
                && memo::is_repeatable(request)
            {
                memo.learn(site.view(), input, consumed, *answer);
            }
            self.put(server, site, socket, batch, answer);
            return Some(consumed);
        }
        let (taken, answer) = match self.head.take() {
            None => self.step(server, site, input),
            Some(head) => self.step_head(server, site, head, input),
        };
        match answer {
            Some(answer) => {
                let held_by = self.held_by.take();
                let site = held_by.as_ref().unwrap_or(site);
                self.put_apart(server, site, socket, batch, &answer);
            }
            None if taken == 0 => {
                // Neither taken nor answered: memory for the unfinished head is short.
                socket.close();
                return None;
            }
            None => {}
        }
        Some(taken)
    }

    /// One step on octets as they came: how many are done with, and what to answer now.
    #[inline(never)]
    fn step(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        input: &[u8],
    ) -> (usize, Option<Answer>) {
        let step = self.http.receive(&server.limits(), input);
        if let Step::Incomplete { consumed } = step {
            let tail = input.get(consumed..).unwrap_or_default();
            if tail.is_empty() {
                return (consumed, None);
            }
            let heads = server.heads.of(processor::current());
            let Some(mut head) = heads.and_then(Lookaside::take) else { return (0, None) };
            let kept = head.append(tail);
            self.head = Some(head);
            return (consumed.saturating_add(kept), None);
        }
        self.finish(server, site, &step, input)
    }

    /// One step on an unfinished head and what follows it.
    #[cold]
    #[inline(never)]
    fn step_head(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        mut head: LookasideBox<HEAD_BUFFER_BYTES>,
        input: &[u8],
    ) -> (usize, Option<Answer>) {
        let before = head.len();
        let appended = head.append(input);
        let step = self.http.receive(&server.limits(), &head);
        if let Step::Incomplete { consumed } = step {
            head.consume(consumed);
            if !head.is_empty() {
                self.head = Some(head);
            }
            return (appended, None);
        }
        let (consumed, answer) = self.finish(server, site, &step, &head);
        (consumed.saturating_sub(before), answer)
    }

    /// What a step other than `Incomplete` on `input` means.
    fn finish(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        step: &Step<'_>,
        input: &[u8],
    ) -> (usize, Option<Answer>) {
        match step {
            Step::Request { consumed, request } => (*consumed, self.decide(server, site, request)),
            Step::ContentEnd { consumed } => (*consumed, self.content_ended(server)),
            Step::Reject { consumed, rejection } => {
                (*consumed, self.reject(server, site, *rejection, input))
            }
            Step::Closed { consumed } | Step::Incomplete { consumed } => (*consumed, None),
        }
    }

    /// The answer to a request, if it is to be given now.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    fn decide(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        request: &Request<'_>,
    ) -> Option<Answer> {
        // What follows is another request, or content: it has time of its own.
        self.request_deadline = 0;
        let answer = if self.facts.has(Facts::REFUSED) {
            answer::refuse(site.view(), *request)
        } else {
            answer::select(site, &server.health, request, &server.clock)
        };
        let immediate =
            request.framing == Framing::None || request.expectation == Expectation::Continue;
        if server.access_log.is_on() {
            self.log(server, site, *request, answer, immediate);
        }
        if immediate {
            return answer;
        }
        self.held = answer;
        self.held_by = Some(site.clone());
        None
    }

    /// Notes a request in the access log, or keeps what is to be noted when its content has ended.
    #[cold]
    #[inline(never)]
    fn log(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        request: Request<'_>,
        answer: Option<Answer>,
        immediate: bool,
    ) {
        let log = &server.access_log;
        match answer {
            Some(answer) if immediate => {
                log.answered(site.view(), self.peer, &request, answer);
            }
            Some(_) => self.asked = log.asked(&server.heads, &request),
            None => {}
        }
    }

    /// The answer to the request whose content has ended.
    #[inline(never)]
    fn content_ended(&mut self, server: &Server) -> Option<Answer> {
        let answer = self.held.take()?;
        if let Some((asked, site)) = self.asked.take().zip(self.held_by.as_ref()) {
            server.access_log.answered_late(site.view(), self.peer, &asked, answer);
        }
        Some(answer)
    }

    /// The answer to what was not understood.
    #[cold]
    #[inline(never)]
    fn reject(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        rejection: http1::Rejection,
        input: &[u8],
    ) -> Option<Answer> {
        (self.held, self.held_by, self.asked) = (None, None, None);
        server.counters.add(Counter::Rejected, 1);
        let reason = rejects::of_request(rejection.reason);
        server.reject(self.peer, reason, rejection.status.code(), input);
        answer::reject(site.view(), rejection)
    }

    /// As above, with a response that is too long to be held there.
    #[cold]
    #[inline(never)]
    fn put_long(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        answer: Option<Answer>,
    ) {
        self.request_deadline = 0;
        if let Some(answer) = answer {
            self.put_apart(server, site, socket, batch, &answer);
        }
    }

    /// The response just put is the last one.
    #[cold]
    fn end_requests(&mut self) {
        self.facts.note(Facts::LAST, true);
        self.http.close();
    }

    /// As [`Connection::put`], in a frame of its own.
    #[inline(never)]
    fn put_apart(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        answer: &Answer,
    ) {
        if !self.facts.has(Facts::LAST) {
            self.put(server, site, socket, batch, answer);
        }
    }

    /// Adds a response to the batch; submits when it is full or its body is chained.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    fn put(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        answer: &Answer,
    ) {
        let image = site.image();
        let site = site.view();
        let Some(prepared) = site.prepared(answer.response) else { return socket.close() };
        let (body, offset) = answer.content(site, &prepared);
        let copied = if body.len() <= COPY_BYTES_MAX { body } else { &[] };
        let end = answer.persistence.head_end(answer.version);
        let parts = [prepared.head, end, copied];
        let response = if answer.has_fields() {
            let fields = answer.fields(site);
            batch.put_parts(server, socket, [prepared.head, &fields, end, copied])
        } else {
            batch.put_parts(server, socket, parts)
        };
        let Some(response) = response else { return socket.close() };
        let _ = stamp(response, prepared.date_offset, &server.clock);
        let octets = response.len();
        batch.answered(Class::of(prepared.status), octets);
        if copied.len() < body.len() {
            let stream = Stream { image: image.clone(), offset, octets: body.len() };
            self.stream = stream.go_on(server, socket, batch);
        }
        if answer.persistence == http1::Persistence::Close {
            self.end_requests();
        }
    }
}
