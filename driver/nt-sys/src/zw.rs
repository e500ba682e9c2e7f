//! Registry and files (`Zw*`), all at PASSIVE_LEVEL.
pub use crate::declared::zw::*;
