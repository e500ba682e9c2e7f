//! How many connections there may be, and how many of those only exempt sources get.
use crate::sync::{AtomicU64, Ordering};

/// Which places a connection may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// Those that are not reserved.
    Common,
    /// All of them: the source is exempt.
    Exempt,
}

/// Places of connections: so many in all, the last of them for exempt sources.
pub struct Capacity {
    /// All places in the low half, those for exempt sources in the high half.
    places: AtomicU64,
    /// Taken places: of common connections in the low half, of exempt ones in the high half.
    taken: AtomicU64,
}

fn halves(taken: u64) -> (u32, u32) {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (half(taken), half(taken.wrapping_shr(32)))
}

fn joined(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high).wrapping_shl(32)
}

impl Lane {
    const fn one(self) -> u64 {
        match self {
            Lane::Common => 1,
            Lane::Exempt => 1 << 32,
        }
    }
}

impl Capacity {
    /// Nothing is taken.
    pub fn new(max: u32, reserved: u32) -> Capacity {
        Capacity { places: AtomicU64::new(joined(max, reserved)), taken: AtomicU64::new(0) }
    }

    /// Other numbers of places; those that are taken stay so, even if there are more.
    pub fn resize(&self, max: u32, reserved: u32) {
        self.places.store(joined(max, reserved), Ordering::Relaxed);
    }

    fn has_room(&self, taken: u64, lane: Lane) -> bool {
        let (common, exempt) = halves(taken);
        let (max, reserved) = halves(self.places.load(Ordering::Relaxed));
        let common_max = max.saturating_sub(reserved);
        let fits = lane == Lane::Exempt || common < common_max;
        fits && common.saturating_add(exempt) < max
    }

    /// Takes a place; false when there is none. IRQL <= DISPATCH.
    #[must_use]
    pub fn take(&self, lane: Lane) -> bool {
        let mut seen = self.taken.load(Ordering::Relaxed);
        while self.has_room(seen, lane) {
            let next = seen.wrapping_add(lane.one());
            match self.taken.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Gives a taken place back. IRQL <= DISPATCH.
    pub fn give(&self, lane: Lane) {
        self.taken.fetch_sub(lane.one(), Ordering::AcqRel);
    }

    /// True when a common connection would get a place.
    pub fn is_open(&self) -> bool {
        self.has_room(self.taken.load(Ordering::Acquire), Lane::Common)
    }

    /// Taken places.
    pub fn taken(&self) -> u32 {
        let (common, exempt) = halves(self.taken.load(Ordering::Acquire));
        common.saturating_add(exempt)
    }
}
