//! Writing an image: interning, placing, numbering, checksum.

use std::collections::HashMap;

use http1::Coding;
use sha2::{Digest, Sha256};

use super::perfect_hash::{Key, Table};
use crate::checksum::crc32;
use crate::head::Head;
use crate::invalid::Invalid;
use crate::layout::{
    CHECKED_FROM, ENTRY_BYTES, ERROR_BYTES, EntryRecord, FORMAT_VERSION, HEADER_BYTES, Layout,
    MAGIC, NONE, PACKED_ALIGN, PACKED_BYTES_MAX, PAGE_BYTES, RESPONSE_BYTES, ResponseRecord,
    Section, Span, header, octet_of_coding, widen,
};
use crate::limits::{
    HEALTH_NAME_BYTES_MAX, HEALTH_NAMES_MAX, HEALTH_STATES, HOST_BYTES_MAX, Limits, PATH_BYTES_MAX,
};

/// A response as it goes into an image.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prepared {
    /// Content coding of the body.
    pub coding: Coding,
    /// Status line and field lines, each with its CRLF, without the empty line.
    pub head: Vec<u8>,
    /// The content; `None` where the status has none.
    pub body: Option<Body>,
    /// Seconds since 1970 of the Last-Modified field, if the head has one.
    pub last_modified: Option<u64>,
    /// Head of the 304 that goes with this response, if it has validators.
    pub not_modified: Option<Vec<u8>>,
    /// Head of the 206, likewise; without Content-Length and Content-Range.
    pub partial: Option<Vec<u8>>,
    /// The connection ends behind it, if it is of a health endpoint.
    pub closes: bool,
}

impl Prepared {
    /// A response that no condition applies to.
    pub fn without_validators(head: Vec<u8>, body: Option<Body>) -> Self {
        Self {
            coding: Coding::Identity,
            head,
            body,
            last_modified: None,
            not_modified: None,
            partial: None,
            closes: false,
        }
    }
}

/// A body that a draft holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Body(usize);

/// Responses that a draft holds: one or more variants, or the states of a health endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    response: u32,
    /// 0 for states.
    variants: u8,
}

/// An image in the making. Equal calls in an equal order make equal bytes; equal bodies, heads
/// and responses are stored once.
#[derive(Default)]
pub struct Draft {
    bodies: Vec<Vec<u8>>,
    body_of_digest: HashMap<[u8; 32], Body>,
    strings: Vec<u8>,
    span_of_string: HashMap<Vec<u8>, Span>,
    responses: Vec<ResponseRecord>,
    /// Index into `bodies` for each response: offsets are known only at the end.
    response_bodies: Vec<Option<Body>>,
    /// By their responses, and whether these are states.
    answers: HashMap<(bool, Vec<Prepared>), Answer>,
    /// Numbers of the names of health endpoints, from 1.
    health_numbers: HashMap<String, u8>,
    entries: Vec<EntryRecord>,
    errors: Vec<(u16, u32)>,
    options: u32,
}

impl Draft {
    /// An empty draft.
    pub fn new() -> Self {
        Self { options: NONE, ..Self::default() }
    }

    /// Holds a body. Its second value is the SHA-256 of the octets.
    pub fn body(&mut self, bytes: Vec<u8>) -> (Body, [u8; 32]) {
        let digest: [u8; 32] = Sha256::digest(&bytes).into();
        let next = Body(self.bodies.len());
        let body = *self.body_of_digest.entry(digest).or_insert(next);
        if body == next {
            self.bodies.push(bytes);
        }
        (body, digest)
    }

    /// Octets of a body.
    pub fn body_bytes(&self, body: Body) -> usize {
        self.bodies.get(body.0).map_or(0, Vec::len)
    }

    /// Holds the variants of one answer, the identity coding first.
    ///
    /// # Errors
    /// If a head is malformed or the draft is full. That there is a variant at all, and that the
    /// heads agree with the bodies, is seen when the draft is finished.
    pub fn answer(&mut self, variants: &[Prepared]) -> Result<Answer, WriteError> {
        let count = u8::try_from(variants.len()).map_err(|_| WriteError::Full("variants"))?;
        self.responses(variants.to_vec(), count)
    }

    /// Holds what a health endpoint answers when it is up, drains, and is down.
    ///
    /// # Errors
    /// If a head is malformed or the draft is full.
    pub fn health(&mut self, states: [Prepared; HEALTH_STATES]) -> Result<Answer, WriteError> {
        self.responses(states.into(), 0)
    }

    fn responses(&mut self, all: Vec<Prepared>, variants: u8) -> Result<Answer, WriteError> {
        let key = (variants == 0, all);
        if let Some(answer) = self.answers.get(&key) {
            return Ok(*answer);
        }
        let mut records = Vec::with_capacity(key.1.len());
        for variant in &key.1 {
            let mut record = self.record(&variant.head, variant)?;
            if let Some(head) = &variant.not_modified {
                let not_modified = self.record(head, variant)?;
                record.not_modified = self.push(not_modified, None)?;
            }
            if let Some(head) = &variant.partial {
                let partial = self.record(head, variant)?;
                record.partial = self.push(partial, None)?;
            }
            records.push((record, variant.body));
        }
        let response = number(self.responses.len(), "responses")?;
        for (record, body) in records {
            self.push(record, body)?;
        }
        let answer = Answer { response, variants };
        self.answers.insert(key, answer);
        Ok(answer)
    }

    /// Lets `answer` answer `path` on `host` (in lower case; empty = any host). `health` is the
    /// name of a health endpoint, whose states `answer` holds then; empty for none.
    ///
    /// # Errors
    /// If the draft is full or a name is too long for it. That a health endpoint has states, and
    /// nothing else has, is seen when the draft is finished.
    pub fn entry(
        &mut self,
        host: &str,
        path: &str,
        health: &str,
        answer: Answer,
    ) -> Result<(), WriteError> {
        if path.len() > PATH_BYTES_MAX {
            return Err(WriteError::Full("octets of path"));
        }
        if host.len() > HOST_BYTES_MAX || health.len() > HEALTH_NAME_BYTES_MAX {
            return Err(WriteError::Full("octets of name"));
        }
        let health_number = self.health_number(health)?;
        let record = EntryRecord {
            path: self.append(path.as_bytes())?,
            host: self.intern(host.as_bytes())?,
            health: self.intern(health.as_bytes())?,
            response: answer.response,
            variants: answer.variants,
            health_number,
        };
        self.entries.push(record);
        Ok(())
    }

    fn health_number(&mut self, name: &str) -> Result<u8, WriteError> {
        if name.is_empty() {
            return Ok(0);
        }
        if let Some(number) = self.health_numbers.get(name) {
            return Ok(*number);
        }
        let number = self.health_numbers.len() + 1;
        let number = u8::try_from(number).ok().filter(|_| number <= HEALTH_NAMES_MAX);
        let number = number.ok_or(WriteError::Full("names of health endpoints"))?;
        self.health_numbers.insert(name.to_owned(), number);
        Ok(number)
    }

    /// The first variant of `answer` is what a server sends for `status` by itself.
    pub fn error(&mut self, status: u16, answer: Answer) {
        self.errors.push((status, answer.response));
    }

    /// The first variant of `answer` answers OPTIONS.
    pub fn options(&mut self, answer: Answer) {
        self.options = answer.response;
    }

    /// Number of entries, responses and bodies so far.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.entries.len(), self.responses.len(), self.bodies.len())
    }

    /// The image. It is validated before it is returned.
    ///
    /// # Errors
    /// If it exceeds `limits` or breaks a rule of the format.
    pub fn finish(mut self, limits: &Limits) -> Result<Vec<u8>, WriteError> {
        if self.entries.len() > limits.entries_max {
            return Err(WriteError::Full("entries"));
        }
        self.errors.sort_unstable();
        let table = Table::build(&self.keys()).ok_or(WriteError::EqualKeys)?;
        let lengths = [
            table.displacements.len(),
            table.slots.len(),
            self.entries.len(),
            self.responses.len(),
            self.errors.len(),
            self.strings.len(),
        ];
        let mut extents = Vec::with_capacity(Section::ALL.len());
        let mut end = HEADER_BYTES;
        for (section, count) in Section::ALL.into_iter().zip(lengths) {
            let offset = end.next_multiple_of(PACKED_ALIGN);
            end = offset + count * section.item_bytes();
            extents.push((offset, count));
        }
        let start = end.next_multiple_of(PACKED_ALIGN);
        let (places, total) = place_bodies(&self.bodies, start);
        if total > limits.image_bytes_max {
            return Err(WriteError::Full("octets"));
        }
        extents.push((start, total - start));
        // The strings of entries are relative to their section until here.
        let strings = number(extents[5].0, "octets")?;
        number(total, "octets")?;
        let mut image = vec![0; total];
        self.write_tables(&mut image, &table, &extents, strings);
        self.write_responses(&mut image, extents[3].0, strings, &places)?;
        image[extents[5].0..][..self.strings.len()].copy_from_slice(&self.strings);
        for (bytes, place) in self.bodies.iter().zip(places) {
            image[place..][..bytes.len()].copy_from_slice(bytes);
        }
        self.write_header(&mut image, table.seed, &extents)?;
        Layout::validate(&image, limits).map_err(WriteError::Invalid)?;
        Ok(image)
    }

    fn keys(&self) -> Vec<Key<'_>> {
        let string = |span: Span| &self.strings[widen(span.offset)..][..widen(span.length)];
        self.entries.iter().map(|entry| (string(entry.host), string(entry.path))).collect()
    }

    fn write_tables(
        &self,
        image: &mut [u8],
        table: &Table,
        extents: &[(usize, usize)],
        strings: u32,
    ) {
        let words = |at: usize, words: &[u32], image: &mut [u8]| {
            for (place, word) in image[at..].chunks_exact_mut(4).zip(words) {
                place.copy_from_slice(&word.to_le_bytes());
            }
        };
        words(extents[0].0, &table.displacements, image);
        words(extents[1].0, &table.slots, image);
        let places = image[extents[2].0..].chunks_exact_mut(ENTRY_BYTES);
        for (place, entry) in places.zip(&self.entries) {
            put32(place, 0, moved(entry.path, strings));
            put16(place, 4, entry.path.length);
            put16(place, 6, entry.host.length);
            put32(place, 8, moved(entry.host, strings));
            put32(place, 12, moved(entry.health, strings));
            put16(place, 16, entry.health.length);
            place[18] = entry.variants;
            place[19] = entry.health_number;
            put32(place, 20, entry.response);
        }
        let places = image[extents[4].0..].chunks_exact_mut(ERROR_BYTES);
        for (place, (status, response)) in places.zip(&self.errors) {
            put16(place, 0, u32::from(*status));
            put32(place, 4, *response);
        }
    }

    fn write_responses(
        &self,
        image: &mut [u8],
        at: usize,
        strings: u32,
        places: &[usize],
    ) -> Result<(), WriteError> {
        let records = self.responses.iter().zip(&self.response_bodies);
        for (place, (record, body)) in image[at..].chunks_exact_mut(RESPONSE_BYTES).zip(records) {
            let length = number(body.map_or(0, |body| self.body_bytes(body)), "octets")?;
            let offset = number(body.map_or(0, |body| places[body.0]), "octets")?;
            put16(place, 0, u32::from(record.status));
            place[2] = record.coding;
            place[3] = record.flags;
            put32(place, 4, moved(record.head, strings));
            put32(place, 8, record.head.length);
            put32(place, 12, record.date);
            put32(place, 16, record.not_modified);
            put32(place, 20, offset);
            put32(place, 24, length);
            put32(place, 28, moved(record.entity_tag, strings));
            put16(place, 32, record.entity_tag.length);
            put32(place, 36, record.partial);
            place[40..48].copy_from_slice(&record.last_modified.to_le_bytes());
        }
        Ok(())
    }

    /// The header goes last: it has the digest and the checksum of what follows it.
    fn write_header(
        &self,
        image: &mut [u8],
        seed: u64,
        extents: &[(usize, usize)],
    ) -> Result<(), WriteError> {
        let hosted = self.entries.iter().filter(|entry| entry.host.length != 0).count();
        image[..8].copy_from_slice(&MAGIC);
        put32(image, header::VERSION, FORMAT_VERSION);
        put32(image, header::TOTAL, number(image.len(), "octets")?);
        put32(image, header::HOSTED, number(hosted, "entries")?);
        image[header::SEED..][..8].copy_from_slice(&seed.to_le_bytes());
        put32(image, header::OPTIONS, self.options);
        for (at, (offset, count)) in (header::SECTIONS..).step_by(8).zip(extents) {
            put32(image, at, number(*offset, "octets")?);
            put32(image, at + 4, number(*count, "octets")?);
        }
        let digest: [u8; 32] = Sha256::digest(&image[header::SEED..]).into();
        image[header::GENERATION..][..8].copy_from_slice(&digest[..8]);
        let checksum = crc32(&image[CHECKED_FROM..]);
        put32(image, header::CHECKSUM, checksum);
        Ok(())
    }

    /// A record for `head` with the validators of `variant`.
    fn record(&mut self, head: &[u8], variant: &Prepared) -> Result<ResponseRecord, WriteError> {
        let parsed = Head::parse(head).map_err(|at| WriteError::Head { at })?;
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = flag(variant.last_modified.is_some(), ResponseRecord::HAS_LAST_MODIFIED)
            | flag(variant.closes, ResponseRecord::CLOSES);
        Ok(ResponseRecord {
            status: parsed.status,
            coding: octet_of_coding(variant.coding),
            flags,
            head: self.intern(head)?,
            date: number(parsed.date.map_or(0, |(at, _)| at), "octets")?,
            not_modified: NONE,
            partial: NONE,
            body: Span::default(),
            entity_tag: self.intern(parsed.entity_tag.unwrap_or(&[]))?,
            last_modified: variant.last_modified.unwrap_or(0),
        })
    }

    fn push(&mut self, record: ResponseRecord, body: Option<Body>) -> Result<u32, WriteError> {
        let index = number(self.responses.len(), "responses")?;
        self.responses.push(record);
        self.response_bodies.push(body);
        Ok(index)
    }

    fn intern(&mut self, string: &[u8]) -> Result<Span, WriteError> {
        if let Some(span) = self.span_of_string.get(string) {
            return Ok(*span);
        }
        let span = self.append(string)?;
        self.span_of_string.insert(string.to_vec(), span);
        Ok(span)
    }

    fn append(&mut self, string: &[u8]) -> Result<Span, WriteError> {
        let offset = number(self.strings.len(), "octets")?;
        let length = number(string.len(), "octets")?;
        self.strings.extend_from_slice(string);
        Ok(Span { offset, length })
    }
}

/// Why a draft did not become an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// More of this than the limits or the format allow.
    Full(&'static str),
    /// A head is malformed at this octet.
    Head {
        /// Offset in the head.
        at: usize,
    },
    /// Two entries have the same host and path.
    EqualKeys,
    /// The image would have broken this rule.
    Invalid(Invalid),
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full(what) => write!(f, "too many {what} for one image"),
            Self::Head { at } => write!(f, "a prepared head is malformed at octet {at}"),
            Self::EqualKeys => f.write_str("two entries have the same host and path"),
            Self::Invalid(invalid) => write!(f, "not a valid image: {invalid}"),
        }
    }
}

impl std::error::Error for WriteError {}

/// Where each body goes, and the end of the last one: the short ones first, packed, then the long
/// ones on pages of their own.
fn place_bodies(bodies: &[Vec<u8>], start: usize) -> (Vec<usize>, usize) {
    let mut places = vec![0; bodies.len()];
    let mut end = start;
    for (align, long) in [(PACKED_ALIGN, false), (PAGE_BYTES, true)] {
        for (place, body) in places.iter_mut().zip(bodies) {
            if (body.len() > PACKED_BYTES_MAX) == long && !body.is_empty() {
                *place = end.next_multiple_of(align);
                end = *place + body.len();
            }
        }
    }
    (places, end)
}

/// Offset in the image of a string of the section that starts at `strings`.
fn moved(span: Span, strings: u32) -> u32 {
    if span.length == 0 { 0 } else { span.offset.saturating_add(strings) }
}

fn number(value: usize, what: &'static str) -> Result<u32, WriteError> {
    u32::try_from(value).ok().filter(|value| *value != NONE).ok_or(WriteError::Full(what))
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// The low half of `value`: what is stored in 16 bits was bounded when the draft took it in.
fn put16(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes()[..2]);
}
