//! Event tracing (`Etw*`). On Windows the driver has these names from the crate `tracelogging`.
pub use crate::own::etw::*;
