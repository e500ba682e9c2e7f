//! Accepting by IRP: one WskAccept at a time, made and taken by the worker.
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nt_sys::io::{DEVICE_OBJECT, IRP};
use nt_sys::kernel_fn;
use nt_sys::ntdef::{
    NT_SUCCESS, NTSTATUS, PVOID, STATUS_FILE_FORCED_CLOSED, STATUS_MORE_PROCESSING_REQUIRED,
};
use nt_sys::wsk::{SOCKADDR, WSK_PROVIDER_BASIC_DISPATCH, WSK_SOCKET};

use super::Client;
use super::address::from_sockaddr;
use super::endpoint::Events;
use super::intake::Intake;
use super::provider::Provider;
use super::worker::Worker;
use crate::irp::{EmbeddedIrp, outcome};
use crate::{Passive, bug_check};

/// No WskAccept is under way.
const IDLE: u32 = 0;
/// One is.
const UNDER_WAY: u32 = 1;
/// It completed, and what became of it is in `accepted`.
const ACCEPTED: u32 = 2;

/// The WskAccept.
///
/// K1: `accepted` and the addresses are the provider's while one is UNDER_WAY, else the worker's.
pub(super) struct Accepting {
    phase: AtomicU32,
    irp: EmbeddedIrp,
    local: UnsafeCell<SOCKADDR>,
    remote: UnsafeCell<SOCKADDR>,
    accepted: UnsafeCell<(NTSTATUS, usize)>,
    /// A WskAccept failed: the next one waits for the tick.
    resting: AtomicBool,
}

impl Accepting {
    pub(super) fn new() -> Accepting {
        Accepting {
            phase: AtomicU32::new(IDLE),
            irp: EmbeddedIrp::new(),
            local: UnsafeCell::new(SOCKADDR::default()),
            remote: UnsafeCell::new(SOCKADDR::default()),
            accepted: UnsafeCell::new((0, 0)),
            resting: AtomicBool::new(false),
        }
    }

    /// True when something completed that the worker has not taken.
    pub(super) fn has_accepted(&self) -> bool {
        self.phase.load(Ordering::Acquire) == ACCEPTED
    }

    fn is_idle(&self) -> bool {
        self.phase.load(Ordering::Acquire) == IDLE
    }

    /// A tick: an accept that failed may be tried again; true when one has.
    pub(super) fn end_rest(&self) -> bool {
        self.resting.swap(false, Ordering::AcqRel)
    }
}

impl<C: Client> Provider<C> {
    /// Takes what was accepted, and accepts on. Sockets that come while the listener is to be
    /// closed are closed.
    pub(super) fn accept_turn(&self, passive: &Passive) {
        let accepting = &self.worker.accepting;
        loop {
            if accepting.has_accepted() {
                // SAFETY: K1.
                let (status, socket) = unsafe { *accepting.accepted.get() };
                accepting.phase.store(IDLE, Ordering::Relaxed);
                if NT_SUCCESS(status) {
                    let socket = core::ptr::with_exposed_provenance_mut(socket);
                    self.take_accepted(passive, socket);
                } else if status == STATUS_FILE_FORCED_CLOSED && !self.worker.is_closing() {
                    self.worker.listener_lost();
                    return;
                } else {
                    accepting.resting.store(true, Ordering::Release);
                }
            }
            let rests = accepting.resting.load(Ordering::Acquire);
            if !accepting.is_idle() || rests || self.worker.is_closing() || !self.accept() {
                return;
            }
        }
    }

    /// False when there is no listener.
    fn accept(&self) -> bool {
        let Ok((socket, table)) = self.listener() else { return false };
        let Some(accept) = table.WskAccept else { return false };
        let accepting = &self.worker.accepting;
        accepting.phase.store(UNDER_WAY, Ordering::Release);
        let context = core::ptr::from_ref(self).cast_mut().cast();
        let irp = &raw const accepting.irp;
        // SAFETY: idle: the phase was IDLE; the provider stays until its listener is closed.
        let irp = unsafe { EmbeddedIrp::prepare(irp, Some(accept_complete::<C>), context) };
        let null = core::ptr::null_mut();
        let (local, remote) = (accepting.local.get(), accepting.remote.get());
        // SAFETY: the worker closes the listener itself, so it is open during the call; the
        // addresses stay until the completion (K1). Without a table no event comes.
        unsafe { accept(socket, 0, null, core::ptr::null(), local, remote, irp) };
        true
    }

    fn take_accepted(&self, passive: &Passive, socket: *mut WSK_SOCKET) {
        // SAFETY: K1: filled in by the request.
        let remote = unsafe { from_sockaddr(self.worker.accepting.remote.get()) };
        if self.worker.is_closing() {
            return self.refuse(passive, socket);
        }
        let Some(endpoint) = self.take_slot() else {
            self.client().crowded(&remote, None);
            return self.refuse(passive, socket);
        };
        let Some(intake) = Intake::take(&self.worker.receive_list) else {
            self.connection_gone(endpoint.index, None);
            self.client().crowded(&remote, None);
            return self.refuse(passive, socket);
        };
        let Some(state) = self.client().accept(&remote, None, endpoint.seat()) else {
            drop(intake);
            self.connection_gone(endpoint.index, None);
            return self.refuse(passive, socket);
        };
        endpoint.occupy(socket, state, Some(intake));
        endpoint.post(Events::OPENED);
    }

    /// Closes an accepted socket that nobody will serve.
    fn refuse(&self, passive: &Passive, socket: *mut WSK_SOCKET) {
        // SAFETY: accepted just now, ours to close.
        let table = unsafe { (*socket).Dispatch };
        // SAFETY: C6: every table begins with the basic one.
        let table = unsafe { &*table.cast::<WSK_PROVIDER_BASIC_DISPATCH>() };
        let Some(close) = table.WskCloseSocket else {
            bug_check("socket that cannot be closed", socket.addr());
        };
        // SAFETY: nothing else was called on the socket.
        self.worker.close(passive, |irp| unsafe { close(socket, irp) });
    }
}

kernel_fn! {
    unsafe fn accept_complete<C: Client>(
        _d: *mut DEVICE_OBJECT, irp: *mut IRP, context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: the context given in `accept`: the provider stays until its WskAccept completed.
        let worker: &Worker<C> = unsafe { &(*context.cast::<Provider<C>>()).worker };
        // SAFETY: in the completion routine.
        let outcome = unsafe { outcome(irp) };
        // SAFETY: K1.
        unsafe { *worker.accepting.accepted.get() = outcome };
        worker.accepting.phase.store(ACCEPTED, Ordering::Release);
        worker.wake();
        STATUS_MORE_PROCESSING_REQUIRED
    }
}
