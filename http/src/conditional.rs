//! Conditional requests (RFC 9110 section 13) for representations that only GET and HEAD select.

use crate::fields::trim;
use crate::selectors::{Selector, Selectors};
use crate::{Method, date};

/// What conditions are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validators<'r> {
    /// The entity tag with its quotes, and `W/` if it is weak; empty = there is none.
    pub entity_tag: &'r [u8],
    /// Seconds since 1970-01-01.
    pub last_modified: Option<u64>,
}

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The response that there would be without conditions.
    Full,
    /// 304 (Not Modified).
    NotModified,
    /// 412 (Precondition Failed).
    PreconditionFailed,
}

/// How two entity tags are compared (RFC 9110 section 8.8.3.2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    /// A weak tag equals none.
    Strong,
    /// `W/` does not count.
    Weak,
}

impl Selectors<'_> {
    /// True if the request has a condition on the representation; If-Range is one on Range.
    pub const fn has_conditions(&self) -> bool {
        self.has(Selector::IfMatch)
            || self.has(Selector::IfUnmodifiedSince)
            || self.has(Selector::IfNoneMatch)
            || self.has(Selector::IfModifiedSince)
    }

    /// Evaluates the conditions in the order of RFC 9110 section 13.2.2, up to Range. `now` is the
    /// time in seconds since 1970, for years of two digits.
    ///
    /// To be asked only where the response without conditions would be 2xx (section 13.2.1).
    pub fn evaluate(&self, method: Method, validators: &Validators<'_>, now: u64) -> Verdict {
        if !self.has_conditions() || !matches!(method, Method::Get | Method::Head) {
            return Verdict::Full;
        }
        let date = |selector| self.date_and_modified(selector, validators, now);
        let holds = if self.has(Selector::IfMatch) {
            self.tag_matches(Selector::IfMatch, validators.entity_tag, Comparison::Strong)
        } else {
            date(Selector::IfUnmodifiedSince).is_none_or(|(date, modified)| modified <= date)
        };
        if !holds {
            return Verdict::PreconditionFailed;
        }
        let not_modified = if self.has(Selector::IfNoneMatch) {
            self.tag_matches(Selector::IfNoneMatch, validators.entity_tag, Comparison::Weak)
        } else {
            date(Selector::IfModifiedSince).is_some_and(|(date, modified)| modified <= date)
        };
        if not_modified { Verdict::NotModified } else { Verdict::Full }
    }

    /// Sections 13.1.1 and 13.1.2: any member is equal, or the field is `*` and nothing else.
    fn tag_matches(&self, selector: Selector, entity_tag: &[u8], comparison: Comparison) -> bool {
        self.value(selector) == Some(b"*")
            || self.values(selector).any(|list| list_has(list, entity_tag, comparison))
    }

    /// Sections 13.1.3 and 13.1.4: a date and what it is compared with. Nothing if the field is not
    /// a date, is there several times, or if there is nothing to compare it with.
    fn date_and_modified(
        &self,
        selector: Selector,
        validators: &Validators<'_>,
        now: u64,
    ) -> Option<(u64, u64)> {
        Some((date::parse(self.value(selector)?, now)?, validators.last_modified?))
    }

    /// Section 13.1.5: whether Range is to be looked at. A weak tag, or what is neither a tag nor a
    /// date, is as good as a difference.
    pub(crate) fn if_range(&self, validators: &Validators<'_>, now: u64) -> bool {
        if !self.has(Selector::IfRange) {
            return true;
        }
        let Some(value) = self.value(Selector::IfRange) else { return false };
        if let [b'"', ..] = value {
            return opaque_tag_length(value) == Some(value.len()) && value == validators.entity_tag;
        }
        validators.last_modified.is_some_and(|modified| date::parse(value, now) == Some(modified))
    }
}

/// True if the list of entity tags has one equal to `entity_tag`. Reading ends where the list stops
/// being one.
fn list_has(list: &[u8], entity_tag: &[u8], comparison: Comparison) -> bool {
    let (is_weak, wanted) = split_weak(entity_tag);
    if wanted.is_empty() || (is_weak && comparison == Comparison::Strong) {
        return false;
    }
    let mut rest = list;
    loop {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (is_weak, member) = split_weak(rest);
        let Some(length) = opaque_tag_length(member) else { return false };
        let Some((tag, after)) = member.split_at_checked(length) else { return false };
        rest = trim(after);
        if !matches!(rest, [] | [b',', ..]) {
            return false;
        }
        if tag == wanted && !(is_weak && comparison == Comparison::Strong) {
            return true;
        }
        if rest.is_empty() {
            return false;
        }
    }
}

/// Whether `W/` stands before an opaque-tag, and what follows it.
fn split_weak(tag: &[u8]) -> (bool, &[u8]) {
    tag.strip_prefix(b"W/").map_or((false, tag), |opaque| (true, opaque))
}

/// Octets of the opaque-tag, quotes included, that `octets` begin with (section 8.8.3).
fn opaque_tag_length(octets: &[u8]) -> Option<usize> {
    let [b'"', inner @ ..] = octets else { return None };
    let close = inner.iter().position(|octet| !matches!(octet, b'!' | b'#'..=b'~' | 0x80..))?;
    if inner.get(close) == Some(&b'"') { close.checked_add(2) } else { None }
}
