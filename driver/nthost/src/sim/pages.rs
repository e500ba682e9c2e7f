//! Memory that can be taken away: who touches it later faults, and the fault says why.
use nt_sys::mm::PAGE_SIZE;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// Whole pages, with one behind them that nobody may touch.
pub(super) struct Pages {
    base: *mut u8,
    /// Without the last one.
    octets: usize,
}

impl Pages {
    /// Room for `octets`, which end where the memory does; `None` when there is none.
    pub(super) fn new(octets: usize) -> Option<Pages> {
        let octets = octets.next_multiple_of(PAGE_SIZE).max(PAGE_SIZE);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let (all, null) = (octets + PAGE_SIZE, core::ptr::null_mut());
        // SAFETY: a fresh mapping wherever there is room.
        let base = unsafe { mmap_anonymous(null, all, protection, MapFlags::PRIVATE) };
        let pages = Pages { base: base.ok()?.cast(), octets };
        pages.protect(pages.base.wrapping_add(octets), PAGE_SIZE);
        Some(pages)
    }

    fn protect(&self, from: *mut u8, octets: usize) {
        debug_assert!(self.base <= from);
        // SAFETY: whole pages of this mapping; nothing of this process refers to them but by raw
        // pointers, whose use is what is to be found.
        let protected = unsafe { mprotect(from.cast(), octets, MprotectFlags::empty()) };
        debug_assert!(protected.is_ok());
    }

    /// The first octet.
    pub(super) fn base(&self) -> *mut u8 {
        self.base
    }

    /// The last `octets` of them, which somebody is to fill.
    pub(super) fn end(&mut self, octets: usize) -> &mut [u8] {
        let from = self.base.wrapping_add(self.octets - octets);
        // SAFETY: inside the mapping, readable and writable until `take_away`.
        unsafe { core::slice::from_raw_parts_mut(from, octets) }
    }

    /// Nobody may touch it any more.
    pub(super) fn take_away(&self) {
        self.protect(self.base, self.octets);
    }

    /// Where they begin and end, with the last one.
    pub(super) fn range(&self) -> (usize, usize) {
        (self.base.addr(), self.base.addr() + self.octets + PAGE_SIZE)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: made in `new`; nobody has been given a reference that is longer than a call.
        let unmapped = unsafe { munmap(self.base.cast(), self.octets + PAGE_SIZE) };
        debug_assert!(unmapped.is_ok());
    }
}
