//! NT as drivers use it: each test names the functions that it is about.
//!
//! There is one machine per process, so the tests take turns.
// A call in C's style is often a read of a field and the call.
#![allow(clippy::multiple_unsafe_ops_per_block)]

mod machine;

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use machine::{leaves, null, on};
use nt_sys::ex::{
    ExAllocateFromLookasideListEx, ExAllocatePool2, ExDeleteLookasideListEx, ExFreePoolWithTag,
    ExFreeToLookasideListEx, ExInitializeLookasideListEx, ExpInterlockedPopEntrySList,
    ExpInterlockedPushEntrySList, LOOKASIDE_LIST_EX, NonPagedPoolNx, POOL_FLAG_NON_PAGED,
    SLIST_ENTRY, SLIST_HEADER,
};
use nt_sys::io::{
    IO_STACK_LOCATION, IRP, IRP_SIZE_ONE, IoAllocateMdl, IoBuildPartialMdl, IoFreeMdl,
    IoGetCurrentIrpStackLocation, IoInitializeIrp, IoReuseIrp, irp_outcome, set_irp_outcome,
};
use nt_sys::ke::{
    KDPC, KEVENT, KTIMER, KeAcquireSpinLockRaiseToDpc, KeCancelTimer, KeClearEvent,
    KeFlushQueuedDpcs, KeGetCurrentProcessorNumberEx, KeInitializeDpc, KeInitializeEvent,
    KeInitializeTimer, KeQueryActiveProcessorCountEx, KeQuerySystemTimePrecise, KeReleaseSpinLock,
    KeSetEvent, KeSetTimerEx, KeWaitForSingleObject,
};
use nt_sys::kernel_fn;
use nt_sys::mm::{MDL, MmBuildMdlForNonPagedPool, MmGetSystemAddressForMdlSafe};
use nt_sys::ntdef::{
    LARGE_INTEGER, PVOID, STATUS_ACCESS_DENIED, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
};
use nthost::Options;

const TAG: u32 = u32::from_le_bytes(*b"Test");
const PATIENCE: Duration = Duration::from_secs(10);

fn pool(octets: usize) -> PVOID {
    // SAFETY: any size but 0 is valid.
    let block = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, octets, TAG) };
    assert!(!block.is_null());
    block
}

fn free(block: PVOID) {
    // SAFETY: from `pool`, once.
    unsafe { ExFreePoolWithTag(block, TAG) };
}

#[test]
fn ex_allocate_pool2_is_zeroed_aligned_and_counted_by_tag() {
    on(Options::default(), |host| {
        let blocks: Vec<PVOID> = [1, 64, 4095, 4096, 100_000].map(pool).to_vec();
        for (block, octets) in blocks.iter().zip([1, 64, 4095, 4096, 100_000]) {
            let align = if octets >= 4096 { 4096 } else { 16 };
            assert!(block.addr().is_multiple_of(align), "{octets}");
            // SAFETY: allocated with this size.
            let contents = unsafe { core::slice::from_raw_parts(block.cast::<u8>(), octets) };
            assert!(contents.iter().all(|octet| *octet == 0), "{octets}");
        }
        let item = host.ledger().items["pool Test"].clone();
        assert_eq!((item.count, item.octets), (5, 1 + 64 + 4095 + 4096 + 100_000));
        assert!(!host.ledger().is_zero());
        blocks.into_iter().for_each(free);
        let item = host.ledger().items["pool Test"].clone();
        assert_eq!((item.count, item.octets, item.peak), (0, 0, 108_256));
    });
}

#[test]
fn what_is_left_in_pool_is_in_the_ledger_with_its_place() {
    let mut left = null();
    let ledger = leaves(Options::default(), |_| left = pool(64));
    assert!(!ledger.is_zero());
    let said = ledger.to_string();
    assert!(said.contains("pool Test") && said.contains("ExAllocatePool2"), "{said}");
    assert!(said.ends_with("ledger: NOT zero"), "{said}");
}

#[test]
fn lookaside_lists_reuse_entries_and_ex_delete_lookaside_list_ex_frees_them() {
    on(Options::default(), |host| {
        let list: *mut LOOKASIDE_LIST_EX = pool(size_of::<LOOKASIDE_LIST_EX>()).cast();
        // SAFETY: aligned non-paged memory that stays until the list is deleted.
        let status =
            unsafe { ExInitializeLookasideListEx(list, None, None, NonPagedPoolNx, 0, 96, TAG, 0) };
        assert_eq!(status, STATUS_SUCCESS);
        // SAFETY: an initialised list.
        let allocate = || unsafe { ExAllocateFromLookasideListEx(list) };
        // SAFETY: an entry of the list, given back once.
        let give = |entry| unsafe { ExFreeToLookasideListEx(list, entry) };
        let entry = allocate();
        give(entry);
        assert_eq!(allocate(), entry, "the entry that came back last");
        give(entry);
        // More than the list keeps: the others go back to pool at once.
        let entries: Vec<PVOID> = (0..300).map(|_| allocate()).collect();
        assert_eq!(host.ledger().items["pool Test"].count, 301);
        entries.into_iter().for_each(give);
        assert_eq!(host.ledger().items["pool Test"].count, 257);
        assert_eq!(host.ledger().items["lookaside lists"].count, 1);
        // SAFETY: an initialised list whose entries are back.
        unsafe { ExDeleteLookasideListEx(list) };
        assert_eq!(host.ledger().items["pool Test"].count, 1);
        free(list.cast());
    });
}

#[test]
fn ex_interlocked_slist_functions_keep_every_entry_among_threads() {
    #[repr(C)]
    struct Entry {
        link: SLIST_ENTRY,
        taken: AtomicU32,
    }
    struct Head(*mut SLIST_HEADER);
    // SAFETY: the list's functions may be called by any thread.
    unsafe impl Sync for Head {}
    impl Head {
        fn pop(&self) -> *mut Entry {
            // SAFETY: a valid list of entries that are never freed.
            unsafe { ExpInterlockedPopEntrySList(self.0) }.cast()
        }
        fn push(&self, entry: *mut Entry) {
            // SAFETY: as above; the entry is the caller's.
            unsafe { ExpInterlockedPushEntrySList(self.0, entry.cast()) };
        }
    }
    let head = SLIST_HEADER { Alignment: 0, Region: 0 };
    let head = Head(Box::leak(Box::new(head)));
    assert!(head.pop().is_null());
    for _ in 0..16 {
        let link = SLIST_ENTRY { Next: null() };
        head.push(Box::leak(Box::new(Entry { link, taken: AtomicU32::new(0) })));
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let entry = head.pop();
                    assert!(!entry.is_null(), "at most 4 of 16 are out");
                    // SAFETY: entries are never freed.
                    let taken = unsafe { &(*entry).taken };
                    assert_eq!(taken.swap(1, Ordering::AcqRel), 0, "nobody else has it");
                    taken.store(0, Ordering::Release);
                    head.push(entry);
                }
            });
        }
    });
    let mut entries: Vec<*mut Entry> = (0..16).map(|_| head.pop()).collect();
    entries.sort_unstable();
    entries.dedup();
    assert_eq!(entries.len(), 16);
    assert!(head.pop().is_null());
}

#[test]
fn mdls_describe_pool_and_io_build_partial_mdl_a_part_of_it() {
    on(Options::default(), |host| {
        let block = pool(10_000);
        let at = |offset: usize| block.wrapping_byte_add(offset);
        // SAFETY: memory that stays until the MDL is freed.
        let whole = unsafe { IoAllocateMdl(block, 10_000, 0, 0, null()) };
        // SAFETY: an MDL of non-paged pool.
        unsafe { MmBuildMdlForNonPagedPool(whole) };
        // SAFETY: as above.
        let part = unsafe { IoAllocateMdl(at(4000), 5000, 0, 0, null()) };
        // SAFETY: the part lies inside.
        unsafe { IoBuildPartialMdl(whole, part, at(4000), 5000) };
        let describes = |mdl: *mut MDL, offset: usize, octets: u32| {
            // SAFETY: built MDLs.
            let (address, fields) = unsafe { (MmGetSystemAddressForMdlSafe(mdl, 16), &*mdl) };
            assert_eq!(address, at(offset));
            assert_eq!(fields.ByteCount, octets);
            assert!(fields.StartVa.addr().is_multiple_of(4096));
            assert_eq!(fields.StartVa.wrapping_byte_add(fields.ByteOffset as usize), at(offset));
        };
        describes(whole, 0, 10_000);
        describes(part, 4000, 5000);
        // Zero octets: everything.
        // SAFETY: as above.
        let copy = unsafe { IoAllocateMdl(block, 10_000, 0, 0, null()) };
        // SAFETY: as above.
        unsafe { IoBuildPartialMdl(whole, copy, block, 0) };
        describes(copy, 0, 10_000);
        assert_eq!(host.ledger().items["MDLs"].count, 3);
        for mdl in [copy, part, whole] {
            // SAFETY: allocated above, once.
            unsafe { IoFreeMdl(mdl) };
        }
        free(block);
    });
}

#[test]
fn io_initialize_irp_and_io_reuse_irp_make_an_irp_that_nobody_below_has() {
    on(Options::default(), |_| {
        let mut memory = [0xFF_u128; 18];
        let irp = memory.as_mut_ptr().cast::<IRP>();
        // SAFETY: room for an IRP with one stack location.
        unsafe { IoInitializeIrp(irp, IRP_SIZE_ONE, 1) };
        // SAFETY: initialised just now.
        let is_fresh = || unsafe {
            let location = irp.wrapping_add(1).cast::<IO_STACK_LOCATION>();
            (*irp).Type == 6
                && (*irp).Size == IRP_SIZE_ONE
                && ((*irp).StackCount, (*irp).CurrentLocation) == (1, 2)
                && IoGetCurrentIrpStackLocation(irp) == location.wrapping_add(1)
                && (*location).CompletionRoutine.is_none()
        };
        assert!(is_fresh());
        // SAFETY: ours.
        assert_eq!(unsafe { irp_outcome(irp) }, (STATUS_SUCCESS, 0));
        // SAFETY: ours.
        unsafe { set_irp_outcome(irp, STATUS_ACCESS_DENIED, 7) };
        // SAFETY: not in flight.
        unsafe { IoReuseIrp(irp, STATUS_UNSUCCESSFUL) };
        assert!(is_fresh());
        // SAFETY: ours.
        assert_eq!(unsafe { irp_outcome(irp) }, (STATUS_UNSUCCESSFUL, 0));
    });
}

/// A KEVENT that threads share.
struct Event(*mut KEVENT);
// SAFETY: the event's functions may be called by any thread.
unsafe impl Sync for Event {}

impl Event {
    fn new(state: u8) -> Event {
        // SAFETY: plain data for which zero is valid; never freed.
        let event = Event(Box::leak(Box::new(unsafe { core::mem::zeroed() })));
        // SAFETY: writable.
        unsafe { KeInitializeEvent(event.0, 0, state) };
        event
    }
    fn set(&self) -> i32 {
        // SAFETY: initialised.
        unsafe { KeSetEvent(self.0, 0, 0) }
    }
    fn wait(&self) {
        // SAFETY: initialised.
        let status = unsafe { KeWaitForSingleObject(self.0.cast(), 0, 0, 0, null()) };
        assert_eq!(status, STATUS_SUCCESS);
    }
}

#[test]
fn ke_wait_for_single_object_ends_when_another_thread_sets_the_event() {
    on(Options::default(), |_| {
        Event::new(1).wait();
        let event = Event::new(0);
        let woken = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    event.wait();
                    woken.fetch_add(1, Ordering::AcqRel);
                });
            }
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(woken.load(Ordering::Acquire), 0);
            assert_eq!(event.set(), 0);
        });
        // A notification event stays signalled until cleared.
        assert_eq!(woken.load(Ordering::Acquire), 2);
        assert_eq!(event.set(), 1);
        // SAFETY: initialised.
        unsafe { KeClearEvent(event.0) };
        assert_eq!(event.set(), 0);
    });
}

static TICKS: AtomicU32 = AtomicU32::new(0);
static IN_DPC: AtomicU32 = AtomicU32::new(0);

kernel_fn! {
    unsafe fn tick(_dpc: *mut KDPC, context: PVOID, _a: PVOID, _b: PVOID) {
        assert_eq!(context.addr(), 77);
        IN_DPC.fetch_add(1, Ordering::AcqRel);
        std::thread::sleep(Duration::from_millis(5));
        TICKS.fetch_add(1, Ordering::AcqRel);
        IN_DPC.fetch_sub(1, Ordering::AcqRel);
    }
}

fn wait_for_ticks(count: u32) {
    let start = Instant::now();
    while TICKS.load(Ordering::Acquire) < count {
        assert!(start.elapsed() < PATIENCE, "the timer does not expire");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn ke_set_timer_ex_runs_its_dpc_until_ke_cancel_timer_and_ke_flush_queued_dpcs() {
    on(Options::default(), |host| {
        // SAFETY: plain data for which zero is valid; never freed.
        let timer: *mut KTIMER = Box::leak(Box::new(unsafe { core::mem::zeroed() }));
        // SAFETY: as above.
        let dpc: *mut KDPC = Box::leak(Box::new(unsafe { core::mem::zeroed() }));
        // SAFETY: writable.
        unsafe { KeInitializeTimer(timer) };
        // SAFETY: writable.
        unsafe { KeInitializeDpc(dpc, Some(tick), core::ptr::without_provenance_mut(77)) };
        let set = |ms: i64, period| {
            let due = LARGE_INTEGER { QuadPart: ms * -10_000 };
            // SAFETY: both are initialised and stay.
            unsafe { KeSetTimerEx(timer, due, period, dpc) }
        };
        // Once.
        assert_eq!(set(1, 0), 0);
        wait_for_ticks(1);
        assert_eq!(host.ledger().items["timers"].count, 0);
        // Periodic, and armed again while armed.
        assert_eq!(set(60_000, 0), 0);
        assert_eq!(set(1, 1), 1);
        wait_for_ticks(4);
        assert_eq!(host.ledger().items["timers"].count, 1);
        // SAFETY: initialised.
        assert_eq!(unsafe { KeCancelTimer(timer) }, 1);
        // SAFETY: PASSIVE_LEVEL.
        unsafe { KeFlushQueuedDpcs() };
        assert_eq!(IN_DPC.load(Ordering::Acquire), 0, "the last DPC is over");
        let ticks = TICKS.load(Ordering::Acquire);
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(TICKS.load(Ordering::Acquire), ticks, "none follows");
        // SAFETY: initialised.
        assert_eq!(unsafe { KeCancelTimer(timer) }, 0);
    });
}

#[test]
fn ke_acquire_spin_lock_raise_to_dpc_excludes_other_threads() {
    on(Options::default(), |_| {
        let lock = AtomicUsize::new(0);
        let (value, lock) = (AtomicI32::new(0), &lock);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        // SAFETY: a lock that stays.
                        let irql = unsafe { KeAcquireSpinLockRaiseToDpc(lock.as_ptr()) };
                        assert_eq!(irql, 0);
                        // Not an atomic addition: lost without the lock.
                        let before = value.load(Ordering::Relaxed);
                        value.store(before + 1, Ordering::Relaxed);
                        // SAFETY: acquired above.
                        unsafe { KeReleaseSpinLock(lock.as_ptr(), irql) };
                    }
                });
            }
        });
        assert_eq!(value.load(Ordering::Relaxed), 20_000);
    });
}

#[test]
fn processors_and_time_are_those_of_the_machine() {
    on(Options { processors: 3, ..Options::default() }, |_| {
        // SAFETY: any group.
        assert_eq!(unsafe { KeQueryActiveProcessorCountEx(0xFFFF) }, 3);
        // SAFETY: null is allowed.
        assert!(unsafe { KeGetCurrentProcessorNumberEx(null()) } < 3);
        let mut now = LARGE_INTEGER { QuadPart: 0 };
        // SAFETY: writable.
        unsafe { KeQuerySystemTimePrecise(&raw mut now) };
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        // 134,774 days from 1601 to 1970.
        let seconds = i64::try_from(unix.as_secs()).unwrap() + 134_774 * 86_400;
        // SAFETY: the only field.
        let said = unsafe { now.QuadPart } / 10_000_000;
        assert!((seconds - said).abs() <= 1, "{said} {seconds}");
    });
}
