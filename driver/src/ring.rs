//! The last of many things, for whoever reads in time.
//!
//! Each item has a position, one above that of the item before it. Writers wait for nobody: the
//! position is one interlocked operation, the place of an item has a lock of its own, and who is
//! overtaken by a whole round of others leaves the place to them. A reader gives the position it
//! wants to read on from, and learns how many items from there on are gone. Items are kept as they
//! go over the wire.
use nt::{PoolSlice, Result, SpinLock, Tag};
use wskhttpd_abi::{ListWriter, Record, Writer};

use crate::sync::{AtomicU64, Ordering};

/// Octets of an item at most: an access with the longest target.
const ITEM_BYTES_MAX: usize = 8 + 16 + 2 + 1 + 2 + 8 + 2 + 128;

/// The ring. Every call: IRQL <= DISPATCH, any thread.
pub struct Ring {
    next: AtomicU64,
    places: PoolSlice<SpinLock<Place>>,
}

struct Place {
    position: u64,
    /// 0 = there is no item yet.
    used: usize,
    octets: [u8; ITEM_BYTES_MAX],
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

impl Ring {
    /// An empty ring of so many places.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(places: usize) -> Result<Ring> {
        let empty = |_| SpinLock::new(Place { position: 0, used: 0, octets: [0; _] });
        let places = PoolSlice::from_fn(Tag::Server, places, empty)?;
        Ok(Ring { next: AtomicU64::new(0), places })
    }

    /// Items put in so far.
    pub fn count(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    fn place(&self, position: u64) -> Option<&SpinLock<Place>> {
        let round = u64::try_from(self.places.len()).ok()?;
        self.places.get(usize::try_from(position.checked_rem(round)?).ok()?)
    }

    /// Puts an item in, over the oldest one.
    pub fn push(&self, item: &impl Record) {
        let mut octets = [0; ITEM_BYTES_MAX];
        let mut out = Writer::new(&mut octets);
        item.put(&mut out);
        // None is longer.
        if let Some(used) = out.written() {
            self.put(octets.get(..used).unwrap_or_default());
        }
    }

    #[inline(never)]
    fn put(&self, octets: &[u8]) {
        let position = self.next.fetch_add(1, Ordering::Relaxed);
        let Some(place) = self.place(position) else { return };
        place.with(|place| {
            if (place.used == 0 || place.position < position)
                && let Some(room) = place.octets.get_mut(..octets.len())
            {
                room.copy_from_slice(octets);
                (place.position, place.used) = (position, octets.len());
            }
        });
    }

    /// Writes a list of the items from position `since` on, as far as they are there and it has
    /// room; octets of it, `None` when there is not even room for an empty one.
    #[inline(never)]
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
            match place.with(|place| place.find(at, &mut list)) {
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

impl Place {
    fn find(&self, position: u64, list: &mut ListWriter<'_>) -> Found {
        let octets = self.octets.get(..self.used).unwrap_or_default();
        if octets.is_empty() || self.position < position {
            Found::Later
        } else if self.position > position {
            Found::Gone
        } else if list.push_octets(octets) {
            Found::Taken
        } else {
            Found::Later
        }
    }
}
