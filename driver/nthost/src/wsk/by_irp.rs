//! Accepting and receiving by IRP, for sockets without events.
use std::net::SocketAddr;

use nt_sys::io::IRP;
use nt_sys::kernel_fn;
use nt_sys::mm::MDL;
use nt_sys::ntdef::{
    NTSTATUS, PVOID, STATUS_CANCELLED, STATUS_CONNECTION_RESET, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_NOT_SUPPORTED, STATUS_PENDING, STATUS_SUCCESS,
};
use nt_sys::wsk::{
    SOCKADDR, WSK_BUF, WSK_CLIENT_CONNECTION_DISPATCH, WSK_EVENT_ACCEPT, WSK_SOCKET,
};

use super::complete;
use super::connection::Connection;
use super::listener::{self, Listener};
use super::registration;
use super::shared::SendIrp;
use crate::nt::irp;
use crate::sim::freedom::Freedom;
use crate::sim::interrupt::AtReturn;
use crate::sim::{fault, work, world};
use crate::transport::{Received, Stream};
use crate::verifier::{Rule, violation};

/// Connections that wait for a WskAccept at most; more are reset.
const BACKLOG_MAX: usize = 4_096;

/// A WskAccept that waits for a connection.
pub(super) struct PendingAccept {
    irp: SendIrp,
    context: usize,
    table: usize,
    local: *mut SOCKADDR,
    remote: *mut SOCKADDR,
}
// SAFETY: the addresses are the provider's until the IRP completed.
unsafe impl Send for PendingAccept {}

/// A connection that waits for a WskAccept.
pub(super) struct Waiting {
    processor: usize,
    stream: Stream,
    remote: SocketAddr,
}

/// A WskReceive that waits for octets.
pub(super) struct PendingReceive {
    irp: SendIrp,
    to: *mut u8,
    octets: usize,
}
// SAFETY: the buffer is the provider's until the IRP completed.
unsafe impl Send for PendingReceive {}

kernel_fn! {
    pub(super) unsafe fn accept(
        socket: *mut WSK_SOCKET, flags: u32, context: PVOID,
        table: *const WSK_CLIENT_CONNECTION_DISPATCH, local: *mut SOCKADDR, remote: *mut SOCKADDR,
        irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskAccept";
        let _return = AtReturn;
        let listener = listener::enter_call(export, socket);
        if flags != 0 {
            violation(Rule::Flags, export, "flags", format!("{flags:#x}"), None);
        }
        irp::submit(export, irp);
        if registration::static_events() & WSK_EVENT_ACCEPT != 0 {
            // Legal in WSK, where the event may come nevertheless.
            return complete(listener.address(), export, irp, STATUS_NOT_SUPPORTED, 0);
        }
        if let Some(status) = listener.lost() {
            return complete(listener.address(), export, irp, status, 0);
        }
        if fault::fails(export, Freedom::CallFailed) {
            return complete(listener.address(), export, irp, STATUS_INSUFFICIENT_RESOURCES, 0);
        }
        listener.shared.lock().accepts.push_back(PendingAccept {
            irp: SendIrp(irp),
            context: context.expose_provenance(),
            table: table.expose_provenance(),
            local,
            remote,
        });
        listener.match_accepts();
        STATUS_PENDING
    }
}

impl Listener {
    /// A connection for which no event is called.
    pub(super) fn await_accept(
        &'static self,
        processor: usize,
        stream: Stream,
        remote: SocketAddr,
    ) {
        let mut shared = self.shared.lock();
        if shared.backlog.len() < BACKLOG_MAX {
            shared.backlog.push_back(Waiting { processor, stream, remote });
        } else {
            stream.reset_on_close();
        }
        drop(shared);
        self.match_accepts();
    }

    /// Brings what waits for each other together.
    fn match_accepts(&'static self) {
        loop {
            let mut shared = self.shared.lock();
            if shared.accepts.is_empty() || shared.backlog.is_empty() {
                return;
            }
            let (accept, waiting) = (shared.accepts.pop_front(), shared.backlog.pop_front());
            drop(shared);
            if let (Some(accept), Some(waiting)) = (accept, waiting) {
                self.accepted(&accept, waiting, self.local());
            }
        }
    }

    fn accepted(&'static self, accept: &PendingAccept, waiting: Waiting, local: SOCKADDR) {
        let remote = self.sockaddr(waiting.remote);
        let Waiting { processor, stream, .. } = waiting;
        let connection = Self::connection(processor, stream, local, remote, None);
        connection.set_client(accept.context, accept.table);
        for (place, value) in [(accept.local, local), (accept.remote, remote)] {
            if !place.is_null() {
                // SAFETY: the client's: room for an address until the IRP completed.
                unsafe { place.write_unaligned(value) };
            }
        }
        Self::attach(connection, processor);
        connection.call_home();
        let socket = connection.pointer().expose_provenance();
        complete(self.address(), "WskAccept", accept.irp.0, STATUS_SUCCESS, socket);
    }

    /// The listener closes.
    pub(super) fn cancel_accepts(&self) {
        self.end_accepts(STATUS_CANCELLED);
    }

    /// Nothing is accepted any more.
    pub(super) fn end_accepts(&self, status: NTSTATUS) {
        let mut shared = self.shared.lock();
        let accepts = core::mem::take(&mut shared.accepts);
        let backlog = core::mem::take(&mut shared.backlog);
        drop(shared);
        for waiting in &backlog {
            work::strikes(&waiting.stream);
            waiting.stream.reset_on_close();
        }
        for accept in accepts {
            complete(self.address(), "WskAccept", accept.irp.0, status, 0);
        }
    }
}

/// The first octets that a WSK_BUF describes; reports one that is longer than its MDLs.
fn target(buffer: &WSK_BUF) -> (*mut u8, usize) {
    let mut total = 0;
    let mut mdl = buffer.Mdl;
    while !mdl.is_null() {
        // SAFETY: the client's chain, ours for the call.
        let MDL { Next, ByteCount, .. } = unsafe { &*mdl };
        total += *ByteCount as usize;
        mdl = *Next;
    }
    let offset = buffer.Offset as usize;
    if offset + buffer.Length > total || buffer.Length == 0 {
        let detail = format!("{} octets from {offset} of {total}", buffer.Length);
        violation(Rule::BufferBounds, "WskReceive", "WSK_BUF", detail, None);
    }
    // SAFETY: not null, for it describes octets.
    let first = unsafe { &*buffer.Mdl };
    let to = first.StartVa.wrapping_byte_add(first.ByteOffset as usize + offset);
    (to.cast(), buffer.Length.min((first.ByteCount as usize).saturating_sub(offset)))
}

impl Connection {
    /// WskReceive with a buffer, of a socket without events.
    pub(super) fn receive_by_irp(&'static self, buffer: &WSK_BUF, irp: *mut IRP) {
        let (to, octets) = target(buffer);
        let receive = PendingReceive { irp: SendIrp(irp), to, octets };
        self.lock().receives.push_back(receive);
        if world::is_on() {
            self.look();
        } else {
            self.serve_receives();
        }
    }

    /// Completes the receives for which there is something.
    pub(crate) fn serve_receives(&'static self) {
        while let Some((receive, status, octets)) = self.next_received() {
            if status != STATUS_SUCCESS {
                self.abort_sends("WskSend", status);
            }
            complete(self.address(), "WskReceive", receive.irp.0, status, octets);
        }
    }

    fn next_received(&self) -> Option<(PendingReceive, NTSTATUS, usize)> {
        let mut shared = self.lock();
        let shared = &mut *shared;
        if !self.is_open() {
            return None;
        }
        let front = shared.receives.front()?;
        let (status, octets) = if shared.reset {
            (STATUS_CONNECTION_RESET, 0)
        } else if shared.read_ended {
            (STATUS_SUCCESS, 0)
        } else if shared.readable || world::is_on() {
            // SAFETY: the buffer is the provider's until the IRP completed (rule 20).
            let to = unsafe { core::slice::from_raw_parts_mut(front.to, front.octets) };
            match shared.stream.as_ref()?.receive(to) {
                Received::Octets { octets, more } => {
                    shared.readable = more || shared.end_comes;
                    (STATUS_SUCCESS, octets)
                }
                Received::Nothing => {
                    shared.readable = false;
                    return None;
                }
                Received::End => {
                    shared.read_ended = true;
                    (STATUS_SUCCESS, 0)
                }
                Received::Reset => {
                    shared.reset = true;
                    (STATUS_CONNECTION_RESET, 0)
                }
            }
        } else {
            return None;
        };
        shared.receives.pop_front().map(|receive| (receive, status, octets))
    }

    /// The socket closes.
    pub(super) fn cancel_receives(&self) {
        let receives = core::mem::take(&mut self.lock().receives);
        for receive in receives {
            complete(self.address(), "WskReceive", receive.irp.0, STATUS_CANCELLED, 0);
        }
    }
}
