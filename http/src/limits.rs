//! The bounds of one request.

/// The largest number of field lines in a request head; one more is answered with 431.
pub const FIELD_LINES_MAX: usize = 64;

/// How much of a request is accepted. Every bound is inclusive and is compared with positions in
/// the octet stream, never with the size of what one call presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a head, from the method to the empty line that ends it, both included: 431.
    pub head_bytes_max: usize,
    /// Octets of a request-target: 414.
    pub target_bytes_max: usize,
    /// Octets of a field line without its CRLF: 431.
    pub field_line_bytes_max: usize,
    /// Octets of content (without chunk framing): 413. Content is discarded, never kept.
    pub content_bytes_max: u64,
}

impl Limits {
    /// What a caller gets who does not choose.
    pub const DEFAULT: Limits = Limits {
        head_bytes_max: 16 * 1024,
        target_bytes_max: 8 * 1024,
        field_line_bytes_max: 8 * 1024,
        content_bytes_max: 1024 * 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
