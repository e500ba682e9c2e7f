//! Tracing: one provider, and whether somebody listens to it.
//!
//! In an image the provider is that of the crate `tracelogging`, which writes events for ETW.
//! Elsewhere that crate does nothing: there the provider is registered here, by the same calls, and
//! an event is one line of text for the host. A kernel without ETW has no provider; then nobody
//! listens.
//!
//! E1: registered at most once at a time, from the driver's entry to its unload or failure: calls
//! of `register` and `unregister` do not overlap.

use crate::{Passive, routines};

#[cfg(windows)]
mod in_image {
    // The name as a literal, because a macro reads it.
    tracelogging::define_provider!(PROVIDER, "Wskhttpd");

    /// For `tracelogging::write_event`.
    pub fn provider() -> &'static tracelogging::Provider {
        &PROVIDER
    }

    pub(super) fn register() {
        // SAFETY: E1; unregistered before the image goes away: see `nt::driver`. A failure leaves
        // nobody listening.
        let _ = unsafe { PROVIDER.register() };
    }

    pub(super) fn unregister() {
        // It cannot fail for a provider that is registered, and does nothing for another.
        let _ = PROVIDER.unregister();
    }
}

#[cfg(not(windows))]
mod in_host {
    use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

    use nt_sys::etw::{
        EVENT_CONTROL_CODE_ENABLE_PROVIDER, EtwRegister, EtwSetInformation, EtwUnregister,
        EventProviderSetTraits,
    };
    use nt_sys::kernel_fn;
    use nt_sys::ntdef::{GUID, PVOID};

    /// As the hash of the name has it.
    const ID: GUID = GUID {
        Data1: 0xFC73_6A84,
        Data2: 0x5EF0,
        Data3: 0x5640,
        Data4: [0x75, 0x22, 0x06, 0x0D, 0x01, 0x77, 0x85, 0x69],
    };

    /// Octets of the traits, and the name.
    const TRAITS: &[u8; 11] = b"\x0B\0Wskhttpd\0";

    static HANDLE: AtomicU64 = AtomicU64::new(0);
    /// The least severe level that is listened to; 0 = none is.
    static LEVEL: AtomicU8 = AtomicU8::new(0);

    kernel_fn! {
        unsafe fn enabled(_source: *const GUID, code: u32, level: u8, _any: u64, _all: u64,
            _filter: PVOID, _context: PVOID) {
            let is_on = code == EVENT_CONTROL_CODE_ENABLE_PROVIDER;
            LEVEL.store(if is_on { level } else { 0 }, Ordering::Relaxed);
        }
    }

    /// True when somebody listens to events of this severity, 1 (critical) to 5 (verbose). Any
    /// IRQL.
    pub fn is_listened_to(level: u8) -> bool {
        level <= LEVEL.load(Ordering::Relaxed)
    }

    /// Writes an event as a line of text. Any IRQL.
    #[inline(never)]
    pub fn write(event: core::fmt::Arguments<'_>) {
        crate::log::print(event);
    }

    pub(super) fn register() {
        let mut handle = 0;
        // SAFETY: PASSIVE_LEVEL (E1); the callback lives as long as this program.
        let status =
            unsafe { EtwRegister(&ID, Some(enabled), core::ptr::null_mut(), &raw mut handle) };
        if !nt_sys::ntdef::NT_SUCCESS(status) {
            return;
        }
        HANDLE.store(handle, Ordering::Relaxed);
        let (traits, octets) = (TRAITS.as_ptr().cast_mut().cast(), u32::from(TRAITS[0]));
        // SAFETY: PASSIVE_LEVEL (E1); registered just now; the traits are only read.
        let _ = unsafe { EtwSetInformation(handle, EventProviderSetTraits, traits, octets) };
    }

    pub(super) fn unregister() {
        let handle = HANDLE.swap(0, Ordering::Relaxed);
        if handle != 0 {
            // SAFETY: PASSIVE_LEVEL (E1); registered and not unregistered before.
            let _ = unsafe { EtwUnregister(handle) };
            LEVEL.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(not(windows))]
use in_host as provider;
#[cfg(windows)]
use in_image as provider;

#[cfg(windows)]
pub use provider::provider;
#[cfg(not(windows))]
pub use provider::{is_listened_to, write};

/// Makes the provider known; events come only while somebody listens.
pub(crate) fn register(_passive: &Passive) {
    if routines::has_tracing() {
        provider::register();
    }
}

/// The end of it.
pub(crate) fn unregister(_passive: &Passive) {
    provider::unregister();
}
