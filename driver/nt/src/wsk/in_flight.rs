//! What was submitted to be sent, and is not known to be sent.
use core::sync::atomic::{AtomicU64, Ordering};

/// Sends under way, and the octets in them, in one word: how many from this bit on.
const ONE_SEND: u64 = 1 << 40;

/// Sends submitted and not completed.
#[derive(Default)]
pub(super) struct InFlight(AtomicU64);

impl InFlight {
    /// By the runner, before it submits a send of so many octets.
    pub(super) fn add(&self, octets: usize) {
        self.0.fetch_add(ONE_SEND + octets as u64, Ordering::Relaxed);
    }

    /// By the completion of that send.
    pub(super) fn remove(&self, octets: usize) {
        self.0.fetch_sub(ONE_SEND + octets as u64, Ordering::Release);
    }

    pub(super) fn count(&self) -> u32 {
        (self.0.load(Ordering::Relaxed) / ONE_SEND) as u32
    }

    pub(super) fn octets(&self) -> u64 {
        self.0.load(Ordering::Relaxed) % ONE_SEND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_and_their_octets_are_counted_apart() {
        let sends = InFlight::default();
        let octets = [1, 70_000, (1 << 30) + 1];
        let mut sum = 0;
        for (before, octets) in octets.iter().enumerate() {
            assert_eq!((sends.count() as usize, sends.octets()), (before, sum));
            sends.add(*octets);
            sum += *octets as u64;
        }
        for (gone, octets) in octets.iter().enumerate() {
            assert_eq!((sends.count() as usize, sends.octets()), (3 - gone, sum));
            sends.remove(*octets);
            sum -= *octets as u64;
        }
        assert_eq!((sends.count(), sends.octets()), (0, 0));
    }
}
