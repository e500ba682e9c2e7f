//! Executive: pool, lookaside lists, interlocked lists (`Ex*`).
use crate::ntdef::{LIST_ENTRY, NTSTATUS, PVOID};

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
    pub AllocateEx: crate::callback!((i32, usize, u32, *mut LOOKASIDE_LIST_EX) -> PVOID),
    /// Called when the list is full.
    pub FreeEx: crate::callback!((PVOID, *mut LOOKASIDE_LIST_EX)),
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
    fn ExInitializeLookasideListEx(list: *mut LOOKASIDE_LIST_EX, allocate: PVOID, free: PVOID,
        pool: i32, flags: u32, octets: usize, tag: u32, depth: u16) -> NTSTATUS;
    /// IRQL <= DISPATCH. Every entry is back.
    fn ExDeleteLookasideListEx(list: *mut LOOKASIDE_LIST_EX);
    /// Pops the first entry or null. Any IRQL.
    fn ExpInterlockedPopEntrySList(head: *mut SLIST_HEADER) -> *mut SLIST_ENTRY;
    /// Pushes; returns the former first entry. Any IRQL.
    fn ExpInterlockedPushEntrySList(
        head: *mut SLIST_HEADER, entry: *mut SLIST_ENTRY,
    ) -> *mut SLIST_ENTRY;
}

/// Inline in the WDK: takes an entry, from the list or from the pool; null on failure.
///
/// # Safety
/// `list` is initialised and not deleted. IRQL <= DISPATCH.
pub unsafe fn ExAllocateFromLookasideListEx(list: *mut LOOKASIDE_LIST_EX) -> PVOID {
    // SAFETY: the caller's: `list` is initialised.
    let head = unsafe { &raw mut (*list).ListHead };
    // SAFETY: the caller's: `head` belongs to an initialised list.
    let entry = unsafe { ExpInterlockedPopEntrySList(head) };
    if !entry.is_null() {
        return entry.cast();
    }
    // SAFETY: as above; `Type` never changes after initialisation.
    let kind = unsafe { (*list).Type };
    // SAFETY: as above, for `Size`.
    let size = unsafe { (*list).Size };
    // SAFETY: as above, for `Tag`.
    let tag = unsafe { (*list).Tag };
    // SAFETY: as above, for `AllocateEx`.
    match unsafe { (*list).AllocateEx } {
        // SAFETY: the routine was put there by `ExInitializeLookasideListEx` for this list.
        Some(allocate) => unsafe { allocate(kind, size as usize, tag, list) },
        None => core::ptr::null_mut(),
    }
}

/// Inline in the WDK: gives an entry back, to the list while it is shallow, else to the pool.
///
/// # Safety
/// `entry` came from this list, is given back once and is used no more. IRQL <= DISPATCH.
pub unsafe fn ExFreeToLookasideListEx(list: *mut LOOKASIDE_LIST_EX, entry: PVOID) {
    // SAFETY: the caller's: `list` is initialised. The depth is the low 16 bits of the header; the
    // read races with other processors and only steers where the entry goes.
    let depth = unsafe { &raw const (*list).ListHead.Alignment };
    // SAFETY: `depth` points into the list.
    let depth = unsafe { depth.read_volatile() } & 0xFFFF;
    // SAFETY: as above, for `Depth`, which the kernel may adjust at any time.
    let depth_max = unsafe { &raw const (*list).Depth };
    // SAFETY: `depth_max` points into the list.
    let depth_max = unsafe { depth_max.read_volatile() };
    if depth < u64::from(depth_max) {
        // SAFETY: as above.
        let head = unsafe { &raw mut (*list).ListHead };
        // SAFETY: the caller gives the entry away; entries are 16-aligned and at least 16 octets.
        unsafe { ExpInterlockedPushEntrySList(head, entry.cast()) };
        return;
    }
    // SAFETY: as above, for `FreeEx`.
    if let Some(free) = unsafe { (*list).FreeEx } {
        // SAFETY: the routine was put there by `ExInitializeLookasideListEx` for this list.
        unsafe { free(entry, list) };
    }
}
