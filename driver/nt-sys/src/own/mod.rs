//! The declarations written here, from the documentation of Windows: what the driver uses off
//! Windows, what the host defines, and what the WDK's are compared with.
//!
//! Layouts are those of 64-bit Windows 10 and later; every size and offset that code depends on is
//! asserted at compile time next to its declaration.

// On Windows the types are here to be compared and looked into; the functions are the WDK's.
#![cfg_attr(
    windows,
    allow(clippy::upper_case_acronyms, dead_code, unused_imports, unreachable_pub)
)]

pub(crate) mod etw;
pub(crate) mod ex;
pub(crate) mod io;
pub(crate) mod ke;
pub(crate) mod mm;
pub(crate) mod ntdef;
pub(crate) mod ps;
pub(crate) mod zw;
