//! Requests between their inspection and their connection, by inspect ID.
use nt::wsk::InspectId;

use super::address::Holder;
use super::capacity::Lane;
use super::hash::{HashKey, place};
use super::line::Place;
use crate::sync::{AtomicU32, Ordering, PoolSlice, Result, SpinLock, Tag};

/// Requests in one shard at most, and on average when there are as many as there may be.
const SHARD_REQUESTS: usize = 32;
const SHARD_LOAD: usize = 10;

/// What a request has taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Whom it is counted for; an exempt source for nobody.
    pub holder: Option<Holder>,
    /// Which places it may take.
    pub lane: Lane,
    /// How far it has come.
    pub standing: Standing,
}

/// How far a request has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has a place.
    Placed,
    /// It waits for one.
    Waiting(Place),
    /// It is going to wait, or does already, its place in the line not noted here yet.
    Joining,
    /// It will be answered 503.
    Refusing,
}

#[derive(Clone, Copy)]
struct Entry {
    id: InspectId,
    /// Tick of its inspection.
    since: u32,
    request: Request,
}

type Shard = [Option<Entry>; SHARD_REQUESTS];

/// The requests. Every call: IRQL <= DISPATCH, any thread. Who removes a request owns what it has
/// taken, so it is given back or passed on exactly once, whatever races.
pub struct Handshakes {
    key: HashKey,
    max: u32,
    count: AtomicU32,
    shards: PoolSlice<SpinLock<Shard>>,
}

impl Handshakes {
    /// Room for `max` requests.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(key: HashKey, max: u32) -> Result<Handshakes> {
        let shards = usize::try_from(max).unwrap_or(usize::MAX).div_ceil(SHARD_LOAD).max(1);
        Ok(Handshakes {
            key,
            max,
            count: AtomicU32::new(0),
            shards: PoolSlice::from_fn(Tag::Server, shards, |_| {
                SpinLock::new([None; SHARD_REQUESTS])
            })?,
        })
    }

    fn shard(&self, id: InspectId) -> Option<&SpinLock<Shard>> {
        let hash = self.key.hash([u64::try_from(id.key).unwrap_or(0), u64::from(id.serial)]);
        self.shards.get(place(hash, self.shards.len()))
    }

    /// Requests there are.
    pub fn count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Notes a request. An older one of the same ID, which a provider that repeats IDs never
    /// ended, is returned.
    ///
    /// # Errors
    /// The request itself when there is no room.
    pub fn add(
        &self,
        id: InspectId,
        request: Request,
        since: u32,
    ) -> core::result::Result<Option<Request>, Request> {
        // Counted first, so that a removal never counts below zero and the bound is exact.
        if self.count.fetch_add(1, Ordering::AcqRel) >= self.max {
            self.count.fetch_sub(1, Ordering::AcqRel);
            return Err(request);
        }
        let added = self.shard(id).ok_or(request).and_then(|shard| {
            shard.with(|shard| {
                let same = shard.iter().position(|entry| entry.is_some_and(|entry| entry.id == id));
                let at = same.or_else(|| shard.iter().position(Option::is_none)).ok_or(request)?;
                let place = shard.get_mut(at).ok_or(request)?;
                Ok(place.replace(Entry { id, since, request }).map(|entry| entry.request))
            })
        });
        if !matches!(added, Ok(None)) {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
        added
    }

    /// Removes a request; `None` when somebody else did.
    pub fn remove(&self, id: InspectId) -> Option<Request> {
        let entry = self.shard(id)?.with(|shard| {
            shard.iter_mut().find(|entry| entry.is_some_and(|entry| entry.id == id))?.take()
        });
        entry.map(|entry| self.removed(entry))
    }

    fn removed(&self, entry: Entry) -> Request {
        self.count.fetch_sub(1, Ordering::AcqRel);
        entry.request
    }

    /// Changes how far a request has come, as `change` of what it was; false when it is gone or
    /// `change` returns nothing.
    pub fn advance(&self, id: InspectId, change: impl Fn(Standing) -> Option<Standing>) -> bool {
        let Some(shard) = self.shard(id) else { return false };
        shard.with(|shard| {
            let mut entries = shard.iter_mut().flatten();
            let Some(entry) = entries.find(|entry| entry.id == id) else { return false };
            let Some(standing) = change(entry.request.standing) else { return false };
            entry.request.standing = standing;
            true
        })
    }

    /// Removes the requests inspected at the tick `until` or before, one after the other; looks at
    /// every shard.
    pub fn drain(&self, until: u32, mut each: impl FnMut(Request)) {
        let is_old = |entry: &mut Entry| entry.since <= until;
        for shard in self.shards.iter() {
            while let Some(entry) =
                shard.with(|shard| shard.iter_mut().find_map(|entry| entry.take_if(is_old)))
            {
                each(self.removed(entry));
            }
        }
    }
}
