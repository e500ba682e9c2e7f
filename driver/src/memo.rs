//! Heads that came lately, and what was decided on them.
//!
//! Clients that keep a connection, and probes, repeat their heads octet for octet. A decision is a
//! function of the head, the site and the parameters, unless a condition or a range takes part in
//! it; so an equal head is answered without being parsed. Each processor has a memo of its own, at
//! its desk.
use arrayvec::ArrayVec;
use http1::{Framing, Request};
use nt::{PoolSlice, Result, Tag};
use response_cache::Site;

use crate::answer::{Answer, Content};
use crate::published::Derived;

/// Octets of a head that is remembered at most.
const HEAD_BYTES_MAX: usize = 1_024;
/// Octets of a response that is remembered with it at most.
const RESPONSE_BYTES_MAX: usize = 1_024;
/// Octets by which a head finds its place.
const KEY_BYTES: usize = 32;

/// One head.
pub struct Known {
    head: ArrayVec<u8, HEAD_BYTES_MAX>,
    /// What is sent, with a Date of no meaning; empty when it is too long for this place.
    response: ArrayVec<u8, RESPONSE_BYTES_MAX>,
    /// Where in `response` the Date stands; 0 = nowhere.
    date_offset: usize,
    status: u16,
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
        status: 0,
        answer: None,
        missed: 0,
    };

    /// Octets of the head.
    pub fn head_bytes(&self) -> usize {
        self.head.len()
    }

    /// What was decided.
    pub fn answer(&self) -> Option<Answer> {
        self.answer
    }

    /// The whole response, where in it the Date is to be stamped (0 = nowhere), and its status;
    /// `None` when it is too long to be held here.
    pub fn response(&self) -> Option<(&[u8], usize, u16)> {
        (!self.response.is_empty()).then_some((&self.response, self.date_offset, self.status))
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
        (self.date_offset, self.status) = (prepared.date_offset, prepared.status);
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

    /// The head that `input` begins with, if it is known.
    #[inline]
    pub fn find(&self, input: &[u8]) -> Option<&Known> {
        let known = self.known.get(self.place(key(input)?)?)?;
        let is_equal = known.answer.is_some() && input.starts_with(&known.head);
        is_equal.then_some(known)
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

    fn place(&self, key: u64) -> Option<usize> {
        usize::try_from(key.wrapping_shr(32)).ok()?.checked_rem(self.known.len())
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
pub fn is_repeatable(request: &Request<'_>) -> bool {
    let selectors = &request.selectors;
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
