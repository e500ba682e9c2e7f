//! System time.
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
