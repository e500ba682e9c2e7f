//! The sends of one turn of a connection's runner.
use nt::wsk::{Outgoing, Socket};
use wskhttpd_abi::Counter;

use crate::server::Server;

/// The sends of one turn: responses gather in `out`, which is submitted when it is full, when a
/// body is chained to it, or at the end of the turn.
#[derive(Default)]
pub struct Batch {
    out: Option<Outgoing<Server>>,
    /// Responses by the first digit of their status, 2 to 5.
    classes: [u64; 4],
    octets: u64,
}

impl Batch {
    /// Room to copy `octets` octets, submitting what is in the way; `None` when memory is short.
    pub fn room(
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

    /// Copies `octets`, submitting what is in the way; returns the copy. `None` when memory is
    /// short.
    #[inline]
    pub fn copy(&mut self, socket: &mut Socket<'_, Server>, octets: &[u8]) -> Option<&mut [u8]> {
        let fits = self.out.as_ref().is_some_and(|out| out.room() >= octets.len());
        if !fits {
            self.room(socket, octets.len())?;
        }
        self.out.as_mut()?.copy_in(octets)
    }

    /// True when nothing was put into a send in this turn.
    pub fn is_idle(&self) -> bool {
        self.octets == 0
    }

    /// Room to chain a body to, submitting what it cannot be chained to.
    pub fn chain_room(&mut self, socket: &mut Socket<'_, Server>) -> Option<&mut Outgoing<Server>> {
        if self.out.as_ref().is_some_and(|out| !out.can_chain()) {
            self.submit(socket);
        }
        self.room(socket, 0)
    }

    /// One WskSend for everything gathered.
    pub fn submit(&mut self, socket: &mut Socket<'_, Server>) {
        if let Some(out) = self.out.take() {
            socket.send(out);
        }
    }

    /// Notes octets of a response that were put into sends.
    pub fn add_octets(&mut self, octets: usize) {
        self.octets = self.octets.saturating_add(u64::try_from(octets).unwrap_or(0));
    }

    /// Notes a response.
    pub fn answered(&mut self, status: u16) {
        let class = usize::from(status.saturating_sub(200) / 100);
        if let Some(count) = self.classes.get_mut(class) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts what was noted.
    pub fn count(&self, server: &Server) {
        const CLASSES: [Counter; 4] = [
            Counter::Responses2xx,
            Counter::Responses3xx,
            Counter::Responses4xx,
            Counter::Responses5xx,
        ];
        if self.octets == 0 {
            return;
        }
        let Some(counters) = server.counters.here() else { return };
        let answered = self.classes.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
        counters.add(Counter::Requests, answered);
        counters.add(Counter::BytesSent, self.octets);
        for (counter, count) in CLASSES.into_iter().zip(self.classes) {
            if count > 0 {
                counters.add(counter, count);
            }
        }
    }
}

/// Writes the Date over its placeholder.
pub fn stamp(place: &mut [u8], date: &[u8; 29]) {
    if let Some(place) = place.first_chunk_mut() {
        *place = *date;
    }
}
