//! WskSend.
use std::hash::{DefaultHasher, Hasher};
use std::io::{ErrorKind, IoSlice};

use nt_sys::io::IRP;
use nt_sys::kernel_fn;
use nt_sys::mm::MDL;
use nt_sys::ntdef::{
    NTSTATUS, STATUS_CONNECTION_DISCONNECTED, STATUS_CONNECTION_RESET,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_NOT_SUPPORTED, STATUS_PENDING, STATUS_SUCCESS,
};
use nt_sys::wsk::{WSK_BUF, WSK_FLAG_NODELAY, WSK_SOCKET};

use super::call::enter_call;
use super::connection::Connection;
use super::pins::Pins;
use super::shared::{SendIrp, Shared};
use super::{complete, give_back};
use crate::host::state;
use crate::nt::irp::Given;
use crate::sim::freedom::Freedom;
use crate::sim::interrupt::AtReturn;
use crate::sim::{self, work};
use crate::transport::Stream;
use crate::verifier::{Rule, violation};

/// Parts of an MDL chain that go into one system call.
const PARTS_MAX: usize = 16;

/// What a send carries: octets of an MDL chain of the client's.
struct Chain {
    mdl: *mut MDL,
    offset: usize,
    octets: usize,
}

/// A send that the transport has not taken whole.
pub(crate) struct PendingSend {
    irp: SendIrp,
    chain: Chain,
    sent: usize,
    /// Of the octets, when they were queued (rule 20).
    fingerprint: u64,
    /// Its memory, since it was queued.
    pins: Pins,
}
// SAFETY: the chain is the provider's until the IRP completed.
unsafe impl Send for PendingSend {}

/// An MDL of the client's, ours for the call or until completed.
fn fields<'m>(mdl: *const MDL) -> Option<&'m MDL> {
    // SAFETY: the caller's: null, or of a chain that stays until completion (rule 20).
    unsafe { mdl.as_ref() }
}

/// Octets that an MDL describes.
fn part<'p>(mdl: &MDL, skip: usize, octets: usize) -> IoSlice<'p> {
    let base = mdl.StartVa.wrapping_byte_add(mdl.ByteOffset as usize + skip);
    // SAFETY: the MDL describes non-paged memory that stays until completion (rule 20).
    IoSlice::new(unsafe { core::slice::from_raw_parts(base.cast::<u8>(), octets) })
}

/// The octets of a chain from `skip` on, when they are all in its first MDL.
fn only_part<'p>(mdl: *const MDL, skip: usize, octets: usize) -> Option<IoSlice<'p>> {
    let mdl = fields(mdl)?;
    (skip + octets <= mdl.ByteCount as usize).then(|| part(mdl, skip, octets))
}

/// The octets of a chain from `skip` on, at most `PARTS_MAX` parts of them; panics never, reports
/// a chain that is shorter than it says.
fn parts(
    mut mdl: *const MDL,
    mut skip: usize,
    mut left: usize,
    parts: &mut [IoSlice<'_>; PARTS_MAX],
) -> usize {
    let mut used = 0;
    while left > 0 && used < PARTS_MAX {
        let Some(fields) = fields(mdl) else {
            let detail = format!("{left} octets are missing");
            violation(Rule::BufferBounds, "WskSend", "WSK_BUF", detail, None);
        };
        let count = fields.ByteCount as usize;
        if skip < count {
            let taken = (count - skip).min(left);
            parts[used] = part(fields, skip, taken);
            used += 1;
            left -= taken;
            skip = 0;
        } else {
            skip -= count;
        }
        mdl = fields.Next;
    }
    used
}

impl Chain {
    fn of(buffer: &WSK_BUF) -> Chain {
        Chain { mdl: buffer.Mdl, offset: buffer.Offset as usize, octets: buffer.Length }
    }

    /// More than one MDL.
    fn has_more(&self) -> bool {
        fields(self.mdl).is_some_and(|first| !first.Next.is_null())
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut at = 0;
        while at < self.octets {
            let mut slices = [IoSlice::new(&[]); PARTS_MAX];
            let used = parts(self.mdl, self.offset + at, self.octets - at, &mut slices);
            for slice in &slices[..used] {
                hasher.write(slice);
                at += slice.len();
            }
        }
        hasher.finish()
    }

    /// Gives as much as possible of what is behind the octets `sent` to the transport; true when
    /// all of it is out.
    #[allow(clippy::inline_always, reason = "of every send")]
    #[inline(always)]
    fn progress(&self, sent: &mut usize, stream: &Stream) -> std::io::Result<bool> {
        while *sent < self.octets {
            let (skip, left) = (self.offset + *sent, self.octets - *sent);
            let (offered, result) = if let Some(part) = only_part(self.mdl, skip, left) {
                (left, stream.send(&[part]))
            } else {
                self.send_parts(skip, left, stream)
            };
            match result {
                Ok(taken) => {
                    *sent += taken;
                    if taken < offered {
                        return Ok(false);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    #[cold]
    #[inline(never)]
    fn send_parts(
        &self,
        skip: usize,
        left: usize,
        stream: &Stream,
    ) -> (usize, std::io::Result<usize>) {
        let mut slices = [IoSlice::new(&[]); PARTS_MAX];
        let used = parts(self.mdl, skip, left, &mut slices);
        let offered = slices[..used].iter().map(|slice| slice.len()).sum();
        (offered, stream.send(&slices[..used]))
    }
}

impl PendingSend {
    #[inline(never)]
    fn progress(&mut self, stream: &Stream) -> std::io::Result<bool> {
        self.chain.progress(&mut self.sent, stream)
    }

    /// Completes the IRP.
    pub(super) fn finish(self, socket: usize, export: &'static str, status: NTSTATUS) -> NTSTATUS {
        if self.fingerprint != self.chain.hash() {
            let object = format!("{} octets of a send", self.chain.octets);
            violation(Rule::BufferInFlight, export, object, "they changed while in flight", None);
        }
        let information = if status == STATUS_SUCCESS { self.chain.octets } else { 0 };
        // The completion routine may free it all.
        drop(self.pins);
        complete(socket, export, self.irp.0, status, information)
    }
}

kernel_fn! {
    pub(super) unsafe fn wsk_send(
        socket: *mut WSK_SOCKET, buffer: *mut WSK_BUF, flags: u32, irp: *mut IRP,
    ) -> NTSTATUS {
        let export = "WskSend";
        let _return = AtReturn;
        let call = enter_call(export, socket);
        if flags & !WSK_FLAG_NODELAY != 0 {
            violation(Rule::Flags, export, "flags", format!("{flags:#x}"), None);
        }
        // SAFETY: the caller's: valid for the call.
        let buffer = unsafe { &*buffer };
        let given = Given::to(export, irp);
        let chain = Chain::of(buffer);
        let connection = call.0;
        let mut shared = connection.lock_to_send();
        if let Some(status) = connection.refuses(&mut shared, &chain) {
            drop(shared);
            return give_back(connection.address(), given, status, 0);
        }
        let at_once = shared.sends.is_empty() && !sim::takes(Freedom::SendQueued);
        let mut sent = 0;
        let out = match &shared.stream {
            Some(stream) if at_once => chain.progress(&mut sent, stream),
            _ => Ok(false),
        };
        match out {
            Ok(true) => {
                drop(shared);
                give_back(connection.address(), given, STATUS_SUCCESS, chain.octets)
            }
            Ok(false) => {
                connection.keep(&mut shared, given, chain, sent);
                drop(shared);
                connection.look();
                STATUS_PENDING
            }
            Err(_) => {
                // The system says so once; a read would find an ordinary end.
                drop(shared);
                connection.lock().reset = true;
                give_back(connection.address(), given, STATUS_CONNECTION_RESET, 0)
            }
        }
    }
}

impl Connection {
    /// Why a send fails at once, if it does.
    #[inline]
    fn refuses(&self, shared: &mut Shared, chain: &Chain) -> Option<NTSTATUS> {
        if state().irp_only && chain.has_more() {
            Some(STATUS_NOT_SUPPORTED)
        } else if shared.reset {
            Some(STATUS_CONNECTION_RESET)
        } else if shared.write_ended || shared.disconnect.is_some() {
            Some(STATUS_CONNECTION_DISCONNECTED)
        } else if shared.send_failed
            || work::fails_for(self.number(), "WskSend", Freedom::SendFailed)
        {
            shared.send_failed = true;
            Some(STATUS_INSUFFICIENT_RESOURCES)
        } else {
            None
        }
    }

    /// A send stays until the transport takes the rest of it.
    #[cold]
    #[inline(never)]
    fn keep(&'static self, shared: &mut Shared, given: Given, chain: Chain, sent: usize) {
        let pending = PendingSend {
            irp: SendIrp(given.keep()),
            fingerprint: chain.hash(),
            // SAFETY: the client's chain, valid until completed.
            pins: unsafe { Pins::of(chain.mdl, "WskSend") },
            chain,
            sent,
        };
        if let Some(Stream::Live(file)) = &shared.stream
            && shared.sends.is_empty()
        {
            state().processor(self.home()).watch_unsent(self, file);
        }
        shared.sends.push_back(pending);
    }
}

impl Connection {
    /// The transport takes octets again.
    pub(crate) fn flush(&'static self) {
        while let Some((send, status)) = self.next_done() {
            send.finish(self.address(), "WskSend", status);
        }
        self.sends_done();
    }

    /// The next send that is over, if one is.
    fn next_done(&self) -> Option<(PendingSend, NTSTATUS)> {
        let mut shared = self.lock();
        let shared = &mut *shared;
        let stream = shared.stream.as_ref()?;
        let send = shared.sends.front_mut()?;
        // After a reset nothing is transmitted: an earlier send may have failed just now, and the
        // client be told of it in this moment.
        let progress = if shared.reset {
            Err(ErrorKind::ConnectionReset.into())
        } else {
            send.progress(stream)
        };
        let status = match progress {
            Ok(false) => return None,
            Ok(true) => STATUS_SUCCESS,
            Err(_) => {
                shared.reset = true;
                STATUS_CONNECTION_RESET
            }
        };
        shared.sends.pop_front().map(|send| (send, status))
    }
}
