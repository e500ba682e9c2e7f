//! Time as the request path needs it: loads only, no calls.
use http1::date::{self, ImfFixdate};

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Milliseconds of a tick, the unit of all deadlines.
pub const TICK_MS: u32 = 125;

/// Ticks in a second.
const TICKS_PER_SECOND: u32 = 1_000 / TICK_MS;

/// Octets of an IMF-fixdate.
pub const DATE_BYTES: usize = 29;
/// Words that hold one.
const DATE_WORDS: usize = 4;
/// Where in it they stand: the last one begins in the third.
const WORDS_AT: [usize; DATE_WORDS] = [0, 8, 16, DATE_BYTES - 8];

/// The tick count and the current Date, both written by the timer only.
///
/// The date has two copies; the one of an even or odd `edition` is written before the edition is
/// published, so a reader that sees the same edition before and after has a whole date.
#[derive(Default)]
pub struct Clock {
    ticks: AtomicU32,
    edition: AtomicU32,
    second: AtomicU64,
    dates: [[AtomicU64; DATE_WORDS]; 2],
}

impl Clock {
    /// A clock that shows the given time; see [`Clock::advance`].
    pub fn new(now: u64) -> Clock {
        let clock = Clock::default();
        clock.set_date(now);
        clock
    }

    /// Ticks since the start.
    pub fn ticks(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Seconds since the start, rounded down.
    pub fn uptime_s(&self) -> u64 {
        u64::from(self.ticks() / TICKS_PER_SECOND)
    }

    /// Counts a tick; `now` is the system time in 100 ns since 1601. One caller at a time.
    pub fn advance(&self, now: u64) -> u32 {
        if second_of(now) != self.second.load(Ordering::Relaxed) {
            self.set_date(now);
        }
        self.ticks.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    fn set_date(&self, now: u64) {
        let date = ImfFixdate::from_nt_ticks(now);
        let date = date.as_bytes();
        let next = match self.edition.load(Ordering::Relaxed).wrapping_add(1) {
            0 => 2,
            next => next,
        };
        for (to, at) in self.copy(next).iter().zip(WORDS_AT) {
            let word = date.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
            // Release: who sees a word of this edition sees that the one before is published.
            to.store(u64::from_le_bytes(word), Ordering::Release);
        }
        self.second.store(second_of(now), Ordering::Relaxed);
        self.edition.store(next, Ordering::Release);
    }

    fn copy(&self, edition: u32) -> &[AtomicU64; DATE_WORDS] {
        let [even, odd] = &self.dates;
        if edition.is_multiple_of(2) { even } else { odd }
    }

    /// Seconds since 1970, as old as the Date.
    pub fn unix_seconds(&self) -> u64 {
        self.second.load(Ordering::Relaxed).saturating_sub(date::NT_EPOCH_SECONDS)
    }

    /// The current Date (RFC 9110 section 6.6.1), at most two seconds old.
    pub fn date(&self) -> [u8; DATE_BYTES] {
        let mut date = [0; DATE_BYTES];
        self.stamp(&mut date);
        date
    }

    /// Changes with the Date; never 0.
    #[inline]
    pub fn edition(&self) -> u32 {
        self.edition.load(Ordering::Relaxed)
    }

    /// Writes the current Date to `place`; returns its edition.
    #[inline]
    pub fn stamp(&self, place: &mut [u8; DATE_BYTES]) -> u32 {
        loop {
            let edition = self.edition.load(Ordering::Acquire);
            for (word, at) in self.copy(edition).iter().zip(WORDS_AT) {
                if let Some(to) = place.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
                    *to = word.load(Ordering::Acquire).to_le_bytes();
                }
            }
            // A copy is rewritten only after the other one was published, a second earlier.
            if self.edition.load(Ordering::Relaxed) == edition {
                return edition;
            }
        }
    }
}

/// Milliseconds since 1970, UTC, of this moment. A call: not for every request.
pub fn unix_ms() -> u64 {
    let ms = nt::time::system_ticks().checked_div(10_000).unwrap_or(0);
    ms.saturating_sub(date::NT_EPOCH_SECONDS.saturating_mul(1_000))
}

/// Seconds since 1601.
fn second_of(now: u64) -> u64 {
    now.checked_div(10_000_000).unwrap_or(0)
}

/// Milliseconds as ticks, rounded up, so that nothing ends early.
pub const fn ticks_of(ms: u32) -> u32 {
    ms.div_ceil(TICK_MS)
}
