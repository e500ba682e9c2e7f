//! Connections that exist, and who is the last of all.
use crate::sync::{AtomicU32, Ordering};

/// The provider may still take connections.
const OPEN: u32 = 1 << 31;

/// The number of connections, and whether the provider is closed to new ones.
///
/// D1: after it is closed, one caller is told that nothing is left: the one that closes, or the
/// last one that releases. Everybody else is told the contrary, and must not touch the provider
/// again, which is freed as soon as that one caller has said so.
pub(super) struct Rundown(AtomicU32);

impl Rundown {
    pub(super) fn new() -> Rundown {
        Rundown(AtomicU32::new(OPEN))
    }

    /// Connections.
    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed) & !OPEN
    }

    /// One more. Not after closing.
    pub(super) fn acquire(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less; true when it was the last and the provider is closed.
    #[must_use]
    pub(super) fn release(&self) -> bool {
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// No more are taken; true when there are none. A second time does nothing.
    #[must_use]
    pub(super) fn close(&self) -> bool {
        self.0.fetch_and(!OPEN, Ordering::AcqRel) & !OPEN == 0
    }
}
