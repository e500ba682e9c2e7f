//! Finding a displacement for every bucket so that no two keys share a slot.
//!
//! Hash, displace and compress: the keys fall into buckets, the largest bucket goes first, and for
//! each one a displacement is searched that sends all its keys to empty slots. With at most seven
//! of eight slots in use the search is short even for the last bucket.

use crate::hash;
use crate::layout::{NONE, widen};

/// Displacements tried for one bucket, and seeds for the whole table. Both bound the time only:
/// a bucket normally takes under a hundred tries, a table one seed.
const DISPLACEMENTS_MAX: u32 = 1 << 16;
const SEEDS_MAX: u64 = 16;

/// A table in which every key has a slot of its own.
pub(super) struct Table {
    pub(super) seed: u64,
    pub(super) displacements: Vec<u32>,
    /// Index of the key in each slot, or [`NONE`].
    pub(super) slots: Vec<u32>,
}

/// A key: host (empty = any) and path.
pub(super) type Key<'k> = (&'k [u8], &'k [u8]);

impl Table {
    /// The table for `keys`, which must differ; `None` if two of them do not.
    pub(super) fn build(keys: &[Key<'_>]) -> Option<Self> {
        (0..SEEDS_MAX).find_map(|seed| Self::with_seed(keys, seed))
    }

    fn with_seed(keys: &[Key<'_>], seed: u64) -> Option<Self> {
        let hashes: Vec<u64> =
            keys.iter().map(|(host, path)| hash::key(seed, host, path)).collect();
        let bucket_count = keys.len().div_ceil(4).max(1).next_power_of_two();
        let slot_count = (keys.len() + keys.len() / 7 + 1).next_power_of_two();
        let bucket_mask = u32::try_from(bucket_count - 1).ok()?;
        let slot_mask = u32::try_from(slot_count - 1).ok()?;
        let mut table =
            Self { seed, displacements: vec![0; bucket_count], slots: vec![NONE; slot_count] };
        for (bucket, members) in Buckets::new(&hashes, bucket_mask).largest_first() {
            table.displacements[bucket] = table.place(members, &hashes, slot_mask)?;
        }
        Some(table)
    }

    /// Gives the members of one bucket their slots; returns the displacement that does.
    fn place(&mut self, members: &[u32], hashes: &[u64], slot_mask: u32) -> Option<u32> {
        let slot_of =
            |key: u32, displacement| widen(hash::slot(hashes[widen(key)], displacement, slot_mask));
        (0..DISPLACEMENTS_MAX).find(|&displacement| {
            for (taken, &key) in members.iter().enumerate() {
                let slot = &mut self.slots[slot_of(key, displacement)];
                if *slot == NONE {
                    *slot = key;
                    continue;
                }
                for &key in &members[..taken] {
                    self.slots[slot_of(key, displacement)] = NONE;
                }
                return false;
            }
            true
        })
    }
}

/// Keys by bucket: the members of bucket `b` are `members[starts[b]..starts[b + 1]]`.
struct Buckets {
    starts: Vec<usize>,
    members: Vec<u32>,
}

impl Buckets {
    fn new(hashes: &[u64], bucket_mask: u32) -> Self {
        let mut starts = vec![0; widen(bucket_mask) + 2];
        for &hash in hashes {
            starts[widen(hash::bucket(hash, bucket_mask)) + 1] += 1;
        }
        for bucket in 1..starts.len() {
            starts[bucket] += starts[bucket - 1];
        }
        let mut next = starts.clone();
        let mut members = vec![0; hashes.len()];
        for (key, &hash) in (0..).zip(hashes) {
            let place = &mut next[widen(hash::bucket(hash, bucket_mask))];
            members[*place] = key;
            *place += 1;
        }
        Self { starts, members }
    }

    /// Each bucket that has members. Of buckets of one size the first goes first, so that the
    /// same keys make the same table.
    fn largest_first(&self) -> impl Iterator<Item = (usize, &[u32])> {
        let members = |bucket: usize| &self.members[self.starts[bucket]..self.starts[bucket + 1]];
        let mut order: Vec<usize> =
            (0..self.starts.len() - 1).filter(|&bucket| !members(bucket).is_empty()).collect();
        order.sort_by_key(|&bucket| std::cmp::Reverse(members(bucket).len()));
        order.into_iter().map(move |bucket| (bucket, members(bucket)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_of_keys_around_the_powers_of_two_gets_a_table() {
        let paths: Vec<String> = (0..300).map(|n| format!("/{n}")).collect();
        for count in 0..paths.len() {
            let keys: Vec<Key<'_>> =
                paths[..count].iter().map(|path| (&b""[..], path.as_bytes())).collect();
            let table = Table::build(&keys).unwrap();
            let mut found: Vec<u32> = table.slots.into_iter().filter(|&s| s != NONE).collect();
            found.sort_unstable();
            assert!(found.into_iter().eq(0..u32::try_from(count).unwrap()), "{count} keys");
        }
    }

    #[test]
    fn equal_keys_end_the_search() {
        assert!(Table::build(&[(b"", b"/a"), (b"", b"/a")]).is_none());
    }
}
