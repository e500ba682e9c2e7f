//! Timers and their DPCs: all on processor 0, or, simulated, on any.
use parking_lot::Mutex;

use nt_sys::ke::{KDEFERRED_ROUTINE, KDPC, KTIMER};
use nt_sys::ntdef::{BOOLEAN, DISPATCH_LEVEL, LARGE_INTEGER, PVOID};

use super::time::now;
use crate::ledger::Register;
use crate::processor::{self, Task, require_irql};
use crate::sim::actor::{self, Wait};
use crate::sim::{self, world};
use crate::verifier::{Rule, Site, violation};

pub(crate) static ARMED: Register = Register::new("timers");

struct Armed {
    timer: usize,
    dpc: usize,
    /// In the time of `now`.
    due: u64,
    /// In the same unit; 0 for once.
    period: u64,
}

static QUEUE: Mutex<Vec<Armed>> = Mutex::new(Vec::new());

/// Marks an initialised timer in its header.
const INITIALISED: i32 = 0x0054_4D52;

/// Initialises a timer.
///
/// # Safety
/// `timer` is writable and stays in place.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeInitializeTimer(timer: *mut KTIMER) {
    actor::simple_export_called();
    // SAFETY: the caller's.
    unsafe { (*timer).Header.Lock = INITIALISED };
}

/// Initialises a DPC.
///
/// # Safety
/// `dpc` is writable and stays in place.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeInitializeDpc(
    dpc: *mut KDPC,
    routine: KDEFERRED_ROUTINE,
    context: PVOID,
) {
    actor::simple_export_called();
    // SAFETY: the caller's.
    let dpc = unsafe { &mut *dpc };
    dpc.DeferredRoutine = routine;
    dpc.DeferredContext = context;
}

/// Arms a timer; true when it was armed before.
///
/// # Safety
/// Timer and DPC are initialised and stay in place until cancelled and flushed.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeSetTimerEx(
    timer: *mut KTIMER,
    due: LARGE_INTEGER,
    period: i32,
    dpc: *mut KDPC,
) -> BOOLEAN {
    let export = "KeSetTimerEx";
    require_irql(export, DISPATCH_LEVEL);
    // SAFETY: the caller's.
    if unsafe { (*timer).Header.Lock } != INITIALISED {
        violation(Rule::Object, export, format!("timer {timer:p}"), "not initialised", None);
    }
    // SAFETY: every bit pattern of the union is an i64.
    let due = unsafe { due.QuadPart };
    if due > 0 {
        violation(
            Rule::Flags,
            export,
            format!("timer {timer:p}"),
            "absolute time is not supported",
            None,
        );
    }
    let armed = Armed {
        timer: timer.addr(),
        dpc: dpc.expose_provenance(),
        due: now() + due.unsigned_abs(),
        period: u64::from(period.max(0).cast_unsigned()) * 10_000,
    };
    let mut queue = QUEUE.lock();
    let before = queue.len();
    queue.retain(|armed| armed.timer != timer.addr());
    let was_armed = queue.len() < before;
    queue.push(armed);
    drop(queue);
    ARMED.add(timer.addr(), Site::here(export));
    if !world::is_on() {
        crate::host::state().processor(0).wake();
    }
    BOOLEAN::from(was_armed)
}

/// Disarms a timer; true when it was armed.
///
/// # Safety
/// `timer` is initialised.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeCancelTimer(timer: *mut KTIMER) -> BOOLEAN {
    require_irql("KeCancelTimer", DISPATCH_LEVEL);
    let mut queue = QUEUE.lock();
    let at = queue.iter().position(|armed| armed.timer == timer.addr());
    let armed = at.map(|at| queue.swap_remove(at));
    drop(queue);
    if let Some(armed) = armed.filter(|armed| armed.dpc != 0) {
        sim::cancelled(armed.dpc);
    }
    BOOLEAN::from(ARMED.remove(timer.addr()).is_some())
}

/// Waits until DPCs that are queued or running are over.
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeFlushQueuedDpcs() {
    let export = "KeFlushQueuedDpcs";
    require_irql(export, 0);
    if processor::depth() > 0 {
        violation(Rule::WaitInCallback, export, "queued DPCs", processor::callback(), None);
    }
    if world::is_on() {
        return actor::pause(Wait::Dpcs);
    }
    for processor in &crate::host::state().processors {
        let (sender, receiver) = std::sync::mpsc::channel();
        processor.post(Task::Barrier(sender));
        // An error means that the processor has stopped: nothing runs there any more.
        let _ = receiver.recv();
    }
}

/// When the next timer is due.
pub(crate) fn next_due() -> Option<u64> {
    QUEUE.lock().iter().map(|armed| armed.due).min()
}

/// Takes the timers that are due: the addresses of their DPCs.
pub(crate) fn expire(now: u64) -> Vec<usize> {
    let mut dpcs = Vec::new();
    let mut queue = QUEUE.lock();
    queue.retain_mut(|armed| {
        if armed.due > now {
            return true;
        }
        if armed.dpc != 0 {
            dpcs.push(armed.dpc);
        }
        // A late timer skips what it missed, as the kernel's do.
        armed.due = now + armed.period;
        if armed.period == 0 {
            ARMED.remove(armed.timer);
        }
        armed.period != 0
    });
    dpcs
}

/// Runs a DPC.
pub(crate) fn run(dpc: usize) {
    let dpc: *mut KDPC = core::ptr::with_exposed_provenance_mut(dpc);
    // SAFETY: the driver keeps the DPC until cancelled and flushed, and the flush waits for this.
    let fields = unsafe { &*dpc };
    let (routine, context) = (fields.DeferredRoutine, fields.DeferredContext);
    if let Some(routine) = routine {
        let nothing = core::ptr::null_mut();
        processor::run("timer DPC", DISPATCH_LEVEL, || {
            // SAFETY: as given by the driver.
            unsafe { routine(dpc, context, nothing, nothing) };
        });
    }
}

pub(crate) fn reset() {
    QUEUE.lock().clear();
    ARMED.clear();
}
