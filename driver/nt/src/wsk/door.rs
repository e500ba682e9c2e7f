//! What a client may do beside its connections: decide about requests, look at all connections.
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use nt_sys::io::{DEVICE_OBJECT, IRP};
use nt_sys::kernel_fn;
use nt_sys::ntdef::{NT_SUCCESS, NTSTATUS, PVOID, STATUS_MORE_PROCESSING_REQUIRED};
use nt_sys::wsk::{WSK_INSPECT_ID, WskInspectAccept, WskInspectReject};

use super::endpoint::Events;
use super::provider::Provider;
use super::{Client, InspectId};
use crate::irp::{EmbeddedIrp, outcome};

/// Decisions under way at a time.
pub(super) const DECISIONS_MAX: usize = 32;

/// One WskInspectComplete.
///
/// R1: from `busy` being set, which the worker alone does, until the completion clears it, IRP and
/// ID are the provider's. R2: the listener's close, which the provider waits for, completes after
/// every request of it.
pub(super) struct DecisionRequest<C: Client> {
    irp: EmbeddedIrp,
    id: UnsafeCell<WSK_INSPECT_ID>,
    busy: AtomicBool,
    accepts: AtomicBool,
    provider: UnsafeCell<*const Provider<C>>,
}

impl<C: Client> DecisionRequest<C> {
    pub(super) fn new() -> DecisionRequest<C> {
        DecisionRequest {
            irp: EmbeddedIrp::new(),
            id: UnsafeCell::new(WSK_INSPECT_ID { Key: 0, SerialNumber: 0 }),
            busy: AtomicBool::new(false),
            accepts: AtomicBool::new(false),
            provider: UnsafeCell::new(core::ptr::null()),
        }
    }
}

/// The listener and the connections in the hands of [`Client::attend`].
pub struct Door<'p, C: Client> {
    provider: &'p Provider<C>,
}

impl<'p, C: Client> Door<'p, C> {
    /// For the provider's worker, which makes every call on the listener.
    pub(super) fn new(provider: &'p Provider<C>) -> Door<'p, C> {
        Door { provider }
    }

    /// True when [`Door::complete`] can take a decision. When it says no, `attend` is called again
    /// as soon as it can.
    pub fn is_ready(&self) -> bool {
        self.provider.decisions.iter().any(|request| !request.busy.load(Ordering::Acquire))
    }

    /// Decides about a request that is pended, by WskInspectComplete. A request that was aborted
    /// meanwhile may be decided all the same. False when too many decisions are under way.
    #[must_use]
    pub fn complete(&self, id: InspectId, accept: bool) -> bool {
        let mut requests = self.provider.decisions.iter();
        let Some(request) = requests.find(|request| !request.busy.load(Ordering::Acquire)) else {
            return false;
        };
        // Without a listener there is nothing to decide: its requests are gone with it.
        let Ok((socket, table)) = self.provider.listener() else { return true };
        let Some(inspect_complete) = table.WskInspectComplete else { return true };
        request.busy.store(true, Ordering::Relaxed);
        request.accepts.store(accept, Ordering::Relaxed);
        // SAFETY: R1: idle until now.
        unsafe { *request.id.get() = WSK_INSPECT_ID { Key: id.key, SerialNumber: id.serial } };
        // SAFETY: as above.
        unsafe { *request.provider.get() = self.provider };
        let context = core::ptr::from_ref(request).cast_mut().cast();
        let irp = &raw const request.irp;
        // SAFETY: R1; the request is part of the provider, which waits for the completion (R2).
        let irp = unsafe { EmbeddedIrp::prepare(irp, Some(decision_complete::<C>), context) };
        let action = if accept { WskInspectAccept } else { WskInspectReject };
        // SAFETY: the worker alone calls into the listener, so it is open during the call; the ID
        // stays until the completion (R1). The returned value is not the result.
        unsafe { inspect_complete(socket, request.id.get(), action, irp) };
        true
    }

    /// All connections.
    pub fn sweep(&self) -> Sweep<'p, C> {
        Sweep::new(self.provider)
    }
}

kernel_fn! {
    unsafe fn decision_complete<C: Client>(
        _d: *mut DEVICE_OBJECT, irp: *mut IRP, context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: the context given in `complete`.
        let request = unsafe { &*context.cast::<DecisionRequest<C>>() };
        // SAFETY: in the completion routine.
        let (status, _) = unsafe { outcome(irp) };
        // SAFETY: R1: still of this decision.
        let id = InspectId::from(unsafe { &*request.id.get() });
        // SAFETY: as above.
        let provider = unsafe { *request.provider.get() };
        // SAFETY: R2: the provider waits for the listener's close, which waits for this.
        let provider = unsafe { &*provider };
        if !NT_SUCCESS(status) && request.accepts.load(Ordering::Relaxed) {
            // Neither a connection nor an abort is sure to follow.
            provider.client().abort(id);
        }
        request.busy.store(false, Ordering::Release);
        provider.attend_if_wanted();
        STATUS_MORE_PROCESSING_REQUIRED
    }
}

/// The connections, as a timer or the worker sees them.
pub struct Sweep<'p, C: Client> {
    provider: &'p Provider<C>,
}

impl<'p, C: Client> Sweep<'p, C> {
    pub(super) fn new(provider: &'p Provider<C>) -> Sweep<'p, C> {
        Sweep { provider }
    }

    /// Slots there are, in use or not.
    pub fn slots(&self) -> usize {
        self.provider.slots.slots()
    }

    /// Looks at every connection in the slots `from..to`.
    pub fn visit(&self, from: usize, to: usize, mut look: impl FnMut(u32, &C::Mark)) {
        for index in from..to {
            if let Some(slot) = self.provider.slots.slot(index)
                && slot.is_live()
            {
                look(slot.index, &slot.mark);
            }
        }
    }

    /// Leaves events for the connection in a slot; a free slot ignores them. The slot may have
    /// been reused since it was looked at: who gets an event checks what it is about. The worker
    /// runs it, unless somebody does already: there may be many.
    pub fn tell(&self, index: u32, events: Events) {
        if let Some(slot) = self.provider.slot(index) {
            slot.post_to_worker(events);
        }
    }
}
