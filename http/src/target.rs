//! The request-target (RFC 9112 section 3.2), its host and its path.

use core::net::Ipv6Addr;

use arrayvec::ArrayVec;
use memchr::{memchr, memrchr};

use crate::{Method, Reason, Rejection};

/// The longest path, in octets, that can be looked up if it has to be decoded first.
pub const PATH_BYTES_MAX: usize = 1024;

/// Where [`Target::path`] writes a path that it cannot return as it came.
pub type PathBuffer = ArrayVec<u8, PATH_BYTES_MAX>;

const BAD_TARGET: Rejection = Rejection::bad(Reason::Url);

/// A request-target, split but not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'b> {
    /// `/path?query`.
    Origin {
        /// From the first slash.
        path: &'b [u8],
        /// Behind the question mark, if there is one.
        query: Option<&'b [u8]>,
    },
    /// `http://authority/path?query`.
    Absolute {
        /// Host and port; never empty.
        authority: &'b [u8],
        /// From the first slash; `/` where there is none.
        path: &'b [u8],
        /// Behind the question mark, if there is one.
        query: Option<&'b [u8]>,
    },
    /// `host:port`, for CONNECT only.
    Authority(&'b [u8]),
    /// `*`, for OPTIONS only.
    Asterisk,
}

impl<'b> Target<'b> {
    /// `octets` are as the request line has them, and not more than may be.
    pub(crate) fn parse(method: Method, octets: &'b [u8]) -> Result<Self, Rejection> {
        let path = octets.iter().position(|octet| *octet == b'?' || !is_target_octet(*octet));
        let (path, rest) =
            octets.split_at_checked(path.unwrap_or(octets.len())).ok_or(BAD_TARGET)?;
        let query = match rest {
            [] => None,
            [b'?', query @ ..] if query.iter().all(|octet| is_target_octet(*octet)) => Some(query),
            _ => return Err(BAD_TARGET),
        };
        match (method, octets) {
            (Method::Connect, _) => Self::authority(octets),
            (_, [b'/', ..]) => Ok(Target::Origin { path, query }),
            (Method::Options, b"*") => Ok(Target::Asterisk),
            _ => Self::absolute(octets),
        }
    }

    #[cold]
    #[inline(never)]
    fn authority(octets: &'b [u8]) -> Result<Self, Rejection> {
        match split_host_port(octets) {
            Some((_, Some(port))) if !port.is_empty() => Ok(Target::Authority(octets)),
            _ => Err(BAD_TARGET),
        }
    }

    /// The schemes http and https; the latter is what a proxy in front of us may have ended.
    /// Userinfo is an error (RFC 9110 section 4.2.4), and so is an empty host (section 4.2.1).
    #[cold]
    #[inline(never)]
    fn absolute(octets: &'b [u8]) -> Result<Self, Rejection> {
        let rest = strip_ignoring_case(octets, b"http://")
            .or_else(|| strip_ignoring_case(octets, b"https://"))
            .ok_or(BAD_TARGET)?;
        let end = rest.iter().position(|octet| matches!(octet, b'/' | b'?'));
        let (authority, rest) =
            rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, &[]));
        host_of(authority).ok_or(BAD_TARGET)?;
        let (path, query) = split_query(rest);
        let path = if path.is_empty() { b"/" } else { path };
        Ok(Target::Absolute { authority, path, query })
    }

    /// The host that the target names, without its port; it overrides the Host field
    /// (RFC 9112 section 3.2.2).
    #[inline]
    pub(crate) fn host(&self) -> Option<&'b [u8]> {
        match self {
            Target::Absolute { authority, .. } | Target::Authority(authority) => host_of(authority),
            Target::Origin { .. } | Target::Asterisk => None,
        }
    }

    /// The path to look up: percent-decoded once, without dot segments (RFC 3986 section 5.2.4;
    /// `..` at the root stays there). It is the slice itself when nothing is to be done, otherwise
    /// it is written to `buffer`.
    ///
    /// `Ok(None)` where no resource can be: the target has no path, a segment has an encoded slash,
    /// or the decoded path is longer than [`PATH_BYTES_MAX`]. Answer 404.
    ///
    /// # Errors
    /// 400 for an escape that is not two hexadecimal digits or that hides a control octet. The
    /// octet stream is still in step then: the connection may persist.
    pub fn path<'p>(&self, buffer: &'p mut PathBuffer) -> Result<Option<&'p [u8]>, Rejection>
    where
        'b: 'p,
    {
        let (Target::Origin { path, .. } | Target::Absolute { path, .. }) = *self else {
            return Ok(None);
        };
        let mut previous = 0;
        for &octet in path {
            if octet == b'%' || (octet == b'.' && previous == b'/') {
                return canonical(path, buffer);
            }
            previous = octet;
        }
        Ok(Some(path))
    }
}

/// A fragment is never sent (RFC 9110 section 4.2.5); all else that RFC 3986 forbids among visible
/// octets is data to us, because a path is only compared.
const fn is_target_octet(octet: u8) -> bool {
    matches!(octet, b'!' | b'"' | b'$'..=b'~')
}

/// Path, and query without its question mark.
fn split_query(octets: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr(b'?', octets).and_then(|at| octets.split_at_checked(at)) {
        Some((path, query)) => (path, query.get(1..)),
        None => (octets, None),
    }
}

fn strip_ignoring_case<'b>(octets: &'b [u8], prefix: &[u8]) -> Option<&'b [u8]> {
    let (start, rest) = octets.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cold]
#[inline(never)]
fn canonical<'p>(path: &[u8], buffer: &'p mut PathBuffer) -> Result<Option<&'p [u8]>, Rejection> {
    buffer.clear();
    let mut segment_start = 0;
    let mut rest = path;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let mut octet = first;
        if first == b'/' {
            if drop_dot_segment(buffer, segment_start) {
                segment_start = buffer.len();
                continue;
            }
            segment_start = buffer.len().saturating_add(1);
        } else if first == b'%' {
            (octet, rest) = escape(rest).ok_or(BAD_TARGET)?;
            if octet == b'/' {
                // Data, not a separator; no stored path can say that.
                return Ok(None);
            }
        }
        if buffer.try_push(octet).is_err() {
            return Ok(None);
        }
    }
    drop_dot_segment(buffer, segment_start);
    Ok(Some(buffer))
}

/// Takes the segment from `start` away if it is `.`, and the one before it too if it is `..`. The
/// slash that stands before what was taken away remains.
fn drop_dot_segment(buffer: &mut PathBuffer, start: usize) -> bool {
    let (before, segment) = buffer.split_at_checked(start).unwrap_or((buffer, &[]));
    let keep = match segment {
        b"." => start,
        b".." => {
            let parent = before.get(..start.saturating_sub(1)).unwrap_or(&[]);
            memrchr(b'/', parent).map_or(1, |slash| slash.saturating_add(1))
        }
        _ => return false,
    };
    buffer.truncate(keep);
    true
}

/// The octet of two hexadecimal digits; controls are refused, as they are when they stand there
/// in the open.
fn escape(octets: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = octets else { return None };
    let octet = hex(*high)?.wrapping_shl(4) | hex(*low)?;
    if octet.is_ascii_control() { None } else { Some((octet, rest)) }
}

fn hex(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(octet.wrapping_sub(b'a').wrapping_add(10)),
        b'A'..=b'F' => Some(octet.wrapping_sub(b'A').wrapping_add(10)),
        _ => None,
    }
}

/// The host of `uri-host [ ":" port ]`, if the whole is that and the host is not empty.
pub(crate) fn host_of(value: &[u8]) -> Option<&[u8]> {
    let end = value.iter().position(|octet| !is_reg_name_octet(*octet));
    let end = end.unwrap_or(value.len());
    match (end, value.get(end..)?) {
        (1.., []) => Some(value),
        (1.., [b':', port @ ..]) if is_port(port) => value.get(..end),
        _ => split_host_port(value).map(|(host, _)| host),
    }
}

/// RFC 3986 section 3.2.2 without `IPvFuture`; a port is at most 65535, and may be empty.
#[cold]
#[inline(never)]
fn split_host_port(value: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if let [b'[', ..] = value {
        return split_ip_literal(value);
    }
    split_escaped(value)
}

#[cold]
#[inline(never)]
fn split_escaped(value: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (host, port) = match memchr(b':', value).and_then(|colon| value.split_at_checked(colon)) {
        Some((host, rest)) => (host, Some(port_of(rest)?)),
        None => (value, None),
    };
    (!host.is_empty() && is_escaped_reg_name(host)).then_some((host, port))
}

#[cold]
#[inline(never)]
fn split_ip_literal(value: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let end = memchr(b']', value)?.checked_add(1)?;
    let (host, rest) = value.split_at_checked(end)?;
    let [b'[', address @ .., b']'] = host else { return None };
    core::str::from_utf8(address).ok()?.parse::<Ipv6Addr>().ok()?;
    let port = if rest.is_empty() { None } else { Some(port_of(rest)?) };
    Some((host, port))
}

/// The digits behind the colon.
fn port_of(colon_and_port: &[u8]) -> Option<&[u8]> {
    let [b':', port @ ..] = colon_and_port else { return None };
    is_port(port).then_some(port)
}

pub(crate) fn is_port(port: &[u8]) -> bool {
    let mut number = 0_u32;
    for octet in port {
        let digit = octet.wrapping_sub(b'0');
        number = number.wrapping_mul(10).wrapping_add(u32::from(digit));
        // Before it can wrap: ten times this and a digit fit.
        if digit > 9 || number > 65_535 {
            return false;
        }
    }
    true
}

fn is_escaped_reg_name(host: &[u8]) -> bool {
    let mut rest = host;
    while let [octet, after @ ..] = rest {
        rest = match (octet, after) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => after,
            _ if is_reg_name_octet(*octet) => after,
            _ => return false,
        };
    }
    true
}

/// `unreserved` and `sub-delims` of RFC 3986; a table, because Host is looked at in each request.
pub(crate) fn is_reg_name_octet(octet: u8) -> bool {
    REG_NAME_OCTETS.get(usize::from(octet)) == Some(&true)
}

// Constant evaluation: an index out of bounds would not compile.
#[allow(clippy::indexing_slicing, clippy::as_conversions)]
static REG_NAME_OCTETS: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0_u8;
    while let Some(next) = octet.checked_add(1) {
        table[octet as usize] = octet.is_ascii_alphanumeric()
            || matches!(octet, b'-' | b'.' | b'_' | b'~')
            || matches!(octet, b'!' | b'$' | b'&' | b'\'' | b'(' | b')')
            || matches!(octet, b'*' | b'+' | b',' | b';' | b'=');
        octet = next;
    }
    table
};
