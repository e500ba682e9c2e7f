//! The fields that decide framing, persistence, expectation, selection and the host.

use crate::selectors::{Selector, Selectors};
use crate::target::host_of;
use crate::{Framing, Limits, Reason, Rejection, Status, Version};

/// Whether the connection goes on after the response (RFC 9112 section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// The client wants to go on; the server may.
    KeepAlive,
    /// The response is the last one.
    Close,
}

impl Persistence {
    /// What ends a prepared head whose last octets are the CRLF of a field line.
    #[inline]
    pub const fn head_end(self, version: Version) -> &'static [u8] {
        match (self, version) {
            (Persistence::KeepAlive, Version::Http11) => b"\r\n",
            _ => self.rare_head_end(),
        }
    }

    #[cold]
    const fn rare_head_end(self) -> &'static [u8] {
        match self {
            Persistence::Close => b"Connection: close\r\n\r\n",
            Persistence::KeepAlive => b"Connection: keep-alive\r\n\r\n",
        }
    }
}

/// Whether the client waits before it sends its content (RFC 9110 section 10.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It does not.
    None,
    /// It waits for 100 (Continue) or a final status. Only where there is content to wait with.
    Continue,
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(crate) const fn is_tchar(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The same as a table, for every octet of a name is looked at in each request.
pub(crate) fn is_token_octet(octet: u8) -> bool {
    TOKEN_OCTETS.get(usize::from(octet)) == Some(&true)
}

// Constant evaluation: an index out of bounds would not compile.
#[allow(clippy::indexing_slicing, clippy::as_conversions)]
static TOKEN_OCTETS: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0_u8;
    while let Some(next) = octet.checked_add(1) {
        table[octet as usize] = is_tchar(octet);
        octet = next;
    }
    table
};

/// What Transfer-Encoding has said so far, over all its lines.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // Four independent observations, combined in `coded`.
struct Codings {
    present: bool,
    chunked: bool,
    /// A coding other than chunked stands before chunked, or there is no chunked.
    other: bool,
    /// A coding stands behind chunked.
    behind_chunked: bool,
}

/// The fields of one head, as far as they decide something.
#[allow(clippy::struct_excessive_bools)] // What was said, in any order; the methods combine it.
pub(crate) struct Fields<'b> {
    pub(crate) host: Option<&'b [u8]>,
    pub(crate) selectors: Selectors<'b>,
    /// One of the fields below was there.
    decides: bool,
    length: Option<u64>,
    codings: Codings,
    close: bool,
    keep_alive: bool,
    expect_continue: bool,
    expect_unknown: bool,
}

impl<'b> Fields<'b> {
    pub(crate) const fn new() -> Self {
        Fields {
            host: None,
            selectors: Selectors::NONE,
            decides: false,
            length: None,
            codings: Codings {
                present: false,
                chunked: false,
                other: false,
                behind_chunked: false,
            },
            close: false,
            keep_alive: false,
            expect_continue: false,
            expect_unknown: false,
        }
    }

    /// Takes one field line. Length and first letter of the name tell nearly every field apart that
    /// decides nothing.
    #[inline]
    pub(crate) fn take(&mut self, name: &[u8], value: &'b [u8]) -> Result<(), Rejection> {
        match (name.len(), name.first().copied().unwrap_or(0) | CASE_BIT) {
            (4, _) if is_named(name, b"host") => self.take_host(value),
            (5, b'r')
            | (6, b'e')
            | (8 | 13 | 17 | 19, b'i')
            | (10 | 14, b'c')
            | (15, b'a')
            | (17, b't') => self.take_other(name, value),
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn take_other(&mut self, name: &[u8], value: &[u8]) -> Result<(), Rejection> {
        self.decides = true;
        match (name.len(), name.first().copied().unwrap_or(0) | CASE_BIT) {
            (5, b'r') if is_named(name, b"range") => self.selectors.note(Selector::Range),
            (6, b'e') if is_named(name, b"expect") => self.take_expect(value),
            (8, b'i') if is_named(name, b"if-match") => self.selectors.note(Selector::IfMatch),
            (8, b'i') if is_named(name, b"if-range") => self.selectors.note(Selector::IfRange),
            (10, b'c') if is_named(name, b"connection") => self.take_connection(value),
            (13, b'i') if is_named(name, b"if-none-match") => {
                self.selectors.note(Selector::IfNoneMatch);
            }
            (14, b'c') if is_named(name, b"content-length") => return self.take_length(value),
            (15, b'a') if is_named(name, b"accept-encoding") => {
                self.selectors.note(Selector::AcceptEncoding);
            }
            (17, b't') if is_named(name, b"transfer-encoding") => self.take_codings(value),
            (17, b'i') if is_named(name, b"if-modified-since") => {
                self.selectors.note(Selector::IfModifiedSince);
            }
            (19, b'i') if is_named(name, b"if-unmodified-since") => {
                self.selectors.note(Selector::IfUnmodifiedSince);
            }
            _ => {}
        }
        Ok(())
    }

    /// Two Host lines are an error in every version (RFC 9112 section 3.2).
    fn take_host(&mut self, value: &'b [u8]) -> Result<(), Rejection> {
        const BAD_HOST: Rejection = Rejection::bad(Reason::Hostname);
        if self.host.is_some() {
            return Err(BAD_HOST);
        }
        // An empty value is what a client sends whose target has no authority.
        let host = if value.is_empty() { value } else { host_of(value).ok_or(BAD_HOST)? };
        self.host = Some(host);
        Ok(())
    }

    fn take_expect(&mut self, value: &[u8]) {
        for member in members(value) {
            if member.eq_ignore_ascii_case(b"100-continue") {
                self.expect_continue = true;
            } else {
                self.expect_unknown = true;
            }
        }
    }

    fn take_connection(&mut self, value: &[u8]) {
        for option in members(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Digits and nothing else, on one line: a list of equal values may be rejected (RFC 9112
    /// section 6.3, item 5), and is.
    fn take_length(&mut self, value: &[u8]) -> Result<(), Rejection> {
        const BAD_LENGTH: Rejection = Rejection::bad(Reason::Number);
        if self.length.is_some() || value.is_empty() {
            return Err(BAD_LENGTH);
        }
        let mut length = 0_u64;
        for octet in value {
            let digit = octet.wrapping_sub(b'0');
            if digit > 9 {
                return Err(BAD_LENGTH);
            }
            length = length
                .checked_mul(10)
                .and_then(|length| length.checked_add(u64::from(digit)))
                .ok_or(BAD_LENGTH)?;
        }
        self.length = Some(length);
        Ok(())
    }

    fn take_codings(&mut self, value: &[u8]) {
        let codings = &mut self.codings;
        codings.present = true;
        for coding in members(value) {
            codings.behind_chunked |= codings.chunked;
            if coding.eq_ignore_ascii_case(b"chunked") {
                codings.chunked = true;
            } else {
                codings.other = true;
            }
        }
    }

    /// RFC 9112 section 6.3. Whatever could be framed in two ways is an error.
    #[inline]
    pub(crate) fn framing(&self, version: Version, limits: &Limits) -> Result<Framing, Rejection> {
        if !self.decides {
            return Ok(Framing::None);
        }
        if self.codings.present {
            return self.coded(version);
        }
        match self.length {
            None | Some(0) => Ok(Framing::None),
            Some(length) if length > limits.content_bytes_max => {
                Err(Rejection::new(Status::ContentTooLarge, Reason::EntityTooLarge))
            }
            Some(length) => Ok(Framing::Length(length)),
        }
    }

    #[cold]
    #[inline(never)]
    fn coded(&self, version: Version) -> Result<Framing, Rejection> {
        let codings = self.codings;
        if self.length.is_some() || version == Version::Http10 {
            return Err(Rejection::bad(Reason::Header));
        }
        if !codings.chunked || codings.behind_chunked {
            return Err(Rejection::bad(Reason::Header));
        }
        if codings.other {
            return Err(Rejection::new(Status::NotImplemented, Reason::NotImplemented));
        }
        Ok(Framing::Chunked)
    }

    /// RFC 9112 section 9.3: "close" wins, 1.1 persists, 1.0 persists if asked.
    pub(crate) const fn persistence(&self, version: Version) -> Persistence {
        match version {
            Version::Http11 if !self.decides => Persistence::KeepAlive,
            _ if self.close => Persistence::Close,
            Version::Http10 if !self.keep_alive => Persistence::Close,
            _ => Persistence::KeepAlive,
        }
    }

    /// RFC 9110 section 10.1.1: ignored from 1.0 clients, and where there is nothing to wait with.
    #[inline]
    pub(crate) fn expectation(
        &self,
        version: Version,
        framing: Framing,
    ) -> Result<Expectation, Rejection> {
        if version == Version::Http10 || !self.decides {
            return Ok(Expectation::None);
        }
        if self.expect_unknown {
            return Err(Rejection::new(Status::ExpectationFailed, Reason::Expectation));
        }
        if self.expect_continue && framing != Framing::None {
            return Ok(Expectation::Continue);
        }
        Ok(Expectation::None)
    }
}

/// What a letter in lower case has, and one in upper case has not.
const CASE_BIT: u8 = 0x20;

/// Whether a name, of which it is known that it is a token, is `known` (lower case and hyphens) in
/// any case: in a token nothing else becomes a letter or a hyphen by that bit.
#[inline]
fn is_named<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else { return false };
    name.iter().zip(known).fold(0, |other, (a, b)| other | ((a | CASE_BIT) ^ b)) == 0
}

/// The members of a comma-separated list without the whitespace around them; empty ones are not
/// members (RFC 9110 section 5.6.1).
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|octet| *octet == b',').map(trim).filter(|member| !member.is_empty())
}

/// Without the spaces and tabs at both ends.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
