//! Notification events.
use core::cell::UnsafeCell;

use nt_sys::ke::{self, KEVENT};

use crate::pool::{PoolBox, Tag};
use crate::{Passive, Result};

/// An event that stays signalled once set.
///
/// E1: the KEVENT is initialised in its own pool block and stays there.
pub struct Event(PoolBox<UnsafeCell<KEVENT>>);

// SAFETY: KEVENT is synchronised by the kernel; only its address is used here (E1).
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

impl Event {
    /// Not signalled.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new() -> Result<Event> {
        // SAFETY: KEVENT is plain data; zero is replaced by the initialisation below.
        let event = Event(PoolBox::new(Tag::Object, unsafe { core::mem::zeroed() })?);
        // SAFETY: E1: non-paged memory that does not move.
        unsafe { ke::KeInitializeEvent(event.0.get(), ke::NotificationEvent, 0) };
        Ok(event)
    }

    /// Signals. IRQL <= DISPATCH.
    pub fn set(&self) {
        // SAFETY: E1; no wait follows at a raised IRQL.
        unsafe { ke::KeSetEvent(self.0.get(), 0, 0) };
    }

    /// Not signalled again. IRQL <= DISPATCH.
    pub fn clear(&self) {
        // SAFETY: E1.
        unsafe { ke::KeClearEvent(self.0.get()) };
    }

    /// Waits until signalled.
    pub fn wait(&self, _passive: &Passive) {
        // SAFETY: E1; at PASSIVE_LEVEL a wait without timeout is allowed and returns when
        // signalled.
        let _ = unsafe {
            ke::KeWaitForSingleObject(
                self.0.get().cast(),
                ke::Executive,
                ke::KernelMode,
                0,
                core::ptr::null_mut(),
            )
        };
    }
}
