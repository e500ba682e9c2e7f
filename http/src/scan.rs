//! The quick way to read a head: one pass over one that is complete, short, and written as nearly
//! all of them are.
//!
//! It takes nothing that the slower way (`head`) would refuse or understand otherwise, and it
//! refuses nothing: `None` says that the slower way is to look. So how quick this is changes no
//! verdict; the tests present every request whole and split, which is read by one way and by the
//! other.

use crate::fields::{Fields, is_token_octet};
use crate::head::RequestLine;
use crate::target::{is_port, is_reg_name_octet};
use crate::{FIELD_LINES_MAX, Limits, Method, Request, Target, Version};

/// The head that `input` begins with, and its octets.
#[allow(clippy::inline_always, reason = "a request is moved about otherwise")]
#[inline(always)]
pub(crate) fn read<'b>(limits: &Limits, input: &'b [u8]) -> Option<(usize, Request<'b>)> {
    // A head as short as that has no line, and no target, over its limit.
    let bytes_max = limits.target_bytes_max.min(limits.field_line_bytes_max);
    let visible = input.get(..bytes_max.min(limits.head_bytes_max)).unwrap_or(input);
    let (method, rest) = method(visible)?;
    let (path, query, rest) = target(rest)?;
    let (version, mut rest) = version(rest)?;
    if method == Method::Connect {
        return None;
    }
    let mut fields = Fields::new();
    let mut lines = 0_usize;
    let behind = loop {
        if let Some((host, next)) = host_line(rest) {
            if fields.host.replace(host).is_some() {
                return None;
            }
            rest = next;
        } else if let Some((end, behind)) = rest.split_first_chunk()
            && end == b"\r\n"
        {
            break behind;
        } else {
            let (name, value, next) = field(rest)?;
            fields.take(name, value).ok()?;
            rest = next;
        }
        lines = lines.wrapping_add(1);
    };
    if lines > FIELD_LINES_MAX {
        return None;
    }
    let length = visible.len().checked_sub(behind.len())?;
    let head = visible.get(..length)?;
    let target = Target::Origin { path, query };
    let request = Request::new(limits, head, RequestLine { method, target, version }, fields);
    Some((length, request.ok()?))
}

/// A method and the space behind it.
#[inline]
fn method(octets: &[u8]) -> Option<(Method, &[u8])> {
    let (start, rest) = octets.split_first_chunk()?;
    if start == b"GET " {
        return Some((Method::Get, rest));
    }
    other_method(octets)
}

#[inline(never)]
fn other_method(octets: &[u8]) -> Option<(Method, &[u8])> {
    let end = octets.iter().position(|octet| !is_token_octet(*octet)).filter(|end| *end > 0)?;
    let (token, rest) = octets.split_at_checked(end)?;
    let [b' ', rest @ ..] = rest else { return None };
    Some((Method::from_token(token), rest))
}

/// A path, its query, and what follows them.
type Parts<'b> = (&'b [u8], Option<&'b [u8]>, &'b [u8]);

/// A path from the first slash, and so on.
#[inline]
fn target(octets: &[u8]) -> Option<Parts<'_>> {
    if octets.first() != Some(&b'/') {
        return None;
    }
    let (path, rest) = octets.split_at_checked(target_end(octets)?)?;
    let [b'?', behind @ ..] = rest else { return Some((path, None, rest)) };
    let (query, rest) = query(behind)?;
    Some((path, Some(query), rest))
}

#[inline(never)]
fn query(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = target_end(octets)?;
    // A question mark in a query is data.
    while octets.get(end) == Some(&b'?') {
        let from = end.checked_add(1)?;
        end = from.checked_add(target_end(octets.get(from..)?)?)?;
    }
    octets.split_at_checked(end)
}

/// The version, with the space before it and the line end behind.
#[inline]
fn version(octets: &[u8]) -> Option<(Version, &[u8])> {
    let (version, rest) = octets.split_first_chunk::<11>()?;
    if version == b" HTTP/1.1\r\n" {
        return Some((Version::Http11, rest));
    }
    (version == b" HTTP/1.0\r\n").then_some((Version::Http10, rest))
}

/// A line of Host, as nearly all clients write it: the host without its port, and what follows the
/// line.
#[inline]
fn host_line(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (start, value) = octets.split_first_chunk::<6>()?;
    if start != b"Host: " {
        return None;
    }
    let (host, rest) =
        value.split_at_checked(host_end(value)?).filter(|(host, _)| !host.is_empty())?;
    let rest = if let [b':', rest @ ..] = rest { behind_port(rest)? } else { rest };
    let (line_end, next) = rest.split_first_chunk()?;
    (line_end == b"\r\n").then_some((host, next))
}

/// Where the first octet stands that is not of a host without escapes, four at a time.
#[inline]
fn host_end(octets: &[u8]) -> Option<usize> {
    let mut rest = octets;
    while let Some((&[a, b, c, d], behind)) = rest.split_first_chunk() {
        let first_two = is_reg_name_octet(a) & is_reg_name_octet(b);
        if !(first_two & is_reg_name_octet(c) & is_reg_name_octet(d)) {
            break;
        }
        rest = behind;
    }
    let end = rest.iter().position(|octet| !is_reg_name_octet(*octet))?;
    octets.len().checked_sub(rest.len())?.checked_add(end)
}

#[inline]
fn behind_port(octets: &[u8]) -> Option<&[u8]> {
    let end = octets.iter().position(|octet| !octet.is_ascii_digit())?;
    let (port, rest) = octets.split_at_checked(end)?;
    is_port(port).then_some(rest)
}

/// A field line: name, value, and what follows the line.
#[inline(never)]
fn field(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let end = line.iter().position(|octet| !is_token_octet(*octet)).filter(|end| *end > 0)?;
    let (name, rest) = line.split_at_checked(end)?;
    let [b':', rest @ ..] = rest else { return None };
    let rest = if let [b' ', rest @ ..] = rest { rest } else { rest };
    let (value, rest) = rest.split_at_checked(value_end(rest)?)?;
    let (line_end, next) = rest.split_first_chunk()?;
    // More whitespace is not a part of the value: let it be taken off the slower way.
    let is_plain = !matches!(value, [b' ', ..] | [.., b' ']);
    (line_end == b"\r\n" && is_plain).then_some((name, value, next))
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

/// Each octet's highest bit where it is below `limit` (at most 0x80); what is above the first such
/// octet may be marked wrongly.
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(u64::from_le_bytes([limit; 8])) & !word & HIGH
}

/// The same for octets that are `octet`.
const fn equal(word: u64, octet: u8) -> u64 {
    below(word ^ u64::from_le_bytes([octet; 8]), 1)
}

/// The same for octets from 0x7f on; none is marked wrongly.
const fn from_delete(word: u64) -> u64 {
    (word | (word & !HIGH).wrapping_add(ONES)) & HIGH
}

/// Where the first octet stands that is not data of a path: `?`, or what ends it or is wrong.
#[inline]
fn target_end(octets: &[u8]) -> Option<usize> {
    first_marked(octets, |word| {
        below(word, b'!') | equal(word, b'?') | equal(word, b'#') | from_delete(word)
    })
}

/// Where the first control octet stands, HTAB included, that ends a value or is wrong in it.
#[inline]
fn value_end(octets: &[u8]) -> Option<usize> {
    first_marked(octets, |word| below(word, b' ') | equal(word, 0x7f))
}

/// The position of the first octet that `marks` marks, eight at a time.
#[inline]
fn first_marked(octets: &[u8], marks: impl Fn(u64) -> u64) -> Option<usize> {
    let (words, rest) = octets.as_chunks::<8>();
    let mut at = 0_usize;
    for word in words {
        let marked = marks(u64::from_le_bytes(*word));
        if marked != 0 {
            return Some(at.wrapping_add(first_octet(marked)));
        }
        at = at.wrapping_add(8);
    }
    // The octets that were looked at go; what comes in their place is marked, beyond the end.
    let looked_at = u32::try_from(rest.len()).ok()?.wrapping_neg().wrapping_mul(8);
    let word = match octets.last_chunk::<8>() {
        _ if rest.is_empty() => return None,
        Some(last) => u64::from_le_bytes(*last).wrapping_shr(looked_at),
        None => {
            rest.iter().rev().fold(0, |word: u64, octet| word.wrapping_shl(8) | u64::from(*octet))
        }
    };
    let at = at.wrapping_add(first_octet(marks(word)));
    (at < octets.len()).then_some(at)
}

/// Octets before the lowest marked one.
#[allow(clippy::as_conversions)] // less than 8
const fn first_octet(marked: u64) -> usize {
    (marked.trailing_zeros() / 8) as usize
}
