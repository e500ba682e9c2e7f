//! Making places: when connections are turned away or wait, the oldest idle ones go.
use core::sync::atomic::{AtomicU32, Ordering};

use heapless::binary_heap::{BinaryHeap, Max};
use nt::wsk::{Events, Sweep};

use crate::deadline::Timeouts;
use crate::server::Server;

/// Connections ended at a time.
const ENDED_MAX: usize = 64;

/// How many places are wanted.
#[derive(Default)]
pub struct Pressure {
    wanted: AtomicU32,
    /// The tick of the last look at all connections: one look per tick is enough, however many
    /// peers knock.
    relieved: AtomicU32,
}

impl Pressure {
    /// A connection found no place. IRQL <= DISPATCH.
    pub fn add(&self) {
        self.wanted.fetch_add(1, Ordering::Relaxed);
    }

    /// So many wait for a place, on and on.
    pub fn add_for(&self, waiting: u32) {
        self.wanted.fetch_max(waiting, Ordering::Relaxed);
    }

    /// True when [`Pressure::relieve`] would do something at `now`.
    pub fn is_felt(&self, now: u32) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0 && self.relieved.load(Ordering::Relaxed) != now
    }

    /// Tells as many connections as places are wanted that they may go: those that have been idle
    /// the longest, and at least for `PressureIdleMs`. Looks at every connection, so not in a
    /// callback; each of them makes sure that it is still idle.
    pub fn relieve(&self, sweep: &Sweep<'_, Server>, timeouts: &Timeouts, now: u32) {
        if !self.is_felt(now) {
            return;
        }
        self.relieved.store(now, Ordering::Relaxed);
        let wanted = self.wanted.swap(0, Ordering::Relaxed);
        let wanted = usize::try_from(wanted).unwrap_or(ENDED_MAX).min(ENDED_MAX);
        if let Some(latest) = timeouts.long_idle(now) {
            end_oldest(sweep, latest, wanted);
        }
    }
}

fn end_oldest(sweep: &Sweep<'_, Server>, latest: u32, wanted: usize) {
    // The youngest of the oldest is on top, to make room for an older one.
    let mut oldest: BinaryHeap<(u32, u32), Max, ENDED_MAX> = BinaryHeap::new();
    sweep.visit(0, sweep.slots(), |index, deadline| {
        let Some(tick) = deadline.idle().filter(|tick| *tick <= latest) else { return };
        if oldest.len() >= wanted {
            if oldest.peek().is_none_or(|(youngest, _)| *youngest <= tick) {
                return;
            }
            oldest.pop();
        }
        // There is room: no more than `wanted` are in it.
        let _ = oldest.push((tick, index));
    });
    for (_, index) in &oldest {
        sweep.tell(*index, Events::PRESSURE);
    }
}
