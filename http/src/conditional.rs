//! Conditional requests (RFC 9110 section 13) for representations that only GET and HEAD select.

use crate::fields::trim;
use crate::{Method, date};

/// The largest number of If-None-Match lines that are compared; with more, none is.
pub const IF_NONE_MATCH_LINES_MAX: usize = 2;

/// The conditions of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // They are the names of the fields.
pub struct Conditions<'b> {
    if_none_match: [&'b [u8]; IF_NONE_MATCH_LINES_MAX],
    if_none_match_lines: u8,
    if_modified_since: Option<&'b [u8]>,
    if_modified_since_lines: u8,
}

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
}

impl<'b> Conditions<'b> {
    /// Those of a request that has none.
    pub(crate) const NONE: Conditions<'b> = Conditions {
        if_none_match: [&[]; IF_NONE_MATCH_LINES_MAX],
        if_none_match_lines: 0,
        if_modified_since: None,
        if_modified_since_lines: 0,
    };

    #[cold]
    #[inline(never)]
    pub(crate) fn add_if_none_match(&mut self, value: &'b [u8]) {
        if let Some(line) = self.if_none_match.get_mut(usize::from(self.if_none_match_lines)) {
            *line = value;
        }
        self.if_none_match_lines = self.if_none_match_lines.saturating_add(1);
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn add_if_modified_since(&mut self, value: &'b [u8]) {
        self.if_modified_since = Some(value);
        self.if_modified_since_lines = self.if_modified_since_lines.saturating_add(1);
    }

    /// True if the request has no condition, so that there is nothing to evaluate.
    pub const fn is_empty(&self) -> bool {
        self.if_none_match_lines == 0 && self.if_modified_since_lines == 0
    }

    /// Selects, in the order of RFC 9110 section 13.2.2: If-None-Match, else If-Modified-Since.
    ///
    /// To be asked only where the response without conditions would be 200 (section 13.2.1).
    pub fn evaluate(&self, method: Method, validators: &Validators<'_>) -> Verdict {
        if self.is_empty() || !matches!(method, Method::Get | Method::Head) {
            return Verdict::Full;
        }
        let not_modified = if self.if_none_match_lines > 0 {
            self.tag_matches(validators.entity_tag)
        } else {
            self.unmodified_since(validators.last_modified)
        };
        if not_modified { Verdict::NotModified } else { Verdict::Full }
    }

    /// Section 13.1.2: any member is weakly equal, or the field is `*` and nothing else.
    fn tag_matches(&self, entity_tag: &[u8]) -> bool {
        let Some(lines) = self.if_none_match.get(..usize::from(self.if_none_match_lines)) else {
            return false;
        };
        match lines {
            [line] if trim(line) == b"*" => true,
            _ => lines.iter().any(|line| list_has(line, entity_tag)),
        }
    }

    /// Section 13.1.3: ignored if it is not a date, or there are several.
    fn unmodified_since(&self, last_modified: Option<u64>) -> bool {
        let (Some(value), 1) = (self.if_modified_since, self.if_modified_since_lines) else {
            return false;
        };
        match (last_modified, date::parse(value)) {
            (Some(modified), Some(since)) => modified <= since,
            _ => false,
        }
    }
}

/// True if the list of entity tags has one weakly equal to `entity_tag`. Reading ends where the
/// list stops being one.
fn list_has(list: &[u8], entity_tag: &[u8]) -> bool {
    let wanted = entity_tag.strip_prefix(b"W/").unwrap_or(entity_tag);
    if wanted.is_empty() {
        return false;
    }
    let mut rest = list;
    loop {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let member = rest.strip_prefix(b"W/").unwrap_or(rest);
        let Some(length) = opaque_tag_length(member) else { return false };
        let Some((tag, after)) = member.split_at_checked(length) else { return false };
        if tag == wanted {
            return true;
        }
        rest = trim(after);
        if !matches!(rest, [b',', ..]) {
            return false;
        }
    }
}

/// Octets of the opaque-tag, quotes included, that `octets` begin with (section 8.8.3).
fn opaque_tag_length(octets: &[u8]) -> Option<usize> {
    let [b'"', inner @ ..] = octets else { return None };
    let close = inner.iter().position(|octet| !matches!(octet, b'!' | b'#'..=b'~' | 0x80..))?;
    if inner.get(close) == Some(&b'"') { close.checked_add(2) } else { None }
}
