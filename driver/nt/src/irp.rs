//! IRPs that live inside other objects.
use core::cell::UnsafeCell;

use nt_sys::io::{self, DEVICE_OBJECT, IO_COMPLETION_ROUTINE, IRP, IRP_SIZE_ONE};
use nt_sys::kernel_fn;
use nt_sys::ntdef::{NTSTATUS, PVOID, STATUS_MORE_PROCESSING_REQUIRED};

use crate::pool::{PoolBox, Tag};
use crate::{Event, Passive, Result, Status};

/// An IRP with one stack location in caller memory.
///
/// I1: idle it is ours; in flight it is the provider's: not read, reused or freed. I2: it becomes
/// idle again only in its completion routine, which runs exactly once per submission. I3: the
/// routine is set for success, error and cancel and returns STATUS_MORE_PROCESSING_REQUIRED.
/// I4: the memory is non-paged and stays until then.
#[repr(C, align(16))]
pub(crate) struct EmbeddedIrp(UnsafeCell<[u8; IRP_SIZE_ONE as usize]>);

impl EmbeddedIrp {
    pub(crate) const fn new() -> EmbeddedIrp {
        EmbeddedIrp(UnsafeCell::new([0; IRP_SIZE_ONE as usize]))
    }

    /// Makes the IRP ready to be passed to one WSK function.
    ///
    /// # Safety
    /// The IRP is idle (I1) and in its final place (I4); `routine` obeys I3 and `context` lives
    /// until it ran.
    pub(crate) unsafe fn prepare(
        this: *const EmbeddedIrp,
        routine: IO_COMPLETION_ROUTINE,
        context: PVOID,
    ) -> *mut IRP {
        let irp = this.cast_mut().cast::<IRP>();
        // SAFETY: `IRP_SIZE_ONE` octets of caller memory, one stack location; idle by I1.
        unsafe { io::IoInitializeIrp(irp, IRP_SIZE_ONE, 1) };
        // SAFETY: initialised just now, ours (I1).
        unsafe { io::IoSetCompletionRoutine(irp, routine, context) };
        irp
    }
}

/// Status and information of a completed IRP.
///
/// # Safety
/// Called in the IRP's completion routine, or after it.
pub(crate) unsafe fn outcome(irp: *const IRP) -> (NTSTATUS, usize) {
    // SAFETY: the caller's.
    unsafe { io::irp_outcome(irp) }
}

/// A request that a thread at PASSIVE_LEVEL waits for.
pub(crate) struct SyncRequest {
    irp: EmbeddedIrp,
    done: Event,
    outcome: UnsafeCell<(NTSTATUS, usize)>,
}

impl SyncRequest {
    /// A request that can be made later, whatever memory there is then.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub(crate) fn new() -> Result<PoolBox<SyncRequest>> {
        PoolBox::new(
            Tag::Object,
            SyncRequest {
                irp: EmbeddedIrp::new(),
                done: Event::new()?,
                outcome: UnsafeCell::new((0, 0)),
            },
        )
    }

    /// Submits one IRP with `call` and waits for its completion; returns its information.
    ///
    /// `call` gets the IRP and passes it to exactly one WSK function, whose return value it
    /// returns; the value is not the result (the completion's status is) and is ignored.
    ///
    /// # Errors
    /// The completion's status, or `INSUFFICIENT_RESOURCES` before anything was submitted.
    pub(crate) fn run(passive: &Passive, call: impl FnOnce(*mut IRP) -> NTSTATUS) -> Result<usize> {
        SyncRequest::submit(&mut SyncRequest::new()?, passive, call)
    }

    /// As [`SyncRequest::run`], of a request that was made earlier; again and again.
    pub(crate) fn submit(
        request: &mut PoolBox<SyncRequest>,
        passive: &Passive,
        call: impl FnOnce(*mut IRP) -> NTSTATUS,
    ) -> Result<usize> {
        let this = request.as_ptr();
        let irp = &raw const request.irp;
        request.done.clear();
        // SAFETY: idle (borrowed mutably, and waited for below), in the pool until dropped.
        let irp = unsafe { EmbeddedIrp::prepare(irp, Some(sync_complete), this.cast()) };
        call(irp);
        request.done.wait(passive);
        // SAFETY: written by the completion, which happened before the event was set.
        let (status, information) = unsafe { *request.outcome.get() };
        Status::check(status).map(|()| information)
    }
}

kernel_fn! {
    unsafe fn sync_complete(
        _device: *mut DEVICE_OBJECT, irp: *mut IRP, context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: I4: the waiting frame keeps the request until the event is set.
        let request = unsafe { &*context.cast::<SyncRequest>() };
        // SAFETY: in the completion routine.
        let outcome = unsafe { outcome(irp) };
        // SAFETY: the waiter reads it only after the event.
        unsafe { *request.outcome.get() = outcome };
        request.done.set();
        STATUS_MORE_PROCESSING_REQUIRED
    }
}
