//! Sends: everything one WskSend needs, reserved together.
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use nt_sys::io::{DEVICE_OBJECT, IO_COMPLETION_ROUTINE, IRP};
use nt_sys::kernel_fn;
use nt_sys::mm::{MDL, PAGE_SIZE};
use nt_sys::ntdef::{NT_SUCCESS, NTSTATUS, PVOID, STATUS_MORE_PROCESSING_REQUIRED};
use nt_sys::wsk::WSK_BUF;

use super::Client;
use super::endpoint::{Endpoint, Events};
use crate::irp::{EmbeddedIrp, outcome};
use crate::lookaside::RawLookaside;
use crate::mdl::{MdlRoom, Pinned};
use crate::{PoolArc, Result, Tag};

/// Pages of pinned memory that one send can chain, plus one for an unaligned start.
const CHAIN_PAGES: usize = 33;
/// Pages that the copied octets can touch.
const COPY_PAGES: usize = 4;
/// Octets of pinned memory that one send can chain.
pub const CHAIN_BYTES_MAX: usize = MdlRoom::<CHAIN_PAGES>::BYTES_MAX;
/// Octets that one send can carry by copy: what is left of three pages.
pub const SEND_BYTES_MAX: usize = 3 * PAGE_SIZE - 832;
#[allow(clippy::cast_possible_truncation)] // three pages
const SEND_BYTES_U32: u32 = SEND_BYTES_MAX as u32;

/// Everything of one send.
///
/// W1: from [`Outgoing::seal`] until the completion routine has it back, the slot is the
/// provider's. W2: `octets[..used]` are initialised. W3: `pinned` keeps what `chained` describes.
/// W4: from its first use on, `contents` is initialised and `copy` describes all of `octets`; both
/// stay so while the list keeps the slot (L3: its link is in the IRP). W5: one in the list is
/// empty.
#[repr(C)]
struct Slot {
    irp: EmbeddedIrp,
    contents: Contents,
    copy: MdlRoom<COPY_PAGES>,
    chain: MdlRoom<CHAIN_PAGES>,
    octets: [MaybeUninit<u8>; SEND_BYTES_MAX],
}
const _: () = assert!(size_of::<Slot>() <= 3 * PAGE_SIZE);

/// What a slot carries.
struct Contents {
    buffer: WSK_BUF,
    endpoint: *const (),
    home: *const RawLookaside,
    used: usize,
    chained: Option<NonNull<MDL>>,
    chained_octets: usize,
    pinned: Option<PoolArc<Pinned>>,
    /// What is chained goes alone, not behind what was copied.
    alone: bool,
}

/// The list that a provider's sends come from.
pub(super) fn send_list() -> Result<RawLookaside> {
    RawLookaside::new(Tag::Send, size_of::<Slot>())
}

/// A slot that was never used (W4, W5).
#[cold]
#[inline(never)]
fn new_slot(list: &RawLookaside, alone: bool) -> Option<NonNull<Slot>> {
    let slot = list.take_new()?.cast::<Slot>();
    let place = slot.as_ptr();
    let contents = Contents {
        buffer: WSK_BUF { Mdl: core::ptr::null_mut(), Offset: 0, Length: 0 },
        endpoint: core::ptr::null(),
        home: list,
        used: 0,
        chained: None,
        chained_octets: 0,
        pinned: None,
        alone,
    };
    // SAFETY: room for a `Slot`.
    let room = unsafe { &raw mut (*place).contents };
    // SAFETY: inside the slot. The rest of it is written before it is read.
    unsafe { room.write(contents) };
    // SAFETY: inside the slot.
    let octets = unsafe { &raw mut (*place).octets };
    // SAFETY: inside the slot.
    let copy = unsafe { &(*place).copy };
    // SAFETY: the slot is non-paged; `octets` is less than three pages; no chain has this MDL.
    unsafe { copy.describe(octets.cast(), SEND_BYTES_U32) };
    Some(slot)
}

/// A send being built: octets copied in, then at most one part of pinned memory.
///
/// IRQL <= DISPATCH. Dropped unsent, it gives its slot back.
pub struct Outgoing<C: Client> {
    slot: NonNull<Slot>,
    _of: core::marker::PhantomData<fn(C)>,
}

impl<C: Client> Outgoing<C> {
    /// `list` outlives every slot taken from it: the provider owns it and is freed after its last
    /// connection. `alone`: every send is one MDL, which is the same for all slots of a list.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    pub(super) fn take(list: &RawLookaside, alone: bool) -> Option<Outgoing<C>> {
        let slot = match list.take_kept() {
            Some(kept) => kept.cast(),
            None => new_slot(list, alone)?,
        };
        Some(Outgoing { slot, _of: core::marker::PhantomData })
    }

    fn slot(&mut self) -> &mut Slot {
        // SAFETY: sole owner until sealed.
        unsafe { self.slot.as_mut() }
    }

    fn peek(&self) -> &Slot {
        // SAFETY: as above, shared with `self`.
        unsafe { self.slot.as_ref() }
    }

    /// Octets that can still be copied in; none once memory was chained.
    pub fn room(&self) -> usize {
        let slot = self.peek();
        if slot.contents.chained.is_some() { 0 } else { SEND_BYTES_MAX - slot.contents.used }
    }

    /// True while there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.peek().contents.used == 0 && self.peek().contents.chained.is_none()
    }

    /// True while pinned memory can be chained to it.
    pub fn can_chain(&self) -> bool {
        let contents = &self.peek().contents;
        contents.chained.is_none() && !(contents.alone && contents.used > 0)
    }

    /// Copies parts in that follow one another; returns the copy, to be stamped before it is sent.
    /// `None` (and nothing copied) when there is no room.
    #[inline]
    pub fn copy_parts<const N: usize>(&mut self, parts: [&[u8]; N]) -> Option<&mut [u8]> {
        let slot = self.slot();
        if slot.contents.chained.is_some() {
            return None;
        }
        let octets = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.len()));
        let place = slot.octets.get_mut(slot.contents.used..)?.get_mut(..octets)?;
        slot.contents.used += octets;
        let mut rest = &mut *place;
        for (at, part) in parts.into_iter().enumerate() {
            let is_between = N > 2 && at > 0 && at + 1 < N;
            let (to, behind) = rest.split_at_mut_checked(part.len())?;
            match (&mut *to, part) {
                // What ends nearly every head; shorter than the call of a copy.
                ([first, second], [cr, lf]) if is_between => {
                    first.write(*cr);
                    second.write(*lf);
                }
                _ => {
                    to.write_copy_of_slice(part);
                }
            }
            rest = behind;
        }
        // SAFETY: the parts that were written are as long as the place.
        Some(unsafe { place.assume_init_mut() })
    }

    /// Copies `octets` in, `times` times one after the other; false (and nothing copied) when there
    /// is no room.
    #[must_use]
    pub fn copy_times(&mut self, octets: &[u8], times: usize) -> bool {
        let room = self.room();
        let Some(total) = octets.len().checked_mul(times).filter(|total| *total <= room) else {
            return false;
        };
        let slot = self.slot();
        let place =
            slot.octets.get_mut(slot.contents.used..).and_then(|rest| rest.get_mut(..total));
        let Some(place) = place else { return false };
        let (first, _) = place.split_at_mut(octets.len().min(total));
        first.write_copy_of_slice(octets);
        // What is there is copied behind itself, so that copies are few and long.
        let mut done = first.len();
        while done < total {
            let (from, to) = place.split_at_mut(done);
            let part = done.min(to.len());
            let (from, _) = from.split_at(part);
            let (to, _) = to.split_at_mut(part);
            to.copy_from_slice(from);
            done += part;
        }
        slot.contents.used += total;
        true
    }

    /// Sends `octets` octets (1 to [`CHAIN_BYTES_MAX`]) of `pinned` from `offset` after what was
    /// copied, without copying them; false when they are not inside or it cannot be chained
    /// ([`Outgoing::can_chain`]).
    #[must_use]
    pub fn chain(&mut self, pinned: &PoolArc<Pinned>, offset: usize, octets: usize) -> bool {
        if !self.can_chain() {
            return false;
        }
        let slot = self.slot();
        let alone = slot.contents.alone;
        // SAFETY: W3: the reference taken below keeps the memory; no chain contains this MDL yet.
        let part = unsafe { slot.chain.describe_part(pinned, offset, octets, alone) };
        let Some(part) = part.and_then(NonNull::new) else { return false };
        slot.contents.pinned = Some(pinned.clone());
        slot.contents.chained = Some(part);
        slot.contents.chained_octets = octets;
        true
    }

    /// Builds the chain; `None` (and the slot goes back) when there is nothing to send.
    #[inline]
    pub(super) fn seal(mut self, endpoint: *const Endpoint<C>) -> Option<SealedSend> {
        if self.is_empty() {
            return None;
        }
        let slot = self.slot();
        slot.contents.endpoint = endpoint.cast();
        let chained = slot.contents.chained.map_or(core::ptr::null_mut(), NonNull::as_ptr);
        let mut first = chained;
        if slot.contents.used > 0 {
            first = slot.copy.get();
            // At most three pages.
            #[allow(clippy::cast_possible_truncation)]
            let used = slot.contents.used as u32;
            // SAFETY: W4: described, ours until sent, and what is used is a part of it.
            unsafe { (*first).ByteCount = used };
            // SAFETY: as above.
            unsafe { (*first).Next = chained };
        }
        slot.contents.buffer = WSK_BUF {
            Mdl: first,
            Offset: 0,
            Length: slot.contents.used + slot.contents.chained_octets,
        };
        let sealed = SealedSend(self.slot);
        core::mem::forget(self);
        Some(sealed)
    }
}

impl<C: Client> Drop for Outgoing<C> {
    fn drop(&mut self) {
        // SAFETY: sole owner, never submitted.
        unsafe { release(self.slot) };
    }
}

/// A send of a copy of some octets, complete. Dropped unsent, it gives its slot back.
pub struct Ready<C: Client>(Outgoing<C>);

impl<C: Client> Ready<C> {
    /// As [`Outgoing::take`] and [`Outgoing::copy_parts`], in fewer steps; `None` when memory is
    /// short or there are more octets than a send can carry.
    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    pub(super) fn take(list: &RawLookaside, alone: bool, octets: &[u8]) -> Option<Ready<C>> {
        let mut out = Outgoing::take(list, alone)?;
        // W5: empty, and nothing is chained.
        let slot = out.slot();
        slot.octets.get_mut(..octets.len())?.write_copy_of_slice(octets);
        let first = slot.copy.get();
        // At most three pages.
        #[allow(clippy::cast_possible_truncation)]
        let used = octets.len() as u32;
        // SAFETY: W4: described, ours until sent, and what is used is a part of it.
        unsafe { (*first).ByteCount = used };
        // SAFETY: as above.
        unsafe { (*first).Next = core::ptr::null_mut() };
        slot.contents.buffer = WSK_BUF { Mdl: first, Offset: 0, Length: octets.len() };
        Some(Ready(out))
    }

    #[inline]
    pub(super) fn seal(mut self, endpoint: *const Endpoint<C>) -> SealedSend {
        self.0.slot().contents.endpoint = endpoint.cast();
        let sealed = SealedSend(self.0.slot);
        core::mem::forget(self);
        sealed
    }
}

/// A send ready to be submitted.
pub(super) struct SealedSend(NonNull<Slot>);

impl SealedSend {
    /// Octets in it.
    pub(super) fn octets(&self) -> usize {
        // SAFETY: the slot is ours until submitted.
        unsafe { self.0.as_ref() }.contents.buffer.Length
    }

    /// The IRP and the buffer to pass to WskSend.
    ///
    /// # Safety
    /// Called once; both are passed to exactly one WskSend with `routine` = [`send_complete`].
    pub(super) unsafe fn prepare(
        &mut self,
        routine: IO_COMPLETION_ROUTINE,
    ) -> (*mut IRP, *mut WSK_BUF) {
        let slot = self.0.as_ptr();
        // SAFETY: the slot is ours until submitted.
        let irp = unsafe { &raw const (*slot).irp };
        // SAFETY: idle: the slot was taken from the list; it stays until the completion (W1).
        let irp = unsafe { EmbeddedIrp::prepare(irp, routine, slot.cast()) };
        // SAFETY: as above.
        (irp, unsafe { &raw mut (*slot).contents.buffer })
    }
}

/// # Safety
/// `slot` is owned by the caller and not in flight.
#[cold]
#[inline(never)]
unsafe fn release(slot: NonNull<Slot>) {
    let place = slot.as_ptr();
    // SAFETY: the caller's, and W4.
    let contents = unsafe { &mut (*place).contents };
    (contents.chained, contents.chained_octets, contents.pinned) = (None, 0, None);
    // SAFETY: the caller's; nothing is chained any more.
    unsafe { release_copied(slot) };
}

/// # Safety
/// `slot` is owned by the caller and not in flight; nothing is chained in it.
#[inline]
unsafe fn release_copied(slot: NonNull<Slot>) {
    let place = slot.as_ptr();
    // SAFETY: the caller's, and W4.
    let contents = unsafe { &mut (*place).contents };
    contents.used = 0;
    let home = contents.home;
    // SAFETY: the list outlives its slots (see `Outgoing::take`).
    let home = unsafe { &*home };
    // SAFETY: taken from that list, used no more.
    unsafe { home.give(slot.cast()) };
}

kernel_fn! {
    pub(super) unsafe fn send_complete<C: Client>(
        _d: *mut DEVICE_OBJECT, irp: *mut IRP, context: PVOID,
    ) -> NTSTATUS {
        let Some(slot) = NonNull::new(context.cast::<Slot>()) else {
            return STATUS_MORE_PROCESSING_REQUIRED;
        };
        // SAFETY: in the completion routine.
        let (status, octets) = unsafe { outcome(irp) };
        // SAFETY: W1: the slot is ours again.
        let contents = unsafe { &raw const (*slot.as_ptr()).contents };
        // SAFETY: as above.
        let wanted = unsafe { (*contents).buffer.Length };
        // SAFETY: as above; set when sealed.
        let endpoint = unsafe { (*contents).endpoint };
        // SAFETY: as above.
        let is_chained = unsafe { (*contents).chained }.is_some();
        // SAFETY: C3: the close cannot complete before this routine has returned.
        let endpoint = unsafe { &*endpoint.cast::<Endpoint<C>>() };
        if is_chained {
            // SAFETY: W1.
            unsafe { release_chained(slot) };
        } else {
            // SAFETY: W1; nothing is chained.
            unsafe { release_copied(slot) };
        }
        endpoint.sends.remove(wanted);
        let sent = NT_SUCCESS(status) && octets == wanted;
        if !sent || !endpoint.is_run_while_sent() {
            // SAFETY: the endpoint of the send.
            unsafe { send_told::<C>(endpoint, sent) };
        }
        STATUS_MORE_PROCESSING_REQUIRED
    }
}

// Ways that are seldom gone, as functions of the kernel's convention: calling one costs the
// completion routine no saved registers, on hosts where that convention is not the usual one.
kernel_fn! {
    #[cold]
    #[inline(never)]
    unsafe fn release_chained(slot: NonNull<Slot>) {
        // SAFETY: the caller's.
        unsafe { release(slot) };
    }
}

kernel_fn! {
    #[cold]
    #[inline(never)]
    unsafe fn send_told<C: Client>(endpoint: *const Endpoint<C>, sent: bool) {
        let failed = if sent { Events::SENT } else { Events::SEND_FAILED };
        // SAFETY: the caller's.
        unsafe { &*endpoint }.post(Events::SENT.with(failed));
    }
}
