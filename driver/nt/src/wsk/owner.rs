//! Who runs a connection, and what there is to run it for: one word.
use crate::sync::{AtomicU32, Ordering};

/// The slot is in use.
const LIVE: u32 = 1;
/// Somebody is the runner.
const RUNNING: u32 = 1 << 1;
/// The bits that are events.
pub(super) const EVENT_BITS: u32 = 0xFFFC;

/// The state of a slot and the events its runner has not seen; at first not in use.
///
/// W1: one thread at a time is the runner: from being told so by [`Owner::try_run`] or
/// [`Owner::post`] until [`Owner::try_rest`] succeeds or it calls [`Owner::vacate`]. What one
/// runner did, the next one sees. W2: whoever rests leaves no event behind.
pub(super) struct Owner(AtomicU32);

impl Owner {
    pub(super) fn new() -> Owner {
        Owner(AtomicU32::new(0))
    }

    /// Takes a free slot into use, with nobody running it. By whom the slab gave it to.
    pub(super) fn occupy(&self) {
        self.0.store(LIVE, Ordering::Release);
    }

    /// Ends the use of the slot. By the runner, when no event is to come; those that do are lost.
    pub(super) fn vacate(&self) {
        // An exchange, as events may come beside it: loom orders no store with those.
        self.0.swap(0, Ordering::AcqRel);
    }

    pub(super) fn is_live(&self) -> bool {
        self.0.load(Ordering::Relaxed) & LIVE != 0
    }

    /// Becomes the runner unless somebody is, or the slot is free; false then.
    pub(super) fn try_run(&self) -> bool {
        self.0.compare_exchange(LIVE, LIVE | RUNNING, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Leaves events; a free slot ignores them. True when the caller became the runner.
    #[must_use]
    pub(super) fn post(&self, events: u32) -> bool {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            if seen & LIVE == 0 {
                return false;
            }
            let next = seen | events | RUNNING;
            match self.0.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return seen & RUNNING == 0,
                Err(now) => seen = now,
            }
        }
    }

    /// Leaves events with somebody who runs the connection and has nothing else to do with it;
    /// false when there is nobody, or more, and then nothing was left.
    #[inline]
    #[must_use]
    pub(super) fn post_to_runner(&self, events: u32) -> bool {
        let (running, told) = (LIVE | RUNNING, LIVE | RUNNING | events);
        let (done, not) = (Ordering::AcqRel, Ordering::Relaxed);
        self.0.compare_exchange(running, told, done, not).is_ok()
    }

    /// Takes the events that are there. By the runner.
    pub(super) fn take_events(&self) -> u32 {
        self.0.fetch_and(!EVENT_BITS, Ordering::AcqRel) & EVENT_BITS
    }

    /// The events that are there. By the runner.
    pub(super) fn events(&self) -> u32 {
        self.0.load(Ordering::Relaxed) & EVENT_BITS
    }

    /// Stops being the runner unless there are events. By the runner.
    pub(super) fn try_rest(&self) -> bool {
        self.try_rest_knowing(0)
    }

    /// Takes the events `known` and stops being the runner, unless those are not there, or others
    /// are. By the runner, which has seen already what they would tell it.
    #[inline]
    pub(super) fn try_rest_knowing(&self, known: u32) -> bool {
        let (running, resting) = (LIVE | RUNNING | known, LIVE);
        let (done, not) = (Ordering::AcqRel, Ordering::Relaxed);
        self.0.compare_exchange(running, resting, done, not).is_ok()
    }
}
