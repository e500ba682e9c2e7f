//! Processors.
use nt_sys::ke;

use crate::{PoolSlice, Result, Tag};

/// Active processors in all groups, at least 1. Any IRQL.
pub fn count() -> usize {
    // SAFETY: callable at any IRQL.
    let count = unsafe { ke::KeQueryActiveProcessorCountEx(ke::ALL_PROCESSOR_GROUPS) };
    (count as usize).max(1)
}

/// System-wide index of the processor that runs this code; a hint unless at DISPATCH_LEVEL.
pub fn current() -> usize {
    // SAFETY: callable at any IRQL; the out-parameter is optional.
    let index = unsafe { ke::KeGetCurrentProcessorNumberEx(core::ptr::null_mut()) };
    index as usize
}

/// One of something for each processor.
pub struct PerProcessor<T>(PoolSlice<T>);

impl<T> PerProcessor<T> {
    /// One for each that is active now.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`; what `make` returned.
    pub fn new(tag: Tag, mut make: impl FnMut() -> Result<T>) -> Result<PerProcessor<T>> {
        Ok(PerProcessor(PoolSlice::try_from_fn(tag, count(), |_| make())?))
    }

    /// A processor's; one that came after the start has the first one's. Always there.
    #[inline]
    pub fn of(&self, processor: usize) -> Option<&T> {
        self.0.get(processor).or_else(|| self.of_the_first())
    }

    #[cold]
    #[inline(never)]
    fn of_the_first(&self) -> Option<&T> {
        self.0.first()
    }

    /// All of them.
    pub fn all(&self) -> core::slice::Iter<'_, T> {
        self.0.iter()
    }
}
