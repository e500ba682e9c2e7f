//! Memory descriptor lists over non-paged memory.
use core::cell::UnsafeCell;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

use nt_sys::io;
use nt_sys::mm::{self, MDL, PAGE_SIZE};

use crate::pool::{self, Tag};
use crate::{PoolArc, Result, Status};

/// Octets that one MDL may describe here.
const PINNED_BYTES_MAX: usize = 1 << 31;

/// How many there are of the following.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Immutable non-paged memory with an MDL over all of it, ready to be sent from.
///
/// M1: `octets` and `mdl` live as long as `memory`; the MDL describes exactly `octets`. M2: never
/// written after construction. M3: the MDL is only a source of partial MDLs; its `Next` is null.
pub struct Pinned {
    octets: NonNull<u8>,
    len: usize,
    mdl: NonNull<MDL>,
    memory: PoolArc<Memory>,
    /// Between the counts of references to two of them there is more than a cache line.
    _apart: [u64; 16],
}

// SAFETY: M2, M3: immutable memory; partial MDLs are built from a source that nobody changes.
unsafe impl Send for Pinned {}
// SAFETY: as above.
unsafe impl Sync for Pinned {}

/// What is freed in the end.
struct Memory {
    octets: NonNull<u8>,
    mdl: NonNull<MDL>,
    tag: Tag,
}

// SAFETY: M2, M3, as above.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Pinned {
    /// Allocates `len` octets (1 to 2 GiB), lets `fill` write them and pins them for sending.
    ///
    /// # Errors
    /// `INVALID_PARAMETER` for an impossible length, `INSUFFICIENT_RESOURCES`, what `fill`
    /// returned.
    pub fn new(tag: Tag, len: usize, fill: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<Pinned> {
        if len == 0 || len > PINNED_BYTES_MAX {
            return Err(Status::INVALID_PARAMETER);
        }
        let length = u32::try_from(len).map_err(|_| Status::INVALID_PARAMETER)?;
        let octets = pool::allocate(tag, len)?;
        // SAFETY: fresh, zeroed memory of `len` octets.
        let filled = fill(unsafe { core::slice::from_raw_parts_mut(octets.as_ptr(), len) });
        let mdl = filled.and_then(|()| {
            let address = octets.as_ptr().cast();
            // SAFETY: non-paged memory; no IRP, no quota.
            let mdl = unsafe { io::IoAllocateMdl(address, length, 0, 0, core::ptr::null_mut()) };
            NonNull::new(mdl).ok_or(Status::INSUFFICIENT_RESOURCES)
        });
        match mdl {
            Ok(mdl) => {
                // SAFETY: the MDL describes non-paged pool.
                unsafe { mm::MmBuildMdlForNonPagedPool(mdl.as_ptr()) };
                COUNT.fetch_add(1, Ordering::Relaxed);
                let memory = PoolArc::new(tag, Memory { octets, mdl, tag })?;
                Ok(Pinned { octets, len, mdl, memory, _apart: [0; _] })
            }
            Err(status) => {
                // SAFETY: allocated above, used no more.
                unsafe { pool::free(octets, tag) };
                Err(status)
            }
        }
    }

    /// Another one of the same memory, which is freed with the last.
    #[must_use]
    pub fn share(&self) -> Pinned {
        let Pinned { octets, len, mdl, .. } = *self;
        Pinned { octets, len, mdl, memory: self.memory.clone(), _apart: [0; _] }
    }

    /// Memories in this driver: made, and not freed.
    pub fn count() -> u32 {
        COUNT.load(Ordering::Relaxed)
    }
}

impl Deref for Pinned {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: M1, M2.
        unsafe { core::slice::from_raw_parts(self.octets.as_ptr(), self.len) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: M1; sends that use partial MDLs of it hold a reference to one that shares it.
        unsafe { io::IoFreeMdl(self.mdl.as_ptr()) };
        // SAFETY: M1.
        unsafe { pool::free(self.octets, self.tag) };
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Room for an MDL of up to `PAGES` pages inside a larger object.
#[repr(C, align(8))]
pub(crate) struct MdlRoom<const PAGES: usize> {
    mdl: UnsafeCell<core::mem::MaybeUninit<MDL>>,
    frames: UnsafeCell<[usize; PAGES]>,
}

impl<const PAGES: usize> MdlRoom<PAGES> {
    /// Octets that fit whatever their offset in a page is.
    pub(crate) const BYTES_MAX: usize = (PAGES - 1) * PAGE_SIZE;

    /// The MDL, for who described something with it.
    pub(crate) fn get(&self) -> *mut MDL {
        self.mdl.get().cast()
    }

    /// Describes `len` octets at `base`.
    ///
    /// # Safety
    /// `base..base + len` is non-paged memory inside one allocation, `len` is at most
    /// `BYTES_MAX`, and no chain that is in use contains this MDL.
    pub(crate) unsafe fn describe(&self, base: *mut u8, len: u32) -> *mut MDL {
        let mdl = self.mdl.get().cast::<MDL>();
        // SAFETY: room for `PAGES` frames follows (`repr(C)`); the caller's bound on `len`.
        unsafe { mm::MmInitializeMdl(mdl, base.cast(), len) };
        // SAFETY: the caller's: non-paged memory.
        unsafe { mm::MmBuildMdlForNonPagedPool(mdl) };
        mdl
    }

    /// Describes `len` octets of `pinned` from `offset`; `None` when they are not all inside. With
    /// `frames` it finds the page frames anew, not by `IoBuildPartialMdl`.
    ///
    /// # Safety
    /// `pinned` outlives every use of the MDL, and no chain that is in use contains this MDL.
    pub(crate) unsafe fn describe_part(
        &self,
        pinned: &Pinned,
        offset: usize,
        len: usize,
        frames: bool,
    ) -> Option<*mut MDL> {
        let end = offset.checked_add(len)?;
        if len == 0 || len > Self::BYTES_MAX || end > pinned.len {
            return None;
        }
        let length = u32::try_from(len).ok()?;
        let mdl = self.mdl.get().cast::<MDL>();
        let base = pinned.octets.as_ptr().wrapping_add(offset);
        if frames {
            // SAFETY: M1: non-paged memory; `len` is checked above; the rest is the caller's.
            return Some(unsafe { self.describe(base, length) });
        }
        // SAFETY: room for `PAGES` frames follows; `len` is checked above. The target's own size
        // must be set before `IoBuildPartialMdl`, which this does.
        unsafe { mm::MmInitializeMdl(mdl, base.cast(), length) };
        // SAFETY: M1, M3; the part lies inside the source (checked above).
        unsafe { io::IoBuildPartialMdl(pinned.mdl.as_ptr(), mdl, base.cast(), length) };
        Some(mdl)
    }
}

const _: () = assert!(size_of::<MdlRoom<2>>() == mm::mdl_size(2));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pages_but_one_fit_wherever_they_start() {
        assert_eq!(MdlRoom::<33>::BYTES_MAX, 128 * 1_024);
    }
}
