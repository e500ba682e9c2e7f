//! Slots that wait for the worker.
use super::slab::NONE;
use crate::sync::{AtomicU32, Ordering};

/// Indices of slots, each linked to the next by a word in the slot.
///
/// T1: a slot is pushed by one thread at a time, and not again before it was taken.
pub(super) struct Stack(AtomicU32);

impl Stack {
    pub(super) fn new() -> Stack {
        Stack(AtomicU32::new(NONE))
    }

    /// A hint.
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == NONE
    }

    /// Puts slot `index` on top, whose link is `next`. True when there was none: then who takes is
    /// to be woken.
    #[must_use]
    pub(super) fn push(&self, index: u32, next: &AtomicU32) -> bool {
        let mut head = self.0.load(Ordering::Relaxed);
        loop {
            next.store(head, Ordering::Relaxed);
            let (old, new) = (Ordering::Release, Ordering::Relaxed);
            match self.0.compare_exchange_weak(head, index, old, new) {
                Ok(_) => return head == NONE,
                Err(now) => head = now,
            }
        }
    }

    /// Takes all: the index on top, or `NONE`. Each link is to be read before its slot may be
    /// pushed again.
    pub(super) fn take(&self) -> u32 {
        self.0.swap(NONE, Ordering::Acquire)
    }
}
