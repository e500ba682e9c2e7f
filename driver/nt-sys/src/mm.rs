//! Memory descriptor lists (`Mm*`).
pub use crate::declared::mm::*;
use crate::ntdef::PVOID;

/// Inline in the WDK: initialises an MDL in caller memory of `mdl_size(pages)` octets.
///
/// # Safety
/// `mdl` is writable, aligned and large enough for the pages that `base..base + octets` touches.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)] // C's own field widths
pub unsafe fn MmInitializeMdl(mdl: *mut MDL, base: PVOID, octets: u32) {
    let offset = base.addr() & (PAGE_SIZE - 1);
    let pages = (offset + octets as usize).div_ceil(PAGE_SIZE);
    let value = MDL {
        Next: core::ptr::null_mut(),
        Size: mdl_size(pages) as i16,
        MdlFlags: 0,
        Process: core::ptr::null_mut(),
        MappedSystemVa: core::ptr::null_mut(),
        StartVa: base.wrapping_byte_sub(offset),
        ByteCount: octets,
        ByteOffset: offset as u32,
    };
    // SAFETY: the caller's: `mdl` is writable and aligned.
    unsafe { mdl.write(value) };
}

/// The first octet of an MDL that is mapped already.
#[inline]
pub fn mapped_system_va(mdl: &MDL) -> Option<core::ptr::NonNull<core::ffi::c_void>> {
    let is_mapped = mdl.MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL) != 0;
    core::ptr::NonNull::new(mdl.MappedSystemVa.cast()).filter(|_| is_mapped)
}

/// Inline in the WDK: the system address of a locked MDL's first octet, null when mapping fails.
///
/// # Safety
/// `mdl` is a valid MDL for the duration of the call and no other thread maps it.
pub unsafe fn MmGetSystemAddressForMdlSafe(mdl: *mut MDL, priority: u32) -> PVOID {
    // SAFETY: the caller's: `mdl` is valid.
    let flags = unsafe { (*mdl).MdlFlags };
    if flags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL) != 0 {
        // SAFETY: as above; the flags say that the mapping exists.
        return unsafe { (*mdl).MappedSystemVa };
    }
    // SAFETY: as above; kernel mode, cached, no bugcheck on failure.
    unsafe { MmMapLockedPagesSpecifyCache(mdl, 0, MmCached, core::ptr::null_mut(), 0, priority) }
}
