//! What a connection's client and its transport share.
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsRawFd, RawFd};

use nt_sys::io::IRP;
use nt_sys::wsk::{SOCKADDR, WSK_INSPECT_ID};
use parking_lot::MutexGuard;

use super::by_irp::PendingReceive;
use super::connection::{Connection, Life};
use super::send::PendingSend;
use crate::transport::Stream;
use crate::verifier::Site;

/// No file is to be read plainly.
pub(super) const NO_FILE: RawFd = -1;

/// An IRP that the provider keeps.
pub(super) struct SendIrp(pub(super) *mut IRP);
// SAFETY: the provider's until completed, whichever thread does it.
unsafe impl Send for SendIrp {}

/// What the client and the transport share, under the socket's lock.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(super) struct Shared {
    pub(super) stream: Option<Stream>,
    pub(super) sends: VecDeque<PendingSend>,
    /// Octets that were indicated and not taken.
    pub(super) withheld: Vec<u8>,
    /// No receive events until WskReceive.
    pub(super) gated: bool,
    /// WskReceive came while the event that closes the gate was running.
    pub(super) restart_early: bool,
    /// A disconnect event is running.
    pub(super) telling: bool,
    /// The transport may have octets.
    pub(super) readable: bool,
    /// The transport has said that an end comes, which is read behind the last octets.
    pub(super) end_comes: bool,
    pub(super) read_ended: bool,
    pub(super) write_ended: bool,
    pub(super) reset: bool,
    /// A send failed: what follows it cannot be sent either.
    pub(super) send_failed: bool,
    /// The client knows that the peer ended or reset.
    pub(super) end_told: bool,
    pub(super) reset_told: bool,
    /// Receives by IRP that wait for octets.
    pub(super) receives: VecDeque<PendingReceive>,
    /// Graceful disconnect that waits for sends.
    pub(super) disconnect: Option<SendIrp>,
    /// One that will not complete before the close.
    pub(super) stuck: Option<SendIrp>,
    pub(super) close: Option<SendIrp>,
    /// Turns of the home processor that the close still waits.
    pub(super) close_turns: u32,
    pub(super) closed_at: Option<Site>,
    pub(super) inspect_id: Option<WSK_INSPECT_ID>,
    pub(super) remote: SOCKADDR,
    pub(super) local: SOCKADDR,
}

impl Shared {
    /// The file from which octets can be told without another look at all of this: nothing is
    /// withheld, over, or to be told first.
    fn plain_file(&self) -> RawFd {
        let otherwise = self.gated
            | self.restart_early
            | self.readable
            | self.end_comes
            | self.read_ended
            | self.reset
            | self.end_told;
        match &self.stream {
            Some(Stream::Live(file)) if !otherwise && self.withheld.is_empty() => file.as_raw_fd(),
            _ => NO_FILE,
        }
    }
}

/// The same, locked. What changed in it is known to the home processor once it is not.
pub(super) struct Locked<'c> {
    connection: &'c Connection,
    shared: MutexGuard<'c, Shared>,
}

impl<'c> Locked<'c> {
    pub(super) fn of(connection: &'c Connection, shared: MutexGuard<'c, Shared>) -> Locked<'c> {
        Locked { connection, shared }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let is_open = self.connection.life() == Life::Open;
        self.connection.set_plain_file(if is_open { self.shared.plain_file() } else { NO_FILE });
    }
}

impl Deref for Locked<'_> {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Shared {
        &mut self.shared
    }
}

/// What there is to be done for a connection.
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(crate) struct Standing {
    pub(crate) open: bool,
    pub(crate) closing: bool,
    /// It has no events.
    pub(crate) by_irp: bool,
    /// A receive by IRP waits.
    pub(crate) awaited: bool,
    /// No receive events may come.
    pub(crate) gated: bool,
    pub(crate) receiving: bool,
    pub(crate) withheld: bool,
    /// A send waits.
    pub(crate) sending: bool,
    /// A graceful disconnect waits.
    pub(crate) disconnecting: bool,
    pub(crate) end_told: bool,
    pub(crate) reset_told: bool,
}

impl Connection {
    /// What there is to be done for it.
    pub(crate) fn standing(&self) -> Standing {
        let by_irp = self.client().1.is_null();
        let shared = self.lock();
        Standing {
            open: self.is_open(),
            closing: self.life() == Life::Closing,
            by_irp,
            awaited: !shared.receives.is_empty(),
            gated: shared.gated || shared.reset,
            receiving: self.is_receiving(),
            withheld: !shared.withheld.is_empty(),
            sending: !shared.sends.is_empty(),
            disconnecting: shared.disconnect.is_some(),
            end_told: shared.end_told,
            reset_told: shared.reset_told,
        }
    }
}
