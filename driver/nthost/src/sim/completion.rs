//! IRPs that WSK gives back: inside the call, on another processor, or much later.
use nt_sys::io::IRP;
use nt_sys::ntdef::{NTSTATUS, STATUS_PENDING, STATUS_SUCCESS};

use super::freedom::Freedom;
use super::network::PortId;
use super::work::{self, Work};
use super::world::with;
use crate::nt::irp;
use crate::wsk::connection::Connection;

/// A completion that is due.
pub(crate) struct Completion {
    /// The socket that the call was made on; 0 for calls on none.
    pub(crate) socket: usize,
    pub(crate) export: &'static str,
    pub(crate) irp: *mut IRP,
    pub(crate) status: NTSTATUS,
    pub(crate) information: usize,
    /// The connection that this is the end of.
    pub(crate) closes: Option<PortId>,
}

impl Completion {
    /// Calls the routine, now or later; what the call that is completed may return.
    pub(crate) fn give(self) -> NTSTATUS {
        let status = self.status;
        let (now, returned) = with(|world| {
            world.began(self.socket);
            let returned = world.take(Freedom::ReturnedResult);
            (world.take(Freedom::CompletedInline), returned)
        });
        if now {
            self.run();
        } else {
            with(|world| {
                if world.take(Freedom::CompletedLate) {
                    let delay = world.delay();
                    world.post_later(delay, Work::Complete(self));
                } else {
                    world.freedoms.count(Freedom::CompletedElsewhere);
                    world.post(Work::Complete(self));
                }
            });
        }
        // A success may be returned only by a call that is over; of a failure the IRP may follow.
        if returned && (now || status < 0) { status } else { STATUS_PENDING }
    }

    /// Calls the routine.
    pub(super) fn run(self) {
        with(|world| {
            world.note(self.export, 0, self.status.cast_unsigned() as usize);
            if let Some(port) = self.closes {
                world.network.releases(port);
            }
        });
        irp::complete(self.export, self.irp, self.status, self.information);
        with(|world| {
            world.ended(self.socket);
            if let Some(port) = self.closes {
                world.network.uncount(port);
            }
        });
    }
}

/// The close of a connection completes: nothing of it follows.
pub(crate) fn closed(connection: &'static Connection, irp: *mut IRP) {
    let (socket, closes) = (connection.address(), work::port_of(connection.number()));
    let (export, status, information) = ("WskCloseSocket", STATUS_SUCCESS, 0);
    Completion { socket, export, irp, status, information, closes }.give();
}
