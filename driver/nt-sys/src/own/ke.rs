//! Kernel core: IRQL, locks, events, timers, DPCs, processors, time (`Ke*`).
use super::ntdef::{BOOLEAN, KIRQL, LARGE_INTEGER, LIST_ENTRY, NTSTATUS, PVOID};

/// `KSPIN_LOCK`: zero is free.
pub type KSPIN_LOCK = usize;

/// `DISPATCHER_HEADER`, opaque: the kernel's part of every waitable object.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DISPATCHER_HEADER {
    /// Type, signalling and size octets.
    pub Lock: i32,
    /// Non-zero: signalled.
    pub SignalState: i32,
    /// Waiters.
    pub WaitListHead: LIST_ENTRY,
}
layout!(DISPATCHER_HEADER: 24, SignalState @ 4, WaitListHead @ 8);

/// `KEVENT`.
#[repr(C)]
pub struct KEVENT {
    /// Dispatcher header.
    pub Header: DISPATCHER_HEADER,
}
layout!(KEVENT: 24);

/// `KTIMER`.
#[repr(C)]
pub struct KTIMER {
    /// Dispatcher header.
    pub Header: DISPATCHER_HEADER,
    /// Absolute due time.
    pub DueTime: u64,
    /// The kernel's timer list.
    pub TimerListEntry: LIST_ENTRY,
    /// DPC queued at expiry (encoded on Windows).
    pub Dpc: *mut KDPC,
    /// Internal.
    pub Processor: u32,
    /// Period in milliseconds, 0 for one-shot.
    pub Period: u32,
}
layout!(KTIMER: 64, Dpc @ 48);

/// Body of a DPC: runs at DISPATCH_LEVEL.
pub type KDEFERRED_ROUTINE = crate::callback!((*mut KDPC, PVOID, PVOID, PVOID));

/// `KDPC`.
#[repr(C)]
pub struct KDPC {
    /// Type, importance, target processor.
    pub TargetInfoAsUlong: u32,
    /// Queue link.
    pub DpcListEntry: PVOID,
    /// Internal.
    pub ProcessorHistory: usize,
    /// Body.
    pub DeferredRoutine: KDEFERRED_ROUTINE,
    /// First argument of the body after the DPC.
    pub DeferredContext: PVOID,
    /// From `KeInsertQueueDpc`.
    pub SystemArgument1: PVOID,
    /// From `KeInsertQueueDpc`.
    pub SystemArgument2: PVOID,
    /// Internal.
    pub DpcData: PVOID,
}
layout!(KDPC: 64, DeferredRoutine @ 24, DeferredContext @ 32);

/// `PROCESSOR_NUMBER`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct PROCESSOR_NUMBER {
    /// Group.
    pub Group: u16,
    /// Number within the group.
    pub Number: u8,
    /// Zero.
    pub Reserved: u8,
}
layout!(PROCESSOR_NUMBER: 4);

/// `NotificationEvent`: stays signalled until cleared.
pub const NotificationEvent: i32 = 0;
/// `Executive` wait reason.
pub const Executive: i32 = 0;
/// `KernelMode`.
pub const KernelMode: i8 = 0;
/// `ALL_PROCESSOR_GROUPS`.
pub const ALL_PROCESSOR_GROUPS: u16 = 0xFFFF;
/// Priority of a thread, above those of user mode that are not real-time.
pub const LOW_REALTIME_PRIORITY: i32 = 16;

import! {
    /// Stops the machine. Any IRQL.
    fn KeBugCheckEx(code: u32, p1: usize, p2: usize, p3: usize, p4: usize) -> !;
    /// Any IRQL.
    fn KeInitializeEvent(event: *mut KEVENT, kind: i32, state: BOOLEAN);
    /// IRQL <= DISPATCH with `wait` 0.
    fn KeSetEvent(event: *mut KEVENT, increment: i32, wait: BOOLEAN) -> i32;
    /// IRQL PASSIVE. 1 to 31; returns the priority there was.
    fn KeSetPriorityThread(thread: PVOID, priority: i32) -> i32;
    /// IRQL <= DISPATCH.
    fn KeClearEvent(event: *mut KEVENT);
    /// IRQL <= APC, or <= DISPATCH with a zero timeout.
    fn KeWaitForSingleObject(object: PVOID, reason: i32, mode: i8, alertable: BOOLEAN,
        timeout: *mut LARGE_INTEGER) -> NTSTATUS;
    /// Any IRQL.
    fn KeInitializeTimer(timer: *mut KTIMER);
    /// IRQL <= DISPATCH. Negative due time is relative, in 100 ns; period in milliseconds.
    fn KeSetTimerEx(timer: *mut KTIMER, due: LARGE_INTEGER, period: i32, dpc: *mut KDPC) -> BOOLEAN;
    /// IRQL <= DISPATCH.
    fn KeCancelTimer(timer: *mut KTIMER) -> BOOLEAN;
    /// Any IRQL.
    fn KeInitializeDpc(dpc: *mut KDPC, routine: KDEFERRED_ROUTINE, context: PVOID);
    /// IRQL PASSIVE: waits until every queued DPC has run.
    fn KeFlushQueuedDpcs();
    /// Any IRQL.
    fn KeQueryActiveProcessorCountEx(group: u16) -> u32;
    /// Any IRQL; stable only at DISPATCH_LEVEL.
    fn KeGetCurrentProcessorNumberEx(number: *mut PROCESSOR_NUMBER) -> u32;
    /// 100 ns since 1601, UTC. Any IRQL.
    fn KeQuerySystemTimePrecise(now: *mut LARGE_INTEGER);
    /// Of the last clock interrupt. Any IRQL.
    fn KeQuerySystemTime(now: *mut LARGE_INTEGER);
    /// Counts since some moment, and how many there are in a second (optional). Any IRQL.
    fn KeQueryPerformanceCounter(frequency: *mut LARGE_INTEGER) -> LARGE_INTEGER;
    /// IRQL <= DISPATCH; returns the old IRQL.
    fn KeAcquireSpinLockRaiseToDpc(lock: *mut KSPIN_LOCK) -> KIRQL;
    /// IRQL DISPATCH.
    fn KeReleaseSpinLock(lock: *mut KSPIN_LOCK, irql: KIRQL);
}
