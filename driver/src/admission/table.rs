//! Counts and token buckets per holder, in fixed memory.
//!
//! A holder has one shard, chosen by the keyed hash; a shard is a few cache lines behind a lock of
//! its own: one octet of the hash per entry, looked through first, and the entries. So a decision
//! costs the same whatever the table holds. A full shard refuses new holders; no holder ever loses
//! its count to another.
use arrayvec::ArrayVec;

use super::address::Holder;
use super::hash::{HashKey, place};
use crate::sync::{PoolSlice, Result, SpinLock, Tag};

/// Holders in one shard at most.
const SHARD_HOLDERS: usize = 32;
/// Holders in one shard on average when every connection has one of its own. With this load a
/// shard overflows once in 100 million.
const SHARD_LOAD: usize = 10;
/// Shards at least.
const SHARDS_MIN: usize = 64;
/// Parts of a token.
const TOKEN: u32 = 1_000;

/// What a holder may have.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Connections at a time; 0 = no limit.
    pub connections: u32,
    /// New connections per second on average; 0 = no limit.
    pub per_second: u32,
    /// New connections at once.
    pub burst: u32,
    /// Milliseconds of a tick.
    pub tick_ms: u32,
}

/// Why a holder gets no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shortage {
    /// It has as many connections as it may have.
    Connections,
    /// It had as many new ones as it may have for now.
    Rate,
    /// Its shard has no room for another holder.
    Table,
}

/// A refusal, and whether it is the first of its holder since it has been in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Why.
    pub shortage: Shortage,
    /// Nobody was told yet.
    pub first: bool,
}

/// Holders, and how many connections each has.
pub type Top = ArrayVec<(Holder, u32), 32>;

/// Puts a holder where it belongs, if it has more than the last of those that fit.
fn add_to_top(top: &mut Top, holder: Holder, open: u32) {
    if top.is_full() {
        if top.last().is_some_and(|(_, least)| *least >= open) {
            return;
        }
        top.pop();
    }
    let at = top.partition_point(|(_, more)| *more >= open);
    // There is room, and the place is within it.
    let _ = top.try_insert(at, (holder, open));
}

#[derive(Clone, Copy, Default)]
struct Entry {
    holder: Holder,
    open: u32,
    /// Parts of tokens, as of `tick`.
    tokens: u32,
    tick: u32,
    /// It was under a rate.
    is_rated: bool,
    told: bool,
}

/// T1: `tags[at]` is 0 when `entries[at]` is free, else the tag of its holder.
struct Shard {
    tags: [u8; SHARD_HOLDERS],
    entries: [Entry; SHARD_HOLDERS],
}

/// The table. Every call: IRQL <= DISPATCH, any thread.
pub struct AddressTable {
    key: HashKey,
    shards: PoolSlice<SpinLock<Shard>>,
}

impl AddressTable {
    /// A table for `connections` connections.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(key: HashKey, connections: usize) -> Result<AddressTable> {
        let shards = connections.div_ceil(SHARD_LOAD).max(SHARDS_MIN);
        let empty = |_| {
            SpinLock::new(Shard {
                tags: [0; SHARD_HOLDERS],
                entries: [Entry::default(); SHARD_HOLDERS],
            })
        };
        Ok(AddressTable { key, shards: PoolSlice::from_fn(Tag::Server, shards, empty)? })
    }

    fn shard(&self, holder: Holder) -> Option<(&SpinLock<Shard>, u8)> {
        let hash = self.key.hash(holder.words());
        // The place takes the high end of the hash, the tag the low one; 0 means free.
        let [tag, ..] = hash.to_le_bytes();
        self.shards.get(place(hash, self.shards.len())).map(|shard| (shard, tag.max(1)))
    }

    /// Counts a connection for its holder; `now` in ticks.
    ///
    /// # Errors
    /// [`Refused`]; nothing is counted then.
    pub fn take(
        &self,
        holder: Holder,
        allowance: &Allowance,
        now: u32,
    ) -> core::result::Result<(), Refused> {
        let refused = Refused { shortage: Shortage::Table, first: false };
        let (shard, tag) = self.shard(holder).ok_or(refused)?;
        shard.with(|shard| {
            let entry = shard.find_or_add(holder, tag, now, allowance).ok_or(refused)?;
            entry.take(now, allowance)
        })
    }

    /// Gives a count back.
    pub fn give(&self, holder: Holder) {
        let Some((shard, tag)) = self.shard(holder) else { return };
        shard.with(|shard| {
            let Some(at) = shard.position(holder, tag) else { return };
            let Some(entry) = shard.entries.get_mut(at) else { return };
            entry.open = entry.open.saturating_sub(1);
            // With a rate it stays until its bucket is full: see `Entry::is_of_use`.
            if entry.open == 0
                && !entry.is_rated
                && let Some(tag) = shard.tags.get_mut(at)
            {
                *tag = 0;
            }
        });
    }

    /// The holders with the most connections, most first; and how many each has. Looks at every
    /// shard, one at a time: for reports.
    pub fn top(&self) -> Top {
        let mut top = Top::new();
        for shard in self.shards.iter() {
            shard.with(|shard| {
                let used = shard.tags.iter().zip(&shard.entries).filter(|(tag, _)| **tag != 0);
                for (_, entry) in used.filter(|(_, entry)| entry.open > 0) {
                    add_to_top(&mut top, entry.holder, entry.open);
                }
            });
        }
        top
    }

    /// Holders with a connection. Looks at every shard: for reports.
    pub fn holders(&self) -> usize {
        let open = |shard: &mut Shard| {
            let used = shard.tags.iter().zip(&shard.entries).filter(|(tag, _)| **tag != 0);
            used.filter(|(_, entry)| entry.open > 0).count()
        };
        self.shards.iter().map(|shard| shard.with(open)).fold(0, usize::saturating_add)
    }
}

impl Shard {
    fn position(&self, holder: Holder, tag: u8) -> Option<usize> {
        let mut from = 0;
        loop {
            let at = memchr::memchr(tag, self.tags.get(from..)?)?.saturating_add(from);
            if self.entries.get(at).is_some_and(|entry| entry.holder == holder) {
                return Some(at);
            }
            from = at.saturating_add(1);
        }
    }

    fn find_or_add(
        &mut self,
        holder: Holder,
        tag: u8,
        now: u32,
        allowance: &Allowance,
    ) -> Option<&mut Entry> {
        if let Some(at) = self.position(holder, tag) {
            return self.entries.get_mut(at);
        }
        let at = memchr::memchr(0, &self.tags)
            .or_else(|| self.entries.iter().position(|entry| !entry.is_of_use(now, allowance)))?;
        *self.tags.get_mut(at)? = tag;
        let entry = self.entries.get_mut(at)?;
        let tokens = allowance.burst.saturating_mul(TOKEN);
        *entry = Entry { holder, tokens, tick: now, ..Entry::default() };
        Some(entry)
    }
}

impl Entry {
    fn take(&mut self, now: u32, allowance: &Allowance) -> core::result::Result<(), Refused> {
        let shortage = if allowance.connections != 0 && self.open >= allowance.connections {
            Shortage::Connections
        } else if allowance.per_second != 0 {
            self.tokens = self.refilled(now, allowance);
            (self.tick, self.is_rated) = (now, true);
            match self.tokens.checked_sub(TOKEN) {
                Some(left) => {
                    self.tokens = left;
                    self.open = self.open.saturating_add(1);
                    return Ok(());
                }
                None => Shortage::Rate,
            }
        } else {
            self.open = self.open.saturating_add(1);
            return Ok(());
        };
        Err(Refused { shortage, first: !core::mem::replace(&mut self.told, true) })
    }

    /// Parts of tokens at `now`.
    fn refilled(&self, now: u32, allowance: &Allowance) -> u32 {
        let elapsed_ms = now.saturating_sub(self.tick).saturating_mul(allowance.tick_ms);
        // A token is TOKEN parts and a second as many milliseconds, so the rate is in parts per ms.
        let gained = elapsed_ms.saturating_mul(allowance.per_second);
        self.tokens.saturating_add(gained).min(allowance.burst.saturating_mul(TOKEN))
    }

    /// False when forgetting the entry changes no later decision.
    fn is_of_use(&self, now: u32, allowance: &Allowance) -> bool {
        let is_full = || self.refilled(now, allowance) >= allowance.burst.saturating_mul(TOKEN);
        self.open > 0 || allowance.per_second != 0 && !is_full()
    }
}
