//! One connection: octets to requests, requests to sends.
//!
//! Life: open (requests are answered in order), ending (our side is shut, what still comes is
//! discarded until the peer ends too or the drain deadline), closed. All of it runs in the hands
//! of the connection's one runner.
use http1::Step;
use nt::LookasideBox;
use nt::wsk::{CHAIN_BYTES_MAX, Events, Indication, Outgoing, Socket};
use response_cache::Site;
use wskhttpd_abi::Counter;

use crate::admission::Ticket;
use crate::answer::{self, Answer};
use crate::server::Server;

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

/// Ticks that an idle connection gets to end when the driver stops.
const STOP_DRAIN_TICKS: u32 = 2;

/// The part of a large body that was not submitted yet.
#[derive(Clone, Copy)]
struct Stream {
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
    stream: Option<Stream>,
    ticket: Ticket,
    /// Tick by which the request under way must be complete; 0 = none is under way.
    request_deadline: u32,
    /// Tick by which an ending connection is closed; 0 = not ending.
    end_deadline: u32,
    /// No further request is answered.
    last: bool,
    peer_ended: bool,
    disconnected: bool,
    /// The provider cannot end our side alone.
    lingers: bool,
}

/// The sends of one turn: responses gather in `out`, which is submitted when it is full, when a
/// body is chained to it, or at the end of the turn.
struct Batch {
    out: Option<Outgoing<Server>>,
    answered: u64,
    /// Responses by the first digit of their status, 2 to 5.
    classes: [u64; 4],
    octets: u64,
}

impl Connection {
    /// A new connection, counted by `ticket`.
    pub fn new(ticket: Ticket) -> Connection {
        Connection {
            http: http1::Connection::new(),
            head: None,
            held: None,
            stream: None,
            ticket,
            request_deadline: 0,
            end_deadline: 0,
            last: false,
            peer_ended: false,
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
        let mut batch = Batch { out: None, answered: 0, classes: [0; 4], octets: 0 };
        while let Some(segment) = indication.segment() {
            let taken = self.feed(server, socket, &mut batch, segment);
            indication.consume(taken);
            if taken < segment.len() || socket.is_closing() {
                break;
            }
        }
        batch.submit(socket);
        batch.count(server);
        if self.last && self.stream.is_none() {
            self.end(server, socket);
        }
        self.set_deadline(server, socket);
    }

    /// True between requests, with nothing on its way to the peer.
    fn is_idle(&self, socket: &Socket<'_, Server>) -> bool {
        let waiting = self.http.is_idle() && self.head.is_none() && self.held.is_none();
        waiting && self.stream.is_none() && socket.sends_in_flight() == 0
    }

    /// True while another request may be answered.
    fn may_answer(&self, socket: &Socket<'_, Server>) -> bool {
        self.stream.is_none() && socket.sends_in_flight() < SENDS_MAX && !socket.is_closing()
    }

    /// Takes octets up to the end of `segment` or until no more may be answered; returns how many.
    fn feed(
        &mut self,
        server: &Server,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        segment: &[u8],
    ) -> usize {
        let mut at = 0;
        while let Some(rest) = segment.get(at..).filter(|rest| !rest.is_empty()) {
            if !self.last && !self.may_answer(socket) {
                break;
            }
            let (taken, answer) = match self.head.take() {
                None => self.step(server, rest),
                Some(head) => self.step_head(server, head, rest),
            };
            at = at.saturating_add(taken);
            match answer {
                Some(answer) => self.put(server, socket, batch, answer),
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
    fn step(&mut self, server: &Server, input: &[u8]) -> (usize, Option<Answer>) {
        let step = self.http.receive(&server.limits, input);
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
        self.decide(server.site.view(), step)
    }

    /// One step on an unfinished head and what follows it.
    #[cold]
    #[inline(never)]
    fn step_head(
        &mut self,
        server: &Server,
        mut head: LookasideBox<HEAD_BUFFER_BYTES>,
        input: &[u8],
    ) -> (usize, Option<Answer>) {
        let before = head.len();
        let appended = head.append(input);
        let step = self.http.receive(&server.limits, &head);
        if let Step::Incomplete { consumed } = step {
            head.consume(consumed);
            if !head.is_empty() {
                self.head = Some(head);
            }
            return (appended, None);
        }
        let (consumed, answer) = self.decide(server.site.view(), step);
        (consumed.saturating_sub(before), answer)
    }

    /// What a step other than `Incomplete` means.
    #[allow(clippy::needless_pass_by_value)] // the step is over with this
    fn decide(&mut self, site: Site<'_>, step: Step<'_>) -> (usize, Option<Answer>) {
        match step {
            Step::Request { consumed, request } => {
                let answer = answer::select(site, &request);
                let immediate = request.framing == http1::Framing::None
                    || request.expectation == http1::Expectation::Continue;
                if immediate {
                    return (consumed, answer);
                }
                self.held = answer;
                (consumed, None)
            }
            Step::ContentEnd { consumed } => (consumed, self.held.take()),
            Step::Reject { consumed, rejection } => {
                self.held = None;
                (consumed, answer::reject(site, rejection))
            }
            Step::Closed { consumed } | Step::Incomplete { consumed } => (consumed, None),
        }
    }

    /// Adds a response to the batch; submits when it is full or its body is chained.
    fn put(
        &mut self,
        server: &Server,
        socket: &mut Socket<'_, Server>,
        batch: &mut Batch,
        answer: Answer,
    ) {
        if self.last {
            return;
        }
        let site = server.site.view();
        let head = site.head(answer.response);
        let body = if answer.content { site.body(answer.response) } else { &[] };
        let end = answer.persistence.head_end(answer.version);
        let copied = if body.len() <= COPY_BYTES_MAX { body } else { &[] };
        let octets = head.len().saturating_add(end.len()).saturating_add(copied.len());
        let Some(out) = batch.room(socket, octets) else { return socket.close() };
        let from = out.copied();
        if !(out.copy(head) && out.copy(end) && out.copy(copied)) {
            return socket.close();
        }
        if let Some(at) =
            from.checked_add(site.date_offset(answer.response)).filter(|at| *at > from)
        {
            stamp(out.copied_mut(at), &server.clock.date());
        }
        batch.octets = batch.octets.saturating_add(u64::try_from(octets).unwrap_or(0));
        batch.answered(site.status(answer.response));
        if copied.len() < body.len() {
            let offset = site.body_offset(answer.response);
            self.stream = Some(Stream { offset, octets: body.len() });
            self.stream_on(server, socket, batch);
        }
        if answer.persistence == http1::Persistence::Close {
            self.last = true;
            self.http.close();
        }
    }

    /// Submits the next parts of a large body, as far as they may be in flight.
    fn stream_on(&mut self, server: &Server, socket: &mut Socket<'_, Server>, batch: &mut Batch) {
        while let Some(stream) = self.stream {
            if socket.sends_in_flight() >= STREAM_SENDS_MAX || socket.is_closing() {
                return;
            }
            let part = stream.octets.min(CHAIN_BYTES_MAX);
            let chained = batch
                .chain_room(socket)
                .is_some_and(|out| out.chain(server.site.image(), stream.offset, part));
            if !chained {
                return socket.close();
            }
            batch.submit(socket);
            batch.octets = batch.octets.saturating_add(u64::try_from(part).unwrap_or(0));
            let octets = stream.octets.saturating_sub(part);
            let offset = stream.offset.saturating_add(part);
            self.stream = (octets > 0).then_some(Stream { offset, octets });
        }
    }

    /// Something other than data happened.
    pub fn happened(&mut self, server: &Server, socket: &mut Socket<'_, Server>, events: Events) {
        if events.any(Events::PEER_RESET.with(Events::SEND_FAILED)) {
            return socket.close();
        }
        self.peer_ended |= events.any(Events::PEER_ENDED);
        self.disconnected |= events.any(Events::DISCONNECTED);
        if events.any(Events::COLLIDED) {
            server.counters.add(Counter::Collisions, 1);
            socket.expect_gate();
        }
        if events.any(Events::SENT) && self.stream.is_some() {
            let mut batch = Batch { out: None, answered: 0, classes: [0; 4], octets: 0 };
            self.stream_on(server, socket, &mut batch);
            batch.count(server);
        }
        if events.any(Events::TICK) && self.time_passed(server, socket) {
            return;
        }
        if events.any(Events::STOP) {
            if self.is_idle(socket) {
                // No response can be lost any more: let the peer see an end, and be gone.
                self.end_within(server, socket, STOP_DRAIN_TICKS);
            }
            self.last = true;
            self.http.close();
        }
        let done = self.peer_ended && !socket.is_gated();
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

    /// Our end: no more requests, our side shut behind the last response; the rest is drained.
    fn end(&mut self, server: &Server, socket: &mut Socket<'_, Server>) {
        self.end_within(server, socket, server.timeouts.drain);
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
        // A connection that waits for octets to come again is looked at by every tick.
        let sending = self.stream.is_some() || socket.sends_in_flight() > 0;
        let overdue = |deadline: u32| deadline != 0 && deadline <= now;
        if overdue(self.end_deadline) || server.stop_passed(now) {
            socket.close();
        } else if sending && !(socket.is_gated() && self.may_answer(socket)) {
            server.counters.add(Counter::TimerSend, 1);
            socket.close();
        } else if overdue(self.request_deadline) {
            server.counters.add(Counter::TimerHead, 1);
            self.held = None;
            let mut batch = Batch { out: None, answered: 0, classes: [0; 4], octets: 0 };
            let site = server.site.view();
            if let Some(answer) = answer::error(site, http1::Status::RequestTimeout) {
                self.put(server, socket, &mut batch, answer);
            }
            batch.submit(socket);
            batch.count(server);
        } else if self.end_deadline == 0 && !socket.is_gated() {
            server.counters.add(Counter::TimerIdle, 1);
            self.last = true;
        }
        socket.is_closing()
    }

    /// Stores the deadline of the situation the connection is in now.
    fn set_deadline(&mut self, server: &Server, socket: &Socket<'_, Server>) {
        let now = server.clock.ticks();
        let timeouts = &server.timeouts;
        if self.http.is_idle() && self.held.is_none() {
            self.request_deadline = 0;
        } else if self.request_deadline == 0 {
            self.request_deadline = now.saturating_add(timeouts.head).max(1);
        }
        if self.lingers && socket.sends_in_flight() == 0 {
            self.end_deadline = self.end_deadline.min(now.saturating_add(LINGER_TICKS)).max(1);
        }
        let mut deadline = if self.end_deadline != 0 {
            self.end_deadline
        } else if self.stream.is_some() || socket.sends_in_flight() > 0 {
            now.saturating_add(timeouts.send)
        } else if self.request_deadline != 0 {
            self.request_deadline
        } else {
            now.saturating_add(timeouts.idle)
        };
        if socket.is_gated() && self.may_answer(socket) {
            // A restart that the provider took for one that was not needed is asked for again.
            deadline = deadline.min(now.saturating_add(1));
        }
        socket.mark().set(deadline.min(server.stop_deadline()));
    }
}

impl Batch {
    /// Room to copy `octets` octets, submitting what is in the way; `None` when memory is short.
    fn room(
        &mut self,
        socket: &mut Socket<'_, Server>,
        octets: usize,
    ) -> Option<&mut Outgoing<Server>> {
        if self.out.as_ref().is_some_and(|out| out.room() < octets) {
            self.submit(socket);
        }
        if self.out.is_none() {
            self.out = socket.outgoing();
        }
        self.out.as_mut()
    }

    /// Room to chain a body to, submitting what it cannot be chained to.
    fn chain_room(&mut self, socket: &mut Socket<'_, Server>) -> Option<&mut Outgoing<Server>> {
        if self.out.as_ref().is_some_and(|out| !out.can_chain()) {
            self.submit(socket);
        }
        self.room(socket, 0)
    }

    /// One WskSend for everything gathered.
    fn submit(&mut self, socket: &mut Socket<'_, Server>) {
        if let Some(out) = self.out.take() {
            socket.send(out);
        }
    }

    fn answered(&mut self, status: u16) {
        self.answered = self.answered.saturating_add(1);
        let class = usize::from(status.saturating_sub(200) / 100);
        if let Some(count) = self.classes.get_mut(class) {
            *count = count.saturating_add(1);
        }
    }

    fn count(&self, server: &Server) {
        const CLASSES: [Counter; 4] = [
            Counter::Responses2xx,
            Counter::Responses3xx,
            Counter::Responses4xx,
            Counter::Responses5xx,
        ];
        if self.octets == 0 {
            return;
        }
        server.counters.add(Counter::Requests, self.answered);
        server.counters.add(Counter::BytesSent, self.octets);
        for (counter, count) in CLASSES.into_iter().zip(self.classes) {
            if count > 0 {
                server.counters.add(counter, count);
            }
        }
    }
}

/// Writes the Date over its placeholder.
fn stamp(place: &mut [u8], date: &[u8; 29]) {
    for (to, from) in place.iter_mut().zip(date) {
        *to = *from;
    }
}
