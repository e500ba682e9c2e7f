//! Threads and object references (`Ps*`, `Ob*`).
pub use crate::declared::ps::*;
