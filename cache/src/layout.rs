//! Where everything stands in an image: the header, the sections, the records.

use core::fmt;

use http1::Coding;

/// First octets of an image. A copy that was treated as text changes them.
pub(crate) const MAGIC: [u8; 8] = *b"\x89SITE\r\n\x1A";
/// The one version of the format that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 3;
/// Octets of the header; the first section starts at or after it.
pub(crate) const HEADER_BYTES: usize = 128;
/// Everything from here on is under the checksum.
pub(crate) const CHECKED_FROM: usize = 16;
/// Octets of one entry record.
pub(crate) const ENTRY_BYTES: usize = 32;
/// Octets of one response record.
pub(crate) const RESPONSE_BYTES: usize = 48;
/// Octets of one record of the error table.
pub(crate) const ERROR_BYTES: usize = 8;
/// Octets of one displacement or slot.
pub(crate) const WORD_BYTES: usize = 4;
/// A slot, a link or an index that leads nowhere.
pub(crate) const NONE: u32 = u32::MAX;
/// Bodies longer than this start on a page of their own.
pub(crate) const PACKED_BYTES_MAX: usize = 2048;
/// Alignment of a body with a page of its own.
pub(crate) const PAGE_BYTES: usize = 4096;
/// Alignment of every other body, and of every section.
pub(crate) const PACKED_ALIGN: usize = 16;

/// Offsets of the fields of the header.
pub(crate) mod header {
    pub(crate) const VERSION: usize = 8;
    pub(crate) const CHECKSUM: usize = 12;
    pub(crate) const TOTAL: usize = 16;
    pub(crate) const HOSTED: usize = 20;
    pub(crate) const GENERATION: usize = 24;
    pub(crate) const SEED: usize = 32;
    pub(crate) const OPTIONS: usize = 40;
    pub(crate) const RESERVED_WORD: usize = 44;
    pub(crate) const SECTIONS: usize = 48;
    pub(crate) const RESERVED: usize = 104;
}

/// The sections, in the order in which they stand in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// One displacement per bucket, 4 octets each; their count is a power of two.
    Displacements,
    /// One entry index per slot, 4 octets each; their count is a power of two.
    Slots,
    /// One record of 32 octets per (host, path).
    Entries,
    /// One record of 48 octets per prepared response.
    Responses,
    /// One record of 8 octets per error status, ascending.
    Errors,
    /// Paths, hosts, names, entity tags and heads; counted in octets.
    Strings,
    /// Bodies; counted in octets.
    Bodies,
}

impl Section {
    /// All sections in their order.
    pub(crate) const ALL: [Self; 7] = [
        Self::Displacements,
        Self::Slots,
        Self::Entries,
        Self::Responses,
        Self::Errors,
        Self::Strings,
        Self::Bodies,
    ];

    /// Octets of one item.
    pub(crate) const fn item_bytes(self) -> usize {
        match self {
            Self::Displacements | Self::Slots => WORD_BYTES,
            Self::Entries => ENTRY_BYTES,
            Self::Responses => RESPONSE_BYTES,
            Self::Errors => ERROR_BYTES,
            Self::Strings | Self::Bodies => 1,
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Displacements => "displacements",
            Self::Slots => "slots",
            Self::Entries => "entries",
            Self::Responses => "responses",
            Self::Errors => "errors",
            Self::Strings => "strings",
            Self::Bodies => "bodies",
        })
    }
}

/// Where a section stands: `offset` in octets from the start of the image, `count` in items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: usize,
    pub(crate) count: usize,
}

impl Extent {
    /// Offset of item `index`, or nothing if the section has no such item. Of a section that was
    /// validated no offset wraps; of another one the offset is wrong, and checked where it is used.
    #[inline]
    pub(crate) fn item(self, index: u32, item_bytes: usize) -> Option<usize> {
        let index = widen(index);
        if index >= self.count {
            return None;
        }
        Some(index.wrapping_mul(item_bytes).wrapping_add(self.offset))
    }
}

/// Proof that a byte string was validated as an image, and where its sections are.
///
/// Having one tells you that the very bytes given to [`Layout::validate`] form a complete image:
/// every offset, length and index in them stays inside, every entry is found by its own key,
/// every head is well formed and agrees with its body. Used with other bytes it is merely
/// useless: all accessors of [`Site`](crate::Site) stay total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(crate) displacements: Extent,
    pub(crate) slots: Extent,
    pub(crate) entries: Extent,
    pub(crate) responses: Extent,
    pub(crate) errors: Extent,
    pub(crate) bucket_mask: u32,
    pub(crate) slot_mask: u32,
    pub(crate) seed: u64,
    pub(crate) generation: u64,
    pub(crate) hosted: u32,
    pub(crate) options: u32,
    pub(crate) total: usize,
}

impl Layout {
    /// Number of entries, that is of (host, path) pairs.
    pub const fn entries(&self) -> usize {
        self.entries.count
    }

    /// Octets of the whole image.
    pub const fn total_bytes(&self) -> usize {
        self.total
    }
}

/// A string or a body: `offset` from the start of the image, both in octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

impl Span {
    /// The octets meant, or none if they are not all there.
    #[inline]
    pub(crate) fn of(self, image: &[u8]) -> &[u8] {
        let start = widen(self.offset);
        let end = start.wrapping_add(widen(self.length));
        image.get(start..end).unwrap_or(&[])
    }
}

/// One (host, path) and what answers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntryRecord {
    pub(crate) path: Span,
    pub(crate) host: Span,
    pub(crate) health: Span,
    /// First of so many consecutive responses: of `variants`, or of a health endpoint's states.
    pub(crate) response: u32,
    /// 0 for a health endpoint.
    pub(crate) variants: u8,
    /// Number of the health endpoint's name, from 1; 0 = not one.
    pub(crate) health_number: u8,
}

impl EntryRecord {
    #[inline]
    pub(crate) fn read(record: &[u8; ENTRY_BYTES]) -> Self {
        Self {
            path: Span { offset: u32_at(record, 0), length: u32::from(u16_at(record, 4)) },
            host: Span { offset: u32_at(record, 8), length: u32::from(u16_at(record, 6)) },
            health: Span { offset: u32_at(record, 12), length: u32::from(u16_at(record, 16)) },
            response: u32_at(record, 20),
            variants: u8_at(record, 18),
            health_number: u8_at(record, 19),
        }
    }

    /// What must be zero in a record of this version.
    pub(crate) fn reserved(record: &[u8; ENTRY_BYTES]) -> u64 {
        u64_at(record, 24)
    }
}

/// One prepared response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResponseRecord {
    pub(crate) status: u16,
    pub(crate) coding: u8,
    pub(crate) flags: u8,
    pub(crate) head: Span,
    /// Offset of the date in the head; 0 = the head has none.
    pub(crate) date: u32,
    /// Index of the 304 that belongs to this response, or [`NONE`].
    pub(crate) not_modified: u32,
    pub(crate) body: Span,
    pub(crate) entity_tag: Span,
    /// Index of the 206 that belongs to this response, or [`NONE`].
    pub(crate) partial: u32,
    pub(crate) last_modified: u64,
}

impl ResponseRecord {
    /// `last_modified` means something.
    pub(crate) const HAS_LAST_MODIFIED: u8 = 1;
    /// The connection ends behind it.
    pub(crate) const CLOSES: u8 = 2;

    #[inline]
    pub(crate) fn read(record: &[u8; RESPONSE_BYTES]) -> Self {
        Self {
            status: u16_at(record, 0),
            coding: u8_at(record, 2),
            flags: u8_at(record, 3),
            head: Span { offset: u32_at(record, 4), length: u32_at(record, 8) },
            date: u32_at(record, 12),
            not_modified: u32_at(record, 16),
            body: Span { offset: u32_at(record, 20), length: u32_at(record, 24) },
            entity_tag: Span { offset: u32_at(record, 28), length: u32::from(u16_at(record, 32)) },
            partial: u32_at(record, 36),
            last_modified: u64_at(record, 40),
        }
    }

    /// What must be zero in a record of this version.
    pub(crate) fn reserved(record: &[u8; RESPONSE_BYTES]) -> u16 {
        u16_at(record, 34)
    }
}

/// Number of a coding in a response record.
#[cfg(feature = "std")]
pub(crate) const fn octet_of_coding(coding: Coding) -> u8 {
    match coding {
        Coding::Identity => 0,
        Coding::Gzip => 1,
        Coding::Br => 2,
    }
}

/// The coding with this number.
pub(crate) const fn coding_of_octet(octet: u8) -> Option<Coding> {
    match octet {
        0 => Some(Coding::Identity),
        1 => Some(Coding::Gzip),
        2 => Some(Coding::Br),
        _ => None,
    }
}

/// Little-endian number at `at`, 0 if it is not all there; folds to one load when both the length
/// and `at` are known.
#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    chunk_at(bytes, at).map_or(0, u64::from_le_bytes)
}

/// As [`u64_at`], with 32 bits.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    chunk_at(bytes, at).map_or(0, u32::from_le_bytes)
}

/// As [`u64_at`], with 16 bits.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    chunk_at(bytes, at).map_or(0, u16::from_le_bytes)
}

#[inline]
fn u8_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

/// `N` octets at `at`, if they are all there.
#[inline]
pub(crate) fn chunk_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.first_chunk().copied()
}

const _: () = assert!(usize::BITS >= 32, "offsets of an image do not fit an address here");

/// An offset or length of the format as one of this machine.
#[allow(clippy::as_conversions, reason = "not lossy: asserted above")]
#[inline]
pub(crate) const fn widen(value: u32) -> usize {
    value as usize
}
