//! When a connection has waited long enough.
//!
//! Every connection has one deadline, a word that its runner stores whenever its situation
//! changes. The timer reads the words of a part of the slots on each tick, so that each is read at
//! least once a second, and tells those whose time has come. So a request costs one store, not a
//! list operation under a lock, and a deadline may be late by a second but is never early.
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::clock::{TICK_MS, ticks_of};
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

macro_rules! timeouts {
    ($($(#[doc = $doc:literal])+ $field:ident: $parameter:ident;)*) => {
        /// The parameters' timeouts in ticks; they may change at any time.
        #[derive(Default)]
        pub struct Timeouts {
            $($field: AtomicU32,)*
            /// Of idleness after which a connection may be ended to make a place; 0 = never.
            pressure_idle: AtomicU32,
            /// For 64 KiB in flight beyond the grace; `u64::MAX` = as long as it takes.
            send_per_64_kib: AtomicU64,
        }

        impl Timeouts {
            $($(#[doc = $doc])+
            #[inline]
            pub fn $field(&self) -> u32 {
                self.$field.load(Ordering::Relaxed)
            })*

            /// As the parameters say.
            pub fn change(&self, parameters: &Parameters) {
                $(self.$field.store(ticks_of(parameters.$parameter), Ordering::Relaxed);)*
                self.pressure_idle.store(ticks_of(parameters.pressure_idle_ms), Ordering::Relaxed);
                let rate = u64::from(parameters.send_bytes_per_second_min);
                let ticks = TICKS_PER_SECOND.saturating_mul(65_536).checked_div(rate);
                self.send_per_64_kib.store(ticks.unwrap_or(u64::MAX), Ordering::Relaxed);
            }
        }
    };
}

timeouts! {
    /// From the first octet of a request to the end of its head; absolute.
    head: head_timeout_ms;
    /// From the end of a head to the end of its content; absolute.
    content: content_timeout_ms;
    /// Between requests.
    idle: idle_timeout_ms;
    /// That a peer may take to read before its rate counts.
    send_grace: send_grace_ms;
    /// From our end of the connection to its close.
    linger: linger_ms;
    /// Waiting for a place.
    hold: hold_ms;
    /// From the driver's stop to the close of what is still open.
    stop: stop_ms;
}

impl Timeouts {
    /// The latest deadline of a connection that has been idle long enough, at `now`, to be ended to
    /// make a place; `None` when none is.
    pub fn long_idle(&self, now: u32) -> Option<u32> {
        let least = self.pressure_idle.load(Ordering::Relaxed);
        (least != 0).then(|| now.saturating_add(self.idle()).saturating_sub(least))
    }

    /// For a peer to read so many octets.
    pub fn send(&self, octets: u64) -> u32 {
        let per_64_kib = self.send_per_64_kib.load(Ordering::Relaxed);
        if per_64_kib == u64::MAX {
            return u32::MAX;
        }
        let ticks = octets.saturating_mul(per_64_kib).wrapping_shr(16);
        u32::try_from(ticks).unwrap_or(u32::MAX).saturating_add(self.send_grace())
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
                    let most = SLOTS_PER_TICK.max(slots.div_ceil(ROUND_TICKS));
                    assert!(to - from <= most, "{slots} at {tick} from {start}");
                    // Few are looked at on every tick, so that none of their deadlines is late.
                    assert!(slots > SLOTS_PER_TICK || (from, to) == (0, slots));
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
        let timeouts = |send_per_64_kib: Option<u64>| Timeouts {
            send_grace: AtomicU32::new(40),
            send_per_64_kib: AtomicU64::new(send_per_64_kib.unwrap_or(u64::MAX)),
            ..Timeouts::default()
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
