//! HTTP/1.1 request parsing, framing and selection: bytes in, decisions out; no I/O, no clock.
//!
//! The map, in the order in which a request meets it:
//!
//! - [`Connection`] is the parser state of one connection. It owns no buffer: the caller presents
//!   octets and is told by a [`Step`] how many are done with and what they were.
//! - [`Request`] is one request head that may be answered: [`Method`], [`Target`], [`Version`],
//!   [`Persistence`], [`Framing`], [`Expectation`], [`Selectors`].
//! - [`Rejection`] is the [`Status`] to answer a broken request with, and the [`Reason`] to count.
//! - [`Selectors`] choose among what there is to send, in this order: [`Weights`] a content coding,
//!   [`Verdict`] between the representation, 304 and 412, [`Part`] a range of it.
//! - [`date`] reads and writes HTTP dates.
//!
//! What is accepted is a function of the octet stream alone: how the octets were split into calls
//! changes no verdict. Three moments decide. Line ends, NUL and every limit are decided at the
//! octet itself; the request line at its line feed; field lines at the end of the head.
#![no_std]
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

mod coding;
mod conditional;
mod connection;
pub mod date;
mod fields;
mod framing;
mod head;
mod limits;
mod range;
mod scan;
mod selectors;
mod status;
mod target;

pub use coding::{Coding, Weights};
pub use conditional::{Validators, Verdict};
pub use connection::{Connection, Step};
pub use fields::{Expectation, Persistence};
pub use framing::Framing;
pub use head::{Method, Request, Version};
pub use limits::{FIELD_LINES_MAX, Limits};
pub use range::{PART_FIELDS_BYTES_MAX, Part, PartFields};
pub use selectors::Selectors;
pub use status::{Reason, Rejection, Status};
pub use target::{PATH_BYTES_MAX, PathBuffer, Target};

/// The example of the README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
