//! What a runner may do with its connection's socket.
use core::sync::atomic::Ordering;

use nt_sys::io::{DEVICE_OBJECT, IRP};
use nt_sys::kernel_fn;
use nt_sys::ntdef::{
    NT_SUCCESS, NTSTATUS, PVOID, STATUS_MORE_PROCESSING_REQUIRED, STATUS_NOT_IMPLEMENTED,
};
use nt_sys::wsk::{
    PFN_WSK_TRANSFER, WSK_BUF, WSK_FLAG_NODELAY, WSK_PROVIDER_CONNECTION_DISPATCH, WSK_SOCKET,
};

use super::Client;
use super::endpoint::{Endpoint, Events, restart_events};
use super::intake::{Intake, RECEIVE_FAILED};
use super::send::{Outgoing, Ready, SealedSend, send_complete};
use crate::irp::{EmbeddedIrp, outcome};

/// The runner's view of the socket's life.
#[allow(clippy::struct_excessive_bools)] // independent facts
#[derive(Default)]
pub(super) struct Link {
    socket: Option<core::ptr::NonNull<WSK_SOCKET>>,
    closing: bool,
    /// It is closed when the call of a restart returns.
    close_waits: bool,
    disconnecting: bool,
    /// The restart's call or IRP is under way.
    restarting: bool,
    gate: Gate,
    /// Sends of this turn.
    sends: u8,
}

/// Whether octets are left with the provider.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Gate {
    /// None are.
    #[default]
    Open,
    /// They are, and it has indicated nothing since.
    Closed,
    /// The same, and a restart is to be asked for at the end of this turn.
    Wanted,
    /// The same, and it was asked for.
    Asked,
}

/// A restart that is to be asked for.
pub(super) struct Call {
    socket: *mut WSK_SOCKET,
    receive: PFN_WSK_TRANSFER,
    irp: *mut IRP,
}

impl Call {
    /// Asks for it.
    ///
    /// # Safety
    /// The socket is not closed until this returns (R1).
    pub(super) unsafe fn make(self) {
        let Some(receive) = self.receive else { return };
        let mut nothing = WSK_BUF { Mdl: core::ptr::null_mut(), Offset: 0, Length: 0 };
        // SAFETY: R1; a zero-length receive moves no data.
        unsafe { receive(self.socket, &raw mut nothing, 0, self.irp) };
    }
}

/// Sends of one turn at most, so that a callback ends in time (contract section 12): where they
/// complete at once, nothing else would end it.
const SENDS_PER_TURN: u8 = 16;

// SAFETY: the pointer is used by the runner only, whichever thread that is (C1).
unsafe impl Send for Link {}

impl Link {
    pub(super) fn new(socket: *mut WSK_SOCKET) -> Link {
        Link { socket: core::ptr::NonNull::new(socket), ..Link::default() }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    pub(super) fn receive_began(&mut self) {
        self.gate = Gate::Open;
    }

    pub(super) fn turn_began(&mut self) {
        self.sends = 0;
    }

    /// True when no more is to be sent in this turn. A completion follows, to go on after.
    pub(super) fn is_spent(&self) -> bool {
        self.sends >= SENDS_PER_TURN
    }

    /// True when octets are left that no restart is under way for.
    pub(super) fn waits_for_restart(&self) -> bool {
        matches!(self.gate, Gate::Closed | Gate::Wanted)
    }

    /// True when a restart is wanted that is for the worker: it may bring another receive event
    /// before it returns, and too much was sent already for another turn in the same callback.
    pub(super) fn restarts_later(&self) -> bool {
        let wants = self.gate == Gate::Wanted && !self.closing;
        wants && self.sends > SENDS_PER_TURN / 2
    }

    /// Octets are left, which is as if they were with the provider, but nothing restarts them: they
    /// are offered again by the event that brought them.
    pub(super) fn receive_held(&mut self) {
        self.gate = Gate::Asked;
    }

    pub(super) fn receive_gated(&mut self) {
        self.gate = Gate::Closed;
    }
}

/// A connection's socket in the hands of its runner.
///
/// Every function may be called at IRQL <= DISPATCH_LEVEL; after [`Socket::close`] all of them do
/// nothing.
pub struct Socket<'s, C: Client> {
    endpoint: &'s Endpoint<C>,
    link: &'s mut Link,
    processor: usize,
}

impl<'s, C: Client> Socket<'s, C> {
    #[inline]
    pub(super) fn new(
        endpoint: &'s Endpoint<C>,
        link: &'s mut Link,
        processor: usize,
    ) -> Socket<'s, C> {
        Socket { endpoint, link, processor }
    }

    /// System-wide index of the processor that this turn began on: a hint by which what every
    /// processor has of its own is found, asked for once.
    pub fn processor(&self) -> usize {
        self.processor
    }

    /// The part of the connection that everybody sees.
    pub fn mark(&self) -> &C::Mark {
        &self.endpoint.mark
    }

    /// Names the slot, for logs.
    pub fn index(&self) -> u32 {
        self.endpoint.index
    }

    /// Sends submitted and not completed.
    pub fn sends_in_flight(&self) -> u32 {
        self.endpoint.sends.count()
    }

    /// Octets in them.
    pub fn octets_in_flight(&self) -> u64 {
        self.endpoint.sends.octets()
    }

    /// True from [`Socket::close`] on.
    pub fn is_closing(&self) -> bool {
        self.link.closing
    }

    /// True when enough was sent in this turn. What is left is for after [`Events::SENT`], which
    /// follows.
    pub fn is_spent(&self) -> bool {
        self.link.is_spent()
    }

    /// True while the provider withholds octets that were not taken.
    pub fn is_gated(&self) -> bool {
        self.link.gate != Gate::Open
    }

    /// Notes that octets are with the provider for which no restart was asked, or none that it
    /// heard: a receive event was turned away, or nothing came of an earlier restart.
    pub fn expect_gate(&mut self) {
        self.link.receive_gated();
    }

    /// Room to build a send in; `None` when memory is short.
    #[inline]
    pub fn outgoing(&self) -> Option<Outgoing<C>> {
        let provider = self.endpoint.provider();
        Outgoing::take(provider.send_list(self.processor)?, provider.is_by_irp())
    }

    /// A copy of `octets`, to be sent alone; `None` when memory is short, or there are more than
    /// [`SEND_BYTES_MAX`](super::SEND_BYTES_MAX).
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    pub fn ready(&self, octets: &[u8]) -> Option<Ready<C>> {
        let provider = self.endpoint.provider();
        Ready::take(provider.send_list(self.processor)?, provider.is_by_irp(), octets)
    }

    /// The socket's functions while calls are allowed (C2), with the socket.
    fn functions(&self) -> Option<(*mut WSK_SOCKET, &'s WSK_PROVIDER_CONNECTION_DISPATCH)> {
        if self.link.closing { None } else { self.last_functions() }
    }

    /// The same of one that is to be closed.
    fn last_functions(&self) -> Option<(*mut WSK_SOCKET, &'s WSK_PROVIDER_CONNECTION_DISPATCH)> {
        let socket = self.link.socket?.as_ptr();
        // SAFETY: C2, C3: the socket exists until its close is begun.
        let table = unsafe { (*socket).Dispatch };
        // SAFETY: C6: an accepted socket has the connection table, valid while the socket is.
        Some((socket, unsafe { &*table.cast() }))
    }

    /// Sends everything in `outgoing` with one WskSend; [`Events::SENT`] follows. Nothing happens
    /// when it is empty.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    pub fn send(&mut self, outgoing: Outgoing<C>) {
        self.submit(|endpoint| outgoing.seal(endpoint));
    }

    /// As [`Socket::send`].
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    pub fn send_ready(&mut self, ready: Ready<C>) {
        self.submit(|endpoint| Some(ready.seal(endpoint)));
    }

    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    fn submit(&mut self, seal: impl FnOnce(*const Endpoint<C>) -> Option<SealedSend>) {
        let Some((socket, table)) = self.functions() else { return };
        let Some(send) = table.WskSend else { return };
        let Some(mut slot) = seal(self.endpoint) else { return };
        self.endpoint.sends.add(slot.octets());
        self.link.sends = self.link.sends.wrapping_add(1);
        // SAFETY: the slot is sealed: idle IRP, final place, alive until its completion.
        let (irp, buffer) = unsafe { slot.prepare(Some(send_complete::<C>)) };
        // SAFETY: (a) connected, no close begun, and this runner is the only caller (C1, C2);
        // (b) the MDL chain stays until completion (it is in the slot); (c) an idle IRP prepared
        // just now. The WSK_BUF itself is the slot's too. The returned value is not the result.
        unsafe { send(socket, buffer, WSK_FLAG_NODELAY, irp) };
    }

    /// Asks for the octets that come next, into `intake`, which is ready.
    pub(super) fn receive(&mut self, intake: &mut Intake) {
        let Some((socket, table)) = self.functions() else { return };
        let Some(receive) = table.WskReceive else { return };
        let context = core::ptr::from_ref(self.endpoint).cast_mut().cast();
        let irp = &raw const self.endpoint.receive;
        // SAFETY: idle: the intake is ready; the slot stays (C3).
        let irp = unsafe { EmbeddedIrp::prepare(irp, Some(receive_complete::<C>), context) };
        let buffer = intake.offer();
        // SAFETY: C1, C2; buffer and MDL stay until the completion (Q1).
        unsafe { receive(socket, buffer, 0, irp) };
    }

    /// Lets receive events come again after octets were left with the provider; those come first.
    /// It is asked for at the end of the turn. Nothing happens unless octets were left, or when it
    /// was asked for already.
    pub fn restart_receive(&mut self) {
        if self.link.gate != Gate::Closed || self.link.restarting {
            return;
        }
        // By IRP the octets are ours: they are shown again by the runner, which this is.
        let by_irp = self.endpoint.provider().is_by_irp();
        self.link.gate = if by_irp { Gate::Open } else { Gate::Wanted };
    }

    /// The restart that is to be asked for when the runner rests.
    pub(super) fn take_restart(&mut self) -> Option<Call> {
        if self.link.gate != Gate::Wanted {
            return None;
        }
        let (socket, table) = self.functions()?;
        let receive = table.WskReceive;
        let context = core::ptr::from_ref(self.endpoint).cast_mut().cast();
        let irp = &raw const self.endpoint.receive;
        // SAFETY: idle: `restarting` was false; the slot stays (C3).
        let irp = unsafe { EmbeddedIrp::prepare(irp, Some(restart_complete::<C>), context) };
        (self.link.gate, self.link.restarting) = (Gate::Asked, true);
        self.endpoint.restart.begin();
        Some(Call { socket, receive, irp })
    }

    /// The runner did not rest: another time.
    pub(super) fn keep_restart(&mut self) {
        self.endpoint.restart.cancel();
        (self.link.gate, self.link.restarting) = (Gate::Wanted, false);
    }

    /// Ends our side after all sends so far; [`Events::DISCONNECTED`] follows, perhaps never: keep
    /// a deadline. Only the first call counts. False when the provider cannot end one side: then
    /// nothing follows, and only the close tells the peer.
    pub fn disconnect(&mut self) -> bool {
        let Some((socket, table)) = self.functions() else { return true };
        let Some(disconnect) = table.WskDisconnect else { return false };
        if core::mem::replace(&mut self.link.disconnecting, true) {
            return true;
        }
        let context = core::ptr::from_ref(self.endpoint).cast_mut().cast();
        let irp = &raw const self.endpoint.disconnect;
        // SAFETY: idle: used once per connection; the slot stays (C3).
        let irp = unsafe { EmbeddedIrp::prepare(irp, Some(disconnect_complete::<C>), context) };
        // SAFETY: C1, C2; graceful, without a last buffer.
        let status = unsafe { disconnect(socket, core::ptr::null_mut(), 0, irp) };
        // Not the result but the want of one; if the IRP completes nevertheless, it does no harm.
        status != STATUS_NOT_IMPLEMENTED
    }

    /// Closes the socket, abortively unless both sides have ended (C4). The client hears of it by
    /// `closed` once everything in flight is back; nothing else follows.
    pub fn close(&mut self) {
        if !core::mem::replace(&mut self.link.closing, true) {
            self.try_close();
        }
    }

    /// Closes it unless the call of a restart has to return first.
    fn try_close(&mut self) {
        self.link.close_waits = !self.endpoint.restart.may_close();
        if self.link.close_waits {
            return;
        }
        let Some((socket, table)) = self.last_functions() else { return };
        let Some(close) = table.Basic.WskCloseSocket else { return };
        let context = core::ptr::from_ref(self.endpoint).cast_mut().cast();
        let irp = &raw const self.endpoint.close;
        // SAFETY: idle: this is reached once per connection; the slot stays (C3).
        let irp = unsafe { EmbeddedIrp::prepare(irp, Some(close_complete::<C>), context) };
        // SAFETY: C1, C2: no other call is in progress (R1) and none follows.
        unsafe { close(socket, irp) };
    }

    /// A restart is over, or its call returned to who wants to close.
    pub(super) fn restart_done(&mut self) {
        self.link.restarting = false;
        self.endpoint.restart.end();
        if self.link.close_waits {
            self.try_close();
        }
    }
}

/// # Safety
/// `context` is the endpoint that submitted the completing IRP; its slot is in use until the close
/// completed, which no other completion of the socket follows (C3, contract rule 27).
unsafe fn endpoint<'e, C: Client>(context: PVOID) -> &'e Endpoint<C> {
    // SAFETY: the caller's.
    unsafe { &*context.cast::<Endpoint<C>>() }
}

kernel_fn! {
    unsafe fn receive_complete<C: Client>(
        _d: *mut DEVICE_OBJECT, irp: *mut IRP, context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: in the completion routine.
        let (status, octets) = unsafe { outcome(irp) };
        let octets = u32::try_from(octets).ok().filter(|_| NT_SUCCESS(status));
        // SAFETY: the context given in `receive`.
        let endpoint = unsafe { endpoint::<C>(context) };
        endpoint.received.store(octets.unwrap_or(RECEIVE_FAILED), Ordering::Release);
        endpoint.post(Events::RECEIVED);
        STATUS_MORE_PROCESSING_REQUIRED
    }
}

kernel_fn! {
    unsafe fn restart_complete<C: Client>(
        _d: *mut DEVICE_OBJECT, irp: *mut IRP, context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: in the completion routine.
        let (status, _) = unsafe { outcome(irp) };
        // SAFETY: the context given in `take_restart`.
        let endpoint = unsafe { endpoint::<C>(context) };
        let events = restart_events(endpoint.restart.completed(!NT_SUCCESS(status)));
        if events != Events::NONE {
            endpoint.post(events);
        }
        STATUS_MORE_PROCESSING_REQUIRED
    }
}

kernel_fn! {
    unsafe fn disconnect_complete<C: Client>(
        _d: *mut DEVICE_OBJECT, _irp: *mut IRP, context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: the context given in `disconnect`.
        unsafe { endpoint::<C>(context) }.post(Events::DISCONNECTED);
        STATUS_MORE_PROCESSING_REQUIRED
    }
}

kernel_fn! {
    unsafe fn close_complete<C: Client>(
        _d: *mut DEVICE_OBJECT, _irp: *mut IRP, context: PVOID,
    ) -> NTSTATUS {
        // SAFETY: the context given in `close`. Whatever the status, the socket is gone.
        unsafe { endpoint::<C>(context) }.post_closed();
        STATUS_MORE_PROCESSING_REQUIRED
    }
}
