//! The worker: a thread at PASSIVE_LEVEL that makes every call on the listening socket.
//!
//! So no call can be in progress when the listener is closed. It closes a listener that died and
//! opens another one, decides about pended requests, and does for the client what takes long. It
//! runs connections that are queued: those that have sent so much in one callback that it must
//! end, and those whose time is over, for a timer that has many of them.
//!
//! By IRP it also accepts, and is the runner of every connection: completions only leave an event
//! and queue its connection. So no WSK function is called in a completion routine, and every call
//! is made at PASSIVE_LEVEL.
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use nt_sys::io::IRP;
use nt_sys::ntdef::NTSTATUS;

use super::accepting::Accepting;
use super::door::Door;
use super::endpoint::Endpoint;
use super::intake::receive_list;
use super::provider::Provider;
use super::stack::Stack;
use super::{Client, Listening};
use crate::irp::SyncRequest;
use crate::lookaside::RawLookaside;
use crate::pool::PoolBox;
use crate::{Event, Passive, PoolArc, Result, SystemThread, ThreadRoutine};

/// Ticks from the death of a listener to the first try to open another one; doubled each time.
const REOPEN_TICKS_MIN: u32 = 2;
const REOPEN_TICKS_MAX: u32 = 512;

/// The thread, and what it waits for.
///
/// K2: the thread begins when the listener is bound and has ended before the NPI is released.
/// K3: `reserve` is used by the thread, and while there is none by who starts and stops it.
pub(super) struct Worker<C: Client> {
    /// Connections to run; each is in it once, for it has a runner.
    queue: Stack,
    /// Something is queued or has changed.
    wake: Event,
    pub(super) accepting: Accepting,
    /// Closes the listener, and accepted sockets that cannot be kept, whatever memory there is.
    reserve: UnsafeCell<PoolBox<SyncRequest>>,
    /// The listener is dead, and to be closed.
    lost: AtomicBool,
    /// Ticks until another one is tried; 0 = there is one.
    reopen_in: AtomicU32,
    /// How many ticks that were at first.
    reopen_after: AtomicU32,
    /// Milliseconds of a tick.
    tick_ms: u32,
    /// The listener is to be closed for good, and has been.
    closing: AtomicBool,
    closed: Event,
    ending: AtomicBool,
    thread: UnsafeCell<Option<SystemThread<Provider<C>>>>,
    pub(super) receive_list: RawLookaside,
}

impl<C: Client> Worker<C> {
    pub(super) fn new(tick_ms: u32) -> Result<Worker<C>> {
        Ok(Worker {
            queue: Stack::new(),
            wake: Event::new()?,
            accepting: Accepting::new(),
            reserve: UnsafeCell::new(SyncRequest::new()?),
            lost: AtomicBool::new(false),
            reopen_in: AtomicU32::new(0),
            reopen_after: AtomicU32::new(REOPEN_TICKS_MIN),
            tick_ms,
            closing: AtomicBool::new(false),
            closed: Event::new()?,
            ending: AtomicBool::new(false),
            thread: UnsafeCell::new(None),
            receive_list: receive_list()?,
        })
    }

    /// Begins; once, the listener is bound.
    pub(super) fn start(&self, passive: &Passive, provider: PoolArc<Provider<C>>) -> Result<()> {
        self.wake.set();
        let thread = SystemThread::start(passive, provider)?;
        // SAFETY: K2: only the thread that starts and stops the provider touches it.
        unsafe { *self.thread.get() = Some(thread) };
        Ok(())
    }

    /// Something is to be done. IRQL <= DISPATCH.
    pub(super) fn wake(&self) {
        self.wake.set();
    }

    /// The provider says that the listener is dead. IRQL <= DISPATCH.
    pub(super) fn listener_lost(&self) {
        self.lost.store(true, Ordering::Release);
        self.wake.set();
    }

    /// True when the listener is to be closed for good.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Waits until the listener is closed. False when there is no thread: then the listener is
    /// still the caller's to close.
    pub(super) fn stop_listening(&self, passive: &Passive) -> bool {
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

    /// Queues a connection whose runner the caller became. IRQL <= DISPATCH.
    pub(super) fn queue(&self, endpoint: &Endpoint<C>) {
        if self.queue.push(endpoint.index, &endpoint.next) {
            self.wake.set();
        }
    }

    /// A tick: what failed is tried again. So is a wake that has had no effect, which on Wine
    /// happens when the worker is just beginning to wait.
    pub(super) fn tick(&self) {
        let rested = self.accepting.end_rest();
        let left = !self.queue.is_empty() || self.accepting.has_accepted();
        let count_down = |ticks: u32| ticks.checked_sub(1).filter(|left| *left > 0);
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        // At the last tick it stays 1, for the worker to see.
        let reopens = self.reopen_in.fetch_update(set, fetch, count_down) == Err(1);
        if rested || left || reopens {
            self.wake.set();
        }
    }
}

impl<C: Client> ThreadRoutine for Provider<C> {
    fn run(&self, passive: &Passive) {
        let worker = &self.worker;
        while !worker.ending.load(Ordering::Acquire) {
            worker.wake.wait(passive);
            // Before looking: what comes now is either seen or wakes again.
            worker.wake.clear();
            self.keep_listener(passive);
            self.client().attend(&Door::new(self));
            if self.is_by_irp() {
                self.accept_turn(passive);
            }
            self.run_queued();
        }
    }
}

impl<C: Client> Provider<C> {
    /// Closes a listener that is dead or no longer wanted; opens another one when it is time.
    fn keep_listener(&self, passive: &Passive) {
        let worker = &self.worker;
        if worker.is_closing() {
            self.close_listener(passive);
            // The close has completed a WskAccept that was under way, which is taken here.
            if self.is_by_irp() {
                self.accept_turn(passive);
            }
            worker.closed.set();
        } else if worker.lost.swap(false, Ordering::AcqRel) {
            self.client().listener(Listening::Lost);
            self.close_listener(passive);
            // It may have said so twice, and says nothing any more.
            worker.lost.store(false, Ordering::Release);
            worker.reopen_after.store(REOPEN_TICKS_MIN, Ordering::Relaxed);
            worker.reopen_in.store(REOPEN_TICKS_MIN, Ordering::Release);
        } else if worker.reopen_in.load(Ordering::Acquire) == 1 {
            self.try_reopen(passive);
        }
    }

    fn try_reopen(&self, passive: &Passive) {
        let worker = &self.worker;
        match self.reopen(passive) {
            Ok(()) => {
                worker.reopen_in.store(0, Ordering::Release);
                self.client().listener(Listening::Restored);
            }
            Err(status) => {
                let ticks = worker.reopen_after.load(Ordering::Relaxed).saturating_mul(2);
                let ticks = ticks.min(REOPEN_TICKS_MAX);
                worker.reopen_after.store(ticks, Ordering::Relaxed);
                worker.reopen_in.store(ticks, Ordering::Release);
                let wait_ms = ticks.saturating_mul(worker.tick_ms);
                self.client().listener(Listening::Failed(status, wait_ms));
            }
        }
    }

    fn run_queued(&self) {
        let mut index = self.worker.queue.take();
        while let Some(endpoint) = self.slot(index) {
            // Read first: the connection may be queued again as soon as it was run.
            index = endpoint.next.load(Ordering::Relaxed);
            endpoint.run_turn();
        }
    }
}
