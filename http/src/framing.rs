//! The framing of content (RFC 9112 sections 6 and 7). Content is measured and discarded.

use crate::fields::is_tchar;
use crate::{Limits, Reason, Rejection, Status};

/// How the end of a request's content is known (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no content.
    None,
    /// So many octets follow; never 0.
    Length(u64),
    /// Chunks follow.
    Chunked,
}

/// 16 hexadecimal digits fill 64 bits.
const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

const BAD_CHUNK: Rejection = Rejection::bad(Reason::BadRequest);
const BAD_LINE_END: Rejection = Rejection::bad(Reason::InvalidCrLf);
const BAD_TRAILER: Rejection = Rejection::bad(Reason::Header);
const TOO_LARGE: Rejection = Rejection::new(Status::ContentTooLarge, Reason::EntityTooLarge);
const TRAILERS_TOO_LARGE: Rejection = Rejection::new(Status::FieldsTooLarge, Reason::FieldLength);

/// Where in the content the next octet stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Length,
    /// In chunk-size, with so many digits behind.
    Size(u8),
    /// In whitespace that must be followed by an extension.
    SizeSpace,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

/// What came of some octets of content.
pub(crate) enum Progress {
    /// All of them belong to content that goes on.
    Unfinished,
    /// The content ended after so many.
    End(usize),
    Broken(Rejection),
}

/// Content that is being discarded.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// Octets left of the content or of the current chunk; while a chunk-size is read, that size.
    remaining: u64,
    /// Octets of all chunks announced so far.
    announced: u64,
    /// Octets of extensions and trailers so far; bounded by `head_bytes_max` like a head.
    overhead: usize,
    part: Part,
}

impl Content {
    /// `None` when there is nothing to discard.
    pub(crate) fn new(framing: Framing) -> Option<Content> {
        let (remaining, part) = match framing {
            Framing::None => return None,
            Framing::Length(length) => (length, Part::Length),
            Framing::Chunked => (0, Part::Size(0)),
        };
        Some(Content { remaining, announced: 0, overhead: 0, part })
    }

    pub(crate) fn receive(&mut self, limits: &Limits, input: &[u8]) -> Progress {
        let mut rest = input;
        loop {
            if matches!(self.part, Part::Length | Part::Data) {
                rest = self.skip(rest);
                if self.remaining > 0 {
                    return Progress::Unfinished;
                }
                if self.part == Part::Length {
                    return Progress::End(input.len().saturating_sub(rest.len()));
                }
                self.part = Part::DataCr;
            }
            let Some((&octet, after)) = rest.split_first() else { return Progress::Unfinished };
            rest = after;
            match self.next(limits, octet) {
                Ok(_) if self.part == Part::EndLf && octet == b'\n' => {
                    return Progress::End(input.len().saturating_sub(rest.len()));
                }
                Ok(part) => self.part = part,
                Err(rejection) => return Progress::Broken(rejection),
            }
        }
    }

    /// Skips as much of the counted octets as there is.
    fn skip<'b>(&mut self, input: &'b [u8]) -> &'b [u8] {
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        let (skipped, rest) = input.split_at_checked(wanted).unwrap_or((input, &[]));
        let skipped = u64::try_from(skipped.len()).unwrap_or(u64::MAX);
        self.remaining = self.remaining.saturating_sub(skipped);
        rest
    }

    /// The part that `octet` leads to. Only CRLF ends a line, in extensions and trailers too
    /// (RFC 9112 sections 2.2 and 7.1).
    fn next(&mut self, limits: &Limits, octet: u8) -> Result<Part, Rejection> {
        match (self.part, octet) {
            (Part::Size(digits), _) => self.size(digits, octet),
            (Part::SizeSpace | Part::Extension, _) => self.extension(limits, octet),
            (Part::SizeLf, b'\n') => self.chunk(limits),
            (Part::DataCr, b'\r') => Ok(Part::DataLf),
            (Part::DataLf, b'\n') => Ok(Part::Size(0)),
            (Part::TrailerStart | Part::TrailerName | Part::TrailerValue, _) => {
                self.trailer(limits, octet)
            }
            (Part::TrailerLf, b'\n') => Ok(Part::TrailerStart),
            (Part::EndLf, b'\n') => Ok(Part::EndLf),
            (Part::DataCr, _) => Err(BAD_CHUNK),
            _ => Err(BAD_LINE_END),
        }
    }

    fn size(&mut self, digits: u8, octet: u8) -> Result<Part, Rejection> {
        let digit = match octet {
            b'0'..=b'9' => octet.wrapping_sub(b'0'),
            b'a'..=b'f' => octet.wrapping_sub(b'a').wrapping_add(10),
            b'A'..=b'F' => octet.wrapping_sub(b'A').wrapping_add(10),
            b'\n' => return Err(BAD_LINE_END),
            _ if digits == 0 => return Err(BAD_CHUNK),
            b'\r' => return Ok(Part::SizeLf),
            b' ' | b'\t' => return Ok(Part::SizeSpace),
            b';' => return Ok(Part::Extension),
            _ => return Err(BAD_CHUNK),
        };
        if digits >= CHUNK_SIZE_DIGITS_MAX {
            return Err(Rejection::bad(Reason::Number));
        }
        self.remaining = self.remaining.wrapping_shl(4) | u64::from(digit);
        Ok(Part::Size(digits.saturating_add(1)))
    }

    fn extension(&mut self, limits: &Limits, octet: u8) -> Result<Part, Rejection> {
        self.overhead = self.overhead.saturating_add(1);
        match (self.part, octet) {
            _ if self.overhead > limits.head_bytes_max => Err(TOO_LARGE),
            (Part::SizeSpace, b' ' | b'\t') => Ok(Part::SizeSpace),
            (_, b';') => Ok(Part::Extension),
            (Part::SizeSpace, _) => Err(BAD_CHUNK),
            (_, b'\r') => Ok(Part::SizeLf),
            (_, b'\n') => Err(BAD_LINE_END),
            (_, 0..0x20 | 0x7f) if octet != b'\t' => Err(BAD_CHUNK),
            _ => Ok(Part::Extension),
        }
    }

    /// The chunk-size is complete.
    fn chunk(&mut self, limits: &Limits) -> Result<Part, Rejection> {
        if self.remaining == 0 {
            return Ok(Part::TrailerStart);
        }
        self.announced = self.announced.saturating_add(self.remaining);
        if self.announced > limits.content_bytes_max { Err(TOO_LARGE) } else { Ok(Part::Data) }
    }

    fn trailer(&mut self, limits: &Limits, octet: u8) -> Result<Part, Rejection> {
        self.overhead = self.overhead.saturating_add(1);
        match (self.part, octet) {
            _ if self.overhead > limits.head_bytes_max => Err(TRAILERS_TOO_LARGE),
            (Part::TrailerStart, b'\r') => Ok(Part::EndLf),
            (_, b'\n') => Err(BAD_LINE_END),
            (Part::TrailerName, b':') => Ok(Part::TrailerValue),
            (Part::TrailerStart | Part::TrailerName, _) => {
                if is_tchar(octet) {
                    Ok(Part::TrailerName)
                } else {
                    Err(BAD_TRAILER)
                }
            }
            (_, b'\r') => Ok(Part::TrailerLf),
            (_, 0..0x20 | 0x7f) if octet != b'\t' => Err(BAD_TRAILER),
            _ => Ok(Part::TrailerValue),
        }
    }
}
