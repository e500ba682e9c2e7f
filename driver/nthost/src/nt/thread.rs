//! System threads, and references to them.
use parking_lot::Mutex;
use std::collections::BTreeMap;

use nt_sys::ke::KEVENT;
use nt_sys::ntdef::{
    HANDLE, NTSTATUS, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, PASSIVE_LEVEL, PVOID,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS,
};
use nt_sys::ps::KSTART_ROUTINE;

use super::event;
use super::handle::{self, Target};
use crate::ledger::{Ledger, Register};
use crate::processor::{self, require_irql};
use crate::sim::freedom::Freedom;
use crate::sim::{actor, fault, world};
use crate::verifier::{Rule, Site, violation};

static THREADS: Register = Register::new("system threads");
static REFERENCES: Register = Register::new("thread references");
/// What threads were given, by object.
static PRIORITIES: Mutex<BTreeMap<usize, i32>> = Mutex::new(BTreeMap::new());
/// What a system thread has at first.
const PRIORITY: i32 = 8;

/// What the new thread is given.
struct Start {
    routine: KSTART_ROUTINE,
    context: PVOID,
    object: usize,
}
// SAFETY: the context is the driver's, given to the thread.
unsafe impl Send for Start {}

impl Start {
    fn run(self) {
        let Some(routine) = self.routine else { return };
        processor::this_is_a_system_thread();
        // SAFETY: the driver's routine, called once at PASSIVE_LEVEL with its context.
        unsafe { routine(self.context) };
        crate::sim::interrupt::disarm();
        if processor::irql() != PASSIVE_LEVEL {
            let detail = format!("ended at IRQL {}", processor::irql());
            violation(Rule::Irql, "PsCreateSystemThread", "a system thread", detail, None);
        }
        THREADS.remove(self.object);
        event::signal_thread(self.object);
    }
}

/// Starts a thread of the system process; it ends when its routine returns.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn PsCreateSystemThread(
    thread: *mut HANDLE,
    _access: u32,
    attributes: *mut OBJECT_ATTRIBUTES,
    process: HANDLE,
    client: PVOID,
    routine: KSTART_ROUTINE,
    context: PVOID,
) -> NTSTATUS {
    let export = "PsCreateSystemThread";
    require_irql(export, PASSIVE_LEVEL);
    // SAFETY: the caller's.
    let kernel = unsafe { (*attributes).Attributes } & OBJ_KERNEL_HANDLE != 0;
    if !kernel || !process.is_null() || !client.is_null() || routine.is_none() {
        let detail = "not a kernel handle, or not of the system process, or no routine";
        violation(Rule::Flags, export, "a thread", detail, None);
    }
    // Never freed: a late reference is a report.
    let object: &'static mut KEVENT = Box::leak(Box::new(event::thread_object()));
    let object = core::ptr::from_mut(object).expose_provenance();
    let start = Start { routine, context, object };
    if fault::fails(export, Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    THREADS.add(object, Site::here(export));
    let name = "system thread".to_owned();
    if world::is_on() {
        actor::spawn_thread(name, move || start.run());
    } else if std::thread::Builder::new().name(name).spawn(move || start.run()).is_err() {
        THREADS.remove(object);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller's.
    unsafe { thread.write(handle::open(export, Target::Thread(object))) };
    STATUS_SUCCESS
}

/// References what a handle names; threads only.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ObReferenceObjectByHandle(
    handle: HANDLE,
    _access: u32,
    _kind: PVOID,
    mode: i8,
    object: *mut PVOID,
    _information: PVOID,
) -> NTSTATUS {
    let export = "ObReferenceObjectByHandle";
    require_irql(export, PASSIVE_LEVEL);
    let Target::Thread(address) = handle::target(export, handle) else {
        violation(Rule::Handle, export, format!("handle {handle:p}"), "not a thread", None);
    };
    if mode != nt_sys::ke::KernelMode {
        violation(Rule::Flags, export, "the mode", mode, None);
    }
    if let Some(earlier) = REFERENCES.add(address, Site::here(export)) {
        // Allowed by NT; this host counts one.
        violation(Rule::Object, export, "a thread", "referenced twice", Some(earlier));
    }
    // SAFETY: the caller's.
    unsafe { object.write(core::ptr::with_exposed_provenance_mut(address)) };
    STATUS_SUCCESS
}

/// Gives a reference back.
///
/// # Safety
/// None: a wrong object is reported.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ObfDereferenceObject(object: PVOID) -> isize {
    let export = "ObfDereferenceObject";
    require_irql(export, 2);
    if REFERENCES.remove(object.addr()).is_none() {
        violation(Rule::Object, export, format!("{object:p}"), "not referenced", None);
    }
    0
}

/// Changes a thread's priority; it is noted, and no more.
///
/// # Safety
/// None: a wrong object is reported.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeSetPriorityThread(thread: PVOID, priority: i32) -> i32 {
    let export = "KeSetPriorityThread";
    require_irql(export, PASSIVE_LEVEL);
    if !REFERENCES.contains(thread.addr()) {
        violation(Rule::Object, export, format!("{thread:p}"), "not referenced", None);
    }
    if !(1..=31).contains(&priority) {
        violation(Rule::Flags, export, "the priority", priority, None);
    }
    PRIORITIES.lock().insert(thread.addr(), priority).unwrap_or(PRIORITY)
}

/// The priorities that threads were given.
pub(crate) fn priorities() -> Vec<i32> {
    PRIORITIES.lock().values().copied().collect()
}

pub(crate) fn reset() {
    PRIORITIES.lock().clear();
    THREADS.clear();
    REFERENCES.clear();
}

pub(crate) fn enter(ledger: &mut Ledger) {
    THREADS.enter(ledger);
    REFERENCES.enter(ledger);
}
