//! Why bytes are no image.

use core::fmt;

use crate::layout::{FORMAT_VERSION, Section};

/// Why bytes are no image. `at` is an offset in octets from their start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// Shorter or longer than the image says it is, or than any image.
    Length {
        /// Octets there are.
        found: usize,
        /// Octets there should be.
        expected: usize,
    },
    /// Does not start like an image.
    Magic,
    /// Another version of the format.
    Version {
        /// The version in the image.
        found: u32,
    },
    /// The octets are not those that were written.
    Checksum {
        /// Computed over the octets.
        found: u32,
        /// Stored in the image.
        expected: u32,
    },
    /// Octets that must be zero in this version are not.
    Reserved {
        /// Where.
        at: usize,
    },
    /// A section overlaps its neighbour, ends outside, or is not aligned.
    Section {
        /// Which.
        section: Section,
        /// Offset of its description in the header.
        at: usize,
    },
    /// The displacement or slot table has an impossible size.
    Table {
        /// Which.
        section: Section,
        /// Items in it.
        count: usize,
    },
    /// More than [`Limits`](crate::Limits) allow.
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much of it there is.
        found: usize,
        /// How much of it may be.
        max: usize,
    },
    /// A field of a record does not hold.
    Record {
        /// Whose record, and which rule.
        rule: &'static str,
        /// Offset of the record.
        at: usize,
    },
    /// A prepared head is malformed.
    Head {
        /// Offset of the line.
        at: usize,
    },
    /// A status that must have a prepared error response has none.
    MissingError {
        /// Which.
        status: u16,
    },
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { found, expected } => {
                write!(f, "{found} octets where there should be {expected}")
            }
            Self::Magic => f.write_str("not a site image (first 8 octets)"),
            Self::Version { found } => {
                write!(f, "format version {found}; this is for version {FORMAT_VERSION}")
            }
            Self::Checksum { found, expected } => {
                write!(f, "checksum {found:08x} where {expected:08x} was written")
            }
            Self::Reserved { at } => write!(f, "reserved octets in use at {at}"),
            Self::Section { section, at } => {
                write!(f, "section of {section} out of place, described at {at}")
            }
            Self::Table { section, count } => {
                write!(f, "table of {section} cannot have {count} items")
            }
            Self::TooMuch { what, found, max } => {
                write!(f, "{found} {what}, at most {max} allowed")
            }
            Self::Record { rule, at } => write!(f, "{rule}, record at {at}"),
            Self::Head { at } => write!(f, "malformed line in a prepared head at {at}"),
            Self::MissingError { status } => write!(f, "no response for status {status}"),
        }
    }
}

impl core::error::Error for Invalid {}
