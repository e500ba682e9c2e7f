//! Lookup and the accessors of a validated image.

use http1::{Coding, Weights};

use crate::hash;
use crate::layout::{
    ENTRY_BYTES, ERROR_BYTES, EntryRecord, Layout, RESPONSE_BYTES, ResponseRecord, WORD_BYTES,
    chunk_at, coding_of_octet, u16_at, u32_at, widen,
};
use crate::limits::{HEALTH_STATES, PATH_BYTES_MAX};

/// One (host, path) of an image: an index, free to be kept. It means something to the image it
/// came from only; asked about another one, every accessor still answers, with something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry(pub(crate) u32);

/// One prepared response of an image: an index, with the same rule as [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Response(pub(crate) u32);

/// What a sender needs of a response; each part is that of the accessor of its name of [`Site`].
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'i> {
    /// Status line and field lines.
    pub head: &'i [u8],
    /// Where the Date value stands in it; 0 = there is none.
    pub date_offset: usize,
    /// The content.
    pub body: &'i [u8],
    /// Where it starts in the image.
    pub body_offset: usize,
    /// Status code.
    pub status: u16,
}

#[inline(never)]
pub(crate) fn find_hosted(site: Site<'_>, host: &[u8], path: &[u8]) -> Option<Entry> {
    site.find(host, path).map(|(entry, _)| entry)
}

/// An image that can be asked. Cheap to make and to copy.
#[derive(Clone, Copy, Debug)]
pub struct Site<'i> {
    image: &'i [u8],
    layout: &'i Layout,
}

impl<'i> Site<'i> {
    /// Views `image`, which `layout` was validated from. Never fails; with other bytes than the
    /// validated ones the answers are empty or wrong, but never out of bounds.
    #[inline]
    pub const fn new(image: &'i [u8], layout: &'i Layout) -> Self {
        Self { image, layout }
    }

    /// Identifies the content: equal for equal sites, different for different ones.
    pub const fn generation(&self) -> u64 {
        self.layout.generation
    }

    /// The layout this view was made with.
    pub const fn layout(&self) -> &'i Layout {
        self.layout
    }

    /// The entry that answers `path` (canonical: decoded, without dot segments) on `host` (without
    /// a port, in any case of letters). An entry of that very host goes before one of any host.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    pub fn lookup(&self, host: &[u8], path: &[u8]) -> Option<Entry> {
        self.lookup_record(host, path).map(|(entry, _)| entry)
    }

    /// Variant 0 of the entry that answers: [`Site::lookup`] and [`Site::response`] in one step.
    /// Nothing of a health endpoint.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    pub fn lookup_response(&self, host: &[u8], path: &[u8]) -> Option<Response> {
        let (_, record) = self.lookup_record(host, path)?;
        (record.variants > 0).then_some(Response(record.response))
    }

    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    fn lookup_record(&self, host: &[u8], path: &[u8]) -> Option<(Entry, EntryRecord)> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        if self.layout.hosted != 0
            && !host.is_empty()
            && let Some(entry) = find_hosted(*self, host, path)
        {
            return Some((entry, self.entry_record(entry)?));
        }
        self.find(b"", path)
    }

    /// The entry of exactly this host (empty = any host) and path.
    #[allow(clippy::inline_always, reason = "without a host, what is there for one folds away")]
    #[inline(always)]
    pub(crate) fn find(&self, host: &[u8], path: &[u8]) -> Option<(Entry, EntryRecord)> {
        let layout = self.layout;
        let hash = hash::key(layout.seed, host, path);
        let bucket = hash::bucket(hash, layout.bucket_mask);
        let displacement = self.word(layout.displacements.item(bucket, WORD_BYTES)?);
        let slot = hash::slot(hash, displacement, layout.slot_mask);
        let entry = Entry(self.word(layout.slots.item(slot, WORD_BYTES)?));
        let record = self.entry_record(entry)?;
        let same_host = if host.is_empty() {
            record.host.length == 0
        } else {
            record.host.of(self.image).eq_ignore_ascii_case(host)
        };
        (same_host && record.path.of(self.image) == path).then_some((entry, record))
    }

    /// All entries, in the order of the image.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + use<> {
        (0..u32::try_from(self.layout.entries.count).unwrap_or(u32::MAX)).map(Entry)
    }

    /// Canonical path of an entry.
    pub fn path(&self, entry: Entry) -> &'i [u8] {
        self.entry_record(entry).map_or(&[], |record| record.path.of(self.image))
    }

    /// Host of an entry in lower case; empty = any host.
    pub fn host(&self, entry: Entry) -> &'i [u8] {
        self.entry_record(entry).map_or(&[], |record| record.host.of(self.image))
    }

    /// Name of the health endpoint this entry is, or nothing if it is not one.
    pub fn health_name(&self, entry: Entry) -> Option<&'i [u8]> {
        let name = self.entry_record(entry)?.health.of(self.image);
        (!name.is_empty()).then_some(name)
    }

    /// Number of an entry's health name in this image, below
    /// [`HEALTH_NAMES_MAX`](crate::HEALTH_NAMES_MAX); nothing if it is not a health endpoint.
    pub fn health_number(&self, entry: Entry) -> Option<usize> {
        usize::from(self.entry_record(entry)?.health_number).checked_sub(1)
    }

    /// What a health endpoint answers in a state: 0 = up, 1 = drain, 2 = down.
    pub fn health_response(&self, entry: Entry, state: usize) -> Option<Response> {
        let record = self.entry_record(entry)?;
        if record.health_number == 0 || state >= HEALTH_STATES {
            return None;
        }
        self.nth(record.response, state)
    }

    /// True when the connection is to end behind a response of a health endpoint.
    pub fn closes(&self, response: Response) -> bool {
        self.record(response).is_some_and(|record| record.flags & ResponseRecord::CLOSES != 0)
    }

    /// How many variants an entry has: at least one, at most one for each [`Coding`]; none if it is
    /// a health endpoint, which has a response for each of its states instead.
    pub fn variants(&self, entry: Entry) -> usize {
        self.entry_record(entry).map_or(0, |record| usize::from(record.variants))
    }

    /// Variant 0 is the identity coding, the others follow in the order of [`Coding`].
    #[inline]
    pub fn response(&self, entry: Entry, variant: usize) -> Option<Response> {
        let record = self.entry_record(entry)?;
        if variant >= usize::from(record.variants) {
            return None;
        }
        self.nth(record.response, variant)
    }

    #[inline]
    pub(crate) fn nth(&self, first: u32, at: usize) -> Option<Response> {
        let response = first.checked_add(u32::try_from(at).ok()?)?;
        self.layout.responses.item(response, RESPONSE_BYTES).map(|_| Response(response))
    }

    /// The variant that `weights` want most; of equal ones the last, which is the smallest. The
    /// identity coding where all are refused: a server may disregard the field then (RFC 9110
    /// section 12.4.1).
    pub fn negotiate(&self, entry: Entry, weights: &Weights) -> Option<Response> {
        let mut best = self.response(entry, 0)?;
        let mut weight = weights.of(self.coding(best));
        for variant in 1..self.variants(entry) {
            let response = self.response(entry, variant)?;
            let other = weights.of(self.coding(response));
            if other > 0 && other >= weight {
                (best, weight) = (response, other);
            }
        }
        Some(best)
    }

    /// The prepared response for an error. A valid image has one for each status that a server
    /// sends by itself.
    pub fn error(&self, status: u16) -> Option<Response> {
        let errors = &self.layout.errors;
        let length = errors.count.checked_mul(ERROR_BYTES)?;
        let table = self.image.get(errors.offset..errors.offset.checked_add(length)?)?;
        // Some twenty records: a scan touches fewer cache lines than a search would save.
        let (records, _) = table.as_chunks::<ERROR_BYTES>();
        let record = records.iter().find(|record| u16_at(&record[..], 0) == status)?;
        Some(Response(u32_at(record, 4)))
    }

    /// The prepared answer to OPTIONS: 204 with `Allow`.
    pub const fn options(&self) -> Response {
        Response(self.layout.options)
    }

    /// Status line and field lines, each with its CRLF, without the empty line that ends a head
    /// and without any connection option: the sender appends both.
    #[inline]
    pub fn head(&self, response: Response) -> &'i [u8] {
        self.record(response).map_or(&[], |record| record.head.of(self.image))
    }

    /// All that a sender needs of a response, read at once.
    #[inline]
    pub fn prepared(&self, response: Response) -> Option<Prepared<'i>> {
        let record = self.record(response)?;
        Some(Prepared {
            head: record.head.of(self.image),
            date_offset: widen(record.date),
            body: record.body.of(self.image),
            body_offset: widen(record.body.offset),
            status: record.status,
        })
    }

    /// Where in the head the 29 octets of the Date value stand, to be stamped; 0 = there is none.
    #[inline]
    pub fn date_offset(&self, response: Response) -> usize {
        self.record(response).map_or(0, |record| widen(record.date))
    }

    /// The content that follows the head (for GET).
    #[inline]
    pub fn body(&self, response: Response) -> &'i [u8] {
        self.record(response).map_or(&[], |record| record.body.of(self.image))
    }

    /// Where the body starts, in octets from the start of the image. A multiple of 4096 for bodies
    /// longer than 2048 octets, of 16 for shorter ones; 0 for an empty body.
    #[inline]
    pub fn body_offset(&self, response: Response) -> usize {
        self.record(response).map_or(0, |record| widen(record.body.offset))
    }

    /// The prepared 304 for a response that has validators.
    #[inline]
    pub fn not_modified(&self, response: Response) -> Option<Response> {
        let index = self.record(response)?.not_modified;
        self.layout.responses.item(index, RESPONSE_BYTES).map(|_| Response(index))
    }

    /// The prepared 206 for a response that has validators: its head is without Content-Length and
    /// Content-Range, which the sender appends; the content is a part of that of `response`.
    pub fn partial(&self, response: Response) -> Option<Response> {
        let index = self.record(response)?.partial;
        self.layout.responses.item(index, RESPONSE_BYTES).map(|_| Response(index))
    }

    /// The entity tag with its quotes; empty = there is none.
    #[inline]
    pub fn entity_tag(&self, response: Response) -> &'i [u8] {
        self.record(response).map_or(&[], |record| record.entity_tag.of(self.image))
    }

    /// Seconds since 1970 of the Last-Modified field, if the head has one.
    #[inline]
    pub fn last_modified(&self, response: Response) -> Option<u64> {
        let record = self.record(response)?;
        (record.flags & ResponseRecord::HAS_LAST_MODIFIED != 0).then_some(record.last_modified)
    }

    /// Status code; 0 for a response that is not of this image.
    #[inline]
    pub fn status(&self, response: Response) -> u16 {
        self.record(response).map_or(0, |record| record.status)
    }

    /// Content coding of the body.
    #[inline]
    pub fn coding(&self, response: Response) -> Coding {
        self.record(response)
            .and_then(|record| coding_of_octet(record.coding))
            .unwrap_or(Coding::Identity)
    }

    #[inline]
    fn word(&self, at: usize) -> u32 {
        u32_at(self.image, at)
    }

    #[allow(clippy::inline_always, reason = "a record is copied otherwise, for a word of it")]
    #[inline(always)]
    pub(crate) fn entry_record(&self, entry: Entry) -> Option<EntryRecord> {
        let at = self.layout.entries.item(entry.0, ENTRY_BYTES)?;
        Some(EntryRecord::read(&chunk_at(self.image, at)?))
    }

    #[inline]
    pub(crate) fn record(&self, response: Response) -> Option<ResponseRecord> {
        let at = self.layout.responses.item(response.0, RESPONSE_BYTES)?;
        Some(ResponseRecord::read(&chunk_at(self.image, at)?))
    }
}
