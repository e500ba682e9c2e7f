//! The attachment to WSK: registration, listener, slots; up in order, down in reverse.
use core::cell::UnsafeCell;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use nt_sys::ntdef::PVOID;
use nt_sys::wsk::{self, SOCKADDR, WSK_PROVIDER_LISTEN_DISPATCH, WSK_SOCKET};

use super::Client;
use super::address::{from_sockaddr, to_sockaddr};
use super::endpoint::{Endpoint, Events};
use super::listener::listen_dispatch;
use super::receive::connection_dispatch;
use super::send::send_list;
use super::slab::Slab;
use super::worker::Worker;
use crate::irp::SyncRequest;
use crate::lookaside::RawLookaside;
use crate::pool::{PoolSlice, Tag};
use crate::{Event, Passive, PoolArc, Result, Status, TimerRoutine, bug_check, processor};

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
    /// Connections at most.
    pub connections_max: u32,
    /// Connection slots allocated at start.
    pub connections_reserved: u32,
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
    listen_dispatch: wsk::WSK_CLIENT_LISTEN_DISPATCH,
    connection_dispatch: wsk::WSK_CLIENT_CONNECTION_DISPATCH,
    listener: AtomicPtr<WSK_SOCKET>,
    conditional: bool,
    /// Events were not asked for, or refused; set before the first socket.
    by_irp: AtomicBool,
    worker: Worker<C>,
    slots: Slab<C>,
    send_lists: PoolSlice<RawLookaside>,
    stopping: AtomicBool,
    last_gone: Event,
    client: C,
}

// SAFETY: registration and NPI change only in `attach` and `stop`, which one thread at
// PASSIVE_LEVEL calls; everything else is synchronised by itself.
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
        let opened = provider.open(passive, options).and_then(|()| match provider.worker() {
            Some(worker) => worker.start(passive, provider.clone()),
            None => Ok(()),
        });
        match opened {
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
            conditional: options.accept == Accept::Conditional,
            by_irp: AtomicBool::new(options.accept == Accept::Irp),
            worker: Worker::new()?,
            slots: Slab::new(options.connections_max)?,
            send_lists: PoolSlice::try_from_fn(Tag::Send, processor::count(), |_| send_list())?,
            stopping: AtomicBool::new(false),
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

    fn open(&self, passive: &Passive, options: &Options) -> Result<()> {
        self.slots.reserve(options.connections_reserved, self)?;
        let address = options.listen;
        let every_ipv4 = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
        if options.accept != Accept::Irp
            && let Err(status) = self.enable_static_events()
        {
            crate::log(format_args!("no event callbacks ({status}): serving by IRP"));
            self.by_irp.store(true, Ordering::Release);
        }
        // A dual-stack socket takes an option, and by IRP none is set.
        if self.worker().is_some() && address.is_ipv6() && address.ip().is_unspecified() {
            crate::log(format_args!("by IRP, {address} means IPv4 only"));
            return self.listen(passive, every_ipv4);
        }
        match self.listen(passive, address) {
            Err(status) if falls_back(address, status) => self.listen(passive, every_ipv4),
            result => result,
        }
    }

    /// The captured handle and table (N2).
    fn captured(&self) -> (*mut wsk::WSK_CLIENT, &wsk::WSK_PROVIDER_DISPATCH) {
        // SAFETY: written in `attach`, before anything else of the provider runs.
        let npi = unsafe { &*self.npi.get() };
        // SAFETY: N2: captured until `stop`, which is the last to call this.
        (npi.Client, unsafe { &*npi.Dispatch })
    }

    fn enable_static_events(&self) -> Result<()> {
        let (client, table) = self.captured();
        let control = table.WskControlClient.ok_or(Status::INVALID_DEVICE_REQUEST)?;
        let mut events = wsk::WSK_EVENT_CALLBACK_CONTROL {
            NpiId: &raw const wsk::NPI_WSK_INTERFACE_ID,
            EventMask: wsk::WSK_EVENT_ACCEPT | wsk::WSK_EVENT_RECEIVE | wsk::WSK_EVENT_DISCONNECT,
        };
        // SAFETY: no socket exists yet; this control takes no IRP and answers at once.
        Status::check(unsafe {
            control(
                client,
                wsk::WSK_SET_STATIC_EVENT_CALLBACKS,
                size_of_val(&events),
                (&raw mut events).cast(),
                0,
                core::ptr::null_mut(),
                core::ptr::null_mut(),
                core::ptr::null_mut(),
            )
        })
    }

    /// Creates the listening socket, sets its options in the legal order, binds it. A socket that
    /// cannot be bound is closed again.
    fn listen(&self, passive: &Passive, address: SocketAddr) -> Result<()> {
        let (client, table) = self.captured();
        let create = table.WskSocket.ok_or(Status::INVALID_DEVICE_REQUEST)?;
        let family = if address.is_ipv4() { wsk::AF_INET } else { wsk::AF_INET6 };
        let context: PVOID = core::ptr::from_ref(self).cast_mut().cast();
        let null = core::ptr::null_mut;
        let socket = SyncRequest::run(passive, |irp| {
            // SAFETY: context and table live until the socket's close completed (P1).
            unsafe {
                create(
                    client,
                    family,
                    wsk::SOCK_STREAM,
                    wsk::IPPROTO_TCP,
                    wsk::WSK_FLAG_LISTEN_SOCKET,
                    context,
                    (&raw const self.listen_dispatch).cast(),
                    null(),
                    null(),
                    null(),
                    irp,
                )
            }
        })?;
        self.listener.store(core::ptr::with_exposed_provenance_mut(socket), Ordering::Release);
        let bound = self.set_options(passive, address).and_then(|()| self.bind(passive, address));
        if bound.is_err() {
            self.close_listener(passive);
        }
        bound
    }

    /// The listener and its table, while there is one.
    pub(super) fn listener(&self) -> Result<(*mut WSK_SOCKET, &WSK_PROVIDER_LISTEN_DISPATCH)> {
        let socket = self.listener.load(Ordering::Acquire);
        if socket.is_null() {
            return Err(Status::INVALID_DEVICE_STATE);
        }
        // SAFETY: the socket exists until `close_listener`, which one thread calls.
        let table = unsafe { (*socket).Dispatch };
        // SAFETY: C6: created as a listening socket.
        Ok((socket, unsafe { &*table.cast::<WSK_PROVIDER_LISTEN_DISPATCH>() }))
    }

    /// By IRP none is set: providers without events need not have options.
    fn set_options(&self, passive: &Passive, address: SocketAddr) -> Result<()> {
        if self.worker().is_some() {
            return Ok(());
        }
        if address.is_ipv6() {
            self.set_option(passive, wsk::IPPROTO_IPV6, wsk::IPV6_V6ONLY, 0)?;
        }
        self.set_option(passive, wsk::SOL_SOCKET, wsk::SO_EXCLUSIVEADDRUSE, 1)?;
        if self.conditional {
            self.set_option(passive, wsk::SOL_SOCKET, wsk::SO_CONDITIONAL_ACCEPT, 1)?;
        }
        Ok(())
    }

    fn set_option(&self, passive: &Passive, level: u32, option: u32, value: u32) -> Result<()> {
        let (socket, table) = self.listener()?;
        let control = table.Basic.WskControlSocket.ok_or(Status::INVALID_DEVICE_REQUEST)?;
        let mut value = value;
        SyncRequest::run(passive, |irp| {
            // SAFETY: before bind; the value lives until the request completed.
            unsafe {
                control(
                    socket,
                    wsk::WskSetOption,
                    option,
                    level,
                    size_of::<u32>(),
                    (&raw mut value).cast(),
                    0,
                    core::ptr::null_mut(),
                    core::ptr::null_mut(),
                    irp,
                )
            }
        })
        .map(|_| ())
    }

    fn bind(&self, passive: &Passive, address: SocketAddr) -> Result<()> {
        let (socket, table) = self.listener()?;
        let bind = table.WskBind.ok_or(Status::INVALID_DEVICE_REQUEST)?;
        let mut address = to_sockaddr(address);
        // SAFETY: the address lives until the request completed. Accept events may come from now
        // on; everything they use is ready.
        SyncRequest::run(passive, |irp| unsafe { bind(socket, &raw mut address, 0, irp) })
            .map(|_| ())
    }

    /// The address that the listener is bound to, with the real port when 0 was asked for.
    ///
    /// # Errors
    /// What `WskGetLocalAddress` said; `NOT_SUPPORTED` by IRP, where the provider may not answer.
    pub fn local_address(&self, passive: &Passive) -> Result<SocketAddr> {
        if self.worker().is_some() {
            return Err(Status::NOT_SUPPORTED);
        }
        let (socket, table) = self.listener()?;
        let get = table.WskGetLocalAddress.ok_or(Status::INVALID_DEVICE_REQUEST)?;
        let mut address = SOCKADDR::default();
        // SAFETY: room for either family until the request completed.
        SyncRequest::run(passive, |irp| unsafe { get(socket, &raw mut address, irp) })?;
        // SAFETY: filled in by the request.
        Ok(unsafe { from_sockaddr(&raw const address) })
    }

    pub(super) fn close_listener(&self, passive: &Passive) {
        let Ok((socket, table)) = self.listener() else { return };
        let Some(close) = table.Basic.WskCloseSocket else { return };
        // SAFETY: nobody else calls into the listener; its close completes when no accept,
        // inspect or abort event runs. Whatever the status, the socket is gone.
        self.worker.close(passive, |irp| unsafe { close(socket, irp) });
        self.listener.store(core::ptr::null_mut(), Ordering::Release);
    }

    /// Stops: no new connections, every connection is told to stop and waited for, WSK is left.
    /// The client must end each connection within a bounded time, for which its ticks go on.
    pub fn stop(&self, passive: &Passive) {
        // What the worker calls, the worker closes: no call may be in progress.
        if !self.worker.stop_accepting(passive) {
            self.close_listener(passive);
        }
        self.stopping.store(true, Ordering::SeqCst);
        for index in 0..self.slots.slots() {
            if let Some(slot) = self.slots.slot(index) {
                slot.post(Events::STOP);
            }
        }
        if self.slots.live() > 0 {
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
        self.slots.live()
    }

    /// Connection slots allocated, and the octets of each.
    pub fn slots(&self) -> (usize, usize) {
        (self.slots.slots(), size_of::<Endpoint<C>>())
    }

    /// Who runs connections by IRP; `None` when they are served by events.
    pub(super) fn worker(&self) -> Option<&Worker<C>> {
        self.by_irp.load(Ordering::Relaxed).then_some(&self.worker)
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

    pub(super) fn connection_gone(&self, index: u32) {
        // Read before the slot is given: afterwards the provider may be gone.
        if self.slots.give(index) == 0 && self.stopping.load(Ordering::SeqCst) {
            self.last_gone.set();
        }
    }

    /// The list of the processor that runs this code.
    pub(super) fn send_list(&self) -> Option<&RawLookaside> {
        self.send_lists.get(processor::current() % self.send_lists.len().max(1))
    }
}

/// A machine without IPv6 still serves IPv4 when asked for every address.
fn falls_back(listen: SocketAddr, status: Status) -> bool {
    listen.is_ipv6()
        && listen.ip().is_unspecified()
        && status != Status::ADDRESS_ALREADY_EXISTS
        && status != Status::ACCESS_DENIED
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
        self.client.tick(Sweep { provider: self });
        if let Some(worker) = self.worker() {
            worker.tick();
        }
    }
}

/// The connections, as a timer sees them.
pub struct Sweep<'p, C: Client> {
    provider: &'p Provider<C>,
}

impl<C: Client> Sweep<'_, C> {
    /// Slots there are, in use or not.
    pub fn slots(&self) -> usize {
        self.provider.slots.slots()
    }

    /// Looks at every connection in the slots `from..to`; those for which `due` says true get
    /// [`Events::TICK`].
    pub fn visit(&self, from: usize, to: usize, mut due: impl FnMut(&C::Mark) -> bool) {
        for index in from..to {
            if let Some(slot) = self.provider.slots.slot(index)
                && slot.is_live()
                && due(&slot.mark)
            {
                slot.post(Events::TICK);
            }
        }
    }
}
