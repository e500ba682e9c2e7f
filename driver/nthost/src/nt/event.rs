//! Events and waits.
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use nt_sys::ke::KEVENT;
use nt_sys::ntdef::{BOOLEAN, LARGE_INTEGER, NTSTATUS, PVOID, STATUS_SUCCESS};

use super::lock;
use crate::processor::{self, require_irql};
use crate::verifier::{Rule, violation};

/// Guards the signal state of every event; waits are rare.
static SIGNALS: Mutex<()> = Mutex::new(());
static CHANGED: Condvar = Condvar::new();

/// Marks an initialised event in its header.
const INITIALISED: i32 = 0x0045_5645;

fn checked<'e>(export: &'static str, event: *mut KEVENT) -> &'e mut KEVENT {
    // SAFETY: the driver's: a KEVENT in memory that stays; access is under `SIGNALS`.
    let event = unsafe { &mut *event };
    if event.Header.Lock != INITIALISED {
        violation(Rule::Object, export, format!("event {event:p}"), "not initialised", None);
    }
    event
}

/// Initialises an event.
///
/// # Safety
/// `event` is writable and stays in place.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeInitializeEvent(event: *mut KEVENT, _kind: i32, state: BOOLEAN) {
    // SAFETY: the caller's.
    let event = unsafe { &mut *event };
    event.Header.Lock = INITIALISED;
    event.Header.SignalState = i32::from(state != 0);
}

/// Signals an event.
///
/// # Safety
/// `event` was initialised.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeSetEvent(event: *mut KEVENT, _boost: i32, wait: BOOLEAN) -> i32 {
    require_irql("KeSetEvent", if wait == 0 { 2 } else { 1 });
    let guard = lock(&SIGNALS);
    let event = checked("KeSetEvent", event);
    let before = core::mem::replace(&mut event.Header.SignalState, 1);
    drop(guard);
    CHANGED.notify_all();
    before
}

/// Clears an event.
///
/// # Safety
/// `event` was initialised.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeClearEvent(event: *mut KEVENT) {
    require_irql("KeClearEvent", 2);
    let _guard = lock(&SIGNALS);
    checked("KeClearEvent", event).Header.SignalState = 0;
}

/// Waits for an event without a timeout.
///
/// # Safety
/// `object` is an initialised event.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeWaitForSingleObject(
    object: PVOID,
    _reason: i32,
    _mode: i8,
    _alertable: BOOLEAN,
    timeout: *mut LARGE_INTEGER,
) -> NTSTATUS {
    let export = "KeWaitForSingleObject";
    let event = object.cast::<KEVENT>();
    if processor::depth() > 0 {
        let detail = format!("inside {}", processor::callback());
        violation(Rule::WaitInCallback, export, format!("event {event:p}"), detail, None);
    }
    require_irql(export, 1);
    if !timeout.is_null() {
        violation(
            Rule::Flags,
            export,
            format!("event {event:p}"),
            "timeouts are not supported",
            None,
        );
    }
    let wait_max = crate::host::state().wait_max;
    let start = Instant::now();
    let mut guard = lock(&SIGNALS);
    while checked(export, event).Header.SignalState == 0 {
        let left = wait_max.saturating_sub(start.elapsed());
        let waited = CHANGED.wait_timeout(guard, left);
        guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        if start.elapsed() >= wait_max && checked(export, event).Header.SignalState == 0 {
            let (sockets, _) = crate::wsk::slots::open();
            let detail = format!("not signalled for {wait_max:?}; {sockets} sockets are open");
            violation(Rule::Wait, export, format!("event {event:p}"), detail, None);
        }
    }
    STATUS_SUCCESS
}
