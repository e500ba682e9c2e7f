//! One connection: octets to requests, requests to sends.
//!
//! Life: open (requests are answered in order), ending (our side is shut, what still comes is
//! discarded until the peer ends too or the drain deadline), closed. All of it runs in the hands
//! of the connection's one runner.
use http1::Step;
use nt::wsk::{CHAIN_BYTES_MAX, Events, Indication, Socket};
use nt::{LookasideBox, Pinned, PoolArc, processor};
use wskhttpd_abi::{Counter, Reason};

use crate::access_log::Asked;
use crate::admission::Ticket;
use crate::answer::{self, Answer};
use crate::batch::{Batch, stamp};
use crate::deadline::Timeouts;
use crate::latency::Stopwatch;
use crate::memo::{self, Known, Memo};
use crate::rejects::{self, Peer};
use crate::server::Server;
use crate::site::PinnedSite;

/// Octets of a buffer for an unfinished head: the largest head, and the empty line before it.
pub const HEAD_BUFFER_BYTES: usize = 16_384 + 2;
/// Sends in flight on one connection at most; more requests wait in the peer's window.
const SENDS_MAX: u32 = 4;
/// Sends in flight while a large body is streamed: one on its way, one ready behind it.
const STREAM_SENDS_MAX: u32 = 2;
/// Bodies up to this many octets are copied behind their head; longer ones are chained.
const COPY_BYTES_MAX: usize = 4_096;

/// Ticks from the last response to the close, where only the close can tell the peer of our end.
const LINGER_TICKS: u32 = 2;

/// Ticks without an octet after which nothing more comes from a peer whose end overtook octets.
const OVERTAKEN_TICKS: u32 = 2;

/// Ticks that an idle connection gets to end when the driver stops.
const STOP_DRAIN_TICKS: u32 = 2;

/// The part of a large body that was not submitted yet.
struct Stream {
    image: PoolArc<Pinned>,
    offset: usize,
    octets: usize,
}

/// A connection's own state: what an idle one holds beside its socket.
#[allow(clippy::struct_excessive_bools)] // independent facts
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
    /// The deadline is one from before the requests that were answered since.
    is_stale: bool,
    /// Tick by which an ending connection is closed; 0 = not ending.
    end_deadline: u32,
    /// No further request is answered.
    last: bool,
    peer_ended: bool,
    /// The peer's end overtook octets that are with the provider: how many is not known.
    overtaken: bool,
    disconnected: bool,
    /// The provider cannot end our side alone.
    lingers: bool,
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
            ticket,
            peer,
            stopwatch: Stopwatch::new(peer.port),
            request_deadline: 0,
            in_content: false,
            progress: 0,
            is_stale: false,
            end_deadline: 0,
            last: false,
            peer_ended: false,
            overtaken: false,
            disconnected: false,
            lingers: false,
        }
    }

    /// The end: what has to be given back.
    pub fn into_ticket(self) -> Ticket {
        self.ticket
    }

    /// Octets arrived. What is not taken while answers wait to be sent stays with the provider.
    pub fn receive(
        &mut self,
        server: &Server,
        socket: &mut Socket<'_, Server>,
        indication: &mut Indication<'_>,
    ) {
        if !self.has_place(server, socket) {
            // What it sends stays with the provider until there is a place.
            return;
        }
        self.stopwatch.turn();
        let mut batch = Batch::default();
        let mut turn = server.sites.turn(processor::current());
        let (site, mut memo) = turn.parts();
        while let Some(segment) = indication.segment() {
            let taken = self.feed(server, site, socket, &mut batch, memo.as_deref_mut(), segment);
            indication.consume(taken);
            if taken < segment.len() || socket.is_closing() {
                break;
            }
        }
        drop(turn);
        batch.submit(socket);
        batch.count(server);
        if self.last && self.stream.is_none() {
            self.end(server, socket);
        }
        if batch.is_idle() {
            self.stopwatch.forget();
        }
        // Otherwise all of it is sent already, and the event that says so comes; others may come
        // before it.
        self.is_stale = !batch.is_idle() && socket.sends_in_flight() == 0;
        if !self.is_stale {
            self.set_deadline(server, socket);
        }
    }

    /// True unless the connection waits for a place. One that has got it begins to live here.
    #[inline]
    fn has_place(&mut self, server: &Server, socket: &Socket<'_, Server>) -> bool {
        !self.ticket.is_waiting() || self.gets_place(server, socket)
    }

    #[cold]
    fn gets_place(&mut self, server: &Server, socket: &Socket<'_, Server>) -> bool {
        let placed = server.admission.has_place(&mut self.ticket);
        if placed {
            server.counters.add(Counter::ConnectionsAccepted, 1);
            self.set_deadline(server, socket);
        }
        placed
    }

    /// True between requests, with nothing on its way to the peer.
    fn is_idle(&self, socket: &Socket<'_, Server>) -> bool {
        let waiting = self.http.is_idle() && self.head.is_none() && self.held.is_none();
        waiting && self.stream.is_none() && socket.sends_in_flight() == 0
    }

    /// True when it may be ended to make a place; who looked may have seen an earlier idleness.
    fn is_long_idle(&self, server: &Server, socket: &Socket<'_, Server>) -> bool {
        let latest = server.timeouts.long_idle(server.clock.ticks());
        let since = socket.mark().idle().zip(latest);
        self.is_idle(socket) && since.is_some_and(|(tick, latest)| tick <= latest)
    }

    /// True when the end of a send changes nothing but the deadline.
    fn is_plain(&self, socket: &Socket<'_, Server>) -> bool {
        self.stream.is_none() && !self.last && !self.peer_ended && !socket.is_gated()
    }

    /// True while another request may be answered.
    fn may_answer(&self, socket: &Socket<'_, Server>) -> bool {
        self.stream.is_none() && socket.sends_in_flight() < SENDS_MAX && !socket.is_closing()
    }

    /// Takes octets up to the end of `segment` or until no more may be answered; returns how many.
    fn feed(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        mut memo: Option<&mut Memo>,
        segment: &[u8],
    ) -> usize {
        let mut at = 0;
        while let Some(rest) = segment.get(at..).filter(|rest| !rest.is_empty()) {
            if !self.last && !self.may_answer(socket) {
                break;
            }
            // Who is refused is answered otherwise.
            let may_repeat = self.http.is_at_start() && !self.ticket.is_refusing();
            let mut memo = memo.as_deref_mut().filter(|_| may_repeat);
            if let Some(known) = memo.as_deref_mut().and_then(|memo| memo.find(rest)) {
                at = at.saturating_add(known.head_bytes());
                self.put_known(server, site, socket, batch, known);
                continue;
            }
            let (taken, answer) = match self.head.take() {
                None => self.step(server, site, memo, rest),
                Some(head) => self.step_head(server, site, head, rest),
            };
            at = at.saturating_add(taken);
            match answer {
                Some(answer) => match self.held_by.take() {
                    None => self.put(server, site, socket, batch, answer),
                    Some(site) => self.put(server, &site, socket, batch, answer),
                },
                None if taken == 0 => {
                    // Neither taken nor answered: memory for the unfinished head is short.
                    socket.close();
                    break;
                }
                None => {}
            }
        }
        at
    }

    /// One step on octets as they came: how many are done with, and what to answer now.
    fn step(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        memo: Option<&mut Memo>,
        input: &[u8],
    ) -> (usize, Option<Answer>) {
        let step = self.http.receive(&server.limits(), input);
        if let Some(memo) = memo
            && let Step::Request { request, .. } = &step
            && memo::is_repeatable(request)
        {
            let (consumed, answer) = self.decide(server, site, step, input);
            if let Some(answer) = answer {
                memo.learn(site.view(), input, consumed, answer);
            }
            return (consumed, answer);
        }
        if let Step::Incomplete { consumed } = step {
            let tail = input.get(consumed..).unwrap_or_default();
            if tail.is_empty() {
                return (consumed, None);
            }
            let Some(mut head) = server.heads.take() else { return (0, None) };
            let kept = head.append(tail);
            self.head = Some(head);
            return (consumed.saturating_add(kept), None);
        }
        self.decide(server, site, step, input)
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
        let (consumed, answer) = self.decide(server, site, step, &head);
        (consumed.saturating_sub(before), answer)
    }

    /// What a step other than `Incomplete` on `input` means.
    #[allow(clippy::needless_pass_by_value)] // the step is over with this
    fn decide(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        step: Step<'_>,
        input: &[u8],
    ) -> (usize, Option<Answer>) {
        match step {
            Step::Request { consumed, request } => {
                // What follows is another request, or content: it has time of its own.
                self.request_deadline = 0;
                let answer = if self.ticket.is_refusing() {
                    answer::refuse(site.view(), &request)
                } else {
                    answer::select(site, &server.health, &request, server.clock.unix_seconds())
                };
                let immediate = request.framing == http1::Framing::None
                    || request.expectation == http1::Expectation::Continue;
                if server.access_log.is_on() {
                    self.log(server, site, &request, answer, immediate);
                }
                if immediate {
                    return (consumed, answer);
                }
                self.held = answer;
                self.held_by = Some(site.clone());
                (consumed, None)
            }
            Step::ContentEnd { consumed } => (consumed, self.content_ended(server)),
            Step::Reject { consumed, rejection } => {
                (consumed, self.reject(server, site, rejection, input))
            }
            Step::Closed { consumed } | Step::Incomplete { consumed } => (consumed, None),
        }
    }

    /// Notes a request in the access log, or keeps what is to be noted when its content has ended.
    #[cold]
    #[inline(never)]
    fn log(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        request: &http1::Request<'_>,
        answer: Option<Answer>,
        immediate: bool,
    ) {
        let log = &server.access_log;
        match answer {
            Some(answer) if immediate => {
                log.answered(site.view(), self.peer, request, answer);
            }
            Some(_) => self.asked = log.asked(&server.heads, request),
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

    /// Answers a head that was answered before.
    #[inline]
    fn put_known(
        &mut self,
        server: &Server,
        site: &PoolArc<PinnedSite>,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        known: &Known,
    ) {
        let Some(answer) = known.answer() else { return };
        self.request_deadline = 0;
        let Some((response, date_offset, status)) = known.response() else {
            return self.put(server, site, socket, batch, answer);
        };
        let Some(copied) = batch.copy(socket, response) else { return socket.close() };
        if date_offset != 0
            && let Some(place) = copied.get_mut(date_offset..)
        {
            stamp(place, &server.clock.date());
        }
        batch.add_octets(response.len());
        batch.answered(status);
        self.put_done(answer);
    }

    /// After the response was put: it may be the last.
    fn put_done(&mut self, answer: Answer) {
        if answer.persistence == http1::Persistence::Close {
            self.last = true;
            self.http.close();
        }
    }

    /// Adds a response to the batch; submits when it is full or its body is chained.
    fn put(
        &mut self,
        server: &Server,
        site: &PinnedSite,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        answer: Answer,
    ) {
        if self.last {
            return;
        }
        let image = site.image();
        let site = site.view();
        let Some(prepared) = site.prepared(answer.response) else { return socket.close() };
        let head = prepared.head;
        let fields = answer.fields(site);
        let (body, offset) = answer.content(site, &prepared);
        let end = answer.persistence.head_end(answer.version);
        let copied = if body.len() <= COPY_BYTES_MAX { body } else { &[] };
        let octets = [head.len(), fields.len(), end.len(), copied.len()];
        let octets = octets.into_iter().fold(0, usize::saturating_add);
        let Some(out) = batch.room(socket, octets) else { return socket.close() };
        let from = out.copied();
        let copied_all = out.copy(head)
            && (fields.is_empty() || out.copy(&fields))
            && out.copy(end)
            && out.copy(copied);
        if !copied_all {
            return socket.close();
        }
        if let Some(at) = from.checked_add(prepared.date_offset).filter(|at| *at > from) {
            stamp(out.copied_mut(at), &server.clock.date());
        }
        batch.add_octets(octets);
        batch.answered(prepared.status);
        if copied.len() < body.len() {
            self.stream = Some(Stream { image: image.clone(), offset, octets: body.len() });
            self.stream_on(socket, batch);
        }
        self.put_done(answer);
    }

    /// Submits the next parts of a large body, as far as they may be in flight.
    fn stream_on(&mut self, socket: &mut Socket<'_, Server>, batch: &mut Batch) {
        while let Some(stream) = &mut self.stream {
            if socket.sends_in_flight() >= STREAM_SENDS_MAX || socket.is_closing() {
                return;
            }
            let part = stream.octets.min(CHAIN_BYTES_MAX);
            let chained = batch
                .chain_room(socket)
                .is_some_and(|out| out.chain(&stream.image, stream.offset, part));
            if !chained {
                return socket.close();
            }
            batch.submit(socket);
            batch.add_octets(part);
            stream.octets = stream.octets.saturating_sub(part);
            stream.offset = stream.offset.saturating_add(part);
            if stream.octets == 0 {
                self.stream = None;
            }
        }
    }

    /// Something other than data happened.
    pub fn happened(&mut self, server: &Server, socket: &mut Socket<'_, Server>, events: Events) {
        if events.any(Events::PEER_RESET.with(Events::SEND_FAILED)) {
            return socket.close();
        }
        if !self.has_place(server, socket) {
            return self.wait_on(server, socket, events);
        }
        if self.stopwatch.is_on() && self.stream.is_none() && socket.sends_in_flight() == 0 {
            server.latency.sent(&mut self.stopwatch);
        }
        if events == Events::SENT && self.is_plain(socket) {
            self.progress = 0;
            return self.set_deadline(server, socket);
        }
        self.peer_ended |= events.any(Events::PEER_ENDED);
        self.disconnected |= events.any(Events::DISCONNECTED);
        if events.any(Events::COLLIDED) {
            server.counters.add(Counter::Collisions, 1);
            socket.expect_gate();
        }
        self.overtaken |= events.any(Events::PEER_ENDED) && socket.is_gated();
        if events.any(Events::SENT) {
            self.progress = 0;
        }
        if events.any(Events::SENT) || self.is_stale {
            self.set_deadline(server, socket);
        }
        if events.any(Events::SENT) && self.stream.is_some() {
            let mut batch = Batch::default();
            self.stream_on(socket, &mut batch);
            batch.count(server);
        }
        if events.any(Events::TICK) && self.time_passed(server, socket) {
            return;
        }
        let yields = events.any(Events::PRESSURE) && self.is_long_idle(server, socket);
        if yields && self.end_deadline == 0 {
            server.counters.add(Counter::EndedByPressure, 1);
            self.end_within(server, socket, STOP_DRAIN_TICKS);
        }
        if events.any(Events::STOP) {
            if self.is_idle(socket) {
                // No response can be lost any more: let the peer see an end, and be gone.
                self.end_within(server, socket, STOP_DRAIN_TICKS);
            }
            self.last = true;
            self.http.close();
        }
        let done = self.peer_ended && !socket.is_gated() && !self.overtaken;
        if (self.last || done) && self.stream.is_none() {
            self.end(server, socket);
        }
        if self.disconnected && self.peer_ended && socket.sends_in_flight() == 0 {
            return socket.close();
        }
        if events.any(Events::TICK) && socket.is_gated() {
            // Nothing came of the last restart: the provider may have missed it.
            socket.expect_gate();
        }
        if self.last || self.may_answer(socket) {
            socket.restart_receive();
        }
        self.set_deadline(server, socket);
    }

    /// Something happened while the connection waits for a place.
    #[cold]
    fn wait_on(&mut self, server: &Server, socket: &mut Socket<'_, Server>, events: Events) {
        if events.any(Events::COLLIDED) {
            socket.expect_gate();
        }
        self.peer_ended |= events.any(Events::PEER_ENDED);
        self.overtaken |= events.any(Events::PEER_ENDED) && socket.is_gated();
        let gone = self.peer_ended && !socket.is_gated();
        let overdue = socket.mark().passed(server.clock.ticks());
        if overdue {
            server.held_in_vain(self.peer);
        }
        if overdue || gone || events.any(Events::STOP) {
            socket.close();
        }
    }

    /// Our end: no more requests, our side shut behind the last response; the rest is drained.
    fn end(&mut self, server: &Server, socket: &mut Socket<'_, Server>) {
        self.end_within(server, socket, server.timeouts.linger());
    }

    fn end_within(&mut self, server: &Server, socket: &mut Socket<'_, Server>, ticks: u32) {
        if self.end_deadline != 0 {
            return;
        }
        self.last = true;
        self.http.close();
        self.head = None;
        self.end_deadline = server.clock.ticks().saturating_add(ticks).max(1);
        self.lingers = !socket.disconnect();
        self.disconnected |= self.lingers;
    }

    /// A deadline may have passed; true when the connection was closed for it.
    fn time_passed(&mut self, server: &Server, socket: &mut Socket<'_, Server>) -> bool {
        let now = server.clock.ticks();
        if !socket.mark().passed(now) {
            return false;
        }
        let overdue = |deadline: u32| deadline != 0 && deadline <= now;
        if server.stop_passed(now) {
            socket.close();
        } else if self.is_sending(socket) {
            // It may be another deadline that has passed: that of a restart.
            if self.send_deadline(&server.timeouts, socket) <= now {
                server.reject(self.peer, Reason::TimerSend, 0, &[]);
                socket.close();
            }
        } else if overdue(self.end_deadline) {
            socket.close();
        } else if overdue(self.request_deadline) {
            let reason = if self.in_content { Reason::TimerContent } else { Reason::TimerHead };
            let head = self.head.as_deref().unwrap_or_default();
            server.reject(self.peer, reason, http1::Status::RequestTimeout.code(), head);
            (self.held, self.held_by, self.asked) = (None, None, None);
            let mut batch = Batch::default();
            let site = server.sites.current();
            if let Some(answer) = answer::error(site.view(), http1::Status::RequestTimeout) {
                self.put(server, &site, socket, &mut batch, answer);
            }
            batch.submit(socket);
            batch.count(server);
        } else if self.end_deadline == 0 && !socket.is_gated() {
            if !self.overtaken {
                server.reject(self.peer, Reason::TimerIdle, 0, &[]);
            }
            self.last = true;
        }
        socket.is_closing()
    }

    /// Stores the deadline of the situation the connection is in now.
    fn set_deadline(&mut self, server: &Server, socket: &Socket<'_, Server>) {
        self.is_stale = false;
        let now = server.clock.ticks();
        let timeouts = &server.timeouts;
        self.set_request_deadline(timeouts, now);
        if self.lingers && socket.sends_in_flight() == 0 {
            self.end_deadline = self.end_deadline.min(now.saturating_add(LINGER_TICKS)).max(1);
        }
        let is_sending = self.is_sending(socket);
        self.progress = match self.progress {
            _ if !is_sending => 0,
            0 => now.max(1),
            progress => progress,
        };
        if is_sending && self.end_deadline != 0 {
            // The peer has all its time to read the last response, and then to end.
            self.end_deadline = now.saturating_add(timeouts.linger()).max(1);
        }
        let deadline = if is_sending {
            self.send_deadline(timeouts, socket)
        } else if self.end_deadline != 0 {
            self.end_deadline
        } else if self.request_deadline != 0 {
            self.request_deadline
        } else {
            now.saturating_add(match (self.overtaken, self.ticket.is_refusing()) {
                (true, _) => OVERTAKEN_TICKS,
                (false, true) => timeouts.linger(),
                (false, false) => timeouts.idle(),
            })
        };
        let is_waiting_for_octets = socket.is_gated() && self.may_answer(socket);
        if is_waiting_for_octets {
            // A restart that the provider took for one that was not needed is asked for again.
            socket.mark().set(deadline.min(now.saturating_add(1)).min(server.stop_deadline()));
        } else if is_sending || self.request_deadline != 0 || self.end_deadline != 0 {
            socket.mark().set(deadline.min(server.stop_deadline()));
        } else {
            socket.mark().set_idle(deadline.min(server.stop_deadline()));
        }
    }

    fn is_sending(&self, socket: &Socket<'_, Server>) -> bool {
        self.stream.is_some() || socket.sends_in_flight() > 0
    }

    /// Tick by which the peer must have read some of what is being sent.
    fn send_deadline(&self, timeouts: &Timeouts, socket: &Socket<'_, Server>) -> u32 {
        self.progress.saturating_add(timeouts.send(socket.octets_in_flight()))
    }

    fn set_request_deadline(&mut self, timeouts: &Timeouts, now: u32) {
        let in_content = self.held.is_some();
        if self.http.is_idle() && !in_content {
            self.request_deadline = 0;
        } else if self.request_deadline == 0 {
            let timeout = if in_content { timeouts.content() } else { timeouts.head() };
            self.request_deadline = now.saturating_add(timeout).max(1);
        }
        self.in_content = in_content;
    }
}
