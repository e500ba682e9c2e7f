//! Executive: pool, lookaside lists, interlocked lists (`Ex*`).
use super::ntdef::{LIST_ENTRY, NTSTATUS, PVOID};

/// `POOL_FLAG_NON_PAGED`: zeroed, non-executable.
pub const POOL_FLAG_NON_PAGED: u64 = 0x40;
/// `NonPagedPoolNx`.
pub const NonPagedPoolNx: i32 = 512;

/// `SLIST_ENTRY`.
#[repr(C, align(16))]
pub struct SLIST_ENTRY {
    /// Next entry.
    pub Next: *mut SLIST_ENTRY,
}
layout!(SLIST_ENTRY: 16);

/// `SLIST_HEADER`, opaque, 16-octet aligned.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct SLIST_HEADER {
    /// Depth, sequence.
    pub Alignment: u64,
    /// Next entry.
    pub Region: u64,
}
layout!(SLIST_HEADER: 16);

/// Called when a lookaside list is empty.
pub type ALLOCATE_FUNCTION_EX =
    crate::callback!((i32, usize, u32, *mut LOOKASIDE_LIST_EX) -> PVOID);
/// Called when a lookaside list is full.
pub type FREE_FUNCTION_EX = crate::callback!((PVOID, *mut LOOKASIDE_LIST_EX));

/// `LOOKASIDE_LIST_EX`: `GENERAL_LOOKASIDE_POOL` and nothing else.
#[repr(C, align(16))]
pub struct LOOKASIDE_LIST_EX {
    /// Free entries.
    pub ListHead: SLIST_HEADER,
    /// Entries kept at most; the kernel adjusts it.
    pub Depth: u16,
    /// Bound of `Depth`.
    pub MaximumDepth: u16,
    /// Statistics.
    pub TotalAllocates: u32,
    /// Statistics.
    pub AllocateMisses: u32,
    /// Statistics.
    pub TotalFrees: u32,
    /// Statistics.
    pub FreeMisses: u32,
    /// Pool type.
    pub Type: i32,
    /// Pool tag.
    pub Tag: u32,
    /// Octets per entry.
    pub Size: u32,
    /// Called on a miss.
    pub AllocateEx: ALLOCATE_FUNCTION_EX,
    /// Called when the list is full.
    pub FreeEx: FREE_FUNCTION_EX,
    /// The kernel's list of lookaside lists.
    pub ListEntry: LIST_ENTRY,
    /// Statistics.
    pub LastTotalAllocates: u32,
    /// Statistics.
    pub LastAllocateMisses: u32,
    /// Internal.
    pub Future: [u32; 2],
}
layout!(LOOKASIDE_LIST_EX: 96, Depth @ 16, TotalAllocates @ 20, Type @ 36, Tag @ 40, Size @ 44,
    AllocateEx @ 48, FreeEx @ 56, ListEntry @ 64);

import! {
    /// IRQL <= DISPATCH for non-paged pool. Null on failure; the tag is not 0.
    fn ExAllocatePool2(flags: u64, octets: usize, tag: u32) -> PVOID;
    /// IRQL <= DISPATCH for non-paged pool.
    fn ExFreePoolWithTag(pool: PVOID, tag: u32);
    /// IRQL <= DISPATCH. The list is non-paged and stays where it is.
    fn ExInitializeLookasideListEx(list: *mut LOOKASIDE_LIST_EX, allocate: ALLOCATE_FUNCTION_EX,
        free: FREE_FUNCTION_EX, pool: i32, flags: u32, octets: usize, tag: u32, depth: u16)
        -> NTSTATUS;
    /// IRQL <= DISPATCH. Every entry is back.
    fn ExDeleteLookasideListEx(list: *mut LOOKASIDE_LIST_EX);
    /// Pops the first entry or null. Any IRQL.
    fn ExpInterlockedPopEntrySList(head: *mut SLIST_HEADER) -> *mut SLIST_ENTRY;
    /// Pushes; returns the former first entry. Any IRQL.
    fn ExpInterlockedPushEntrySList(
        head: *mut SLIST_HEADER, entry: *mut SLIST_ENTRY,
    ) -> *mut SLIST_ENTRY;
}

// Deprecated, and so not in wdk-sys.
import! { "ntoskrnl.exe":
    /// IRQL <= DISPATCH for non-paged pool. Null on failure; the memory is not zeroed.
    fn ExAllocatePoolWithTag(pool: i32, octets: usize, tag: u32) -> PVOID;
}
