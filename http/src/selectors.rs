//! The fields that select a representation or a part of one, read where they stand in the head.

use memchr::memchr;

use crate::fields::trim;

/// A field that selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selector {
    AcceptEncoding,
    IfMatch,
    IfModifiedSince,
    IfNoneMatch,
    IfRange,
    IfUnmodifiedSince,
    Range,
}

impl Selector {
    const fn bit(self) -> u8 {
        match self {
            Selector::AcceptEncoding => 1,
            Selector::IfMatch => 1 << 1,
            Selector::IfModifiedSince => 1 << 2,
            Selector::IfNoneMatch => 1 << 3,
            Selector::IfRange => 1 << 4,
            Selector::IfUnmodifiedSince => 1 << 5,
            Selector::Range => 1 << 6,
        }
    }

    const fn name(self) -> &'static [u8] {
        match self {
            Selector::AcceptEncoding => b"accept-encoding",
            Selector::IfMatch => b"if-match",
            Selector::IfModifiedSince => b"if-modified-since",
            Selector::IfNoneMatch => b"if-none-match",
            Selector::IfRange => b"if-range",
            Selector::IfUnmodifiedSince => b"if-unmodified-since",
            Selector::Range => b"range",
        }
    }
}

/// The fields of a request that select a representation (RFC 9110 sections 12.5.3 and 13) or a part
/// of one (section 14).
///
/// Of each it is known whether it is there; its lines are looked for when they are asked about. So
/// a request without them pays nothing, and there may be any number of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selectors<'b> {
    head: &'b [u8],
    present: u8,
}

impl<'b> Selectors<'b> {
    /// Of no head yet.
    pub(crate) const NONE: Self = Selectors { head: &[], present: 0 };

    /// The same, in `head`: a whole head whose lines are known to be well formed.
    pub(crate) const fn of(self, head: &'b [u8]) -> Self {
        Selectors { head, ..self }
    }

    pub(crate) const fn note(&mut self, selector: Selector) {
        self.present |= selector.bit();
    }

    pub(crate) const fn has(&self, selector: Selector) -> bool {
        self.present & selector.bit() != 0
    }

    /// True if there is none of them: the representation is sent as it is, and whole.
    pub const fn is_empty(&self) -> bool {
        self.present == 0
    }

    /// The values of all lines of a field, in their order, without the whitespace around them.
    pub(crate) fn values(&self, selector: Selector) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        // The request line is no field line: nothing before a colon of it is a name.
        let head = if self.has(selector) { self.head } else { &[] };
        let name = selector.name();
        lines(head).filter_map(move |line| {
            let (start, rest) = line.split_at_checked(name.len())?;
            let value = rest.strip_prefix(b":")?;
            start.eq_ignore_ascii_case(name).then(|| trim(value))
        })
    }

    /// The value of a field that is one line; nothing where there are several, because then it is
    /// not clear what was meant.
    pub(crate) fn value(&self, selector: Selector) -> Option<&'b [u8]> {
        let mut values = self.values(selector);
        match (values.next(), values.next()) {
            (Some(value), None) => Some(value),
            _ => None,
        }
    }
}

/// The lines of a head without their CRLF, which is the only line end there is in one.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = head;
    core::iter::from_fn(move || {
        let (line, after) = rest.split_at_checked(memchr(b'\r', rest)?)?;
        rest = after.get(2..)?;
        Some(line)
    })
}
