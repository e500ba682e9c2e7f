//! Executive: pool, lookaside lists, interlocked lists (`Ex*`).
use core::sync::atomic::{AtomicU64, Ordering};

pub use crate::declared::ex::*;
use crate::ntdef::{NTSTATUS, PVOID};
use crate::own;

/// `ExAllocatePool2`, which Windows has since 2004.
pub type EX_ALLOCATE_POOL2 = crate::callback!((u64, usize, u32) -> PVOID);
/// `ExInitializeLookasideListEx`.
pub type EX_INITIALIZE_LOOKASIDE_LIST_EX = crate::callback!((*mut LOOKASIDE_LIST_EX,
    ALLOCATE_FUNCTION_EX, FREE_FUNCTION_EX, i32, u32, usize, u32, u16) -> NTSTATUS);
/// `ExDeleteLookasideListEx`.
pub type EX_DELETE_LOOKASIDE_LIST_EX = crate::callback!((*mut LOOKASIDE_LIST_EX));

/// Inline in the WDK: takes an entry, from the list or from the pool; null on failure.
///
/// # Safety
/// `list` is initialised and not deleted. IRQL <= DISPATCH.
pub unsafe fn ExAllocateFromLookasideListEx(list: *mut LOOKASIDE_LIST_EX) -> PVOID {
    // SAFETY: the caller's.
    let kept = unsafe { take_kept(list) };
    if !kept.is_null() {
        return kept;
    }
    // SAFETY: the caller's.
    unsafe { allocate_entry(list) }
}

/// The first half of [`ExAllocateFromLookasideListEx`]: an entry that was given back, null when the
/// list keeps none.
///
/// # Safety
/// As there.
#[inline]
pub unsafe fn take_kept(list: *mut LOOKASIDE_LIST_EX) -> PVOID {
    let list = list.cast::<own::ex::LOOKASIDE_LIST_EX>();
    // SAFETY: the caller's: `list` is initialised; both declarations have one layout.
    let head = unsafe { &raw mut (*list).ListHead };
    // SAFETY: the caller's: `head` belongs to an initialised list.
    let entry = unsafe { ExpInterlockedPopEntrySList(head.cast()) };
    entry.cast()
}

/// The second half: an entry from the pool; null on failure.
///
/// # Safety
/// As there.
#[cold]
#[inline(never)]
pub unsafe fn allocate_entry(list: *mut LOOKASIDE_LIST_EX) -> PVOID {
    let list = list.cast::<own::ex::LOOKASIDE_LIST_EX>();
    // SAFETY: the caller's: `list` is initialised; `Type` never changes after initialisation.
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
    let list = list.cast::<own::ex::LOOKASIDE_LIST_EX>();
    // SAFETY: the caller's: `list` is initialised; both declarations have one layout. The depth is
    // the low 16 bits of the header; the read races with other processors and only steers where
    // the entry goes.
    let depth = unsafe { &raw mut (*list).ListHead.Alignment };
    // SAFETY: `depth` points into the list, whose other users change it by interlocked operations.
    let depth = unsafe { AtomicU64::from_ptr(depth) }.load(Ordering::Relaxed) & 0xFFFF;
    // SAFETY: as above, for `Depth`, which the kernel may adjust at any time.
    let depth_max = unsafe { &raw const (*list).Depth };
    // SAFETY: `depth_max` points into the list.
    let depth_max = unsafe { depth_max.read_volatile() };
    if depth < u64::from(depth_max) {
        // SAFETY: as above.
        let head = unsafe { &raw mut (*list).ListHead };
        // SAFETY: the caller gives the entry away; entries are 16-aligned and at least 16 octets.
        unsafe { ExpInterlockedPushEntrySList(head.cast(), entry.cast()) };
        return;
    }
    // SAFETY: as above, for `FreeEx`.
    if let Some(free) = unsafe { (*list).FreeEx } {
        // SAFETY: the routine was put there by `ExInitializeLookasideListEx` for this list.
        unsafe { free(entry, list) };
    }
}
