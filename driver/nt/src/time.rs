//! System time, and the counter that short times are measured by.
use nt_sys::ntdef::LARGE_INTEGER;

use crate::routines;

/// 100 ns since 1601-01-01, UTC. Any IRQL.
pub fn system_ticks() -> u64 {
    let mut now = LARGE_INTEGER { QuadPart: 0 };
    if let Some(query) = routines::query_system_time() {
        // SAFETY: `now` is writable.
        unsafe { query(&raw mut now) };
    }
    // SAFETY: every bit pattern of the union is an i64.
    let ticks = unsafe { now.QuadPart };
    ticks.max(0).cast_unsigned()
}

/// The performance counter, and how many counts there are in a second. Any IRQL.
pub fn performance_counter() -> (u64, u64) {
    let mut frequency = LARGE_INTEGER { QuadPart: 0 };
    let Some(query) = routines::query_performance_counter() else {
        return (system_ticks(), 10_000_000);
    };
    // SAFETY: `frequency` is writable.
    let count = unsafe { query(&raw mut frequency) };
    // SAFETY: every bit pattern of the union is an i64.
    let count = unsafe { count.QuadPart };
    // SAFETY: as above.
    let frequency = unsafe { frequency.QuadPart };
    (count.cast_unsigned(), frequency.cast_unsigned())
}
