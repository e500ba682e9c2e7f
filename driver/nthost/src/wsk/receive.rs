//! WskReceive, and the events of arriving octets and ends.
use nt_sys::io::IRP;
use nt_sys::kernel_fn;
use nt_sys::ntdef::{
    DISPATCH_LEVEL, NTSTATUS, STATUS_CONNECTION_RESET, STATUS_DATA_NOT_ACCEPTED,
    STATUS_NOT_SUPPORTED, STATUS_PENDING, STATUS_SUCCESS, status_name,
};
use nt_sys::wsk::{WSK_BUF, WSK_FLAG_ABORTIVE, WSK_FLAG_AT_DISPATCH_LEVEL, WSK_SOCKET};
use rustix::event::epoll::EventFlags;

use super::connection::{Connection, Life, enter_call};
use crate::live::buffer::ReceiveBuffer;
use crate::live::stream::{self, Received};
use crate::nt::{irp, lock};
use crate::processor;
use crate::verifier::{Rule, violation};

/// Reads of one connection before others get their turn.
const READS_MAX: usize = 16;

kernel_fn! {
    pub(super) unsafe fn wsk_receive(
        socket: *mut WSK_SOCKET, buffer: *mut WSK_BUF, flags: u32, irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskReceive";
        let call = enter_call(export, socket);
        // SAFETY: the caller's: valid for the call.
        let buffer = unsafe { &*buffer };
        irp::submit(export, irp);
        if !buffer.Mdl.is_null() && flags == 0 && call.0.client().1.is_null() {
            call.0.receive_by_irp(buffer, irp);
            return STATUS_PENDING;
        }
        if !buffer.Mdl.is_null() || buffer.Length != 0 || flags != 0 {
            // Legal in WSK; with static receive events only the zero-length form makes sense.
            irp::complete(export, irp, STATUS_NOT_SUPPORTED, 0);
            return STATUS_PENDING;
        }
        let mut shared = lock(&call.0.shared);
        if shared.receiving {
            shared.restart_early = true;
        }
        shared.gated = false;
        drop(shared);
        irp::complete(export, irp, STATUS_SUCCESS, 0);
        // Octets that were withheld come first, on the home processor, outside this call.
        call.0.call_home();
        STATUS_PENDING
    }
}

/// What there is to tell the client next.
enum Next {
    Octets(usize),
    Ended,
    Reset,
    Nothing,
}

impl Connection {
    /// The transport says that something changed. On the home processor.
    pub(crate) fn ready(&'static self, flags: EventFlags, buffer: &mut ReceiveBuffer) {
        let mut shared = lock(&self.shared);
        if shared.life != Life::Open {
            drop(shared);
            self.finish_close();
            return;
        }
        let arrived = EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        shared.readable |= flags.intersects(arrived);
        shared.end_comes |= flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        // A gated socket is not read, which would tell of it.
        shared.reset |= shared.gated && flags.contains(EventFlags::ERR);
        let unsent = flags.contains(EventFlags::OUT) && !shared.sends.is_empty();
        drop(shared);
        if unsent {
            self.flush();
        }
        self.read(buffer);
    }

    /// Something was left to do on the home processor.
    pub(crate) fn at_home(&'static self, buffer: &mut ReceiveBuffer) {
        if !self.finish_close() {
            self.read(buffer);
        }
    }

    /// Tells the client what has arrived, as long as it takes it.
    fn read(&'static self, buffer: &mut ReceiveBuffer) {
        if self.client().1.is_null() {
            return self.serve_receives();
        }
        for _ in 0..READS_MAX {
            match self.next(buffer) {
                Next::Octets(octets) => self.indicate(buffer, octets),
                Next::Ended => self.tell_end(0),
                Next::Reset => {
                    self.abort_sends("WskSend", STATUS_CONNECTION_RESET);
                    self.tell_end(WSK_FLAG_ABORTIVE);
                }
                Next::Nothing => return,
            }
            if self.finish_close() {
                return;
            }
        }
        self.call_home();
    }

    fn next(&self, buffer: &mut ReceiveBuffer) -> Next {
        let mut shared = lock(&self.shared);
        if shared.life != Life::Open {
            return Next::Nothing;
        }
        if shared.reset && !shared.end_told {
            return Next::Reset;
        }
        if shared.gated || shared.end_told && shared.withheld.is_empty() {
            return Next::Nothing;
        }
        if !shared.withheld.is_empty() {
            let octets = buffer.fill(&shared.withheld);
            shared.withheld.drain(..octets);
            return Next::Octets(octets);
        }
        if shared.read_ended {
            return Next::Ended;
        }
        if !shared.readable {
            return Next::Nothing;
        }
        let Some(file) = &shared.file else { return Next::Nothing };
        match stream::receive(file, buffer.octets_mut()) {
            Received::Octets { octets, more } => {
                // Edges come once: an end that was announced with octets is not announced again.
                shared.readable = more || shared.end_comes;
                Next::Octets(octets)
            }
            Received::Nothing => {
                shared.readable = false;
                Next::Nothing
            }
            Received::End => {
                shared.read_ended = true;
                Next::Ended
            }
            Received::Reset => {
                shared.reset = true;
                Next::Reset
            }
        }
    }

    /// One receive event with the first `octets` octets of the buffer.
    fn indicate(&'static self, buffer: &mut ReceiveBuffer, octets: usize) {
        let (context, table) = self.client();
        // SAFETY: the client's table stays until the socket is closed.
        let event = unsafe { table.as_ref() }.and_then(|table| table.WskReceiveEvent);
        let Some(event) = event else { return };
        let (list, mut accepted) = (buffer.indication(octets), octets);
        let mut shared = lock(&self.shared);
        shared.receiving = true;
        shared.restart_early = false;
        drop(shared);
        let frame = processor::enter("WskReceiveEvent", DISPATCH_LEVEL);
        let flags = WSK_FLAG_AT_DISPATCH_LEVEL;
        // SAFETY: the client's callback with its context; the list is valid for the call.
        let status = unsafe { event(context, flags, list, octets, &raw mut accepted) };
        drop(frame);
        let taken = match status {
            STATUS_SUCCESS if accepted <= octets && accepted > 0 => accepted,
            STATUS_DATA_NOT_ACCEPTED => 0,
            _ => {
                let name = status_name(status).unwrap_or("an unknown status");
                let detail = format!("{name} with {accepted} of {octets} octets accepted");
                violation(Rule::ReceiveResult, "WskReceiveEvent", "its result", detail, None)
            }
        };
        let mut shared = lock(&self.shared);
        shared.receiving = false;
        if taken < octets {
            // What came first stays first: nothing can have been added meanwhile.
            let rest = buffer.octets(octets).get(taken..).unwrap_or_default().to_vec();
            shared.withheld.splice(..0, rest);
            shared.gated = !shared.restart_early;
        }
        drop(shared);
        buffer.poison(octets);
    }

    fn tell_end(&'static self, flags: u32) {
        lock(&self.shared).end_told = true;
        let (context, table) = self.client();
        // SAFETY: the client's table stays until the socket is closed.
        let event = unsafe { table.as_ref() }.and_then(|table| table.WskDisconnectEvent);
        let Some(event) = event else { return };
        // The close may be asked for inside; it is done after the callback, like for receives.
        lock(&self.shared).receiving = true;
        let frame = processor::enter("WskDisconnectEvent", DISPATCH_LEVEL);
        // SAFETY: the client's callback with its context.
        let status = unsafe { event(context, flags | WSK_FLAG_AT_DISPATCH_LEVEL) };
        drop(frame);
        lock(&self.shared).receiving = false;
        if status != STATUS_SUCCESS {
            violation(Rule::ReceiveResult, "WskDisconnectEvent", "its result", status, None);
        }
    }
}
