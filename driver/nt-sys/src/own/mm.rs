//! Memory descriptor lists (`Mm*`).
use super::ntdef::{PVOID, UNICODE_STRING};

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
    /// IRQL PASSIVE. Address of an export of the kernel, null when this one has no such export.
    fn MmGetSystemRoutineAddress(name: *mut UNICODE_STRING) -> PVOID;
    /// IRQL <= DISPATCH. Fills the page frame numbers of non-paged memory.
    fn MmBuildMdlForNonPagedPool(mdl: *mut MDL);
    /// IRQL <= DISPATCH. Null when mapping fails.
    fn MmMapLockedPagesSpecifyCache(mdl: *mut MDL, mode: i8, cache: i32, address: PVOID,
        bugcheck: u32, priority: u32) -> PVOID;
}
