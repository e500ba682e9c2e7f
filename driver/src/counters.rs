//! Counters, one set per processor, so that counting shares no cache line.
use core::sync::atomic::{AtomicU64, Ordering};

use nt::{PerProcessor, Result, Tag, processor};
use wskhttpd_abi::{Counter, Counters};

/// The counters of one processor, on cache lines of their own.
#[repr(align(16))]
pub struct Set {
    values: [AtomicU64; Counter::ALL.len()],
    _apart: [u64; 16],
}

impl Set {
    /// Counts. Interlocked: who counts may have been moved to another processor.
    #[inline]
    pub fn add(&self, counter: Counter, count: u64) {
        if let Some(value) = self.values.get(index(counter)) {
            value.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// All processors' counters.
pub struct CounterSets {
    sets: PerProcessor<Set>,
}

impl CounterSets {
    /// Zero everywhere.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new() -> Result<CounterSets> {
        let zero = || Ok(Set { values: [const { AtomicU64::new(0) }; _], _apart: [0; _] });
        Ok(CounterSets { sets: PerProcessor::new(Tag::Server, zero)? })
    }

    /// Counts on the processor that runs this code. IRQL <= DISPATCH.
    pub fn add(&self, counter: Counter, count: u64) {
        if let Some(set) = self.of(processor::current()) {
            set.add(counter, count);
        }
    }

    /// The counters of a processor. IRQL <= DISPATCH.
    #[inline]
    pub fn of(&self, processor: usize) -> Option<&Set> {
        self.sets.of(processor)
    }

    /// Sums over all processors; gauges are left at zero.
    pub fn snapshot(&self) -> Counters {
        let mut counters = Counters::default();
        for counter in Counter::ALL {
            let values = self.sets.all().filter_map(|set| set.values.get(index(*counter)));
            let sum =
                values.fold(0, |sum: u64, value| sum.wrapping_add(value.load(Ordering::Relaxed)));
            counters.set(*counter, sum);
        }
        // Not counted on their own: every response answers one.
        let requests = [
            Counter::Responses2xx,
            Counter::Responses3xx,
            Counter::Responses4xx,
            Counter::Responses5xx,
        ];
        let requests =
            requests.into_iter().fold(0, |sum: u64, class| sum.wrapping_add(counters.get(class)));
        counters.set(Counter::Requests, requests);
        counters
    }
}

/// Position of a counter in a set.
#[allow(clippy::as_conversions)] // the discriminant of a fieldless enum
const fn index(counter: Counter) -> usize {
    counter as usize
}
