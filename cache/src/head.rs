//! Reading a prepared head back: proof that what will be sent is well formed (RFC 9112 section 2).

use memchr::memchr;

use crate::limits::HEAD_BYTES_MAX;

/// Stands in a head where the date goes; as long as every IMF-fixdate (RFC 9110 section 5.6.7).
pub(crate) const DATE_PLACEHOLDER: &[u8; 29] = b"Thu, 01 Jan 1970 00:00:00 GMT";

/// What a prepared head says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head<'h> {
    pub(crate) status: u16,
    /// The Date value and its offset in the head.
    pub(crate) date: Option<(usize, &'h [u8])>,
    pub(crate) content_length: Option<u64>,
    pub(crate) entity_tag: Option<&'h [u8]>,
    pub(crate) last_modified: Option<&'h [u8]>,
    pub(crate) content_encoding: Option<&'h [u8]>,
    pub(crate) accepts_ranges: bool,
    /// Vary names Accept-Encoding, or everything.
    pub(crate) varies_by_coding: bool,
    pub(crate) has_allow: bool,
}

impl<'h> Head<'h> {
    /// Reads status line and field lines. The error is the offset in `head` of what is wrong.
    ///
    /// Refused: anything but CRLF at the end of a line, an empty line, controls, an HTTP version
    /// other than 1.1, a repeated field of those above, and fields that are the sender's to add.
    pub(crate) fn parse(head: &'h [u8]) -> Result<Self, usize> {
        if head.len() > HEAD_BYTES_MAX {
            return Err(HEAD_BYTES_MAX);
        }
        let (first, mut rest) = split_line(head).ok_or(0_usize)?;
        let mut parsed = Self { status: status_line(first).ok_or(0_usize)?, ..Self::default() };
        while !rest.is_empty() {
            let at = head.len().saturating_sub(rest.len());
            let (line, after) = split_line(rest).ok_or(at)?;
            parsed.take(line, at).ok_or(at)?;
            rest = after;
        }
        Ok(parsed)
    }

    /// Takes in one field line that stands at `at`.
    fn take(&mut self, line: &'h [u8], at: usize) -> Option<()> {
        let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
        let value = value.strip_prefix(b": ")?;
        if !is_token(name) || !is_field_value(value) {
            return None;
        }
        if name.eq_ignore_ascii_case(b"date") {
            let offset = at.checked_add(line.len().checked_sub(value.len())?)?;
            return once(&mut self.date, (offset, value));
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            return once(&mut self.content_length, decimal(value)?);
        }
        if name.eq_ignore_ascii_case(b"etag") {
            return is_entity_tag(value).then(|| once(&mut self.entity_tag, value))?;
        }
        if name.eq_ignore_ascii_case(b"last-modified") {
            return once(&mut self.last_modified, value);
        }
        if name.eq_ignore_ascii_case(b"content-encoding") {
            return once(&mut self.content_encoding, value);
        }
        if name.eq_ignore_ascii_case(b"vary") {
            self.varies_by_coding |= varies_by_coding(value);
            return Some(());
        }
        if name.eq_ignore_ascii_case(b"accept-ranges") {
            self.accepts_ranges = true;
            return (value == b"bytes").then_some(());
        }
        if name.eq_ignore_ascii_case(b"connection")
            || name.eq_ignore_ascii_case(b"content-range")
            || name.eq_ignore_ascii_case(b"keep-alive")
            || name.eq_ignore_ascii_case(b"transfer-encoding")
            || name.eq_ignore_ascii_case(b"trailer")
            || name.eq_ignore_ascii_case(b"upgrade")
        {
            return None;
        }
        self.has_allow |= name.eq_ignore_ascii_case(b"allow");
        Some(())
    }
}

/// Whether a value of Vary covers Accept-Encoding (RFC 9110 section 12.5.5).
pub(crate) fn varies_by_coding(value: &[u8]) -> bool {
    value
        .split(|octet| *octet == b',')
        .map(<[u8]>::trim_ascii)
        .any(|member| member == b"*" || member.eq_ignore_ascii_case(b"accept-encoding"))
}

/// A line without its CRLF, and what follows it.
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr(b'\n', bytes)?)?;
    let line = line.strip_suffix(b"\r")?;
    let (_, rest) = rest.split_first()?;
    Some((line, rest))
}

/// The code of `HTTP/1.1 NNN reason`; the reason may be empty, the space before it not.
fn status_line(line: &[u8]) -> Option<u16> {
    let (digits, reason) = line.strip_prefix(b"HTTP/1.1 ")?.split_first_chunk::<3>()?;
    let reason = reason.strip_prefix(b" ")?;
    if !(reason.is_empty() || is_field_value(reason)) {
        return None;
    }
    let status = u16::try_from(decimal(digits)?).ok()?;
    (200..600).contains(&status).then_some(status)
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// Digits only, of which there is one at least; nothing when they exceed 64 bits.
fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, octet| {
        let digit = octet.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet))
}

/// RFC 9110 section 5.5 without the obsolete octets: visible ASCII, blanks only inside.
pub(crate) fn is_field_value(value: &[u8]) -> bool {
    let inside = |octet: &u8| matches!(octet, b'\t' | b' '..=b'~');
    let edge = |octet: Option<&u8>| octet.is_some_and(u8::is_ascii_graphic);
    edge(value.first()) && edge(value.last()) && value.iter().all(inside)
}

/// A strong entity tag in ASCII (RFC 9110 section 8.8.3).
pub(crate) fn is_entity_tag(tag: &[u8]) -> bool {
    let inner = tag.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\""));
    inner.is_some_and(|inner| inner.iter().all(|octet| octet.is_ascii_graphic() && *octet != b'"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_head_is_read() {
        let head = b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
            Content-Length: 12\r\nETag: \"a\"\r\nAllow: GET\r\n";
        let parsed = Head::parse(head).unwrap();
        assert_eq!(parsed.status, 200);
        assert_eq!(parsed.date, Some((23, &DATE_PLACEHOLDER[..])));
        assert_eq!(parsed.content_length, Some(12));
        assert_eq!(parsed.entity_tag, Some(&b"\"a\""[..]));
        assert!(parsed.has_allow);
    }

    #[test]
    fn the_reason_may_be_empty() {
        assert_eq!(Head::parse(b"HTTP/1.1 299 \r\n").unwrap().status, 299);
    }

    #[test]
    fn a_head_has_so_many_octets_and_no_more() {
        let start = "HTTP/1.1 200 OK\r\nA: ";
        let head = |octets| format!("{start}{:b<1$}\r\n", "", octets - start.len() - 2);
        assert!(Head::parse(head(HEAD_BYTES_MAX).as_bytes()).is_ok());
        assert_eq!(Head::parse(head(HEAD_BYTES_MAX + 1).as_bytes()), Err(HEAD_BYTES_MAX));
    }

    #[test]
    fn fields_that_are_the_senders_to_add_are_refused() {
        for name in
            ["Connection", "Content-Range", "Keep-Alive", "Transfer-Encoding", "Trailer", "Upgrade"]
        {
            let head = format!("HTTP/1.1 200 OK\r\n{name}: x\r\n");
            assert_eq!(Head::parse(head.as_bytes()), Err(17), "{name}");
        }
    }

    #[test]
    fn every_malformed_head_is_refused_at_its_line() {
        let rows: [(&[u8], usize); 20] = [
            (b"", 0),
            (b"HTTP/1.1 200 OK", 0),
            (b"HTTP/1.1 200 OK\n", 0),
            (b"HTTP/1.1 200\r\n", 0),
            (b"HTTP/1.0 200 OK\r\n", 0),
            (b"HTTP/1.1 099 No\r\n", 0),
            (b"HTTP/1.1 600 No\r\n", 0),
            (b"HTTP/1.1 2a0 No\r\n", 0),
            (b"HTTP/1.1 200 O\rK\r\n", 0),
            (b"HTTP/1.1 200 OK\r\n\r\n", 17),
            (b"HTTP/1.1 200 OK\r\nA: b\n", 17),
            (b"HTTP/1.1 200 OK\r\nA: b\r\r\n", 17),
            (b"HTTP/1.1 200 OK\r\nA : b\r\n", 17),
            (b"HTTP/1.1 200 OK\r\n: b\r\n", 17),
            (b"HTTP/1.1 200 OK\r\nA: \r\n", 17),
            (b"HTTP/1.1 200 OK\r\nA: \x7F\r\n", 17),
            (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", 17),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n", 17),
            (b"HTTP/1.1 200 OK\r\nDate: x\r\nDate: x\r\n", 26),
            (b"HTTP/1.1 200 OK\r\nETag: W/\"a\"\r\n", 17),
        ];
        for (head, at) in rows {
            assert_eq!(Head::parse(head), Err(at), "{:?}", head.escape_ascii().to_string());
        }
    }
}
