//! How long turns take: from a turn's first octet until all that the connection sends is sent.
//!
//! One of [`SAMPLED`] turns of a connection is measured, so that the others cost a few
//! instructions. Which of them comes first depends on the peer's port: a connection of one request
//! has the same chance as another's sixteenth.
use core::sync::atomic::{AtomicU64, Ordering};

use nt::{PerProcessor, Result, Tag, processor, time};
use wskhttpd_abi::{BUCKETS, Latency, bucket_of};

/// One of so many turns is measured.
pub const SAMPLED: u8 = 16;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// What one processor measured, on cache lines of its own.
#[repr(align(16))]
struct Histogram {
    sum_ns: AtomicU64,
    counts: [AtomicU64; BUCKETS],
    _apart: [u64; 16],
}

/// What all processors measured.
pub struct Histograms {
    /// Counts of the performance counter in a second; not 0.
    frequency: u64,
    histograms: PerProcessor<Histogram>,
}

/// A connection's place among its turns, and when the one that is measured began.
pub struct Stopwatch {
    /// 0 = no turn is being measured.
    began: u64,
    turns: u8,
}

impl Stopwatch {
    /// Of a new connection from `port`.
    pub fn new(port: u16) -> Stopwatch {
        // Multiplied, because many peers use every other port only.
        let [_, turns] = port.wrapping_mul(0x9E37).to_le_bytes();
        Stopwatch { began: 0, turns }
    }

    /// A turn begins.
    #[inline]
    pub fn turn(&mut self) {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(SAMPLED) {
            self.start();
        }
    }

    #[cold]
    #[inline(never)]
    fn start(&mut self) {
        let (now, _) = time::performance_counter();
        self.began = now.max(1);
    }

    /// Nothing is to be sent in this turn.
    #[inline]
    pub fn forget(&mut self) {
        self.began = 0;
    }

    /// True while a turn is being measured.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.began != 0
    }
}

impl Histograms {
    /// Empty ones.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new() -> Result<Histograms> {
        let empty = || {
            Ok(Histogram {
                sum_ns: AtomicU64::new(0),
                counts: [const { AtomicU64::new(0) }; _],
                _apart: [0; _],
            })
        };
        let (_, frequency) = time::performance_counter();
        Ok(Histograms {
            frequency: frequency.max(1),
            histograms: PerProcessor::new(Tag::Server, empty)?,
        })
    }

    /// All of a measured turn is sent. IRQL <= DISPATCH.
    #[cold]
    #[inline(never)]
    pub fn sent(&self, stopwatch: &mut Stopwatch) {
        let (now, _) = time::performance_counter();
        let ns = nanoseconds(now.saturating_sub(stopwatch.began), self.frequency);
        stopwatch.began = 0;
        let Some(histogram) = self.histograms.of(processor::current()) else { return };
        if let Some(count) = histogram.counts.get(bucket_of(ns)) {
            count.fetch_add(1, Ordering::Relaxed);
            histogram.sum_ns.fetch_add(ns, Ordering::Relaxed);
        }
    }

    /// Sums over all processors.
    pub fn snapshot(&self) -> Latency {
        let mut latency = Latency { sampled: SAMPLED.into(), sum_ns: 0, counts: [0; BUCKETS] };
        let sum = |sum: &mut u64, more: &AtomicU64| {
            *sum = sum.wrapping_add(more.load(Ordering::Relaxed));
        };
        for histogram in self.histograms.all() {
            sum(&mut latency.sum_ns, &histogram.sum_ns);
            for (all, count) in latency.counts.iter_mut().zip(&histogram.counts) {
                sum(all, count);
            }
        }
        latency
    }
}

/// So many counts in nanoseconds; whole seconds apart, so that nothing overflows.
fn nanoseconds(counts: u64, frequency: u64) -> u64 {
    let seconds = counts.checked_div(frequency).unwrap_or(0);
    let rest = counts.checked_rem(frequency).unwrap_or(0).saturating_mul(NS_PER_SECOND);
    let rest = rest.checked_div(frequency).unwrap_or(0);
    seconds.saturating_mul(NS_PER_SECOND).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::{SAMPLED, Stopwatch, nanoseconds};

    #[test]
    fn counts_become_nanoseconds() {
        assert_eq!(nanoseconds(7, 10_000_000), 700);
        assert_eq!(nanoseconds(10_000_000 * 60 + 1, 10_000_000), 60_000_000_100);
        assert_eq!(nanoseconds(5, 1_000_000_000), 5);
        assert_eq!(nanoseconds(1, 3), 333_333_333);
        assert_eq!(nanoseconds(u64::MAX, 1_000_000_000), u64::MAX);
    }

    #[test]
    fn a_turn_that_is_forgotten_is_measured_no_more() {
        let mut stopwatch = Stopwatch { began: 7, turns: 0 };
        assert!(stopwatch.is_on());
        stopwatch.forget();
        assert!(!stopwatch.is_on());
    }

    #[test]
    fn the_first_turns_of_connections_are_measured_as_often_as_others() {
        let first =
            |port: &u16| Stopwatch::new(*port).turns.wrapping_add(1).is_multiple_of(SAMPLED);
        for step in [1, 2, 4] {
            let ports = (32_768..=60_999_u16).step_by(step);
            let all = ports.len();
            let measured = ports.filter(first).count();
            let share = all / usize::from(SAMPLED);
            assert!(measured.abs_diff(share) < share / 10, "{measured} of {all} by {step}");
        }
    }
}
