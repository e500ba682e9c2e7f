//! Heads that came lately, and what was decided on them.
//!
//! Clients that keep a connection, and probes, repeat their heads octet for octet. A decision is a
//! function of the head, the site and the parameters, unless a condition or a range takes part in
//! it; so an equal head is answered without being parsed. Each processor has a memo of its own, at
//! its desk.
use arrayvec::ArrayVec;
use http1::{Framing, Persistence, Request};
use nt::wsk::SEND_BYTES_MAX;
use nt::{PoolSlice, Result, Tag};
use response_cache::Site;

use crate::answer::{Answer, Content};
use wskhttpd_abi::Counter;

use crate::batch::{Class, stamp};
use crate::clock::Clock;
use crate::published::Derived;

/// Octets of a head that is remembered at most.
const HEAD_BYTES_MAX: usize = 1_024;
/// Octets of a response that is remembered with it at most.
const RESPONSE_BYTES_MAX: usize = 1_024;
/// No place: of a connection whose heads were not known.
pub const NOWHERE: u16 = u16::MAX;
/// Octets by which a head finds its place.
const KEY_BYTES: usize = 32;

/// One head.
pub struct Known {
    head: ArrayVec<u8, HEAD_BYTES_MAX>,
    /// What is sent; empty when it is too long for this place.
    response: ArrayVec<u8, RESPONSE_BYTES_MAX>,
    /// Where in `response` the Date stands; 0 = nowhere.
    date_offset: usize,
    /// The edition of that Date.
    edition: u32,
    /// The same, if `response` is there and the connection goes on after it; or 0.
    whole: u32,
    class: Class,
    counter: Counter,
    /// The connection ends with it.
    is_last: bool,
    /// `None` while there is no head.
    answer: Option<Answer>,
    /// The key that last found another head here.
    missed: u64,
}

impl Known {
    const EMPTY: Known = Known {
        head: ArrayVec::new_const(),
        response: ArrayVec::new_const(),
        date_offset: 0,
        edition: 0,
        whole: 0,
        class: Class::NONE,
        counter: Counter::Responses2xx,
        is_last: false,
        answer: None,
        missed: 0,
    };

    /// What was decided.
    pub fn answer(&self) -> Option<Answer> {
        self.answer
    }

    /// The same, with the current Date.
    #[inline]
    pub fn at_present(&mut self, clock: &Clock) -> &Known {
        if self.edition != clock.edition() {
            self.stamp(clock);
        }
        self
    }

    /// The whole response; `None` when it is too long to be held here.
    #[inline]
    pub fn response(&self) -> Option<&[u8]> {
        (!self.response.is_empty()).then_some(&self.response)
    }

    /// The response if it can be sent as it is, with a Date of this `edition`, and the connection
    /// goes on.
    #[inline]
    pub fn response_of(&self, edition: u32) -> Option<&[u8]> {
        (self.whole == edition).then_some(&self.response)
    }

    /// What counts its responses.
    pub fn counter(&self) -> Counter {
        self.counter
    }

    /// The response's class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// True when the connection ends with it.
    pub fn is_last(&self) -> bool {
        self.is_last
    }

    #[cold]
    #[inline(never)]
    fn stamp(&mut self, clock: &Clock) {
        self.edition = stamp(&mut self.response, self.date_offset, clock);
        let is_whole = !self.response.is_empty() && !self.is_last;
        self.whole = if is_whole { self.edition } else { 0 };
    }

    /// What follows the head in `input`, if that begins with it.
    #[allow(clippy::inline_always, reason = "the way of every request, in the image too")]
    #[inline(always)]
    fn begins<'i>(&self, input: &'i [u8]) -> Option<&'i [u8]> {
        self.answer?;
        let (head, behind) = input.split_at_checked(self.head.len())?;
        (head == self.head.as_slice()).then_some(behind)
    }

    /// How often the head comes in `octets`, which it begins and `behind` follows, one after the
    /// other, as far as its responses go into one send; and what follows then.
    #[inline]
    pub fn again<'i>(&self, octets: &'i [u8], behind: &'i [u8]) -> (usize, &'i [u8]) {
        if behind.is_empty() || self.is_last {
            return (1, behind);
        }
        let times = self.times(octets, SEND_BYTES_MAX.checked_div(self.response.len()));
        (times, octets.get(self.head.len().wrapping_mul(times)..).unwrap_or_default())
    }

    /// So often at least, and not more than `most` times.
    fn times(&self, octets: &[u8], most: Option<usize>) -> usize {
        let there = octets.len().checked_div(self.head.len());
        let mut times = there.min(most).unwrap_or(1);
        while times > 1 {
            // All are the first if each is what is one head before it.
            let span = self.head.len().wrapping_mul(times.wrapping_sub(1));
            if octets.get(self.head.len()..).and_then(|next| next.get(..span)) == octets.get(..span)
            {
                break;
            }
            times = times.wrapping_div(2);
        }
        times.max(1)
    }

    fn learn(&mut self, site: Site<'_>, head: &[u8], answer: Answer) {
        self.answer = None;
        self.head.clear();
        self.response.clear();
        let Some(prepared) = site.prepared(answer.response) else { return };
        if self.head.try_extend_from_slice(head).is_err() {
            return;
        }
        let body = if answer.content == Content::None { &[] } else { prepared.body };
        let parts = [prepared.head, answer.persistence.head_end(answer.version), body];
        if parts.iter().any(|part| self.response.try_extend_from_slice(part).is_err()) {
            self.response.clear();
        }
        (self.date_offset, self.class) = (prepared.date_offset, Class::of(prepared.status));
        self.counter = self.class.counter();
        (self.edition, self.whole) = (0, 0);
        self.is_last = answer.persistence == Persistence::Close;
        self.answer = Some(answer);
    }
}

/// The heads of one processor.
pub struct Memo {
    known: PoolSlice<Known>,
}

impl Memo {
    /// An empty one of so many heads; 0 = nothing is remembered.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(heads: u32) -> Result<Memo> {
        let heads = usize::try_from(heads).unwrap_or(0);
        Ok(Memo { known: PoolSlice::from_fn(Tag::Server, heads, |_| Known::EMPTY)? })
    }

    /// True when nothing is ever remembered.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The head that is all of `input`, if that is known and the connection's `last` one.
    #[allow(clippy::inline_always, reason = "the way of every request, in the image too")]
    #[inline(always)]
    pub fn repeated(&self, last: u16, input: &[u8]) -> Option<&Known> {
        let known = self.known.get(usize::from(last))?;
        (known.answer.is_some() && known.head.as_slice() == input).then_some(known)
    }

    /// The head that `input` begins with, if it is known, and what follows it. `last` is where the
    /// connection's last one was, for a client repeats itself.
    #[allow(clippy::inline_always, reason = "the way of every request, in the image too")]
    #[inline(always)]
    pub fn find<'i>(&mut self, last: &mut u16, input: &'i [u8]) -> Option<(&mut Known, &'i [u8])> {
        let place = usize::from(*last);
        if let Some(behind) = self.known.get(place).and_then(|known| known.begins(input)) {
            return Some((self.known.get_mut(place)?, behind));
        }
        self.search(last, input)
    }

    #[inline(never)]
    fn search<'i>(&mut self, last: &mut u16, input: &'i [u8]) -> Option<(&mut Known, &'i [u8])> {
        let place = self.place(key(input)?)?;
        let known = self.known.get_mut(place)?;
        let behind = known.begins(input)?;
        *last = u16::try_from(place).unwrap_or(0);
        Some((known, behind))
    }

    /// Notes that `input` had to be parsed. A head that comes twice running to its place is
    /// remembered; so heads that all differ cost no copying.
    pub fn learn(&mut self, site: Site<'_>, input: &[u8], consumed: usize, answer: Answer) {
        let Some(key) = key(input) else { return };
        let Some(known) = self.place(key).and_then(|place| self.known.get_mut(place)) else {
            return;
        };
        if core::mem::replace(&mut known.missed, key) == key {
            known.learn(site, input.get(..consumed).unwrap_or_default(), answer);
        }
    }

    /// The high half of the key, scaled to how many there are.
    #[inline]
    fn place(&self, key: u64) -> Option<usize> {
        let count = u64::try_from(self.known.len()).ok()?;
        usize::try_from(key.wrapping_shr(32).wrapping_mul(count).wrapping_shr(32)).ok()
    }
}

impl Derived for Memo {
    fn forget(&mut self) {
        for known in self.known.iter_mut() {
            known.answer = None;
        }
    }
}

/// True when the answer to `request` depends on nothing but its octets, the site and the
/// parameters: not on the time, and not on content that is to come.
pub fn is_repeatable(request: Request<'_>) -> bool {
    let selectors = request.selectors;
    request.framing == Framing::None && !selectors.has_conditions() && !selectors.has_range()
}

fn key(input: &[u8]) -> Option<u64> {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let (words, _) = input.first_chunk::<KEY_BYTES>()?.as_chunks::<8>();
    let fold = |key: u64, word: &[u8; 8]| {
        (key.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(ODD)
    };
    Some(words.iter().fold(0, fold))
}

#[cfg(test)]
mod tests {
    use super::Known;

    fn known(head: &[u8]) -> Known {
        let mut known = Known::EMPTY;
        known.head.try_extend_from_slice(head).unwrap();
        known
    }

    #[test]
    fn what_is_said_to_repeat_does() {
        let head = known(b"ab");
        let rows: [(&[u8], usize, usize, usize); 8] = [
            // Octets, at most, times at least and at most.
            (b"ab", 9, 1, 1),
            (b"aba", 9, 1, 1),
            (b"abab", 9, 2, 2),
            (b"ababababab", 9, 5, 5),
            (b"ababababab", 3, 3, 3),
            (b"abaXabab", 9, 1, 1),
            (b"abababaX", 9, 1, 3),
            (b"abX", 9, 1, 1),
        ];
        for (octets, most, least, greatest) in rows {
            let times = head.times(octets, Some(most));
            assert!(least <= times && times <= greatest, "{}: {times}", octets.escape_ascii());
            assert!(octets.starts_with(&b"ab".repeat(times)));
            let (again, behind) = head.again(octets, &octets[2..]);
            assert_eq!(behind, &octets[2 * again..]);
        }
    }
}
