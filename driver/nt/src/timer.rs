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

#[cfg(test)]
mod tests {
    use core::cell::Cell;
    use core::ffi::c_char;

    use nt_sys::ke::KDEFERRED_ROUTINE;
    use nt_sys::ntdef::BOOLEAN;

    use super::*;

    extern crate std;

    std::thread_local! {
        /// When the timer that was set last is due, and its period.
        static SET: Cell<(i64, i32)> = const { Cell::new((0, 0)) };
    }

    // What stands in for the kernel; its pool is that of the tests of `random`.
    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn KeSetTimerEx(
            _timer: *mut KTIMER, due: LARGE_INTEGER, period: i32, _dpc: *mut KDPC,
        ) -> BOOLEAN {
            // SAFETY: every bit pattern of the union is an i64.
            SET.set((unsafe { due.QuadPart }, period));
            0
        }
    }

    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn KeInitializeTimer(_timer: *mut KTIMER) {}
    }

    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn KeInitializeDpc(_dpc: *mut KDPC, _routine: KDEFERRED_ROUTINE, _context: PVOID) {}
    }

    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn KeCancelTimer(_timer: *mut KTIMER) -> BOOLEAN {
            1
        }
    }

    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn KeFlushQueuedDpcs() {}
    }

    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn DbgPrint(_format: *const c_char, _line: *const c_char) -> u32 {
            0
        }
    }

    kernel_fn! {
        #[unsafe(no_mangle)]
        unsafe fn KeBugCheckEx(_code: u32, _a: usize, _b: usize, _c: usize, _d: usize) -> ! {
            std::process::abort()
        }
    }

    struct Nothing;

    impl TimerRoutine for Nothing {
        fn expire(&self) {}
    }

    #[test]
    fn the_first_call_is_a_period_away() {
        // SAFETY: there are no levels here.
        let passive = unsafe { Passive::mint() };
        for (asked, due, period) in [(125, -1_250_000, 125), (0, -10_000, 1)] {
            let routine = PoolArc::new(Tag::Object, Nothing).unwrap();
            Timer::start(asked, routine).unwrap().stop(&passive);
            assert_eq!(SET.get(), (due, period), "{asked}");
        }
    }
}
