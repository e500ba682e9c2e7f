//! Fields one behind the other in a buffer.
use crate::ABI_VERSION;

/// Puts fields into a buffer; remembers when one did not fit.
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
    is_short: bool,
}

impl<'b> Writer<'b> {
    /// At the start of `buffer`.
    pub fn new(buffer: &'b mut [u8]) -> Writer<'b> {
        Writer { buffer, at: 0, is_short: false }
    }

    /// Octets put; `None` when they did not fit.
    pub fn written(&self) -> Option<usize> {
        (!self.is_short).then_some(self.at)
    }

    /// Octets as they are.
    #[inline(never)] // an image of a driver is small
    pub fn octets(&mut self, octets: &[u8]) {
        let end = self.at.saturating_add(octets.len());
        match self.buffer.get_mut(self.at..end) {
            Some(place) if !self.is_short => {
                place.copy_from_slice(octets);
                self.at = end;
            }
            _ => self.is_short = true,
        }
    }

    /// One octet.
    pub fn u8(&mut self, value: u8) {
        self.octets(&[value]);
    }

    /// Two octets.
    pub fn u16(&mut self, value: u16) {
        self.octets(&value.to_le_bytes());
    }

    /// Four octets.
    pub fn u32(&mut self, value: u32) {
        self.octets(&value.to_le_bytes());
    }

    /// Eight octets.
    pub fn u64(&mut self, value: u64) {
        self.octets(&value.to_le_bytes());
    }
}

/// Takes fields out of a buffer; each is `None` where octets are missing.
#[derive(Clone, Copy)]
pub struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// At the start of `buffer`.
    pub fn new(buffer: &'b [u8]) -> Reader<'b> {
        Reader(buffer)
    }

    /// What was not taken.
    pub fn rest(&self) -> &'b [u8] {
        self.0
    }

    /// So many octets as they are.
    #[inline(never)]
    pub fn octets(&mut self, count: usize) -> Option<&'b [u8]> {
        let (octets, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(octets)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (octets, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*octets)
    }

    /// One octet.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Two octets.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four octets.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight octets.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

/// What goes over the wire.
pub trait Record: Sized {
    /// Puts its fields.
    fn put(&self, out: &mut Writer<'_>);

    /// Takes its fields; `None` when they are malformed.
    fn take(input: &mut Reader<'_>) -> Option<Self>;
}

/// The version and the record; octets written, `None` when `output` is too small.
pub fn encode<R: Record>(record: &R, output: &mut [u8]) -> Option<usize> {
    let mut out = Writer::new(output);
    out.u32(ABI_VERSION);
    record.put(&mut out);
    out.written()
}

/// Reads what [`encode`] wrote; `None` when it is malformed, of another version, or longer.
pub fn decode<R: Record>(input: &[u8]) -> Option<R> {
    let mut input = Reader::new(input);
    input.u32().filter(|version| *version == ABI_VERSION)?;
    let record = R::take(&mut input)?;
    input.rest().is_empty().then_some(record)
}
