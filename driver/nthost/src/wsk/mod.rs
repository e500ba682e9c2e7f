//! Winsock Kernel: registration, sockets, and the callbacks of the client.
pub(crate) mod accept;
mod by_irp;
mod call;
pub(crate) mod connection;
pub(crate) mod inspect;
pub(crate) mod listener;
pub(crate) mod pins;
pub(crate) mod receive;
pub(crate) mod registration;
pub(crate) mod send;
pub(crate) mod shared;
pub(crate) mod slots;

use nt_sys::io::IRP;
use nt_sys::ntdef::{NTSTATUS, STATUS_PENDING};

use crate::ledger::{Item, Ledger};
use crate::nt::irp::{self, Given};
use crate::sim::completion::Completion;
use crate::sim::world;

/// As [`complete`], of an IRP that its call has not kept.
#[allow(clippy::inline_always, reason = "of every send")]
#[inline(always)]
pub(crate) fn give_back(
    socket: usize,
    given: Given,
    status: NTSTATUS,
    information: usize,
) -> NTSTATUS {
    if world::is_on() {
        let export = given.export();
        return complete(socket, export, given.keep(), status, information);
    }
    given.complete(status, information);
    STATUS_PENDING
}

/// Gives the IRP of a call on `socket` (0 for none) back: now, or, simulated, when the seed says
/// so. What the call may return: nothing that a client could take for the result.
pub(crate) fn complete(
    socket: usize,
    export: &'static str,
    irp: *mut IRP,
    status: NTSTATUS,
    information: usize,
) -> NTSTATUS {
    if world::is_on() {
        return Completion { socket, export, irp, status, information, closes: None }.give();
    }
    irp::complete(export, irp, status, information);
    STATUS_PENDING
}

pub(crate) fn reset() {
    registration::reset();
    listener::reset();
    inspect::reset();
    slots::reset();
    pins::reset();
}

pub(crate) fn enter(ledger: &mut Ledger) {
    registration::REGISTRATIONS.enter(ledger);
    registration::CAPTURES.enter(ledger);
    listener::LISTENERS.enter(ledger);
    let (open, peak) = slots::open();
    let item = Item { count: open, peak, ..Item::default() };
    ledger.items.insert("connection sockets".to_owned(), item);
}
