//! What an image may hold at most: by its format, and by the owner of the memory it lies in.

use http1::Status;

/// Statuses that every image must have a prepared response for.
pub(crate) const REQUIRED_ERRORS: [Status; Status::ERRORS.len()] = Status::ERRORS;

/// Longest canonical path an entry can have, in octets.
pub const PATH_BYTES_MAX: usize = 1024;
/// Longest host an entry can name, in octets: the longest name DNS has.
pub const HOST_BYTES_MAX: usize = 255;
/// Longest prepared head, in octets, without the end that the sender appends.
pub const HEAD_BYTES_MAX: usize = 4096;
/// Longest name of a health endpoint, in octets.
pub const HEALTH_NAME_BYTES_MAX: usize = 64;
/// Names of health endpoints that one image can have; any number of entries may share a name.
pub const HEALTH_NAMES_MAX: usize = 64;
/// States of a health endpoint, with a response each: up, drain, down.
pub const HEALTH_STATES: usize = 3;

/// Bounds set by whoever provides the memory. An image beyond one of them is refused whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the whole image. The format itself ends at 4 GiB - 1: its offsets have 32 bits.
    pub image_bytes_max: usize,
    /// Octets of one body.
    pub response_bytes_max: usize,
    /// Entries, that is (host, path) pairs.
    pub entries_max: usize,
}

impl Limits {
    /// 1 GiB of image, 64 MiB of body, 2^20 entries.
    pub const DEFAULT: Self =
        Self { image_bytes_max: 1 << 30, response_bytes_max: 64 << 20, entries_max: 1 << 20 };
    /// The same without a bound for one body: how long a response may be is up to who packs, and
    /// whoever serves the image has all of it in memory anyway.
    pub const SERVED: Self =
        Self { response_bytes_max: Self::DEFAULT.image_bytes_max, ..Self::DEFAULT };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
