//! Connection slots: reserved at start, grown in chunks, freed only when the provider is.
use super::Client;
use super::endpoint::Endpoint;
use super::provider::Provider;
use super::rundown::Rundown;
use crate::pool::{PoolBox, PoolSlice, Tag};
use crate::sync::{AtomicPtr, AtomicU32, Ordering};
use crate::{Result, SpinLock, Status, processor};

/// Slots allocated together; fewer where every order of threads is tried.
const CHUNK_SLOTS: usize = if cfg!(test) { 2 } else { 32 };
/// End of a list of slots.
pub(super) const NONE: u32 = u32::MAX;

/// A position inside a chunk as part of an index.
fn index_of(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(0)
}

struct Chunk<C: Client>(PoolSlice<Endpoint<C>>);

/// G1: a chunk, once published in the directory, stays where it is until the slab is dropped, so
/// slots may be referred to by address and by index. G2: a slot is either in exactly one free list
/// or with whoever took it.
pub(super) struct Slab<C: Client> {
    directory: PoolSlice<AtomicPtr<Chunk<C>>>,
    /// Chunks published.
    chunks: AtomicU32,
    growing: SpinLock<()>,
    free: PoolSlice<SpinLock<u32>>,
    slots_max: u32,
    pub(super) rundown: Rundown,
}

impl<C: Client> Slab<C> {
    pub(super) fn new(slots_max: u32) -> Result<Slab<C>> {
        let chunks_max = (slots_max as usize).div_ceil(CHUNK_SLOTS);
        Ok(Slab {
            directory: PoolSlice::from_fn(Tag::Connection, chunks_max, |_| AtomicPtr::default())?,
            chunks: AtomicU32::new(0),
            growing: SpinLock::new(()),
            free: PoolSlice::from_fn(Tag::Connection, processor::count(), |_| SpinLock::new(NONE))?,
            slots_max,
            rundown: Rundown::new(),
        })
    }

    /// Makes sure that `slots` slots exist. `provider` is in its final place.
    pub(super) fn reserve(&self, slots: u32, provider: *const Provider<C>) -> Result<()> {
        let mut processor = 0;
        while self.slots() < slots.min(self.slots_max) as usize {
            self.grow(processor, provider)?;
            processor += 1;
        }
        Ok(())
    }

    /// Slots that exist.
    pub(super) fn slots(&self) -> usize {
        self.chunks.load(Ordering::Acquire) as usize * CHUNK_SLOTS
    }

    /// The slot of an index that exists.
    pub(super) fn slot(&self, index: usize) -> Option<&Endpoint<C>> {
        let chunk = self.directory.get(index / CHUNK_SLOTS)?.load(Ordering::Acquire);
        // SAFETY: G1: null or a published chunk.
        let chunk = unsafe { chunk.as_ref() }?;
        chunk.0.get(index % CHUNK_SLOTS)
    }

    /// Takes a slot; `None` when there are as many as there may be (rounded up to whole chunks) and
    /// none is free, or when memory is short; also while another processor has added the last
    /// slots and not put them into its list yet. IRQL <= DISPATCH.
    pub(super) fn take(&self, provider: *const Provider<C>) -> Option<&Endpoint<C>> {
        self.rundown.acquire();
        let here = processor::current() % self.free.len().max(1);
        loop {
            if let Some(slot) = self.pop(here) {
                return Some(slot);
            }
            let mut elsewhere = (0..self.free.len()).filter(|list| *list != here);
            if let Some(slot) = elsewhere.find_map(|list| self.pop(list)) {
                return Some(slot);
            }
            if self.grow(here, provider).is_err() {
                // Not the last: the provider still takes connections.
                let _ = self.rundown.release();
                return None;
            }
        }
    }

    /// Gives a slot back, which counts as in use until [`Rundown::release`].
    pub(super) fn give(&self, index: u32) {
        self.push(processor::current(), index);
    }

    fn pop(&self, list: usize) -> Option<&Endpoint<C>> {
        self.free.get(list)?.with(|head| {
            let slot = self.slot(*head as usize)?;
            *head = slot.next.load(Ordering::Relaxed);
            Some(slot)
        })
    }

    fn push(&self, processor: usize, index: u32) {
        let (Some(slot), Some(list)) =
            (self.slot(index as usize), self.free.get(processor % self.free.len().max(1)))
        else {
            return;
        };
        list.with(|head| {
            slot.next.store(*head, Ordering::Relaxed);
            *head = index;
        });
    }

    /// Adds one chunk to a processor's list. IRQL <= DISPATCH.
    fn grow(&self, processor: usize, provider: *const Provider<C>) -> Result<()> {
        // Built outside the lock, for the index that is next now; a race is settled inside.
        let next = self.chunks.load(Ordering::Acquire) as usize;
        if next >= self.directory.len() {
            return Err(Status::INSUFFICIENT_RESOURCES);
        }
        let first = u32::try_from(next * CHUNK_SLOTS).map_err(|_| Status::INVALID_PARAMETER)?;
        let slots = PoolSlice::from_fn(Tag::Connection, CHUNK_SLOTS, |at| {
            Endpoint::new(first + index_of(at), provider)
        })?;
        let chunk = PoolBox::new(Tag::Connection, Chunk(slots))?;
        let (chunk, tag) = PoolBox::into_raw(chunk);
        let published = self.growing.with(|()| {
            let still = self.chunks.load(Ordering::Acquire) as usize == next;
            if still && let Some(place) = self.directory.get(next) {
                place.store(chunk.as_ptr(), Ordering::Release);
                self.chunks.fetch_add(1, Ordering::Release);
            }
            still
        });
        if published {
            (0..CHUNK_SLOTS).for_each(|at| self.push(processor, first + index_of(at)));
        } else {
            // SAFETY: not published, so still ours alone.
            drop(unsafe { PoolBox::from_raw(chunk, tag) });
        }
        Ok(())
    }
}

impl<C: Client> Drop for Slab<C> {
    fn drop(&mut self) {
        for place in self.directory.iter() {
            if let Some(chunk) = core::ptr::NonNull::new(place.load(Ordering::Acquire)) {
                // SAFETY: G1: published chunks are the slab's, each in one place.
                drop(unsafe { PoolBox::from_raw(chunk, Tag::Connection) });
            }
        }
    }
}
