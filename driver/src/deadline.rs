//! When a connection has waited long enough.
//!
//! Every connection has one deadline, a word that its runner stores whenever its situation
//! changes. The timer reads the words of a part of the slots on each tick, so that each is read at
//! least once a second, and tells those whose time has come. So a request costs one store, not a
//! list operation under a lock, and a deadline may be late by a second but is never early.
use core::sync::atomic::{AtomicU32, Ordering};

use crate::clock::TICK_MS;
use crate::parameters::Parameters;

/// Ticks in which every slot is looked at once, when there are many.
const ROUND_TICKS: usize = 8;
/// Slots that are looked at on every tick, when there are few.
const SLOTS_PER_TICK: usize = 2_048;

/// Ticks in a second.
#[allow(clippy::as_conversions)] // widens
const TICKS_PER_SECOND: u64 = 1_000 / TICK_MS as u64;

/// Marks the deadline of an idle connection; ticks stay below for eight years.
const IDLE: u32 = 1 << 31;

/// A connection's deadline in ticks, and whether the connection is idle.
#[derive(Default)]
pub struct Deadline(AtomicU32);

impl Deadline {
    /// Sets it for a connection that is not idle.
    pub fn set(&self, tick: u32) {
        self.0.store(tick & !IDLE, Ordering::Relaxed);
    }

    /// Sets it for a connection that is idle.
    pub fn set_idle(&self, tick: u32) {
        self.0.store(tick | IDLE, Ordering::Relaxed);
    }

    /// True when it has passed.
    pub fn passed(&self, now: u32) -> bool {
        self.0.load(Ordering::Relaxed) & !IDLE <= now
    }

    /// The deadline, if the connection is idle: the earlier, the longer it has been.
    pub fn idle(&self) -> Option<u32> {
        let word = self.0.load(Ordering::Relaxed);
        (word & IDLE != 0).then_some(word & !IDLE)
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
    /// From the first octet of a request to the end of its head; absolute.
    pub head: u32,
    /// From the end of a head to the end of its content; absolute.
    pub content: u32,
    /// Between requests.
    pub idle: u32,
    /// Of idleness after which a connection may be ended to make a place; `None` = never.
    pressure_idle: Option<u32>,
    /// That a peer may take to read before its rate counts.
    send_grace: u32,
    /// For 64 KiB in flight beyond that; `None` = as long as it takes.
    send_per_64_kib: Option<u64>,
    /// From our end of the connection to its close.
    pub linger: u32,
    /// Waiting for a place.
    pub hold: u32,
    /// From the driver's stop to the close of what is still open.
    pub stop: u32,
}

impl Timeouts {
    /// As the parameters say.
    pub fn new(parameters: &Parameters) -> Timeouts {
        let ticks = crate::clock::ticks_of;
        let rate = u64::from(parameters.send_bytes_per_second_min);
        let pressure = parameters.pressure_idle_ms;
        Timeouts {
            head: ticks(parameters.head_timeout_ms),
            content: ticks(parameters.content_timeout_ms),
            idle: ticks(parameters.idle_timeout_ms),
            pressure_idle: (pressure != 0).then(|| ticks(pressure)),
            send_grace: ticks(parameters.send_grace_ms),
            send_per_64_kib: TICKS_PER_SECOND.saturating_mul(65_536).checked_div(rate),
            linger: ticks(parameters.linger_ms),
            hold: ticks(parameters.hold_ms),
            stop: ticks(parameters.stop_ms),
        }
    }

    /// The latest deadline of a connection that has been idle long enough, at `now`, to be ended to
    /// make a place; `None` when none is.
    pub fn long_idle(&self, now: u32) -> Option<u32> {
        let least = self.pressure_idle?;
        Some(now.saturating_add(self.idle).saturating_sub(least))
    }

    /// For a peer to read so many octets.
    pub fn send(&self, octets: u64) -> u32 {
        let Some(per_64_kib) = self.send_per_64_kib else { return u32::MAX };
        let ticks = octets.saturating_mul(per_64_kib).wrapping_shr(16);
        u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(self.send_grace)
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

    #[test]
    fn an_idle_deadline_says_so_and_passes_like_another() {
        let deadline = Deadline::default();
        deadline.set_idle(7);
        assert_eq!(
            (deadline.idle(), deadline.passed(6), deadline.passed(7)),
            (Some(7), false, true)
        );
        deadline.set(9);
        assert_eq!((deadline.idle(), deadline.passed(8), deadline.passed(9)), (None, false, true));
        deadline.set(u32::MAX);
        assert_eq!((deadline.idle(), deadline.passed(u32::MAX >> 2)), (None, false));
    }

    #[test]
    fn a_peer_may_read_at_the_least_rate_after_the_grace() {
        let timeouts = |send_per_64_kib| Timeouts {
            head: 0,
            content: 0,
            idle: 0,
            pressure_idle: None,
            send_grace: 40,
            send_per_64_kib,
            linger: 0,
            hold: 0,
            stop: 0,
        };
        // 150 octets a second are 18.75 a tick.
        let usual = timeouts((65_536_u64 * 8).checked_div(150));
        assert_eq!((usual.send(0), usual.send(1_500), usual.send(150_000)), (40, 119, 8_039));
        assert_eq!(timeouts(None).send(1), u32::MAX);
        assert_eq!(usual.send(u64::MAX), u32::MAX);
    }

    fn vec_of(len: usize) -> std::vec::Vec<bool> {
        std::vec![false; len]
    }

    extern crate std;
}
