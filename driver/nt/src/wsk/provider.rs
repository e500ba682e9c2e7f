//! The attachment to WSK: registration, listener, slots; up in order, down in reverse.
use core::cell::UnsafeCell;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use nt_sys::wsk::{self, WSK_SOCKET};

use super::Client;
use super::door::{DECISIONS_MAX, DecisionRequest, Sweep};
use super::endpoint::{Endpoint, Events};
use super::listener::listen_dispatch;
use super::receive::connection_dispatch;
use super::send::send_list;
use super::slab::Slab;
use super::worker::Worker;
use crate::lookaside::RawLookaside;
use crate::pool::{PoolSlice, Tag};
use crate::{
    Event, Passive, PerProcessor, PoolArc, Result, SpinLock, Status, TimerRoutine, bug_check,
};

/// Milliseconds that the driver's start waits for the WSK provider.
const CAPTURE_WAIT_MS: u32 = 5_000;

/// How connections come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accept {
    /// By events, inspected before their handshake completes.
    Conditional,
    /// By events.
    Event,
    /// By IRP: for providers that have no event callbacks, or few of the other functions.
    Irp,
}

/// What a provider is started with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Address and port to listen on; `[::]` is dual stack and falls back to `0.0.0.0`.
    pub listen: SocketAddr,
    /// How connections come in; a provider that refuses event callbacks is served by IRP.
    pub accept: Accept,
    /// Connections at most, those that wait for a place or are refused by an answer included.
    pub connections_max: u32,
    /// Connection slots allocated at start.
    pub connections_reserved: u32,
    /// Milliseconds between two calls of [`TimerRoutine::expire`].
    pub tick_ms: u32,
}

/// WSK, one listening socket and its connections, serving one client.
///
/// P1: made in its final place and freed only after [`Provider::stop`]: listener closed, every
/// connection's close completed, deregistered. So every callback and completion finds it alive.
/// N1: deregistered once, at PASSIVE_LEVEL, after the capture is released. N2: what was captured is
/// used only in between.
pub struct Provider<C: Client> {
    registration: UnsafeCell<wsk::WSK_REGISTRATION>,
    client_dispatch: wsk::WSK_CLIENT_DISPATCH,
    npi: UnsafeCell<wsk::WSK_PROVIDER_NPI>,
    attached: AtomicBool,
    pub(super) listen_dispatch: wsk::WSK_CLIENT_LISTEN_DISPATCH,
    connection_dispatch: wsk::WSK_CLIENT_CONNECTION_DISPATCH,
    pub(super) listener: AtomicPtr<WSK_SOCKET>,
    /// Where the listener is bound, or is to be bound again.
    pub(super) bound: SpinLock<SocketAddr>,
    conditional: bool,
    /// Events were not asked for, or refused; set before the first socket.
    by_irp: AtomicBool,
    pub(super) worker: Worker<C>,
    pub(super) decisions: PoolSlice<DecisionRequest<C>>,
    pub(super) slots: Slab<C>,
    send_lists: PerProcessor<RawLookaside>,
    last_gone: Event,
    client: C,
}

// SAFETY: registration and NPI change only in `attach` and `stop`, which one thread at
// PASSIVE_LEVEL calls; decisions change as their R1 says; everything else is synchronised by
// itself.
unsafe impl<C: Client> Send for Provider<C> {}
// SAFETY: as above.
unsafe impl<C: Client> Sync for Provider<C> {}

impl<C: Client> Provider<C> {
    /// Registers, listens and begins to serve; on failure nothing is left behind.
    ///
    /// # Errors
    /// What registering, creating, binding said: `ADDRESS_ALREADY_EXISTS`, `ACCESS_DENIED`,
    /// `INVALID_ADDRESS_COMPONENT`, `INSUFFICIENT_RESOURCES`, ...
    pub fn start(passive: &Passive, options: &Options, client: C) -> Result<PoolArc<Provider<C>>> {
        let provider = Provider::new(options, client)?;
        provider.attach(passive)?;
        let opened = provider.slots.reserve(options.connections_reserved, &raw const *provider);
        let opened = opened.and_then(|()| provider.open(passive, options));
        match opened.and_then(|()| provider.worker.start(passive, provider.clone())) {
            Ok(()) => Ok(provider),
            Err(status) => {
                provider.stop(passive);
                Err(status)
            }
        }
    }

    /// In its final place. Not inlined: it is built on the stack, of which its callers need some.
    #[inline(never)]
    fn new(options: &Options, client: C) -> Result<PoolArc<Provider<C>>> {
        let null = core::ptr::null_mut();
        let provider = Provider {
            registration: UnsafeCell::new(wsk::WSK_REGISTRATION {
                ReservedRegistrationState: 0,
                ReservedRegistrationContext: null,
                ReservedRegistrationLock: 0,
            }),
            client_dispatch: wsk::WSK_CLIENT_DISPATCH {
                Version: wsk::MAKE_WSK_VERSION(1, 0),
                Reserved: 0,
                WskClientEvent: null,
            },
            npi: UnsafeCell::new(wsk::WSK_PROVIDER_NPI {
                Client: null.cast(),
                Dispatch: null.cast(),
            }),
            attached: AtomicBool::new(false),
            listen_dispatch: listen_dispatch::<C>(),
            connection_dispatch: connection_dispatch::<C>(),
            listener: AtomicPtr::default(),
            bound: SpinLock::new(options.listen),
            conditional: options.accept == Accept::Conditional,
            by_irp: AtomicBool::new(options.accept == Accept::Irp),
            worker: Worker::new(options.tick_ms)?,
            decisions: PoolSlice::from_fn(Tag::Server, DECISIONS_MAX, |_| DecisionRequest::new())?,
            slots: Slab::new(options.connections_max)?,
            send_lists: PerProcessor::new(Tag::Send, send_list)?,
            last_gone: Event::new()?,
            client,
        };
        PoolArc::new(Tag::Server, provider)
    }

    /// Registers with WSK and captures its NPI.
    fn attach(&self, _passive: &Passive) -> Result<()> {
        let mut npi = wsk::WSK_CLIENT_NPI {
            ClientContext: core::ptr::null_mut(),
            Dispatch: &raw const self.client_dispatch,
        };
        // SAFETY: PASSIVE_LEVEL; block and dispatch stay in place until deregistered (P1).
        Status::check(unsafe { wsk::WskRegister(&raw mut npi, self.registration.get()) })?;
        // SAFETY: PASSIVE_LEVEL; registered just now.
        let captured = Status::check(unsafe {
            wsk::WskCaptureProviderNPI(self.registration.get(), CAPTURE_WAIT_MS, self.npi.get())
        });
        if captured.is_err() {
            // SAFETY: PASSIVE_LEVEL; nothing was captured (N1).
            unsafe { wsk::WskDeregister(self.registration.get()) };
        }
        self.attached.store(captured.is_ok(), Ordering::Release);
        captured
    }

    /// The captured handle and table (N2).
    pub(super) fn captured(&self) -> (*mut wsk::WSK_CLIENT, &wsk::WSK_PROVIDER_DISPATCH) {
        // SAFETY: written in `attach`, before anything else of the provider runs.
        let npi = unsafe { &*self.npi.get() };
        // SAFETY: N2: captured until `stop`, which is the last to call this.
        (npi.Client, unsafe { &*npi.Dispatch })
    }

    /// Stops: no new connections, every connection is told to stop and waited for, WSK is left.
    /// The client must end each connection within a bounded time, for which its ticks go on.
    pub fn stop(&self, passive: &Passive) {
        // What the worker calls, the worker closes: no call may be in progress.
        if !self.worker.stop_listening(passive) {
            self.close_listener(passive);
        }
        for index in 0..self.slots.slots() {
            if let Some(slot) = self.slots.slot(index) {
                slot.post(Events::STOP);
            }
        }
        if !self.slots.rundown.close() {
            self.last_gone.wait(passive);
        }
        self.worker.stop(passive);
        if self.attached.swap(false, Ordering::AcqRel) {
            // SAFETY: captured in `attach`; every socket is closed (N1).
            unsafe { wsk::WskReleaseProviderNPI(self.registration.get()) };
            // SAFETY: PASSIVE_LEVEL; returns when WSK is done with this registration (N1).
            unsafe { wsk::WskDeregister(self.registration.get()) };
        }
    }

    /// The client.
    pub fn client(&self) -> &C {
        &self.client
    }

    /// Connections whose socket exists.
    pub fn connections(&self) -> u32 {
        self.slots.rundown.count()
    }

    /// Connection slots allocated, and the octets of each.
    pub fn slots(&self) -> (usize, usize) {
        (self.slots.slots(), size_of::<Endpoint<C>>())
    }

    /// The address that the listener is bound to, with the real port when 0 was asked for; by IRP
    /// the one that was asked for, as the provider may not tell.
    pub fn local_address(&self) -> SocketAddr {
        self.bound.with(|address| *address)
    }

    /// How connections come in: as was asked for, unless the provider refused event callbacks.
    pub fn accept_mode(&self) -> Accept {
        match (self.is_by_irp(), self.conditional) {
            (true, _) => Accept::Irp,
            (false, true) => Accept::Conditional,
            (false, false) => Accept::Event,
        }
    }

    /// True when connections are served by IRP, false when by events.
    pub(super) fn is_by_irp(&self) -> bool {
        self.by_irp.load(Ordering::Relaxed)
    }

    /// Events were refused. Before the first socket.
    pub(super) fn serve_by_irp(&self) {
        self.by_irp.store(true, Ordering::Release);
    }

    /// Has the worker call [`Client::attend`] if that is wanted. IRQL <= DISPATCH.
    pub(super) fn attend_if_wanted(&self) {
        if self.client.wants_attention() {
            self.worker.wake();
        }
    }

    /// The slot of an index, `None` at the end of a list.
    pub(super) fn slot(&self, index: u32) -> Option<&Endpoint<C>> {
        self.slots.slot(index as usize)
    }

    pub(super) fn is_conditional(&self) -> bool {
        self.conditional
    }

    pub(super) fn connection_dispatch(&self) -> *const wsk::WSK_CLIENT_CONNECTION_DISPATCH {
        &raw const self.connection_dispatch
    }

    pub(super) fn take_slot(&self) -> Option<&Endpoint<C>> {
        self.slots.take(self)
    }

    /// A slot that was taken is free again; `state` is what its connection has left.
    pub(super) fn connection_gone(&self, index: u32, state: Option<C::State>) {
        // Free before its connection is counted as closed: who is let in then finds a slot.
        self.slots.give(index);
        if let Some(state) = state {
            self.client.closed(state);
            self.attend_if_wanted();
        }
        // The last thing: afterwards the provider may be gone (D1).
        if self.slots.rundown.release() {
            self.last_gone.set();
        }
    }

    /// The list of a processor.
    #[inline]
    pub(super) fn send_list(&self, processor: usize) -> Option<&RawLookaside> {
        self.send_lists.of(processor)
    }
}

impl<C: Client> Drop for Provider<C> {
    fn drop(&mut self) {
        if self.attached.load(Ordering::Acquire) {
            bug_check("provider stopped, not dropped", core::ptr::from_ref(self).addr());
        }
    }
}

impl<C: Client> TimerRoutine for Provider<C> {
    fn expire(&self) {
        self.client.tick(Sweep::new(self));
        self.worker.tick();
        self.attend_if_wanted();
    }
}
