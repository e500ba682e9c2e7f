//! Kernel core: IRQL, locks, events, timers, DPCs, processors, time (`Ke*`).
pub use crate::declared::ke::*;
use crate::ntdef::LARGE_INTEGER;

/// `KeQuerySystemTimePrecise` and `KeQuerySystemTime`.
pub type KE_QUERY_SYSTEM_TIME = crate::callback!((*mut LARGE_INTEGER));
/// `KeQueryPerformanceCounter`.
pub type KE_QUERY_PERFORMANCE_COUNTER = crate::callback!((*mut LARGE_INTEGER) -> LARGE_INTEGER);
