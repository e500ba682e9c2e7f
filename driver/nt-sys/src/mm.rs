//! Memory descriptor lists (`Mm*`).
use crate::ntdef::PVOID;

/// `MDL`; the page frame numbers follow it in memory.
#[repr(C)]
pub struct MDL {
    /// Next of a chain.
    pub Next: *mut MDL,
    /// Octets of this MDL with its page frame numbers.
    pub Size: i16,
    /// `MDL_*` flags.
    pub MdlFlags: i16,
    /// Owning process or null.
    pub Process: PVOID,
    /// Address of the mapping, if mapped.
    pub MappedSystemVa: PVOID,
    /// Page-aligned address of the buffer.
    pub StartVa: PVOID,
    /// Octets described.
    pub ByteCount: u32,
    /// Offset of the first octet in its page.
    pub ByteOffset: u32,
}
layout!(MDL: 48, Size @ 8, MdlFlags @ 10, MappedSystemVa @ 24, StartVa @ 32, ByteCount @ 40,
    ByteOffset @ 44);

/// `MDL_MAPPED_TO_SYSTEM_VA`.
pub const MDL_MAPPED_TO_SYSTEM_VA: i16 = 0x0001;
/// `MDL_SOURCE_IS_NONPAGED_POOL`.
pub const MDL_SOURCE_IS_NONPAGED_POOL: i16 = 0x0004;
/// `MDL_PARTIAL`.
pub const MDL_PARTIAL: i16 = 0x0010;
/// `MmCached`.
pub const MmCached: i32 = 1;
/// `NormalPagePriority`.
pub const NormalPagePriority: u32 = 16;
/// `MdlMappingNoExecute`.
pub const MdlMappingNoExecute: u32 = 0x4000_0000;
/// Octets of a page.
pub const PAGE_SIZE: usize = 4096;

/// Octets of an MDL that describes `pages` pages.
pub const fn mdl_size(pages: usize) -> usize {
    size_of::<MDL>() + pages * size_of::<usize>()
}

import! {
    /// IRQL <= DISPATCH. Fills the page frame numbers of non-paged memory.
    fn MmBuildMdlForNonPagedPool(mdl: *mut MDL);
    /// IRQL <= DISPATCH. Null when mapping fails.
    fn MmMapLockedPagesSpecifyCache(mdl: *mut MDL, mode: i8, cache: i32, address: PVOID,
        bugcheck: u32, priority: u32) -> PVOID;
}

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
