//! A value for one user at a time, for whom nobody waits.
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value that one user has at a time; others do without it.
///
/// V3: the value is reached only by who set `taken`, until it clears it. No IRQL is raised: who is
/// preempted or interrupted while using it keeps others from it, and nobody waits.
pub struct TryCell<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: V3: one user at a time, and what it did is seen by the next (acquire, release).
unsafe impl<T: Send> Sync for TryCell<T> {}

impl<T> TryCell<T> {
    /// A value that nobody uses.
    pub const fn new(value: T) -> TryCell<T> {
        TryCell { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Runs `f` with the value, or with `None` while somebody else has it. IRQL <= DISPATCH.
    pub fn try_with<R>(&self, f: impl FnOnce(Option<&mut T>) -> R) -> R {
        if self.taken.swap(true, Ordering::Acquire) {
            return f(None);
        }
        // SAFETY: V3: `taken` was clear and is set now.
        let result = f(Some(unsafe { &mut *self.value.get() }));
        self.taken.store(false, Ordering::Release);
        result
    }
}
