//! Receiving by IRP: a connection's buffer.
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use nt_sys::mm::PAGE_SIZE;
use nt_sys::wsk::WSK_BUF;

use super::Events;
use crate::lookaside::RawLookaside;
use crate::mdl::MdlRoom;
use crate::{Result, Tag, bug_check};

/// Pages that the octets of a buffer can touch.
const BUFFER_PAGES: usize = 3;
/// Octets received at once: what is left of two pages.
const BUFFER_BYTES: usize = 2 * PAGE_SIZE - 128;

/// What the completion reports for a receive that failed.
pub(super) const RECEIVE_FAILED: u32 = u32::MAX;

#[repr(C)]
struct Buffer {
    wanted: WSK_BUF,
    mdl: MdlRoom<BUFFER_PAGES>,
    octets: [MaybeUninit<u8>; BUFFER_BYTES],
}
const _: () = assert!(size_of::<Buffer>() <= 2 * PAGE_SIZE);

/// The list that a provider's buffers come from.
pub(super) fn receive_list() -> Result<RawLookaside> {
    RawLookaside::new(Tag::Receive, size_of::<Buffer>())
}

/// A connection's buffer, reached by its runner.
///
/// Q1: while `in_flight` the buffer is the provider's. Q2: otherwise `octets[from..to]` are what
/// was received and not consumed. Q3: the list outlives the buffer: the provider owns it and is
/// freed after its last connection.
pub(super) struct Intake {
    buffer: NonNull<Buffer>,
    home: *const RawLookaside,
    from: usize,
    to: usize,
    in_flight: bool,
    ended: bool,
}

impl Intake {
    /// `None` when memory is short. Of `list`, see Q3.
    pub(super) fn take(list: &RawLookaside) -> Option<Intake> {
        let buffer = list.take()?.cast::<Buffer>();
        let place = buffer.as_ptr();
        // SAFETY: room for a `Buffer`.
        let octets = unsafe { &raw mut (*place).octets };
        // SAFETY: as above.
        let mdl = unsafe { &(*place).mdl };
        let length = u32::try_from(BUFFER_BYTES).unwrap_or(0);
        // SAFETY: non-paged memory of one entry, fewer octets than the MDL has room for; new.
        unsafe { mdl.describe(octets.cast(), length) };
        Some(Intake { buffer, home: list, from: 0, to: 0, in_flight: false, ended: false })
    }

    /// Octets received and not consumed.
    pub(super) fn len(&self) -> usize {
        self.to - self.from
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True when the next receive may begin.
    pub(super) fn is_ready(&self) -> bool {
        self.is_empty() && !self.in_flight && !self.ended
    }

    /// What was received and not consumed.
    pub(super) fn octets(&self) -> &[u8] {
        let first = self.buffer.as_ptr().wrapping_byte_add(core::mem::offset_of!(Buffer, octets));
        let first = first.cast::<u8>().wrapping_add(self.from);
        // SAFETY: Q2.
        unsafe { core::slice::from_raw_parts(first, self.len()) }
    }

    /// The client took `octets` from the front.
    pub(super) fn consume(&mut self, octets: usize) {
        self.from += octets.min(self.len());
    }

    /// The buffer for one WskReceive, which is the provider's from now on (Q1).
    pub(super) fn offer(&mut self) -> *mut WSK_BUF {
        self.in_flight = true;
        // SAFETY: inside the buffer.
        let mdl = unsafe { &(*self.buffer.as_ptr()).mdl };
        let wanted = WSK_BUF { Mdl: mdl.get(), Offset: 0, Length: BUFFER_BYTES };
        // SAFETY: Q1: it was ours until now.
        let place = unsafe { &raw mut (*self.buffer.as_ptr()).wanted };
        // SAFETY: as above.
        unsafe { place.write(wanted) };
        place
    }

    /// The receive completed with so many octets; what that means besides.
    pub(super) fn received(&mut self, octets: u32) -> Events {
        self.in_flight = false;
        self.from = 0;
        self.to = 0;
        match octets {
            0 => {
                self.ended = true;
                Events::PEER_ENDED
            }
            RECEIVE_FAILED => {
                self.ended = true;
                Events::PEER_RESET
            }
            octets => {
                self.to = (octets as usize).min(BUFFER_BYTES);
                Events::RECEIVED
            }
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if self.in_flight {
            bug_check("receive buffer given back in flight", self.buffer.addr().get());
        }
        // SAFETY: Q3.
        let home = unsafe { &*self.home };
        // SAFETY: taken from that list, and not in flight (Q1).
        unsafe { home.give(self.buffer.cast()) };
    }
}
