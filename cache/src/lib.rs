//! The site image: one flat file that answers a whole site out of memory that does not move.
//!
//! An image is made in user mode ([`build`], behind the feature `std`), handed over as bytes,
//! validated once by [`Layout::validate`], a total function over arbitrary bytes, and from then on
//! asked through [`Site`]: a lookup by (host, path) in constant time, prepared heads, bodies whose
//! offsets are known. `README.md` beside this crate has the format field by field.
//!
//! Nothing outside the builder allocates, panics or does input or output.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]

#[cfg(feature = "std")]
pub mod build;
mod checksum;
mod hash;
mod head;
mod invalid;
mod layout;
mod limits;
mod site;
mod validate;

pub use checksum::crc32;
pub use http1::Coding;
pub use invalid::Invalid;
pub use layout::{FORMAT_VERSION, Layout, Section};
pub use limits::{
    HEAD_BYTES_MAX, HEALTH_NAME_BYTES_MAX, HEALTH_NAMES_MAX, HEALTH_STATES, HOST_BYTES_MAX, Limits,
    PATH_BYTES_MAX,
};
pub use site::{Entry, Prepared, Response, Site};
