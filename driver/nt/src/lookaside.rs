//! Lookaside lists.
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use nt_sys::ex::{self, LOOKASIDE_LIST_EX};
use nt_sys::kernel_fn;

use crate::pool::{self, PoolBox, Tag};
use crate::{PoolArc, Result, Status, routines};

/// A lookaside list of untyped entries.
///
/// L1: 16-aligned, non-paged, initialised in place in its own pool block, depth left to the
/// kernel. L2: entries have the octets given at creation and are 16-aligned. L3: an entry is
/// uninitialised when it is new; one that was given back is as it was left, but for its first 16
/// octets, by which the list links it. L4: entries go back to the list they came from, all of them
/// before the list is dropped. L7: on a kernel without such lists every entry is an allocation.
pub(crate) struct RawLookaside {
    list: Option<PoolBox<List>>,
    tag: Tag,
    octets: usize,
    /// Between the counts of references to two of them there is more than a cache line.
    _apart: [u64; 16],
}

/// What the kernel keeps, more than a cache line away from another.
struct List {
    list: UnsafeCell<LOOKASIDE_LIST_EX>,
    _apart: [u64; 16],
}

impl List {
    fn get(&self) -> *mut LOOKASIDE_LIST_EX {
        self.list.get()
    }
}

// SAFETY: the list is synchronised by interlocked operations; only its address is used (L1).
unsafe impl Send for RawLookaside {}
// SAFETY: as above.
unsafe impl Sync for RawLookaside {}

impl RawLookaside {
    pub(crate) fn new(tag: Tag, octets: usize) -> Result<RawLookaside> {
        let Some((Some(initialize), _)) = routines::lookaside_lists() else {
            return Ok(RawLookaside { list: None, tag, octets, _apart: [0; _] });
        };
        // SAFETY: plain data; initialised below.
        let list = UnsafeCell::new(unsafe { core::mem::zeroed() });
        let list = PoolBox::new(Tag::Object, List { list, _apart: [0; _] })?;
        // SAFETY: L1; no own allocator, flags and depth zero as the DDI wants.
        let status = unsafe {
            initialize(list.get().cast(), None, None, ex::NonPagedPoolNx, 0, octets, tag.raw(), 0)
        };
        Status::check(status)?;
        Ok(RawLookaside { list: Some(list), tag, octets, _apart: [0; _] })
    }

    /// Takes an uninitialised entry. IRQL <= DISPATCH.
    #[inline]
    pub(crate) fn take(&self) -> Option<NonNull<u8>> {
        let Some(list) = &self.list else { return pool::allocate(self.tag, self.octets).ok() };
        // SAFETY: L1: initialised until dropped.
        let entry = unsafe { ex::ExAllocateFromLookasideListEx(list.get()) };
        NonNull::new(entry.cast())
    }

    /// Takes an entry that was given back (L3), or `None`. IRQL <= DISPATCH.
    #[inline]
    pub(crate) fn take_kept(&self) -> Option<NonNull<u8>> {
        // SAFETY: L1: initialised until dropped.
        let entry = unsafe { ex::take_kept(self.list.as_ref()?.get()) };
        NonNull::new(entry.cast())
    }

    /// Takes a new entry, which is not initialised. IRQL <= DISPATCH.
    #[cold]
    #[inline(never)]
    pub(crate) fn take_new(&self) -> Option<NonNull<u8>> {
        let Some(list) = &self.list else { return pool::allocate(self.tag, self.octets).ok() };
        // SAFETY: L1: initialised until dropped.
        let entry = unsafe { ex::allocate_entry(list.get()) };
        NonNull::new(entry.cast())
    }

    /// # Safety
    /// `entry` was taken from this list and is used no more (L4). IRQL <= DISPATCH.
    #[inline]
    pub(crate) unsafe fn give(&self, entry: NonNull<u8>) {
        match &self.list {
            // SAFETY: the caller's, and L1.
            Some(list) => unsafe {
                ex::ExFreeToLookasideListEx(list.get(), entry.as_ptr().cast());
            },
            // SAFETY: the caller's, and L7.
            None => unsafe { give_to_pool(entry, self) },
        }
    }
}

kernel_fn! {
    /// In the kernel's convention, so that a completion routine that may come here saves no
    /// registers for it on hosts where that convention is not the usual one.
    #[cold]
    #[inline(never)]
    unsafe fn give_to_pool(entry: NonNull<u8>, list: *const RawLookaside) {
        // SAFETY: the caller's: the entry's list.
        let tag = unsafe { (*list).tag };
        // SAFETY: the caller's.
        unsafe { pool::free(entry, tag) };
    }
}

impl Drop for RawLookaside {
    fn drop(&mut self) {
        if let (Some(list), Some((_, Some(delete)))) = (&self.list, routines::lookaside_lists()) {
            // SAFETY: L1, L4.
            unsafe { delete(list.get().cast()) };
        }
    }
}

/// A list of octet buffers of `N` octets capacity.
pub struct Lookaside<const N: usize> {
    list: PoolArc<RawLookaside>,
}

impl<const N: usize> Lookaside<N> {
    /// An empty list.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(tag: Tag) -> Result<Lookaside<N>> {
        let list = RawLookaside::new(tag, size_of::<Entry<N>>())?;
        Ok(Lookaside { list: PoolArc::new(Tag::Object, list)? })
    }

    /// An empty buffer; `None` when memory is short. IRQL <= DISPATCH.
    pub fn take(&self) -> Option<LookasideBox<N>> {
        let entry = self.list.take()?.cast::<Entry<N>>();
        // SAFETY: L2: room for an `Entry<N>`; only `used` is read before it is written.
        let used = unsafe { &raw mut (*entry.as_ptr()).used };
        // SAFETY: inside the entry.
        unsafe { used.write(0) };
        Some(LookasideBox { entry, list: self.list.clone(), _owns: PhantomData })
    }
}

#[repr(C, align(16))]
struct Entry<const N: usize> {
    used: usize,
    octets: [MaybeUninit<u8>; N],
}

/// A buffer from a [`Lookaside`]; goes back when dropped.
///
/// L5: `octets[..used]` are initialised. L6: the reference keeps the list until the entry is back.
pub struct LookasideBox<const N: usize> {
    entry: NonNull<Entry<N>>,
    list: PoolArc<RawLookaside>,
    _owns: PhantomData<Entry<N>>,
}

// SAFETY: sole owner of plain octets.
unsafe impl<const N: usize> Send for LookasideBox<N> {}

impl<const N: usize> LookasideBox<N> {
    fn entry(&mut self) -> &mut Entry<N> {
        // SAFETY: L6; sole owner.
        unsafe { self.entry.as_mut() }
    }

    /// Appends as many octets as fit; returns how many.
    pub fn append(&mut self, octets: &[u8]) -> usize {
        let entry = self.entry();
        let rest = entry.octets.get_mut(entry.used..).unwrap_or_default();
        let taken = rest.len().min(octets.len());
        for (place, octet) in rest.iter_mut().zip(octets) {
            place.write(*octet);
        }
        entry.used += taken;
        taken
    }

    /// Drops the first `count` octets.
    pub fn consume(&mut self, count: usize) {
        let count = count.min(self.len());
        let entry = self.entry();
        entry.octets.copy_within(count..entry.used, 0);
        entry.used -= count;
    }
}

impl<const N: usize> Deref for LookasideBox<N> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: L6; shared with `self`.
        let entry = unsafe { self.entry.as_ref() };
        // SAFETY: L5.
        unsafe { core::slice::from_raw_parts(entry.octets.as_ptr().cast(), entry.used) }
    }
}

impl<const N: usize> DerefMut for LookasideBox<N> {
    fn deref_mut(&mut self) -> &mut [u8] {
        let entry = self.entry();
        // SAFETY: L5; borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(entry.octets.as_mut_ptr().cast(), entry.used) }
    }
}

impl<const N: usize> Drop for LookasideBox<N> {
    fn drop(&mut self) {
        // SAFETY: taken from this list; nothing uses it afterwards.
        unsafe { self.list.give(self.entry.cast()) };
    }
}
