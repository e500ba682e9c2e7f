//! Lookaside lists and the interlocked lists under them.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nt_sys::ex::{LOOKASIDE_LIST_EX, NonPagedPoolNx, SLIST_ENTRY, SLIST_HEADER};
use nt_sys::ntdef::{
    DISPATCH_LEVEL, NTSTATUS, PVOID, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS,
};

use crate::ledger::Register;
use crate::processor::require_irql;
use crate::sim::freedom::Freedom;
use crate::sim::interrupt::AtReturn;
use crate::sim::{self, actor, fault, world};
use crate::verifier::{Rule, Site, violation};

pub(crate) static LISTS: Register = Register::new("lookaside lists");

/// Entries that a list keeps.
const DEPTH: u16 = 256;

/// Locks that stand in for the 16-octet compare-exchange of the kernel, by address.
static LOCKS: [AtomicBool; 64] = [const { AtomicBool::new(false) }; 64];

/// The first entry and the depth; others may read the depth at any time, as WDM's inline
/// `ExQueryDepthSList` does.
fn with_list<R>(head: *mut SLIST_HEADER, f: impl FnOnce(&mut u64, &AtomicU64) -> R) -> R {
    let lock = &LOCKS[(head.addr() >> 6) % LOCKS.len()];
    while lock.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
        std::hint::spin_loop();
    }
    // SAFETY: the callers': a valid header.
    let first = unsafe { &raw mut (*head).Region };
    // SAFETY: as above; the lock makes this the only access.
    let first = unsafe { &mut *first };
    // SAFETY: as above.
    let depth = unsafe { &raw mut (*head).Alignment };
    // SAFETY: as above; nobody accesses it in another way.
    let depth = unsafe { AtomicU64::from_ptr(depth) };
    let result = f(first, depth);
    lock.store(false, Ordering::Release);
    result
}

/// # Safety
/// As of [`ExpInterlockedPopEntrySList`].
#[inline]
unsafe fn pop(head: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
    with_list(head, |first, depth| {
        let entry: *mut SLIST_ENTRY = core::ptr::with_exposed_provenance_mut(*first as usize);
        if !entry.is_null() {
            // SAFETY: the caller's: entries of the list are valid.
            let next = unsafe { (*entry).Next };
            *first = next.expose_provenance() as u64;
            let left = depth.load(Ordering::Relaxed).wrapping_sub(1);
            depth.store(left, Ordering::Relaxed);
        }
        entry
    })
}

/// # Safety
/// As of [`ExpInterlockedPushEntrySList`].
#[inline]
unsafe fn push(head: *mut SLIST_HEADER, entry: *mut SLIST_ENTRY) -> *mut SLIST_ENTRY {
    with_list(head, |first, depth| {
        let below = core::ptr::with_exposed_provenance_mut(*first as usize);
        // SAFETY: the caller's.
        unsafe { (*entry).Next = below };
        *first = entry.expose_provenance() as u64;
        let more = depth.load(Ordering::Relaxed).wrapping_add(1);
        depth.store(more, Ordering::Relaxed);
        below
    })
}

// Called for every send, so without a call of a function of the host's own convention, which would
// have them save ten registers: those are in the functions for a simulated machine.

/// Pops the first entry.
///
/// # Safety
/// `head` is a valid header whose entries are valid.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ExpInterlockedPopEntrySList(
    head: *mut SLIST_HEADER,
) -> *mut SLIST_ENTRY {
    if world::is_on() {
        // SAFETY: the caller's.
        return unsafe { pop_simulated(head) };
    }
    // SAFETY: the caller's.
    unsafe { pop(head) }
}

/// Pushes an entry.
///
/// # Safety
/// `head` is a valid header, `entry` is writable and belongs to the caller.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ExpInterlockedPushEntrySList(
    head: *mut SLIST_HEADER,
    entry: *mut SLIST_ENTRY,
) -> *mut SLIST_ENTRY {
    if world::is_on() {
        // SAFETY: the caller's.
        return unsafe { push_simulated(head, entry) };
    }
    // SAFETY: the caller's.
    unsafe { push(head, entry) }
}

nt_sys::kernel_fn! {
    #[cold]
    unsafe fn pop_simulated(head: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
        let _return = AtReturn;
        actor::export_called("ExpInterlockedPopEntrySList");
        // SAFETY: the caller's.
        unsafe { pop(head) }
    }
}

nt_sys::kernel_fn! {
    #[cold]
    unsafe fn push_simulated(
        head: *mut SLIST_HEADER, entry: *mut SLIST_ENTRY,
    ) -> *mut SLIST_ENTRY {
        let _return = AtReturn;
        actor::export_called("ExpInterlockedPushEntrySList");
        // SAFETY: the caller's.
        unsafe { push(head, entry) }
    }
}

nt_sys::kernel_fn! {
    unsafe fn allocate(
        _pool: i32, octets: usize, tag: u32, _list: *mut LOOKASIDE_LIST_EX,
    ) -> PVOID {
        actor::simple_export_called();
        super::pool::allocate("ExAllocateFromLookasideListEx", octets, tag)
    }
}

nt_sys::kernel_fn! {
    unsafe fn free(entry: PVOID, list: *mut LOOKASIDE_LIST_EX) {
        actor::simple_export_called();
        // SAFETY: called with the list that the entry came from.
        let tag = unsafe { (*list).Tag };
        super::pool::free("ExFreeToLookasideListEx", entry, tag);
    }
}

/// Initialises a list.
///
/// # Safety
/// `list` is writable, non-paged and stays in place.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ExInitializeLookasideListEx(
    list: *mut LOOKASIDE_LIST_EX,
    own_allocate: PVOID,
    own_free: PVOID,
    pool: i32,
    flags: u32,
    octets: usize,
    tag: u32,
    depth: u16,
) -> NTSTATUS {
    let export = "ExInitializeLookasideListEx";
    require_irql(export, DISPATCH_LEVEL);
    if fault::fails(export, Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let plain = own_allocate.is_null() && own_free.is_null() && flags == 0 && depth == 0;
    if !plain
        || pool != NonPagedPoolNx
        || tag == 0
        || octets < 16
        || !list.addr().is_multiple_of(16)
    {
        violation(
            Rule::Flags,
            export,
            format!("{list:p}"),
            "own allocator, flags, depth, type, size or alignment",
            None,
        );
    }
    if let Some(earlier) = LISTS.add(list.addr(), Site::here(export)) {
        violation(Rule::Object, export, format!("{list:p}"), "initialised twice", Some(earlier));
    }
    // SAFETY: every field is plain data for which zero is valid.
    let mut value: LOOKASIDE_LIST_EX = unsafe { core::mem::zeroed() };
    value.Depth = sim::lookaside_depth(DEPTH);
    value.MaximumDepth = DEPTH;
    value.Type = pool;
    value.Tag = tag;
    value.Size = u32::try_from(octets).unwrap_or(u32::MAX);
    value.AllocateEx = Some(allocate);
    value.FreeEx = Some(free);
    // SAFETY: the caller's.
    unsafe { list.write(value) };
    STATUS_SUCCESS
}

/// Deletes a list and frees what it kept.
///
/// # Safety
/// `list` was initialised.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ExDeleteLookasideListEx(list: *mut LOOKASIDE_LIST_EX) {
    let export = "ExDeleteLookasideListEx";
    require_irql(export, DISPATCH_LEVEL);
    if LISTS.remove(list.addr()).is_none() {
        violation(Rule::Object, export, format!("{list:p}"), "not a list, or deleted twice", None);
    }
    // SAFETY: the caller's.
    let tag = unsafe { (*list).Tag };
    // SAFETY: the caller's.
    let head = unsafe { &raw mut (*list).ListHead };
    loop {
        // SAFETY: the list is still in place and its entries are valid.
        let entry = unsafe { ExpInterlockedPopEntrySList(head) };
        if entry.is_null() {
            return;
        }
        super::pool::free(export, entry.cast(), tag);
    }
}
