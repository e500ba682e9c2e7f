//! The last of many things, for whoever reads in time.
//!
//! Each item has a position, one above that of the item before it. Writers wait for nobody: the
//! position is one interlocked operation, the place of an item has a lock of its own, and who is
//! overtaken by a whole round of others leaves the place to them. A reader gives the position it
//! wants to read on from, and learns how many items from there on are gone.
use nt::{PoolSlice, Result, SpinLock, Tag};
use wskhttpd_abi::{ListWriter, Record};

use crate::sync::{AtomicU64, Ordering};

/// The ring. Every call: IRQL <= DISPATCH, any thread.
pub struct Ring<T> {
    next: AtomicU64,
    places: PoolSlice<SpinLock<Option<Item<T>>>>,
}

struct Item<T> {
    position: u64,
    value: T,
}

/// What a reader finds at a position.
enum Found {
    /// The item; it is in the list now.
    Taken,
    /// The item, for which the list has no room; or it is still being written.
    Later,
    /// Another item.
    Gone,
}

impl<T: Record> Ring<T> {
    /// An empty ring of so many places.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(places: usize) -> Result<Ring<T>> {
        let empty = |_| SpinLock::new(None);
        let places = PoolSlice::from_fn(Tag::Server, places, empty)?;
        Ok(Ring { next: AtomicU64::new(0), places })
    }

    /// Items put in so far.
    pub fn count(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    fn place(&self, position: u64) -> Option<&SpinLock<Option<Item<T>>>> {
        let round = u64::try_from(self.places.len()).ok()?;
        self.places.get(usize::try_from(position.checked_rem(round)?).ok()?)
    }

    /// Puts an item in, over the oldest one.
    pub fn push(&self, value: T) {
        let position = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(place) = self.place(position) else { return };
        place.with(|place| {
            if place.as_ref().is_none_or(|item| item.position < position) {
                *place = Some(Item { position, value });
            }
        });
    }

    /// Writes a list of the items from position `since` on, as far as they are there and it has
    /// room; octets of it, `None` when there is not even room for an empty one.
    pub fn read(&self, since: u64, buffer: &mut [u8]) -> Option<usize> {
        let mut list = ListWriter::new(buffer)?;
        let end = self.count();
        let oldest = end.saturating_sub(u64::try_from(self.places.len()).unwrap_or(0));
        let mut at = since.clamp(oldest, end);
        let mut gone = at.saturating_sub(since);
        let mut is_empty = true;
        while at < end
            && let Some(place) = self.place(at)
        {
            match place.with(|place| find(place.as_ref(), at, &mut list)) {
                Found::Taken => is_empty = false,
                // What is lost after the first item is for the next list to say.
                Found::Gone if is_empty => gone = gone.saturating_add(1),
                Found::Gone | Found::Later => break,
            }
            at = at.saturating_add(1);
        }
        Some(list.finish(at, gone))
    }
}

fn find<T: Record>(place: Option<&Item<T>>, position: u64, list: &mut ListWriter<'_>) -> Found {
    match place {
        Some(item) if item.position == position && list.push(&item.value) => Found::Taken,
        Some(item) if item.position > position => Found::Gone,
        _ => Found::Later,
    }
}
