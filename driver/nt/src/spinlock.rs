//! Executive spin locks.
use core::cell::UnsafeCell;

use nt_sys::ke::{self, KSPIN_LOCK};

/// A value behind a spin lock; held for a few instructions at DISPATCH_LEVEL.
///
/// S1: the value is reached only inside [`SpinLock::with`]. S2: the old IRQL lives in that call's
/// frame. S3: locks are not nested: the closure takes no other lock and calls no one.
pub struct SpinLock<T> {
    lock: UnsafeCell<KSPIN_LOCK>,
    value: UnsafeCell<T>,
}

// SAFETY: S1: one thread at a time reaches the value.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// A free lock. Moving it while nobody holds it is fine: a free KSPIN_LOCK is zero.
    pub const fn new(value: T) -> SpinLock<T> {
        SpinLock { lock: UnsafeCell::new(0), value: UnsafeCell::new(value) }
    }

    /// Runs `f` with the lock held. IRQL <= DISPATCH.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the lock is initialised (zero); it does not move while `self` is borrowed.
        let irql = unsafe { ke::KeAcquireSpinLockRaiseToDpc(self.lock.get()) };
        // SAFETY: S1: the lock is held.
        let result = f(unsafe { &mut *self.value.get() });
        // SAFETY: held by this frame, which has the old IRQL (S2).
        unsafe { ke::KeReleaseSpinLock(self.lock.get(), irql) };
        result
    }
}
