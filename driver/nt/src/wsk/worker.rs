//! Serving by IRP: the worker thread, and the connections it accepts.
//!
//! Completions only leave an event and queue its connection; the worker runs what is queued. So no
//! WSK function is called in a completion routine, and every call is made at PASSIVE_LEVEL.
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
use super::endpoint::{Endpoint, Events};
use super::intake::{Intake, receive_list};
use super::provider::Provider;
use super::slab::NONE;
use crate::irp::{EmbeddedIrp, SyncRequest, outcome};
use crate::lookaside::RawLookaside;
use crate::pool::PoolBox;
use crate::{Event, Passive, PoolArc, Result, SystemThread, ThreadRoutine, bug_check};

/// No WskAccept is under way.
const IDLE: u32 = 0;
/// One is.
const ACCEPTING: u32 = 1;
/// It completed, and what became of it is in `accepted`.
const ACCEPTED: u32 = 2;

/// The worker's queue, and its WskAccept.
///
/// K1: `accepted` and the addresses are the provider's in ACCEPTING, else the worker's. K2: the
/// thread begins when the listener is bound and has ended before the NPI is released.
/// K3: `reserve` is used by the thread, and while there is none by who starts and stops it.
pub(super) struct Worker<C: Client> {
    /// Connections to run, a stack linked by `next`; each is in it once, for it is RUNNING.
    queue: AtomicU32,
    /// Something is queued or has changed.
    wake: Event,
    phase: AtomicU32,
    accept: EmbeddedIrp,
    local: UnsafeCell<SOCKADDR>,
    remote: UnsafeCell<SOCKADDR>,
    accepted: UnsafeCell<(NTSTATUS, usize)>,
    /// Closes the listener, and accepted sockets that cannot be kept, whatever memory there is.
    reserve: UnsafeCell<PoolBox<SyncRequest>>,
    /// A WskAccept failed: the next one waits for the tick.
    resting: AtomicBool,
    /// The listener is to be closed, and has been.
    closing: AtomicBool,
    closed: Event,
    ending: AtomicBool,
    thread: UnsafeCell<Option<SystemThread<Provider<C>>>>,
    receive_list: RawLookaside,
}

impl<C: Client> Worker<C> {
    pub(super) fn new() -> Result<Worker<C>> {
        Ok(Worker {
            queue: AtomicU32::new(NONE),
            wake: Event::new()?,
            phase: AtomicU32::new(IDLE),
            accept: EmbeddedIrp::new(),
            local: UnsafeCell::new(SOCKADDR::default()),
            remote: UnsafeCell::new(SOCKADDR::default()),
            accepted: UnsafeCell::new((0, 0)),
            reserve: UnsafeCell::new(SyncRequest::new()?),
            resting: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            closed: Event::new()?,
            ending: AtomicBool::new(false),
            thread: UnsafeCell::new(None),
            receive_list: receive_list()?,
        })
    }

    /// Begins to accept and to run connections; once, the listener is bound.
    pub(super) fn start(&self, passive: &Passive, provider: PoolArc<Provider<C>>) -> Result<()> {
        self.wake.set();
        let thread = SystemThread::start(passive, provider)?;
        // SAFETY: K2: only the thread that starts and stops the provider touches it.
        unsafe { *self.thread.get() = Some(thread) };
        Ok(())
    }

    /// Waits until no connection is accepted any more. False when there is no thread: then the
    /// listener is still the caller's to close.
    pub(super) fn stop_accepting(&self, passive: &Passive) -> bool {
        // SAFETY: as in `start`.
        if unsafe { &*self.thread.get() }.is_none() {
            return false;
        }
        self.closing.store(true, Ordering::Release);
        self.wake.set();
        self.closed.wait(passive);
        true
    }

    /// Makes one close and waits for it. Whatever its status, the socket is gone.
    pub(super) fn close(&self, passive: &Passive, call: impl FnOnce(*mut IRP) -> NTSTATUS) {
        // SAFETY: K3.
        let request = unsafe { &mut *self.reserve.get() };
        let _ = SyncRequest::submit(request, passive, call);
    }

    /// Ends the thread; no connection is left.
    pub(super) fn stop(&self, passive: &Passive) {
        self.ending.store(true, Ordering::Release);
        self.wake.set();
        // SAFETY: as in `start`.
        if let Some(thread) = unsafe { &mut *self.thread.get() }.take() {
            thread.join(passive);
        }
    }

    /// Queues a connection that is RUNNING and run by nobody. IRQL <= DISPATCH.
    pub(super) fn queue(&self, endpoint: &Endpoint<C>) {
        let mut head = self.queue.load(Ordering::Relaxed);
        loop {
            endpoint.next.store(head, Ordering::Relaxed);
            let (old, new) = (Ordering::Release, Ordering::Relaxed);
            match self.queue.compare_exchange_weak(head, endpoint.index, old, new) {
                Ok(_) if head == NONE => return self.wake.set(),
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// A tick: an accept that failed is tried again. So is a wake that has had no effect, which on
    /// Wine happens when the worker is just beginning to wait.
    pub(super) fn tick(&self) {
        let rested = self.resting.swap(false, Ordering::AcqRel);
        let left = self.queue.load(Ordering::Acquire) != NONE
            || self.phase.load(Ordering::Acquire) == ACCEPTED;
        if rested || left {
            self.wake.set();
        }
    }
}

impl<C: Client> ThreadRoutine for Provider<C> {
    fn run(&self, passive: &Passive) {
        let Some(worker) = self.worker() else { return };
        while !worker.ending.load(Ordering::Acquire) {
            worker.wake.wait(passive);
            // Before looking: what comes now is either seen or wakes again.
            worker.wake.clear();
            self.accept_turn(passive, worker);
            self.run_queued(worker);
        }
    }
}

impl<C: Client> Provider<C> {
    fn run_queued(&self, worker: &Worker<C>) {
        let mut index = worker.queue.swap(NONE, Ordering::Acquire);
        while let Some(endpoint) = self.slot(index) {
            // Read first: the connection may be queued again as soon as it was run.
            index = endpoint.next.load(Ordering::Relaxed);
            endpoint.run_turn();
        }
    }

    /// Takes what was accepted, and accepts on, or closes the listener when that was asked for.
    fn accept_turn(&self, passive: &Passive, worker: &Worker<C>) {
        loop {
            if worker.phase.load(Ordering::Acquire) == ACCEPTED {
                // SAFETY: K1.
                let (status, socket) = unsafe { *worker.accepted.get() };
                worker.phase.store(IDLE, Ordering::Relaxed);
                if NT_SUCCESS(status) {
                    self.take_accepted(
                        passive,
                        worker,
                        core::ptr::with_exposed_provenance_mut(socket),
                    );
                } else if !worker.closing.load(Ordering::Acquire) {
                    if status == STATUS_FILE_FORCED_CLOSED {
                        self.client().listener_lost();
                    }
                    worker.resting.store(true, Ordering::Release);
                }
            }
            if worker.closing.load(Ordering::Acquire) {
                // Completes a WskAccept that is under way, which is then taken here.
                self.close_listener(passive);
                if worker.phase.load(Ordering::Acquire) == IDLE {
                    worker.closed.set();
                }
                if worker.phase.load(Ordering::Acquire) != ACCEPTED {
                    return;
                }
            } else if worker.phase.load(Ordering::Relaxed) != IDLE
                || worker.resting.load(Ordering::Acquire)
            {
                return;
            } else {
                self.accept(worker);
            }
        }
    }

    fn accept(&self, worker: &Worker<C>) {
        let Ok((socket, table)) = self.listener() else { return };
        let Some(accept) = table.WskAccept else { return };
        worker.phase.store(ACCEPTING, Ordering::Release);
        let context = core::ptr::from_ref(worker).cast_mut().cast();
        let irp = &raw const worker.accept;
        // SAFETY: idle: the phase was IDLE; the worker is part of the provider and stays.
        let irp = unsafe { EmbeddedIrp::prepare(irp, Some(accept_complete::<C>), context) };
        let null = core::ptr::null_mut();
        // SAFETY: the worker closes the listener itself, so it is open during the call; the
        // addresses stay until the completion (K1). Without a table no event comes.
        unsafe {
            accept(socket, 0, null, core::ptr::null(), worker.local.get(), worker.remote.get(), irp)
        };
    }

    fn take_accepted(&self, passive: &Passive, worker: &Worker<C>, socket: *mut WSK_SOCKET) {
        // SAFETY: K1: filled in by the request.
        let remote = unsafe { from_sockaddr(worker.remote.get()) };
        if worker.closing.load(Ordering::Acquire) {
            return refuse(passive, worker, socket);
        }
        let Some(endpoint) = self.take_slot() else {
            self.client().crowded(&remote, None);
            return refuse(passive, worker, socket);
        };
        let Some(intake) = Intake::take(&worker.receive_list) else {
            self.connection_gone(endpoint.index);
            self.client().crowded(&remote, None);
            return refuse(passive, worker, socket);
        };
        let Some(state) = self.client().accept(&remote, None, &endpoint.mark) else {
            drop(intake);
            self.connection_gone(endpoint.index);
            return refuse(passive, worker, socket);
        };
        endpoint.occupy(socket, state, Some(intake));
        endpoint.post(Events::OPENED);
    }
}

/// Closes an accepted socket that nobody will serve.
fn refuse<C: Client>(passive: &Passive, worker: &Worker<C>, socket: *mut WSK_SOCKET) {
    // SAFETY: accepted just now, ours to close.
    let table = unsafe { (*socket).Dispatch };
    // SAFETY: C6: every table begins with the basic one.
    let table = unsafe { &*table.cast::<WSK_PROVIDER_BASIC_DISPATCH>() };
    let Some(close) = table.WskCloseSocket else {
        bug_check("socket that cannot be closed", socket.addr());
    };
    // SAFETY: nothing else was called on the socket.
    worker.close(passive, |irp| unsafe { close(socket, irp) });
}

kernel_fn! {
    unsafe fn accept_complete<C: Client>(
        _d: *mut DEVICE_OBJECT, irp: *mut IRP, context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: the context given in `accept`: the worker stays until its WskAccept completed.
        let worker = unsafe { &*context.cast::<Worker<C>>() };
        // SAFETY: in the completion routine.
        let outcome = unsafe { outcome(irp) };
        // SAFETY: K1.
        unsafe { *worker.accepted.get() = outcome };
        worker.phase.store(ACCEPTED, Ordering::Release);
        worker.wake.set();
        STATUS_MORE_PROCESSING_REQUIRED
    }
}
