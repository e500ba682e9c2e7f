//! A connection's slot and its one runner.
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU32, Ordering};

use nt_sys::wsk::WSK_SOCKET;

use super::in_flight::InFlight;
use super::intake::Intake;
use super::owner::Owner;
use super::provider::Provider;
use super::restart::{Restart, Told};
use super::socket::{Link, Socket};
use super::{Arrival, Client, Indication, Seat};
use crate::bug_check;
use crate::irp::EmbeddedIrp;
use crate::processor;

/// What happened to a connection since its runner last looked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Events(u32);

impl Events {
    /// None of them.
    pub const NONE: Events = Events(0);
    /// A send completed.
    pub const SENT: Events = Events(1 << 2);
    /// A send failed or fell short; the connection is of no more use.
    pub const SEND_FAILED: Events = Events(1 << 3);
    /// The restart of receive events completed.
    pub const RESTARTED: Events = Events(1 << 4);
    /// The graceful disconnect completed.
    pub const DISCONNECTED: Events = Events(1 << 5);
    /// The peer ended its side; ours still works.
    pub const PEER_ENDED: Events = Events(1 << 6);
    /// The peer reset the connection, or the provider gave it up.
    pub const PEER_RESET: Events = Events(1 << 7);
    /// A deadline may have passed.
    pub const TICK: Events = Events(1 << 8);
    /// The server is stopping.
    pub const STOP: Events = Events(1 << 9);
    /// A receive event found the connection busy on another processor and left its octets with
    /// the provider.
    pub const COLLIDED: Events = Events(1 << 10);
    /// The client has a place for a connection that waited for one.
    pub const ADMITTED: Events = Events(1 << 14);
    /// Places are wanted: a connection that is idle may go.
    pub const PRESSURE: Events = Events(1 << 15);
    /// The close completed. This and the next two are handled here and never shown to a client.
    const CLOSED: Events = Events(1 << 11);
    /// A receive completed (by IRP only).
    pub(super) const RECEIVED: Events = Events(1 << 12);
    /// The slot was taken by a connection that wants its first receive (by IRP only).
    pub(super) const OPENED: Events = Events(1 << 13);

    /// True when any of `other` is among them.
    pub const fn any(self, other: Events) -> bool {
        self.0 & other.0 != 0
    }

    /// Both.
    #[must_use]
    pub const fn with(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }

    const fn without(self, other: Events) -> Events {
        Events(self.0 & !other.0)
    }
}

/// What only the runner touches.
pub(super) struct Own<C: Client> {
    pub(super) link: Link,
    pub(super) state: Option<C::State>,
    /// By IRP only: where octets are received.
    intake: Option<Intake>,
}

/// What the runner is told of a restart.
pub(super) fn restart_events(told: Told) -> Events {
    match told {
        Told::Nothing => Events::NONE,
        Told::Over => Events::RESTARTED,
        Told::Failed => Events::RESTARTED.with(Events::PEER_RESET),
    }
}

/// One connection.
///
/// O1: `own` is reached only by the runner (W1 of [`Owner`]), or, while the slot is free, by the
/// thread that took it from the slab. The worker runs what somebody else became the runner of and
/// queued (see [`Worker`](super::worker::Worker)). O2: the provider outlives
/// every slot (see [`Provider`]).
///
/// On cache lines of its own: its neighbour may be another processor's.
#[repr(align(64))]
pub(super) struct Endpoint<C: Client> {
    owner: Owner,
    /// Sends submitted and not completed.
    pub(super) sends: InFlight,
    /// Octets of the last receive by IRP, or `RECEIVE_FAILED`; written by its completion.
    pub(super) received: AtomicU32,
    /// Link of the slab's free list while the slot is free, of the worker's queue while queued.
    pub(super) next: AtomicU32,
    pub(super) restart: Restart,
    pub(super) index: u32,
    pub(super) provider: *const Provider<C>,
    pub(super) mark: C::Mark,
    own: UnsafeCell<Own<C>>,
    /// Restarts receive events, or receives.
    pub(super) receive: EmbeddedIrp,
    pub(super) disconnect: EmbeddedIrp,
    pub(super) close: EmbeddedIrp,
}

impl<C: Client> Endpoint<C> {
    pub(super) fn new(index: u32, provider: *const Provider<C>) -> Endpoint<C> {
        Endpoint {
            owner: Owner::new(),
            sends: InFlight::default(),
            received: AtomicU32::new(0),
            next: AtomicU32::new(0),
            restart: Restart::new(),
            index,
            provider,
            mark: C::Mark::default(),
            own: UnsafeCell::new(Own { link: Link::default(), state: None, intake: None }),
            receive: EmbeddedIrp::new(),
            disconnect: EmbeddedIrp::new(),
            close: EmbeddedIrp::new(),
        }
    }

    pub(super) fn provider(&self) -> &Provider<C> {
        // SAFETY: O2.
        unsafe { &*self.provider }
    }

    /// What a client may know of the slot.
    pub(super) fn seat(&self) -> Seat<'_, C::Mark> {
        Seat { index: self.index, mark: &self.mark }
    }

    /// Puts a connection into a slot just taken from the slab.
    pub(super) fn occupy(&self, socket: *mut WSK_SOCKET, state: C::State, intake: Option<Intake>) {
        // SAFETY: O1: the slot is free and the slab gave it to this thread alone.
        let own = unsafe { &mut *self.own.get() };
        own.link = Link::new(socket);
        own.state = Some(state);
        own.intake = intake;
        self.owner.occupy();
    }

    pub(super) fn is_live(&self) -> bool {
        self.owner.is_live()
    }

    /// Leaves events; sees to it that the connection is run if it is not. A free slot ignores them.
    pub(super) fn post(&self, events: Events) {
        if self.owner.post(events.0) {
            self.run_or_queue();
        }
    }

    /// A send completed: tells the runner. False when nobody runs the connection, or there is more
    /// to tell; then nothing was told.
    #[inline]
    pub(super) fn is_run_while_sent(&self) -> bool {
        self.owner.post_to_runner(Events::SENT.0)
    }

    pub(super) fn post_closed(&self) {
        self.post(Events::CLOSED);
    }

    /// As `post`, by somebody who has more to do than to run a connection: the worker runs it.
    pub(super) fn post_to_worker(&self, events: Events) {
        if self.owner.post(events.0) {
            self.provider().worker.queue(self);
        }
    }

    /// This thread just became the runner.
    fn run_or_queue(&self) {
        if self.provider().is_by_irp() {
            self.provider().worker.queue(self);
        } else {
            // SAFETY: O1: this thread is the runner.
            unsafe { &mut *self.own.get() }.link.turn_began();
            self.run_events();
        }
    }

    /// Handles events until none is left, then stops being the runner; or, when enough was sent in
    /// this turn, leaves that to the worker.
    #[cold]
    #[inline(never)]
    fn run_events(&self) {
        while !self.try_rest() {
            // SAFETY: O1: this thread is the runner.
            let link = &unsafe { &*self.own.get() }.link;
            if link.is_spent() || link.restarts_later() {
                return self.provider().worker.queue(self);
            }
            if !self.run_once() {
                return;
            }
        }
    }

    /// The worker's turn with a connection. More that happened meanwhile is for another turn, so
    /// that a connection whose peer is quick does not keep the others waiting.
    pub(super) fn run_turn(&self) {
        // SAFETY: O1: this thread is the runner.
        unsafe { &mut *self.own.get() }.link.turn_began();
        if self.run_once() && !self.try_rest() {
            self.provider().worker.queue(self);
        }
    }

    /// Stops being the runner unless there are events; asks for a restart behind that, if one is
    /// wanted.
    fn try_rest(&self) -> bool {
        // SAFETY: O1: this thread is the runner.
        let own = unsafe { &mut *self.own.get() };
        if own.link.restarts_later() {
            return false;
        }
        let mut socket = Socket::new(self, &mut own.link, 0);
        let Some(call) = socket.take_restart() else { return self.owner.try_rest() };
        if !self.owner.try_rest() {
            socket.keep_restart();
            return false;
        }
        // SAFETY: R1.
        unsafe { call.make() };
        self.restart_returned();
        true
    }

    /// The event that a restart brought inside its call may have sent much in this callback, and
    /// the next one would: another restart is for the worker.
    fn restart_returned(&self) {
        // SAFETY: O1: asked by the runner only.
        let waits = || unsafe { &*self.own.get() }.link.waits_for_restart();
        let events = restart_events(self.restart.returned());
        if events != Events::NONE
            && self.owner.post(events.0)
            && (waits() || self.run_once() && (waits() || !self.owner.try_rest()))
        {
            self.provider().worker.queue(self);
        }
    }

    /// Handles the events that are there; false when that was the end of the connection.
    fn run_once(&self) -> bool {
        let mut seen = Events(self.owner.take_events());
        // SAFETY: O1: this thread is the runner.
        let own = unsafe { &mut *self.own.get() };
        if seen.any(Events::RECEIVED)
            && let Some(intake) = &mut own.intake
        {
            seen = seen.with(intake.received(self.received.load(Ordering::Acquire)));
        }
        if seen.any(Events::CLOSED) {
            self.vacate();
            return false;
        }
        if seen.any(Events::RESTARTED) {
            Socket::new(self, &mut own.link, 0).restart_done();
        }
        let seen = seen.without(Events::RECEIVED.with(Events::OPENED));
        self.take_in(own);
        // After the close was begun nothing is of interest but its completion.
        if seen.0 != 0 && !own.link.is_closing() {
            let (state, mut socket) = self.split(own);
            self.provider().client().happened(state, &mut socket, seen);
            self.take_in(own);
        }
        true
    }

    /// By IRP only: shows the client what was received, unless it waits for a restart, and asks
    /// for more when it took everything.
    fn take_in(&self, own: &mut Own<C>) {
        let Own { link, state: Some(state), intake: Some(intake) } = own else { return };
        let mut socket = Socket::new(self, link, processor::current());
        if !intake.is_empty() && !socket.is_gated() && !socket.is_closing() {
            let mut indication = Indication::of(intake.octets());
            self.show_apart(state, &mut socket, &mut indication);
            let taken = indication.consumed();
            intake.consume(taken);
            if !intake.is_empty() {
                socket.expect_gate();
            }
        }
        if intake.is_ready() {
            socket.receive(intake);
        }
    }

    /// A receive event. Returns the octets taken, or `None` when somebody else runs the
    /// connection: then nothing is taken and the runner knows.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    pub(super) fn receive(&self, arrival: Arrival<'_>) -> Option<usize> {
        if !self.owner.try_run() {
            self.collide();
            return None;
        }
        // SAFETY: O1: this thread is the runner.
        let own = unsafe { &mut *self.own.get() };
        if own.link.is_closing() {
            self.rest(Events::NONE);
            return Some(0);
        }
        own.link.turn_began();
        own.link.receive_began();
        let (state, mut socket) = self.split(own);
        let processor = socket.processor();
        let (known, taken) =
            match self.provider().client().receive_whole(state, &mut socket, arrival) {
                Some(known) => (known, arrival.octets()),
                None => self.show(arrival, processor),
            };
        self.rest(known);
        Some(taken)
    }

    /// Stops being the runner, unless there is more than the `known` events: what the client knows
    /// of is not told it, as a send that completed while it was submitted.
    #[inline]
    fn rest(&self, known: Events) {
        if !self.owner.try_rest_knowing(known.0) {
            self.run_events();
        }
    }

    /// Shows the client what was received; returns the events that tell it nothing any more, and
    /// how many octets it took.
    #[inline(never)]
    fn show(&self, arrival: Arrival<'_>, processor: usize) -> (Events, usize) {
        // SAFETY: O1: this thread is the runner.
        let own = unsafe { &mut *self.own.get() };
        let (state, mut socket) = self.split_on(own, processor);
        let mut indication = arrival.walk();
        let mut known = self.provider().client().receive(state, &mut socket, &mut indication);
        if indication.left() > 0 {
            self.offer_rest(&mut indication);
            known = Events::NONE;
        }
        (known, indication.consumed())
    }

    /// As `show`, for those who are not in the frame of a receive event.
    #[inline(never)]
    fn show_apart(
        &self,
        state: &mut C::State,
        socket: &mut Socket<'_, C>,
        indication: &mut Indication<'_>,
    ) -> Events {
        self.provider().client().receive(state, socket, indication)
    }

    #[cold]
    #[inline(never)]
    fn collide(&self) {
        self.post(Events::COLLIDED);
    }

    /// Octets were left: they are shown again as long as sends that completed meanwhile may have
    /// made room for them, and not enough was sent in this turn.
    #[cold]
    #[inline(never)]
    fn offer_rest(&self, indication: &mut Indication<'_>) {
        loop {
            // SAFETY: O1: this thread is the runner.
            let own = unsafe { &mut *self.own.get() };
            if own.link.is_closing() {
                return;
            }
            // The rest is not with the provider yet, but a client must not take it for nothing.
            own.link.receive_held();
            let is_spent = own.link.is_spent();
            let events = self.owner.events();
            let may_go_on = events & Events::SENT.0 != 0 && events & Events::CLOSED.0 == 0;
            if is_spent || !may_go_on || !self.run_once() {
                // SAFETY: as above.
                unsafe { &mut *self.own.get() }.link.receive_gated();
                return;
            }
            // SAFETY: as above.
            let own = unsafe { &mut *self.own.get() };
            if own.link.is_closing() {
                return;
            }
            // Whatever the client knows of it, the event tells it again.
            self.show_again(own, indication);
            if indication.left() == 0 {
                return;
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn show_again(&self, own: &mut Own<C>, indication: &mut Indication<'_>) {
        own.link.receive_began();
        let (state, mut socket) = self.split(own);
        self.show_apart(state, &mut socket, indication);
    }

    #[inline]
    fn split<'s>(&'s self, own: &'s mut Own<C>) -> (&'s mut C::State, Socket<'s, C>) {
        self.split_on(own, processor::current())
    }

    #[inline]
    fn split_on<'s>(
        &'s self,
        own: &'s mut Own<C>,
        processor: usize,
    ) -> (&'s mut C::State, Socket<'s, C>) {
        match &mut own.state {
            Some(state) => (state, Socket::new(self, &mut own.link, processor)),
            None => self.has_no_state(),
        }
    }

    #[cold]
    #[inline(never)]
    fn has_no_state(&self) -> ! {
        bug_check("live connection without state", core::ptr::from_ref(self).addr())
    }

    /// The end: the close completed and no callback will come (contract rule 27).
    fn vacate(&self) {
        // SAFETY: O1: this thread is the runner.
        let own = unsafe { &mut *self.own.get() };
        let state = own.state.take();
        own.link = Link::default();
        own.intake = None;
        if self.sends.count() != 0 {
            bug_check("socket closed with sends in flight", core::ptr::from_ref(self).addr());
        }
        let provider = self.provider();
        self.owner.vacate();
        provider.connection_gone(self.index, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wsk::owner::EVENT_BITS;

    #[test]
    fn each_event_has_a_bit_of_its_own() {
        let events = [
            Events::SENT,
            Events::SEND_FAILED,
            Events::RESTARTED,
            Events::DISCONNECTED,
            Events::PEER_ENDED,
            Events::PEER_RESET,
            Events::TICK,
            Events::STOP,
            Events::COLLIDED,
            Events::ADMITTED,
            Events::PRESSURE,
            Events::CLOSED,
            Events::RECEIVED,
            Events::OPENED,
        ];
        let all = events.iter().fold(Events::NONE, |all, event| {
            assert!(event.0.is_power_of_two() && !all.any(*event), "{event:?}");
            all.with(*event)
        });
        assert_eq!(all.0, EVENT_BITS);
        assert_eq!(all.without(Events::TICK).with(Events::TICK), all);
        assert!(!all.without(Events::TICK).any(Events::TICK));
    }
}
