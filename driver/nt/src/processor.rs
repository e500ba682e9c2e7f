//! Processors.
use nt_sys::ke;

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
