//! Walking received data.
use nt_sys::mm::{self, MDL, MdlMappingNoExecute, NormalPagePriority};
use nt_sys::wsk::{WSK_BUF, WSK_DATA_INDICATION};

/// What a receive event brought, not looked at yet. V1 holds for `'i`.
#[derive(Clone, Copy)]
pub struct Arrival<'i> {
    head: &'i WSK_DATA_INDICATION,
    octets: usize,
}

impl<'i> Arrival<'i> {
    /// # Safety
    /// As of [`Indication::new`].
    #[inline]
    pub(crate) unsafe fn new(head: &'i WSK_DATA_INDICATION, octets: usize) -> Arrival<'i> {
        Arrival { head, octets }
    }

    /// Octets indicated.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// To be walked.
    pub(crate) fn walk(self) -> Indication<'i> {
        // SAFETY: V1.
        unsafe { Indication::new(self.head, self.octets) }
    }

    /// All of it, if it lies in one MDL that is mapped already.
    #[inline]
    pub fn whole(&self) -> Option<&'i [u8]> {
        let WSK_BUF { Mdl, Offset, Length } = self.head.Buffer;
        if Length != self.octets || Mdl.is_null() {
            return None;
        }
        // SAFETY: V1.
        let mdl = unsafe { &*Mdl };
        let base = mm::mapped_system_va(mdl)?;
        let end = (Offset as usize).checked_add(Length)?;
        if end > mdl.ByteCount as usize {
            return None;
        }
        let first = base.as_ptr().cast::<u8>().wrapping_add(Offset as usize);
        // SAFETY: V1: `ByteCount` octets are mapped at `base`, and no more are taken.
        Some(unsafe { core::slice::from_raw_parts(first, Length) })
    }
}

/// The octets of one receive event, in segments that are contiguous in memory.
///
/// V1: the list and its MDLs are the provider's and valid until the callback returns, which the
/// lifetime stands for. V2: read only. A client consumes from the front; what it leaves, the
/// provider keeps.
pub struct Indication<'i> {
    /// What is left of the current segment.
    segment: &'i [u8],
    /// Null when the octets are in memory of our own, in place of a list.
    node: *const WSK_DATA_INDICATION,
    /// The MDL behind the current segment.
    mdl: *mut MDL,
    /// Octets to skip from there.
    skip: usize,
    /// Octets of the current node behind the current segment.
    behind: usize,
    /// Octets not consumed, the current segment's included.
    left: usize,
    total: usize,
}

impl<'i> Indication<'i> {
    /// # Safety
    /// V1 holds for `'i`, during which nobody else maps the MDLs; `total` is the sum of the
    /// nodes' lengths.
    #[inline]
    pub(crate) unsafe fn new(head: *const WSK_DATA_INDICATION, total: usize) -> Indication<'i> {
        let mut indication = Indication {
            segment: &[],
            node: head,
            mdl: core::ptr::null_mut(),
            skip: 0,
            behind: 0,
            left: total,
            total,
        };
        indication.enter_node();
        indication
    }

    /// Octets that a receive by IRP put into our memory, which needs no mapping.
    pub(crate) fn of(octets: &'i [u8]) -> Indication<'i> {
        Indication {
            segment: octets,
            node: core::ptr::null(),
            mdl: core::ptr::null_mut(),
            skip: 0,
            behind: 0,
            left: octets.len(),
            total: octets.len(),
        }
    }

    #[inline]
    fn enter_node(&mut self) {
        // SAFETY: V1; not null, as every caller sees to.
        let WSK_BUF { Mdl, Offset, Length } = unsafe { &(*self.node).Buffer };
        self.mdl = *Mdl;
        self.skip = *Offset as usize;
        self.behind = *Length;
        self.enter_segment();
    }

    /// Makes what the MDL has of the node the current segment, unless that is nothing.
    #[inline]
    fn enter_segment(&mut self) {
        if self.mdl.is_null() {
            return;
        }
        // SAFETY: V1.
        let count = unsafe { (*self.mdl).ByteCount } as usize;
        let octets = count.saturating_sub(self.skip).min(self.behind);
        if octets == 0 {
            return;
        }
        let priority = NormalPagePriority | MdlMappingNoExecute;
        // SAFETY: V1; nobody else maps it (see `new`).
        let base = unsafe { mm::MmGetSystemAddressForMdlSafe(self.mdl, priority) };
        if base.is_null() {
            return;
        }
        let first = base.cast::<u8>().wrapping_add(self.skip);
        // SAFETY: V1: `ByteCount` octets are mapped at `base`; `skip + octets <= count`.
        self.segment = unsafe { core::slice::from_raw_parts(first, octets) };
        self.skip = 0;
        self.behind -= octets;
        // SAFETY: V1.
        self.mdl = unsafe { (*self.mdl).Next };
    }

    /// Octets consumed so far.
    #[inline]
    pub fn consumed(&self) -> usize {
        self.total - self.left
    }

    /// Octets indicated.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Octets not consumed.
    pub fn left(&self) -> usize {
        self.left
    }

    /// The next octets, never empty; `None` at the end, or when memory cannot be mapped (then
    /// `left() > 0`).
    #[inline]
    pub fn segment(&mut self) -> Option<&'i [u8]> {
        if self.segment.is_empty() {
            self.advance();
        }
        (!self.segment.is_empty()).then_some(self.segment)
    }

    /// Enters the next segment, if there is one and it can be mapped.
    #[cold]
    #[inline(never)]
    fn advance(&mut self) {
        while self.segment.is_empty() && self.left > 0 {
            if self.behind == 0 {
                // SAFETY: V1: the list is not over while octets are left.
                let next = unsafe { (*self.node).Next };
                if next.is_null() {
                    return;
                }
                self.node = next;
                self.enter_node();
                continue;
            }
            if self.mdl.is_null() {
                return;
            }
            // SAFETY: V1.
            let count = unsafe { (*self.mdl).ByteCount } as usize;
            if count <= self.skip {
                self.skip -= count;
                // SAFETY: V1.
                self.mdl = unsafe { (*self.mdl).Next };
                continue;
            }
            self.enter_segment();
            if self.segment.is_empty() {
                // It cannot be mapped.
                return;
            }
        }
    }

    /// Consumes the current segment but for its end, `rest`.
    #[inline]
    pub fn consume_to(&mut self, rest: &'i [u8]) {
        self.left -= self.segment.len().saturating_sub(rest.len());
        self.segment = rest;
    }
}
