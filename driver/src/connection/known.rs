//! The shortest way: a head that is known, whole and alone in what was received, on a connection
//! that has nothing else to do. Whatever is otherwise goes the usual way, which answers the same.
use nt::wsk::{Arrival, Events, Socket};
use wskhttpd_abi::Counter;

use super::{Connection, Facts};
use crate::memo;
use crate::server::Server;

impl Connection {
    /// Answers what was received if it is such a head; `None` when it is not: then nothing was
    /// done.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    pub fn receive_whole(
        &mut self,
        server: &Server,
        socket: &mut Socket<'_, Server>,
        arrival: Arrival<'_>,
    ) -> Option<Events> {
        if self.known == memo::NOWHERE {
            return None;
        }
        if self.facts != Facts::NONE || !self.http.is_at_start() || self.is_sending(socket) {
            return None;
        }
        let octets = arrival.whole()?;
        let mut desk = server.sites.at_desk(socket.processor())?;
        let known = desk.derived().repeated(self.known, octets)?;
        let response = known.response_of(server.clock.edition())?;
        let out = socket.ready(response)?;
        self.stopwatch.turn();
        let (counter, sent) = (known.counter(), response.len());
        drop(desk);
        // Before the send, whose completion may be all that somebody waits for.
        if let Some(counters) = server.counters.of(socket.processor()) {
            counters.add(Counter::BytesSent, u64::try_from(sent).unwrap_or(0));
            counters.add(counter, 1);
        }
        socket.send_ready(out);
        if socket.sends_in_flight() == 0 {
            if self.stopwatch.is_on() {
                server.latency.sent(&mut self.stopwatch);
            }
            // It was idle before, and all its other times are none.
            socket.mark().set_idle(server.idle_deadline());
            return Some(Events::SENT);
        }
        self.set_deadline(server, socket);
        Some(Events::NONE)
    }
}
