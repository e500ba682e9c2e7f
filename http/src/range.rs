//! Parts of a representation (RFC 9110 section 14): one range of octets, or all of them.

use arrayvec::ArrayVec;

use crate::conditional::Validators;
use crate::selectors::{Selector, Selectors};
use crate::{Method, fields};

/// Octets that [`Part::fields`] writes at most: two names and four numbers of 64 bits.
pub const PART_FIELDS_BYTES_MAX: usize = 128;

/// Where [`Part::fields`] writes.
pub type PartFields = ArrayVec<u8, PART_FIELDS_BYTES_MAX>;

/// How much of a representation is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it, as 200.
    Whole,
    /// These octets, both included, as 206. `first <= last`, and both are inside.
    Octets {
        /// Position of the first octet.
        first: u64,
        /// Position of the last octet.
        last: u64,
    },
    /// None of it: 416.
    Unsatisfiable,
}

impl Part {
    /// The field lines that depend on the request, to stand behind a prepared head: Content-Length
    /// and Content-Range of a 206, Content-Range of a 416, nothing for the whole. `complete` is the
    /// length of the representation.
    pub fn fields(self, complete: u64) -> PartFields {
        let mut lines = PartFields::new();
        match self {
            Part::Whole => {}
            Part::Octets { first, last } => {
                put(&mut lines, b"Content-Length: ");
                put_number(&mut lines, last.saturating_sub(first).saturating_add(1));
                put(&mut lines, b"\r\nContent-Range: bytes ");
                put_number(&mut lines, first);
                put(&mut lines, b"-");
                put_number(&mut lines, last);
                put(&mut lines, b"/");
                put_number(&mut lines, complete);
                put(&mut lines, b"\r\n");
            }
            Part::Unsatisfiable => {
                put(&mut lines, b"Content-Range: bytes */");
                put_number(&mut lines, complete);
                put(&mut lines, b"\r\n");
            }
        }
        lines
    }
}

/// One range-spec as it was asked for, before the length is known.
#[derive(Clone, Copy)]
enum Spec {
    From { first: u64, last: u64 },
    Suffix(u64),
}

impl Selectors<'_> {
    /// True if the request has a Range.
    pub const fn has_range(&self) -> bool {
        self.has(Selector::Range)
    }

    /// The part that is asked for of a representation of `complete` octets, which [`evaluate`] has
    /// found to be sent as 200 (RFC 9110 section 13.2.2, step 5). `now` as there.
    ///
    /// `last_modified` of the validators is to be a strong one: leave it out where variants share
    /// it. Ranges are for GET alone, and for one range: a set of several, another unit or what is
    /// malformed selects the whole (section 14.2). Positions saturate at 64 bits.
    ///
    /// [`evaluate`]: Selectors::evaluate
    pub fn part(
        &self,
        method: Method,
        complete: u64,
        validators: &Validators<'_>,
        now: u64,
    ) -> Part {
        if method != Method::Get || !self.has_range() {
            return Part::Whole;
        }
        let spec = self.value(Selector::Range).and_then(one_spec);
        match spec.filter(|_| self.if_range(validators, now)) {
            None => Part::Whole,
            Some(spec) => spec.of(complete),
        }
    }
}

impl Spec {
    fn of(self, complete: u64) -> Part {
        let end = complete.checked_sub(1);
        match (self, end) {
            (Spec::From { first, last }, Some(end)) if first <= end => {
                Part::Octets { first, last: last.min(end) }
            }
            (Spec::From { .. } | Spec::Suffix(0), _) => Part::Unsatisfiable,
            (Spec::Suffix(length), Some(end)) => {
                Part::Octets { first: complete.saturating_sub(length), last: end }
            }
            // Satisfiable, but no Content-Range can say so (section 14.1.2).
            (Spec::Suffix(_), None) => Part::Whole,
        }
    }
}

/// `bytes=` and exactly one range-spec; the name of the unit has no case (section 14.1).
fn one_spec(value: &[u8]) -> Option<Spec> {
    let (unit, set) = value.split_at_checked(b"bytes=".len())?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    let mut members = fields::members(set);
    let spec = members.next()?;
    if members.next().is_some() {
        return None;
    }
    let hyphen = spec.iter().position(|octet| *octet == b'-')?;
    let (first, rest) = spec.split_at_checked(hyphen)?;
    match (first, rest.get(1..)?) {
        ([], suffix) => Some(Spec::Suffix(saturating_number(suffix)?)),
        (first, []) => Some(Spec::From { first: saturating_number(first)?, last: u64::MAX }),
        (first, last) => {
            let (first, last) = (saturating_number(first)?, saturating_number(last)?);
            (first <= last).then_some(Spec::From { first, last })
        }
    }
}

/// Digits and nothing else; what is over 64 bits is as far away as can be said (section 14.1.2).
fn saturating_number(digits: &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for octet in digits {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // A product that saturates stays saturated, whatever is added to it.
        number = number.saturating_mul(10).saturating_add(u64::from(digit));
    }
    (!digits.is_empty()).then_some(number)
}

/// There is room: the buffer holds the longest text and the longest numbers.
fn put(lines: &mut PartFields, octets: &[u8]) {
    let _ = lines.try_extend_from_slice(octets);
}

fn put_number(lines: &mut PartFields, number: u64) {
    let mut digits = ArrayVec::<u8, 20>::new();
    let mut rest = number;
    loop {
        let digit = u8::try_from(rest % 10).unwrap_or(0);
        let _ = digits.try_push(b'0'.wrapping_add(digit));
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    digits.reverse();
    put(lines, &digits);
}
