//! The sends of one turn of a connection's runner.
use nt::wsk::{Outgoing, Socket};
use wskhttpd_abi::Counter;

use crate::clock::{Clock, DATE_BYTES};
use crate::server::Server;

/// The sends of one turn: responses gather in `out`, which is submitted when it is full, when a
/// body is chained to it, or at the end of the turn.
#[derive(Default)]
pub struct Batch {
    out: Option<Outgoing<Server>>,
    noted: Noted,
    /// Something was submitted.
    submitted: bool,
}

impl Batch {
    /// Room to copy `octets` octets, submitting what is in the way; `None` when memory is short.
    #[allow(clippy::inline_always, reason = "the way of every request, in the image too")]
    #[inline(always)]
    fn room(
        &mut self,
        server: &Server,
        socket: &mut Socket<'_, Server>,
        octets: usize,
    ) -> Option<&mut Outgoing<Server>> {
        if self.out.as_ref().is_some_and(|out| out.room() < octets) {
            self.submit_now(server, socket);
        }
        if self.out.is_none() {
            self.out = socket.outgoing();
        }
        self.out.as_mut()
    }

    /// Puts a whole response so many times, which fit into one send, submitting what is in the way;
    /// false when memory is short.
    #[inline]
    #[must_use]
    pub fn put(
        &mut self,
        server: &Server,
        socket: &mut Socket<'_, Server>,
        (response, class): (&[u8], Class),
        times: usize,
    ) -> bool {
        let out = self.room(server, socket, response.len().wrapping_mul(times));
        let is_put = out.is_some_and(|out| out.copy_times(response, times));
        if is_put {
            self.noted.note(class, response.len(), times);
        }
        is_put
    }

    /// Puts parts that follow one another, submitting what is in the way; returns the copy, to be
    /// stamped, or `None` when memory is short.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    pub fn put_parts<const N: usize>(
        &mut self,
        server: &Server,
        socket: &mut Socket<'_, Server>,
        parts: [&[u8]; N],
    ) -> Option<&mut [u8]> {
        let octets = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        self.room(server, socket, octets)?.copy_parts(parts)
    }

    /// Room to chain a body to, submitting what it cannot be chained to.
    pub fn chain_room(
        &mut self,
        server: &Server,
        socket: &mut Socket<'_, Server>,
    ) -> Option<&mut Outgoing<Server>> {
        if self.out.as_ref().is_some_and(|out| !out.can_chain()) {
            self.submit(server, socket);
        }
        self.room(server, socket, 0)
    }

    /// One WskSend for everything gathered, and the counters of what is in it.
    #[allow(clippy::inline_always, reason = "once in every turn, and cold elsewhere")]
    #[inline(always)]
    pub fn submit(&mut self, server: &Server, socket: &mut Socket<'_, Server>) {
        let Some(out) = self.out.take() else { return };
        self.submitted = true;
        // Before the send, whose completion may be all that somebody waits for.
        core::mem::take(&mut self.noted).count(server, socket.processor());
        socket.send(out);
    }

    /// As [`Batch::submit`], where it is seldom done.
    #[cold]
    #[inline(never)]
    pub fn submit_now(&mut self, server: &Server, socket: &mut Socket<'_, Server>) {
        self.submit(server, socket);
    }

    /// True when something was submitted in this turn.
    pub fn has_submitted(&self) -> bool {
        self.submitted
    }

    /// Notes octets that were put into the next send.
    #[inline]
    pub fn add_octets(&mut self, octets: usize) {
        self.noted.octets = self.noted.octets.wrapping_add(octets);
    }

    /// Notes a response that was put into the next send.
    #[inline]
    pub fn answered(&mut self, class: Class, octets: usize) {
        self.noted.note(class, octets, 1);
    }
}

/// The class of a status: one response of it, as [`Noted`] counts it.
#[derive(Clone, Copy)]
pub struct Class(u64);

impl Class {
    /// No response.
    pub const NONE: Class = Class(0);

    /// Of a status code.
    #[inline]
    pub fn of(status: u16) -> Class {
        match status {
            ..300 => Class(1),
            300..400 => Class(1 << LANE_BITS),
            400..500 => Class(1 << (2 * LANE_BITS)),
            500.. => Class(1 << (3 * LANE_BITS)),
        }
    }

    /// What counts it.
    pub fn counter(self) -> Counter {
        let lane = self.0.trailing_zeros().wrapping_div(LANE_BITS);
        let lane = usize::try_from(lane).unwrap_or(0);
        CLASSES.get(lane).copied().unwrap_or(Counter::Responses2xx)
    }
}

/// The counters of the classes.
const CLASSES: [Counter; 4] =
    [Counter::Responses2xx, Counter::Responses3xx, Counter::Responses4xx, Counter::Responses5xx];

/// Bits of the count of one class. A send has no more octets than it can count responses.
const LANE_BITS: u32 = 16;
const _: () = assert!(nt::wsk::SEND_BYTES_MAX < 1 << LANE_BITS);

/// What is to be counted for one send.
#[derive(Clone, Copy, Default)]
struct Noted {
    /// Responses by the first digit of their status, 2 to 5, from the lowest bits on.
    responses: u64,
    octets: usize,
}

impl Noted {
    /// `times` responses of so many octets each, all in one send.
    #[inline]
    fn note(&mut self, class: Class, octets: usize, times: usize) {
        let count = u64::try_from(times).unwrap_or(0);
        self.responses = self.responses.wrapping_add(class.0.wrapping_mul(count));
        self.octets = self.octets.wrapping_add(octets.wrapping_mul(times));
    }

    #[inline]
    fn count(self, server: &Server, processor: usize) {
        let Some(counters) = server.counters.of(processor) else { return };
        counters.add(Counter::BytesSent, u64::try_from(self.octets).unwrap_or(0));
        let mut rest = self.responses;
        for counter in CLASSES {
            let count = rest & (1_u64.wrapping_shl(LANE_BITS)).wrapping_sub(1);
            if count > 0 {
                counters.add(counter, count);
            }
            rest = rest.wrapping_shr(LANE_BITS);
            if rest == 0 {
                break;
            }
        }
    }
}

/// Writes the Date over its place in a response; at 0 there is none. Returns the Date's edition.
#[inline]
pub fn stamp(response: &mut [u8], offset: usize, clock: &Clock) -> u32 {
    let place = response.get_mut(offset..offset.saturating_add(DATE_BYTES));
    match place.and_then(<[u8]>::first_chunk_mut) {
        Some(place) if offset != 0 => clock.stamp(place),
        _ => clock.edition(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_counted_by_its_class() {
        let rows = [
            (200, Counter::Responses2xx),
            (206, Counter::Responses2xx),
            (301, Counter::Responses3xx),
            (304, Counter::Responses3xx),
            (400, Counter::Responses4xx),
            (431, Counter::Responses4xx),
            (500, Counter::Responses5xx),
            (503, Counter::Responses5xx),
        ];
        for (status, counter) in rows {
            assert_eq!(Class::of(status).counter().name(), counter.name(), "{status}");
        }
    }
}
