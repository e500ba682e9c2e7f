//! Lists that are read in parts.
use crate::ABI_VERSION;
use crate::wire::{Reader, Record, Writer};

/// Where to read on. Positions count from 0; those of rings never repeat while the driver is
/// loaded, and grow by one with each item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Since(pub u64);

impl Record for Since {
    fn put(&self, out: &mut Writer<'_>) {
        out.u64(self.0);
    }

    fn take(input: &mut Reader<'_>) -> Option<Since> {
        input.u64().map(Since)
    }
}

/// Octets before the items: version, count, position of the first item not in the list, items lost
/// before the first one in it.
const HEAD_BYTES: usize = 4 + 4 + 8 + 8;

/// Puts items into a buffer until it is full.
pub struct ListWriter<'b> {
    buffer: &'b mut [u8],
    at: usize,
    count: u32,
}

impl<'b> ListWriter<'b> {
    /// An empty list in `buffer`; `None` when that is too small even for this.
    pub fn new(buffer: &'b mut [u8]) -> Option<ListWriter<'b>> {
        (buffer.len() >= HEAD_BYTES).then_some(ListWriter { buffer, at: HEAD_BYTES, count: 0 })
    }

    /// Adds an item; false when there is no room for it.
    pub fn push<R: Record>(&mut self, record: &R) -> bool {
        let mut out = Writer::new(self.buffer.get_mut(self.at..).unwrap_or_default());
        record.put(&mut out);
        let Some(octets) = out.written() else { return false };
        self.at = self.at.saturating_add(octets);
        self.count = self.count.saturating_add(1);
        true
    }

    /// Adds an item that is encoded already.
    pub fn push_octets(&mut self, octets: &[u8]) -> bool {
        let end = self.at.saturating_add(octets.len());
        let Some(place) = self.buffer.get_mut(self.at..end) else { return false };
        place.copy_from_slice(octets);
        self.at = end;
        self.count = self.count.saturating_add(1);
        true
    }

    /// Writes the head: `next` is where to read on, `lost` how many items between the position that
    /// was asked for and the first one here are gone. Octets of all.
    pub fn finish(self, next: u64, lost: u64) -> usize {
        let ListWriter { buffer, at, count } = self;
        let mut head = Writer::new(buffer);
        head.u32(ABI_VERSION);
        head.u32(count);
        head.u64(next);
        head.u64(lost);
        at
    }
}

/// A part of a list, as it was read.
#[derive(Clone, Copy)]
pub struct List<'b> {
    /// Where to read on; where that is what was asked for, there is no more now.
    pub next: Since,
    /// Items before the first one here that are gone.
    pub lost: u64,
    count: u32,
    items: Reader<'b>,
}

impl<'b> List<'b> {
    /// Reads the head; `None` when it is malformed or of another version.
    pub fn new(input: &'b [u8]) -> Option<List<'b>> {
        let mut items = Reader::new(input);
        items.u32().filter(|version| *version == ABI_VERSION)?;
        let count = items.u32()?;
        let next = Since(items.u64()?);
        Some(List { next, lost: items.u64()?, count, items })
    }

    /// The items, in order; ends with `None` in `Some` where one is malformed.
    pub fn items<R: Record>(self) -> impl Iterator<Item = Option<R>> + use<'b, R> {
        let mut rest = self.items;
        (0..self.count).map(move |_| R::take(&mut rest))
    }
}
