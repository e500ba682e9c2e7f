//! What happens to a connection besides octets: ends, sends that are over, ticks, pressure, a stop.
use nt::wsk::{Events, Socket};
use wskhttpd_abi::Counter;

use super::{Connection, Facts};
use crate::batch::Batch;
use crate::server::Server;

/// Ticks that an idle connection gets to end, for another one or when the driver stops.
const YIELD_TICKS: u32 = 2;

impl Connection {
    /// Something other than data happened.
    pub fn happened(&mut self, server: &Server, socket: &mut Socket<'_, Server>, events: Events) {
        if events.any(Events::PEER_RESET.with(Events::SEND_FAILED)) {
            return socket.close();
        }
        let has_place = self.has_place(server, socket);
        if has_place && self.stopwatch.is_on() && !self.is_sending(socket) {
            server.latency.sent(&mut self.stopwatch);
        }
        if has_place && events == Events::SENT && self.is_plain(socket) {
            self.progress = 0;
            return self.set_deadline(server, socket);
        }
        self.note_end(server, socket, events);
        if !has_place {
            return self.wait_on(server, socket, events);
        }
        if events.any(Events::SENT) {
            self.sent(server, socket);
        }
        if events.any(Events::TICK) && self.time_passed(server, socket) {
            return;
        }
        if events.any(Events::PRESSURE) {
            self.make_place(server, socket);
        }
        if events.any(Events::STOP) {
            self.stop(server, socket);
        }
        self.end_if_over(server, socket);
        let is_over = self.facts.has(Facts::DISCONNECTED) && self.facts.has(Facts::PEER_ENDED);
        if is_over && socket.sends_in_flight() == 0 {
            return socket.close();
        }
        self.receive_on(socket, events);
        self.set_deadline(server, socket);
    }

    /// True when the end of a send changes nothing but the deadline.
    fn is_plain(&self, socket: &Socket<'_, Server>) -> bool {
        let facts = self.facts.has(Facts(Facts::LAST.0 | Facts::PEER_ENDED.0));
        self.stream.is_none() && !facts && !socket.is_gated()
    }

    /// Ends of either side, and what they may have overtaken.
    fn note_end(&mut self, server: &Server, socket: &mut Socket<'_, Server>, events: Events) {
        self.facts.note(Facts::PEER_ENDED, events.any(Events::PEER_ENDED));
        self.facts.note(Facts::DISCONNECTED, events.any(Events::DISCONNECTED));
        if events.any(Events::COLLIDED) {
            server.counters.add(Counter::Collisions, 1);
            socket.expect_gate();
        }
        let overtaken = events.any(Events::PEER_ENDED) && socket.is_gated();
        self.facts.note(Facts::OVERTAKEN, overtaken);
    }

    /// A send is over: there is room for more of an answer.
    fn sent(&mut self, server: &Server, socket: &mut Socket<'_, Server>) {
        self.progress = 0;
        // The deadline may be one from before the requests that were answered by now.
        self.set_deadline(server, socket);
        if let Some(stream) = self.stream.take() {
            self.stream = stream.go_on(server, socket, &mut Batch::default());
        }
    }

    /// Ends it for another connection; who looked may have seen an earlier idleness.
    #[cold]
    fn make_place(&mut self, server: &Server, socket: &mut Socket<'_, Server>) {
        let latest = server.timeouts.long_idle(server.clock.ticks());
        let since = socket.mark().idle().zip(latest);
        let is_long_idle = since.is_some_and(|(tick, latest)| tick <= latest);
        if self.is_idle(socket) && is_long_idle && self.end_deadline == 0 {
            server.counters.add(Counter::EndedByPressure, 1);
            self.end_within(server, socket, YIELD_TICKS);
        }
    }

    /// The driver stops: no more requests.
    #[cold]
    fn stop(&mut self, server: &Server, socket: &mut Socket<'_, Server>) {
        if self.is_idle(socket) {
            // No response can be lost any more: let the peer see an end, and be gone.
            self.end_within(server, socket, YIELD_TICKS);
        }
        self.end_requests();
    }

    /// Our end, when the last response is on its way or nothing more comes from the peer.
    fn end_if_over(&mut self, server: &Server, socket: &mut Socket<'_, Server>) {
        let peer_ended = self.facts.has(Facts::PEER_ENDED);
        let done = peer_ended && !socket.is_gated() && !self.facts.has(Facts::OVERTAKEN);
        if (self.facts.has(Facts::LAST) || done) && self.stream.is_none() {
            self.end(server, socket);
        }
    }

    /// Sees to it that octets come while there is use for them.
    fn receive_on(&self, socket: &mut Socket<'_, Server>, events: Events) {
        if events.any(Events::TICK) && socket.is_gated() {
            // Nothing came of the last restart: the provider may have missed it.
            socket.expect_gate();
        }
        if self.facts.has(Facts::LAST) || self.may_answer(socket) {
            socket.restart_receive();
        }
    }

    /// Something happened while the connection waits for a place.
    #[cold]
    fn wait_on(&mut self, server: &Server, socket: &mut Socket<'_, Server>, events: Events) {
        let gone = self.facts.has(Facts::PEER_ENDED) && !socket.is_gated();
        let overdue = socket.mark().passed(server.clock.ticks());
        if overdue {
            server.held_in_vain(self.peer);
        }
        if overdue || gone || events.any(Events::STOP) {
            socket.close();
        }
    }

    /// Our end: no more requests, our side shut behind the last response; the rest is drained.
    #[cold]
    pub(super) fn end(&mut self, server: &Server, socket: &mut Socket<'_, Server>) {
        self.end_within(server, socket, server.timeouts.linger());
    }

    fn end_within(&mut self, server: &Server, socket: &mut Socket<'_, Server>, ticks: u32) {
        if self.end_deadline != 0 {
            return;
        }
        self.end_requests();
        self.head = None;
        self.end_deadline = server.clock.ticks().saturating_add(ticks).max(1);
        let lingers = !socket.disconnect();
        self.facts.note(Facts(Facts::LINGERS.0 | Facts::DISCONNECTED.0), lingers);
    }
}
