//! Events and waits.
use std::time::Instant;

use nt_sys::ke::KEVENT;
use nt_sys::ntdef::{BOOLEAN, LARGE_INTEGER, NTSTATUS, PVOID, STATUS_SUCCESS};
use parking_lot::{Condvar, Mutex};

use crate::processor::{self, require_irql};
use crate::sim::actor::{self, Wait};
use crate::sim::interrupt::AtReturn;
use crate::sim::world;
use crate::verifier::{Rule, violation};

/// Guards the signal state of every event; waits are rare.
static SIGNALS: Mutex<()> = Mutex::new(());
static CHANGED: Condvar = Condvar::new();

/// Marks an initialised event in its header.
const INITIALISED: i32 = 0x0045_5645;

/// Marks a thread object.
const THREAD: i32 = 0x0054_4854;

/// A thread that has not ended.
pub(super) fn thread_object() -> KEVENT {
    // SAFETY: every field is plain data for which zero is valid.
    let mut object: KEVENT = unsafe { core::mem::zeroed() };
    object.Header.Lock = THREAD;
    object
}

/// The thread has ended.
pub(super) fn signal_thread(object: usize) {
    let object: *mut KEVENT = core::ptr::with_exposed_provenance_mut(object);
    let guard = SIGNALS.lock();
    // SAFETY: thread objects are never freed; access is under `SIGNALS`.
    unsafe { (*object).Header.SignalState = 1 };
    drop(guard);
    CHANGED.notify_all();
}

fn checked<'e>(export: &'static str, event: *mut KEVENT) -> &'e mut KEVENT {
    // SAFETY: the driver's: a KEVENT in memory that stays; access is under `SIGNALS`.
    let event = unsafe { &mut *event };
    if event.Header.Lock != INITIALISED {
        violation(Rule::Object, export, format!("event {event:p}"), "not initialised", None);
    }
    event
}

/// The state of an event or a thread, under `SIGNALS`.
fn is_signalled(export: &'static str, object: *mut KEVENT) -> bool {
    // SAFETY: the driver's: an object in memory that stays.
    let header = unsafe { &(*object).Header };
    if header.Lock != THREAD {
        return checked(export, object).Header.SignalState != 0;
    }
    header.SignalState != 0
}

/// Initialises an event.
///
/// # Safety
/// `event` is writable and stays in place.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeInitializeEvent(event: *mut KEVENT, _kind: i32, state: BOOLEAN) {
    actor::simple_export_called();
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
    let _return = AtReturn;
    require_irql("KeSetEvent", if wait == 0 { 2 } else { 1 });
    let guard = SIGNALS.lock();
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
    let _return = AtReturn;
    require_irql("KeClearEvent", 2);
    let _guard = SIGNALS.lock();
    checked("KeClearEvent", event).Header.SignalState = 0;
}

/// Waits for an event or the end of a thread, without a timeout.
///
/// # Safety
/// `object` is an initialised event or a referenced thread.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeWaitForSingleObject(
    object: PVOID,
    _reason: i32,
    _mode: i8,
    _alertable: BOOLEAN,
    timeout: *mut LARGE_INTEGER,
) -> NTSTATUS {
    let export = "KeWaitForSingleObject";
    let _return = AtReturn;
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
    // A system thread may have nothing to do for as long as it pleases.
    let endless = processor::is_system_thread();
    let wait_max = crate::host::state().wait_max;
    if world::is_on() {
        simulated_wait(export, event, endless);
        return STATUS_SUCCESS;
    }
    let start = Instant::now();
    let mut guard = SIGNALS.lock();
    while !is_signalled(export, event) {
        let left = wait_max.saturating_sub(start.elapsed());
        CHANGED.wait_for(&mut guard, if endless { wait_max } else { left });
        if !endless && start.elapsed() >= wait_max && !is_signalled(export, event) {
            drop(guard);
            never(export, event);
        }
    }
    STATUS_SUCCESS
}

/// Reports a wait that has taken too long.
fn never(export: &'static str, event: *mut KEVENT) -> ! {
    let wait_max = crate::host::state().wait_max;
    let (sockets, _) = crate::wsk::slots::open();
    let detail = format!("not signalled for {wait_max:?}; {sockets} sockets are open");
    violation(Rule::Wait, export, format!("event {event:p}"), detail, None)
}

fn simulated_wait(export: &'static str, event: *mut KEVENT, endless: bool) {
    let wait_max = u64::try_from(crate::host::state().wait_max.as_nanos() / 100);
    let until = super::time::now().saturating_add(wait_max.unwrap_or(u64::MAX));
    let until = if endless { u64::MAX } else { until };
    while !is_signalled(export, event) {
        if super::time::now() >= until {
            never(export, event);
        }
        actor::pause(Wait::Object { object: event.expose_provenance(), until });
    }
}

/// True when the event or thread at `object` is signalled.
pub(crate) fn is_set(object: usize) -> bool {
    let object: *mut KEVENT = core::ptr::with_exposed_provenance_mut(object);
    // SAFETY: an actor waits for it, so the driver keeps it.
    unsafe { (*object).Header.SignalState != 0 }
}
