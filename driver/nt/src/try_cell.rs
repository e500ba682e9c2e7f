//! A value for one user at a time, for whom nobody waits.
use core::ops::{Deref, DerefMut};

use crate::sync::{AtomicBool, Ordering, UnsafeCell};

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
    pub fn new(value: T) -> TryCell<T> {
        TryCell { taken: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value, or `None` while somebody else has it. IRQL <= DISPATCH.
    #[inline]
    pub fn try_take(&self) -> Option<Taken<'_, T>> {
        // Made only when it is due: one that is dropped gives the value away.
        (!self.taken.swap(true, Ordering::Acquire)).then(|| Taken(self))
    }
}

/// The use of a value; others may have it when this is dropped.
pub struct Taken<'c, T>(&'c TryCell<T>);

impl<T> Deref for Taken<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: V3: `taken` was clear and is set until this is dropped.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Taken<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: V3, as above; `self` is borrowed mutably.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Taken<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}
