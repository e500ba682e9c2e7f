//! Walking received data.
use core::marker::PhantomData;

use nt_sys::mm::{self, MDL, MdlMappingNoExecute, NormalPagePriority};
use nt_sys::wsk::{WSK_BUF, WSK_DATA_INDICATION};

/// The octets of one receive event, in segments that are contiguous in memory.
///
/// V1: the list and its MDLs are the provider's and valid until the callback returns, which the
/// lifetime stands for. V2: read only. A client consumes from the front; what it leaves, the
/// provider keeps.
pub struct Indication<'i> {
    /// Octets in memory of our own, in place of a list.
    own: Option<&'i [u8]>,
    node: *const WSK_DATA_INDICATION,
    mdl: *mut MDL,
    /// Octets of the current MDL that are already consumed or skipped.
    offset: usize,
    /// Octets left in the current node.
    left: usize,
    consumed: usize,
    total: usize,
    _of_the_callback: PhantomData<&'i [u8]>,
}

impl<'i> Indication<'i> {
    /// # Safety
    /// V1 holds for `'i`, during which nobody else maps the MDLs; `total` is the sum of the
    /// nodes' lengths.
    pub(crate) unsafe fn new(head: *const WSK_DATA_INDICATION, total: usize) -> Indication<'i> {
        let mut indication = Indication {
            own: None,
            node: head,
            mdl: core::ptr::null_mut(),
            offset: 0,
            left: 0,
            consumed: 0,
            total,
            _of_the_callback: PhantomData,
        };
        indication.enter_node();
        indication
    }

    /// Octets that a receive by IRP put into our memory, which needs no mapping.
    pub(crate) fn of(octets: &'i [u8]) -> Indication<'i> {
        Indication {
            own: Some(octets),
            node: core::ptr::null(),
            mdl: core::ptr::null_mut(),
            offset: 0,
            left: octets.len(),
            consumed: 0,
            total: octets.len(),
            _of_the_callback: PhantomData,
        }
    }

    fn enter_node(&mut self) {
        if self.node.is_null() {
            return;
        }
        // SAFETY: V1.
        let WSK_BUF { Mdl, Offset, Length } = unsafe { &(*self.node).Buffer };
        self.mdl = *Mdl;
        self.offset = *Offset as usize;
        self.left = *Length;
    }

    /// Octets consumed so far.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// Octets indicated.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The next octets, never empty; `None` at the end, or when memory cannot be mapped (then
    /// `consumed() < total()`).
    pub fn segment(&mut self) -> Option<&'i [u8]> {
        if let Some(own) = self.own {
            return own.get(self.offset..).filter(|rest| !rest.is_empty());
        }
        loop {
            if self.left == 0 {
                if self.node.is_null() {
                    return None;
                }
                // SAFETY: V1.
                self.node = unsafe { (*self.node).Next };
                self.enter_node();
                continue;
            }
            if self.mdl.is_null() {
                return None;
            }
            // SAFETY: V1.
            let count = unsafe { (*self.mdl).ByteCount } as usize;
            let octets = count.saturating_sub(self.offset).min(self.left);
            if octets == 0 {
                self.offset = self.offset.saturating_sub(count);
                // SAFETY: V1.
                self.mdl = unsafe { (*self.mdl).Next };
                continue;
            }
            let priority = NormalPagePriority | MdlMappingNoExecute;
            // SAFETY: V1; nobody else maps it (see `new`).
            let base = unsafe { mm::MmGetSystemAddressForMdlSafe(self.mdl, priority) };
            if base.is_null() {
                return None;
            }
            let first = base.cast::<u8>().wrapping_add(self.offset);
            // SAFETY: V1: `ByteCount` octets are mapped at `base`; `offset + octets <= count`.
            return Some(unsafe { core::slice::from_raw_parts(first, octets) });
        }
    }

    /// Consumes from the front of the current segment; `octets` is at most its length.
    pub fn consume(&mut self, octets: usize) {
        let octets = octets.min(self.left);
        self.offset += octets;
        self.left -= octets;
        self.consumed += octets;
    }
}
