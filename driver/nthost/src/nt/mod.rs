//! NT, by its own prefixes.
pub(crate) mod bugcheck;
pub(crate) mod device;
pub(crate) mod etw;
pub(crate) mod event;
pub(crate) mod event_log;
pub(crate) mod file;
pub(crate) mod handle;
pub(crate) mod irp;
pub(crate) mod lock_order;
pub(crate) mod lookaside;
pub(crate) mod mdl;
pub(crate) mod pool;
pub(crate) mod registry;
pub(crate) mod routine;
pub(crate) mod security;
pub(crate) mod spinlock;
pub(crate) mod thread;
pub(crate) mod time;
pub(crate) mod timer;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, whatever a thread that panicked left.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
