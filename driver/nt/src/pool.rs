//! Non-paged pool.
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use nt_sys::ex;
use nt_sys::mm::PAGE_SIZE;

use crate::{Result, Status, routines};

/// Pool tags, as poolmon shows them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tag {
    /// `WhSv`: the server and its tables.
    Server,
    /// `WhCn`: connection contexts.
    Connection,
    /// `WhHd`: unfinished heads.
    Head,
    /// `WhSn`: send slots.
    Send,
    /// `WhRc`: buffers of receives by IRP.
    Receive,
    /// `WhSi`: site images.
    Site,
    /// `WhKo`: kernel objects (events, timers, lookaside lists, IRPs).
    Object,
}

impl Tag {
    /// The tag as pool functions take it: the first letter in the lowest octet.
    pub(crate) const fn raw(self) -> u32 {
        u32::from_le_bytes(*match self {
            Tag::Server => b"WhSv",
            Tag::Connection => b"WhCn",
            Tag::Head => b"WhHd",
            Tag::Send => b"WhSn",
            Tag::Receive => b"WhRc",
            Tag::Site => b"WhSi",
            Tag::Object => b"WhKo",
        })
    }
}

/// Alignment that every pool allocation has.
const POOL_ALIGN: usize = 16;
/// Octets of a cache line.
const LINE: usize = 64;

/// Allocates zeroed non-paged memory for `octets` octets (at least one).
pub(crate) fn allocate(tag: Tag, octets: usize) -> Result<NonNull<u8>> {
    let octets = octets.max(1);
    let Some(allocate) = routines::allocate_pool2() else { return allocate_old(tag, octets) };
    // SAFETY: non-paged pool may be asked for at IRQL <= DISPATCH; the tag is not zero.
    let block = unsafe { allocate(ex::POOL_FLAG_NON_PAGED, octets, tag.raw()) };
    NonNull::new(block.cast()).ok_or(Status::INSUFFICIENT_RESOURCES)
}

/// On kernels without `ExAllocatePool2`, which zeroes.
#[cold]
fn allocate_old(tag: Tag, octets: usize) -> Result<NonNull<u8>> {
    // SAFETY: as in `allocate`.
    let block = unsafe { ex::ExAllocatePoolWithTag(ex::NonPagedPoolNx, octets, tag.raw()) };
    let block = NonNull::new(block.cast::<u8>()).ok_or(Status::INSUFFICIENT_RESOURCES)?;
    // SAFETY: allocated just now.
    unsafe { block.write_bytes(0, octets) };
    Ok(block)
}

/// # Safety
/// `block` came from [`allocate`] with the same tag and is used no more.
pub(crate) unsafe fn free(block: NonNull<u8>, tag: Tag) {
    // SAFETY: the caller's.
    unsafe { ex::ExFreePoolWithTag(block.as_ptr().cast(), tag.raw()) };
}

/// One value in its own non-paged allocation; it never moves. IRQL <= DISPATCH to make and drop.
///
/// B1: the pointer is the sole owner of an initialised `T` from [`allocate`] with `tag`.
pub struct PoolBox<T> {
    value: NonNull<T>,
    tag: Tag,
}

// SAFETY: B1, so a box is as mobile between threads as its value.
unsafe impl<T: Send> Send for PoolBox<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for PoolBox<T> {}

impl<T> PoolBox<T> {
    /// Moves `value` into the pool.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(tag: Tag, value: T) -> Result<PoolBox<T>> {
        const { assert!(align_of::<T>() <= POOL_ALIGN) };
        let block = allocate(tag, size_of::<T>())?.cast::<T>();
        // SAFETY: fresh memory of the right size; the alignment is asserted above.
        unsafe { block.write(value) };
        Ok(PoolBox { value: block, tag })
    }

    /// Gives the allocation up without dropping the value.
    pub(crate) fn into_raw(boxed: PoolBox<T>) -> (NonNull<T>, Tag) {
        let raw = (boxed.value, boxed.tag);
        core::mem::forget(boxed);
        raw
    }

    /// # Safety
    /// `value` and `tag` came from [`PoolBox::into_raw`], once.
    pub(crate) unsafe fn from_raw(value: NonNull<T>, tag: Tag) -> PoolBox<T> {
        PoolBox { value, tag }
    }

    /// Address of the value, stable for the life of the box.
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.value.as_ptr()
    }
}

impl<T> Drop for PoolBox<T> {
    fn drop(&mut self) {
        // SAFETY: B1: initialised, dropped once.
        unsafe { self.value.drop_in_place() };
        // SAFETY: B1: allocated with this tag.
        unsafe { free(self.value.cast(), self.tag) };
    }
}

impl<T> Deref for PoolBox<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: B1.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for PoolBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: B1; `self` is borrowed mutably.
        unsafe { self.value.as_mut() }
    }
}

/// A fixed number of values in one non-paged allocation; each on cache lines of its own where its
/// type has the alignment of one.
///
/// B2: the pointer is the sole owner of `len` initialised values from [`allocate`] with `tag`.
pub struct PoolSlice<T> {
    values: NonNull<T>,
    len: usize,
    tag: Tag,
}

// SAFETY: B2, so a slice is as mobile between threads as its values.
unsafe impl<T: Send> Send for PoolSlice<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for PoolSlice<T> {}

impl<T> PoolSlice<T> {
    /// Makes `len` values with `make`.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`, also when the size overflows.
    pub fn from_fn(tag: Tag, len: usize, mut make: impl FnMut(usize) -> T) -> Result<PoolSlice<T>> {
        Self::try_from_fn(tag, len, |at| Ok(make(at)))
    }

    /// Makes `len` values with `make`; when one fails, those made are dropped.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`, also when the size overflows; what `make` returned.
    pub fn try_from_fn(
        tag: Tag,
        len: usize,
        mut make: impl FnMut(usize) -> Result<T>,
    ) -> Result<PoolSlice<T>> {
        const { assert!(align_of::<T>() <= LINE) };
        let octets = len.checked_mul(size_of::<T>()).ok_or(Status::INSUFFICIENT_RESOURCES)?;
        // An allocation of a page or more is page-aligned (ExAllocatePool2).
        let octets = if align_of::<T>() > POOL_ALIGN { octets.max(PAGE_SIZE) } else { octets };
        let values = allocate(tag, octets)?.cast::<T>();
        let mut slice = PoolSlice { values, len: 0, tag };
        while slice.len < len {
            let value = make(slice.len)?;
            // SAFETY: `slice.len < len`, inside the allocation.
            let place = unsafe { values.add(slice.len) };
            // SAFETY: aligned, inside the allocation, uninitialised until now (B2 for the rest).
            unsafe { place.write(value) };
            slice.len += 1;
        }
        Ok(slice)
    }
}

impl<T> Drop for PoolSlice<T> {
    #[inline(never)]
    fn drop(&mut self) {
        let all = core::ptr::slice_from_raw_parts_mut(self.values.as_ptr(), self.len);
        // SAFETY: B2: initialised, dropped once.
        unsafe { all.drop_in_place() };
        // SAFETY: B2: allocated with this tag.
        unsafe { free(self.values.cast(), self.tag) };
    }
}

impl<T> Deref for PoolSlice<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        // SAFETY: B2.
        unsafe { core::slice::from_raw_parts(self.values.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for PoolSlice<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: B2; `self` is borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.values.as_ptr(), self.len) }
    }
}

impl<T> fmt::Debug for PoolSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolSlice({} values)", self.len)
    }
}
