//! Periodic timers with their DPC.
use core::cell::UnsafeCell;

use nt_sys::ke::{self, KDPC, KTIMER};
use nt_sys::kernel_fn;
use nt_sys::ntdef::{LARGE_INTEGER, PVOID};

use crate::pool::{PoolBox, Tag};
use crate::{Passive, PoolArc, Result, bug_check};

/// What a timer calls.
pub trait TimerRoutine: Send + Sync {
    /// Runs at DISPATCH_LEVEL, one call at a time, on any processor.
    fn expire(&self);
}

struct Parts<R> {
    timer: UnsafeCell<KTIMER>,
    dpc: UnsafeCell<KDPC>,
    routine: PoolArc<R>,
}

/// A running periodic timer.
///
/// T1: KTIMER and KDPC stay in their pool block. T2: the block lives until [`Timer::stop`], which
/// cancels (always true for a periodic timer, so no expiry follows) and then flushes queued DPCs.
pub struct Timer<R: TimerRoutine> {
    parts: Option<PoolBox<Parts<R>>>,
}

// SAFETY: timer and DPC are synchronised by the kernel; only their addresses are used (T1).
unsafe impl<R: TimerRoutine> Send for Timer<R> {}
// SAFETY: as above.
unsafe impl<R: TimerRoutine> Sync for Timer<R> {}

impl<R: TimerRoutine> Timer<R> {
    /// Starts calling `routine` every `period_ms` milliseconds (at least 1).
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn start(period_ms: u32, routine: PoolArc<R>) -> Result<Timer<R>> {
        let parts = PoolBox::new(
            Tag::Object,
            Parts {
                // SAFETY: plain data; initialised below.
                timer: unsafe { core::mem::zeroed() },
                // SAFETY: plain data; initialised below.
                dpc: unsafe { core::mem::zeroed() },
                routine,
            },
        )?;
        let context: PVOID = parts.as_ptr().cast();
        // SAFETY: T1.
        unsafe { ke::KeInitializeTimer(parts.timer.get()) };
        // SAFETY: T1; the context lives until no DPC can run (T2).
        unsafe { ke::KeInitializeDpc(parts.dpc.get(), Some(expire::<R>), context) };
        let period = i32::try_from(period_ms.max(1)).unwrap_or(i32::MAX);
        let due = LARGE_INTEGER { QuadPart: -i64::from(period) * 10_000 };
        // SAFETY: T1; both objects are initialised.
        unsafe { ke::KeSetTimerEx(parts.timer.get(), due, period, parts.dpc.get()) };
        Ok(Timer { parts: Some(parts) })
    }

    /// Stops the timer; no call runs or will run when it returns.
    pub fn stop(mut self, _passive: &Passive) {
        if let Some(parts) = self.parts.take() {
            // SAFETY: T1.
            unsafe { ke::KeCancelTimer(parts.timer.get()) };
            // SAFETY: PASSIVE_LEVEL; afterwards the DPC is neither queued nor running (T2).
            unsafe { ke::KeFlushQueuedDpcs() };
        }
    }
}

impl<R: TimerRoutine> Drop for Timer<R> {
    fn drop(&mut self) {
        if self.parts.is_some() {
            bug_check("timer stopped, not dropped", 0);
        }
    }
}

kernel_fn! {
    unsafe fn expire<R: TimerRoutine>(_dpc: *mut KDPC, context: PVOID, _a: PVOID, _b: PVOID) {
        // SAFETY: T2: the block outlives the last DPC; shared access only.
        let parts = unsafe { &*context.cast::<Parts<R>>() };
        parts.routine.expire();
    }
}
