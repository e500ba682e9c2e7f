//! Shared ownership in non-paged pool.
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering, fence};

use crate::pool::{PoolBox, Tag};
use crate::{Result, bug_check};

struct Counted<T> {
    references: AtomicUsize,
    tag: Tag,
    value: T,
}

/// A counted reference to a value in non-paged pool; the last one frees it.
///
/// A1: the pointer is to a `Counted` made by [`PoolBox`] whose count includes this reference.
/// IRQL <= DISPATCH, for dropping the last reference too.
pub struct PoolArc<T> {
    counted: NonNull<Counted<T>>,
}

// SAFETY: A1; the value is shared between threads and dropped in any of them.
unsafe impl<T: Send + Sync> Send for PoolArc<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for PoolArc<T> {}

impl<T> PoolArc<T> {
    /// Moves `value` into the pool.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(tag: Tag, value: T) -> Result<PoolArc<T>> {
        let counted = Counted { references: AtomicUsize::new(1), tag, value };
        let (counted, _) = PoolBox::into_raw(PoolBox::new(tag, counted)?);
        Ok(PoolArc { counted })
    }

    /// The value, while this is the only reference to it.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // Acquire: what other references did happened before they were given up.
        if self.counted().references.load(Ordering::Acquire) != 1 {
            return None;
        }
        // SAFETY: A1: this is the only reference, and borrowed for as long as the value is.
        let counted = unsafe { self.counted.as_mut() };
        Some(&mut counted.value)
    }

    fn counted(&self) -> &Counted<T> {
        // SAFETY: A1: alive while this reference is.
        unsafe { self.counted.as_ref() }
    }
}

impl<T> Clone for PoolArc<T> {
    fn clone(&self) -> Self {
        if self.counted().references.fetch_add(1, Ordering::Relaxed) > usize::MAX / 2 {
            bug_check("reference count overflow", self.counted.addr().get());
        }
        PoolArc { counted: self.counted }
    }
}

impl<T> Drop for PoolArc<T> {
    fn drop(&mut self) {
        if self.counted().references.fetch_sub(1, Ordering::Release) == 1 {
            self.free();
        }
    }
}

impl<T> PoolArc<T> {
    /// The last reference is gone.
    #[cold]
    #[inline(never)]
    fn free(&mut self) {
        fence(Ordering::Acquire);
        let tag = self.counted().tag;
        // SAFETY: A1: the count is zero, so this was the last reference.
        drop(unsafe { PoolBox::from_raw(self.counted, tag) });
    }
}

impl<T> Deref for PoolArc<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.counted().value
    }
}
