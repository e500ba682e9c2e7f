//! WskReceive, and the events of arriving octets and ends.
use nt_sys::io::IRP;
use nt_sys::kernel_fn;
use nt_sys::ntdef::{
    DISPATCH_LEVEL, NTSTATUS, PVOID, STATUS_CONNECTION_RESET, STATUS_DATA_NOT_ACCEPTED,
    STATUS_FILE_FORCED_CLOSED, STATUS_INSUFFICIENT_RESOURCES, STATUS_NOT_SUPPORTED, STATUS_PENDING,
    STATUS_SUCCESS, status_name,
};
use nt_sys::wsk::{
    PFN_WSK_RECEIVE_EVENT, WSK_BUF, WSK_DATA_INDICATION, WSK_FLAG_ABORTIVE,
    WSK_FLAG_AT_DISPATCH_LEVEL, WSK_SOCKET,
};
use rustix::event::epoll::EventFlags;

use super::call::enter_call;
use super::complete;
use super::connection::Connection;
use super::shared::{Locked, Shared};
use crate::live::buffer::ReceiveBuffer;
use crate::live::stream;
use crate::nt::irp;
use crate::processor;
use crate::sim::freedom::Freedom;
use crate::sim::interrupt::AtReturn;
use crate::sim::{self, work};
use crate::transport::Received;
use crate::verifier::{Rule, violation};

/// Reads of one connection before others get their turn.
const READS_MAX: usize = 16;

kernel_fn! {
    pub(super) unsafe fn wsk_receive(
        socket: *mut WSK_SOCKET, buffer: *mut WSK_BUF, flags: u32, irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskReceive";
        let _return = AtReturn;
        let call = enter_call(export, socket);
        // SAFETY: the caller's: valid for the call.
        let buffer = unsafe { &*buffer };
        irp::submit(export, irp);
        if !buffer.Mdl.is_null() && flags == 0 && call.0.client().1.is_null() {
            work::uses(call.0.number());
            if work::fails_for(call.0.number(), export, Freedom::ReceiveFailed) {
                return complete(call.0.address(), export, irp, STATUS_INSUFFICIENT_RESOURCES, 0);
            }
            call.0.receive_by_irp(buffer, irp);
            return STATUS_PENDING;
        }
        if !buffer.Mdl.is_null() || buffer.Length != 0 || flags != 0 {
            // Legal in WSK; with static receive events only the zero-length form makes sense.
            return complete(call.0.address(), export, irp, STATUS_NOT_SUPPORTED, 0);
        }
        if work::fails_for(call.0.number(), export, Freedom::ReceiveFailed) {
            return complete(call.0.address(), export, irp, STATUS_INSUFFICIENT_RESOURCES, 0);
        }
        let mut shared = call.0.lock();
        if call.0.is_receiving() {
            // The documentation does not say whether one that comes so early is heard.
            shared.restart_early = !sim::takes(Freedom::RestartLost);
        }
        shared.gated = false;
        drop(shared);
        // Octets that were withheld come first: on the home processor, outside this call.
        if sim::world::is_on() {
            sim::connection::restarted(call.0);
        } else {
            call.0.call_home();
        }
        complete(call.0.address(), export, irp, STATUS_SUCCESS, 0)
    }
}

/// What there is to tell the client next.
enum Next {
    Octets(usize),
    Ended,
    Reset,
    Nothing,
}

impl Shared {
    /// False when the next is [`Next::Nothing`], without a look at the transport.
    fn has_next(&self) -> bool {
        self.readable || self.reset || self.read_ended || !self.withheld.is_empty()
    }

    /// Of an open socket.
    fn next(&mut self, buffer: &mut ReceiveBuffer) -> Next {
        if self.reset && !self.end_told {
            return Next::Reset;
        }
        if self.gated || self.end_told && self.withheld.is_empty() {
            return Next::Nothing;
        }
        if !self.withheld.is_empty() {
            let octets = buffer.fill(&self.withheld);
            self.withheld.drain(..octets);
            return Next::Octets(octets);
        }
        if self.read_ended {
            return Next::Ended;
        }
        if !self.readable {
            return Next::Nothing;
        }
        let Some(stream) = &self.stream else { return Next::Nothing };
        let received = stream.receive(buffer.octets_mut());
        self.came(&received)
    }

    /// What is to be told of what the transport has given.
    fn came(&mut self, received: &Received) -> Next {
        match *received {
            Received::Octets { octets, more } => {
                // Edges come once: an end that was announced with octets is not announced again.
                self.readable = more || self.end_comes;
                Next::Octets(octets)
            }
            Received::Nothing => {
                self.readable = false;
                Next::Nothing
            }
            Received::End => {
                self.read_ended = true;
                Next::Ended
            }
            Received::Reset => {
                self.reset = true;
                Next::Reset
            }
        }
    }
}

impl Connection {
    /// The transport says that something changed. On the home processor.
    pub(crate) fn ready(&'static self, flags: EventFlags, buffer: &mut ReceiveBuffer) {
        if flags == EventFlags::IN && self.read_plainly(buffer) {
            return;
        }
        let mut shared = self.lock();
        if !self.is_open() {
            drop(shared);
            self.finish_close();
            return;
        }
        let arrived = EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        shared.readable |= flags.intersects(arrived);
        shared.end_comes |= flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        // A gated socket is not read, which would tell of it.
        shared.reset |= shared.gated && flags.contains(EventFlags::ERR);
        if flags.contains(EventFlags::OUT) && !shared.sends.is_empty() {
            drop(shared);
            self.flush();
            shared = self.lock();
        }
        self.read(shared, buffer);
    }

    /// Something was left to do on the home processor.
    pub(crate) fn at_home(&'static self, buffer: &mut ReceiveBuffer) {
        if !self.finish_close() {
            self.read(self.lock(), buffer);
        }
    }

    /// What nearly always happens: octets have come, and the client takes all of them. The lock is
    /// not taken. False when that is not to be expected, and nothing was done.
    fn read_plainly(&'static self, buffer: &mut ReceiveBuffer) -> bool {
        let Some(file) = self.plain_file() else { return false };
        let (context, event @ Some(_)) = self.receive_event() else { return false };
        let received = stream::receive(file, buffer.octets_mut());
        let Received::Octets { octets, more: false } = received else {
            let mut shared = self.lock();
            let next = shared.came(&received);
            self.tell(shared, next, buffer);
            return true;
        };
        let list = buffer.indication(octets);
        self.set_receiving(true);
        let taken = self.call_receive_event(event, context, list, octets);
        if taken == octets && self.plain_file().is_some() {
            self.set_receiving(false);
        } else {
            let mut shared = self.lock();
            self.receive_event_over(&mut shared, taken, buffer.octets(octets));
            self.go_on(shared, buffer);
        }
        buffer.poison(octets);
        true
    }

    /// Tells the client what has arrived, as long as it takes it. The lock is released while the
    /// client runs.
    fn read(&'static self, mut shared: Locked<'_>, buffer: &mut ReceiveBuffer) {
        if self.client().1.is_null() {
            drop(shared);
            return self.serve_receives();
        }
        let next = shared.next(buffer);
        self.tell(shared, next, buffer);
    }

    /// As [`Connection::read`], of which the first is known.
    fn tell(&'static self, mut shared: Locked<'_>, mut next: Next, buffer: &mut ReceiveBuffer) {
        for told in 1..=READS_MAX {
            shared = match next {
                Next::Octets(octets) => {
                    let list = buffer.indication(octets);
                    let shared = self.indicate(shared, list, buffer.octets(octets));
                    buffer.poison(octets);
                    shared
                }
                Next::Ended => {
                    drop(shared);
                    self.tell_end(0);
                    self.lock()
                }
                Next::Reset => {
                    drop(shared);
                    self.abort_sends("WskSend", STATUS_CONNECTION_RESET);
                    self.tell_end(WSK_FLAG_ABORTIVE);
                    self.lock()
                }
                Next::Nothing => return,
            };
            if !self.is_open() || !shared.has_next() {
                return self.go_on(shared, buffer);
            }
            if told == READS_MAX {
                // What is next stays where it is until then.
                drop(shared);
                return self.call_home();
            }
            next = shared.next(buffer);
        }
    }

    /// Behind an event: there may be more, or the socket is to be closed.
    fn go_on(&'static self, shared: Locked<'_>, buffer: &mut ReceiveBuffer) {
        if !self.is_open() {
            drop(shared);
            self.finish_close();
        } else if shared.has_next() {
            self.read(shared, buffer);
        }
    }

    /// One receive event of a simulated machine.
    pub(crate) fn indicate_simulated(&self, list: *mut WSK_DATA_INDICATION, octets: &[u8]) {
        drop(self.indicate(self.lock(), list, octets));
    }

    /// The client's context, and its receive event.
    #[inline]
    fn receive_event(&self) -> (PVOID, PFN_WSK_RECEIVE_EVENT) {
        let (context, table) = self.client();
        // SAFETY: the client's table stays until the socket is closed.
        (context, unsafe { table.as_ref() }.and_then(|table| table.WskReceiveEvent))
    }

    /// One receive event of `octets`, which `list` describes. Takes the lock, and gives it back.
    fn indicate<'s>(
        &'s self,
        mut shared: Locked<'s>,
        list: *mut WSK_DATA_INDICATION,
        octets: &[u8],
    ) -> Locked<'s> {
        let (context, event @ Some(_)) = self.receive_event() else { return shared };
        self.set_receiving(true);
        shared.restart_early = false;
        drop(shared);
        let taken = self.call_receive_event(event, context, list, octets.len());
        let mut shared = self.lock();
        self.receive_event_over(&mut shared, taken, octets);
        shared
    }

    /// Calls the client's receive event; returns how many octets it took.
    #[allow(clippy::inline_always, reason = "of every request")]
    #[inline(always)]
    fn call_receive_event(
        &self,
        event: PFN_WSK_RECEIVE_EVENT,
        context: PVOID,
        list: *mut WSK_DATA_INDICATION,
        octets: usize,
    ) -> usize {
        let Some(event) = event else { return octets };
        let mut accepted = octets;
        let status = self.run_event("WskReceiveEvent", |flags| {
            // SAFETY: the client's callback with its context; the list is valid for the call.
            let status = unsafe { event(context, flags, list, octets, &raw mut accepted) };
            sim::cost::read(accepted.min(octets));
            status
        });
        match status {
            STATUS_SUCCESS if accepted <= octets && accepted > 0 => accepted,
            STATUS_DATA_NOT_ACCEPTED => 0,
            _ => {
                let name = status_name(status).unwrap_or("an unknown status");
                let detail = format!("{name} with {accepted} of {octets} octets accepted");
                violation(Rule::ReceiveResult, "WskReceiveEvent", "its result", detail, None)
            }
        }
    }

    /// The event of `octets` is over: what was not taken is withheld.
    fn receive_event_over(&self, shared: &mut Locked<'_>, taken: usize, octets: &[u8]) {
        self.set_receiving(false);
        if taken < octets.len() {
            // What came first stays first: nothing can have been added meanwhile.
            let rest = octets.get(taken..).unwrap_or_default();
            shared.withheld.splice(..0, rest.iter().copied());
            shared.gated = !shared.restart_early;
        }
    }

    /// Runs an event of this socket, which is given its flags.
    #[allow(clippy::inline_always, reason = "of every request")]
    #[inline(always)]
    fn run_event<R>(&self, name: &'static str, event: impl FnOnce(u32) -> R) -> R {
        if !sim::world::is_on() {
            return processor::run(name, DISPATCH_LEVEL, || event(WSK_FLAG_AT_DISPATCH_LEVEL));
        }
        sim::event_begins(self.address(), name, self.number());
        let result = processor::run_event(name, |flags| {
            if self.is_in_call() {
                sim::interrupt::arm_in_collision();
            }
            event(flags)
        });
        sim::event_ends(self.address());
        result
    }

    /// The next octets for a simulated event, at most `most`, of which `split` takes a part.
    pub(crate) fn next_octets(&self, most: usize, split: Option<usize>) -> Vec<u8> {
        let mut shared = self.lock();
        let shared = &mut *shared;
        if let Some(stream) = &shared.stream {
            let mut buffer = vec![0; most];
            if let Received::Octets { octets, .. } = stream.receive(&mut buffer) {
                shared.withheld.extend_from_slice(&buffer[..octets]);
            }
        }
        let there = shared.withheld.len().min(most);
        let octets =
            split.map_or(there, |split| if there > 1 { 1 + split % (there - 1) } else { there });
        shared.withheld.drain(..octets).collect()
    }

    /// The provider gives the connection up: a receive event without an indication (rule 13).
    pub(crate) fn give_up(&'static self) {
        self.lock().reset = true;
        self.abort_sends("WskSend", STATUS_FILE_FORCED_CLOSED);
        let (context, Some(event)) = self.receive_event() else { return };
        self.set_receiving(true);
        let mut accepted = 0;
        let status = self.run_event("WskReceiveEvent", |flags| {
            // SAFETY: the client's callback with its context; no list says that the socket is dead.
            unsafe { event(context, flags, core::ptr::null_mut(), 0, &raw mut accepted) }
        });
        self.set_receiving(false);
        if status != STATUS_SUCCESS {
            violation(Rule::ReceiveResult, "WskReceiveEvent", "its result", status, None);
        }
    }

    /// The end of a simulated connection is told.
    pub(crate) fn tell_simulated_end(&'static self, reset: bool) {
        let mut shared = self.lock();
        if reset {
            shared.reset = true;
            shared.withheld.clear();
            drop(shared);
            self.abort_sends("WskSend", STATUS_CONNECTION_RESET);
            self.tell_end(WSK_FLAG_ABORTIVE);
        } else {
            shared.read_ended = true;
            drop(shared);
            self.tell_end(0);
        }
    }

    fn tell_end(&'static self, flags: u32) {
        let mut shared = self.lock();
        shared.end_told = true;
        shared.reset_told |= flags == WSK_FLAG_ABORTIVE;
        drop(shared);
        let (context, table) = self.client();
        // SAFETY: the client's table stays until the socket is closed.
        let event = unsafe { table.as_ref() }.and_then(|table| table.WskDisconnectEvent);
        let Some(event) = event else { return };
        // The close may be asked for inside; it is done after the callback, like for receives.
        self.lock().telling = true;
        let status = self.run_event("WskDisconnectEvent", |at_dispatch| {
            // SAFETY: the client's callback with its context.
            unsafe { event(context, flags | at_dispatch) }
        });
        self.lock().telling = false;
        if status != STATUS_SUCCESS {
            violation(Rule::ReceiveResult, "WskDisconnectEvent", "its result", status, None);
        }
    }
}
