//! When a connection has waited long enough.
//!
//! Every connection has one deadline, a word that its runner stores whenever its situation
//! changes. The timer reads the words of a part of the slots on each tick, so that each is read at
//! least once a second, and tells those whose time has come. So a request costs one store, not a
//! list operation under a lock, and a deadline may be late by a second but is never early.
use core::sync::atomic::{AtomicU32, Ordering};

use crate::parameters::Parameters;

/// Ticks in which every slot is looked at once, when there are many.
const ROUND_TICKS: usize = 8;
/// Slots that are looked at on every tick, when there are few.
const SLOTS_PER_TICK: usize = 2_048;

/// A connection's deadline in ticks.
#[derive(Default)]
pub struct Deadline(AtomicU32);

impl Deadline {
    /// Sets it.
    pub fn set(&self, tick: u32) {
        self.0.store(tick, Ordering::Relaxed);
    }

    /// True when it has passed.
    pub fn passed(&self, now: u32) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }
}

/// The slots that tick number `now` looks at.
pub fn slots_of_tick(now: u32, slots: usize) -> (usize, usize) {
    if slots <= SLOTS_PER_TICK {
        return (0, slots);
    }
    let part = slots.div_ceil(ROUND_TICKS);
    let turn = usize::try_from(now).unwrap_or(0) % ROUND_TICKS;
    let from = part.saturating_mul(turn).min(slots);
    (from, from.saturating_add(part).min(slots))
}

/// The parameters' timeouts in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// From the first octet of a request to the last of its head and content; absolute.
    pub head: u32,
    /// Between requests.
    pub idle: u32,
    /// Without any send completing.
    pub send: u32,
    /// From our end of the connection to its close.
    pub drain: u32,
    /// From the driver's stop to the close of what is still open.
    pub stop: u32,
}

impl Timeouts {
    /// As the parameters say.
    pub fn new(parameters: &Parameters) -> Timeouts {
        let ticks = crate::clock::ticks_of;
        Timeouts {
            head: ticks(parameters.head_timeout_ms),
            idle: ticks(parameters.idle_timeout_ms),
            send: ticks(parameters.send_stall_ms),
            drain: ticks(parameters.drain_ms),
            stop: ticks(parameters.stop_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_looked_at_within_a_round() {
        for slots in [0, 1, SLOTS_PER_TICK, SLOTS_PER_TICK + 1, 65_536, 100_001] {
            for start in [0, 5, u32::MAX - 4] {
                let mut seen = vec_of(slots);
                for tick in 0..u32::try_from(ROUND_TICKS).unwrap() {
                    let (from, to) = slots_of_tick(start.wrapping_add(tick), slots);
                    seen[from..to].fill(true);
                }
                assert!(seen.iter().all(|seen| *seen), "{slots} from {start}");
            }
        }
    }

    fn vec_of(len: usize) -> std::vec::Vec<bool> {
        std::vec![false; len]
    }

    extern crate std;
}
