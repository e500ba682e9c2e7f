//! Interruptions between two instructions of the driver.
//!
//! A switch at the call of an export leaves the code between two calls whole. So now and then the
//! processor's trap flag is set when the driver begins to run, and after a number of instructions
//! that the seed says another actor goes on. Only the driver's own instructions are counted. It is
//! never interrupted inside the host: the next call of an export disarms it, and so does whoever
//! called the driver, when it returns. An accept event that is watched (`offer`) is followed so
//! until it has written where its connection's events go.
use std::arch::asm;
use std::cell::Cell;
use std::ops::Range;

use libc::{REG_EFL, REG_RIP, SA_NODEFER, SA_SIGINFO};
use libc::{SIGABRT, SIGBUS, SIGSEGV, SIGTRAP, SIGVTALRM};
use libc::{c_int, c_void, siginfo_t, ucontext_t};

use super::actor::{self, pause};
use super::freedom::Freedom;
use super::world::{is_on, with};
use super::{indication, offer};
use crate::verifier::{Rule, violation};

/// The trap flag.
const TRAP: u64 = 1 << 8;
/// Seconds of processor time that one machine may take.
const RUN_MAX_SECONDS: i64 = 20;
/// Instructions until an interruption, at most, as a power of two.
const STEPS_MAX_LOG: u64 = 8;

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static LEFT: Cell<u64> = const { Cell::new(0) };
    /// Where an image of a driver is mapped.
    static IMAGE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

unsafe extern "C" {
    /// The start of this executable, as the linker has it.
    static __executable_start: u8;
    /// The end of its code.
    static etext: u8;
}

/// An image is mapped at these addresses.
pub(crate) fn image_is_at(range: Range<usize>) {
    IMAGE.set((range.start, range.end));
}

/// The driver is about to run: it may be interrupted before it calls an export.
#[inline]
pub(crate) fn arm() {
    if is_on() {
        if offer::watch() {
            return set_trap(u64::MAX);
        }
        let thread = actor::is_passive_thread();
        arm_if(if thread { Freedom::ThreadInterrupted } else { Freedom::Interrupted });
    }
}

/// The same, where somebody is in the middle of a call on the same socket: more is likely to go
/// wrong here.
#[inline]
pub(crate) fn arm_in_collision() {
    if is_on() {
        arm_if(Freedom::InterruptedInCollision);
    }
}

#[cold]
fn arm_if(freedom: Freedom) {
    offer::watch_nothing();
    if with(|world| world.take(freedom)) {
        set_trap(with(|world| {
            let most = 1 << world.random.within(1, STEPS_MAX_LOG);
            world.random.within(0, most)
        }));
    }
}

/// An interruption after so many instructions, or as soon as a watched accept event has written.
fn set_trap(steps: u64) {
    LEFT.set(steps);
    ARMED.set(true);
    // SAFETY: sets the trap flag; `on_trap` is there, and clears it.
    unsafe {
        asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq");
    }
}

/// The host runs again.
pub(crate) fn disarm() {
    // The next trap, if there is one, clears the flag.
    ARMED.set(false);
}

/// An export that returns to the driver, which is a moment for a switch like its call: made first,
/// so dropped last.
pub(crate) struct AtReturn;

impl Drop for AtReturn {
    #[inline]
    fn drop(&mut self) {
        if is_on() {
            actor::preempt(Freedom::PreemptedAtReturn);
            arm();
        }
    }
}

/// Handles the traps of this thread's machine, and reports when the driver faults, panics or never
/// ends.
pub(super) fn begin() {
    let handlers: [(c_int, usize); 5] = [
        (SIGVTALRM, on_alarm as *const () as usize),
        (SIGABRT, on_abort as *const () as usize),
        (SIGTRAP, on_trap as *const () as usize),
        (SIGSEGV, on_fault as *const () as usize),
        (SIGBUS, on_fault as *const () as usize),
    ];
    for (signal, handler) in handlers {
        // SAFETY: plain data for which zero is valid.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = handler;
        // On the stack of the actor: it may be left by a switch and come back.
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        // SAFETY: a handler of the right type; the old one is of no interest.
        unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) };
    }
    set_alarm(RUN_MAX_SECONDS);
}

/// The machine has ended.
pub(super) fn end() {
    set_alarm(0);
}

/// An alarm after so many seconds of this process's own time; 0 for none.
fn set_alarm(seconds: i64) {
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let value = libc::timeval { tv_sec: seconds, tv_usec: 0 };
    let timer = libc::itimerval { it_interval: never, it_value: value };
    // SAFETY: the value is valid for the call; the old one is of no interest.
    unsafe { libc::setitimer(libc::ITIMER_VIRTUAL, &raw const timer, core::ptr::null_mut()) };
}

extern "C" fn on_alarm(_signal: c_int, _info: *mut siginfo_t, _context: *mut c_void) {
    super::fail(&format!("after {RUN_MAX_SECONDS} s the machine still runs: an endless loop"));
}

extern "C" fn on_abort(_signal: c_int, _info: *mut siginfo_t, _context: *mut c_void) {
    super::fail("a panic that cannot unwind, whose message is above");
}

fn is_counted(address: usize) -> bool {
    let from = (&raw const __executable_start).addr();
    let to = (&raw const etext).addr();
    let (image, end) = IMAGE.get();
    (from..to).contains(&address) || (image..end).contains(&address)
}

extern "C" fn on_trap(_signal: c_int, _info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's, valid for the call.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    let address = registers[REG_RIP as usize].cast_unsigned() as usize;
    if ARMED.get() {
        // What a library does, such as a copy, may take more or fewer steps in another process.
        if !is_counted(address) {
            return;
        }
        let is_complete = offer::is_complete();
        if let Some(left) = LEFT.get().checked_sub(1).filter(|_| !is_complete) {
            LEFT.set(left);
            return;
        }
    }
    registers[REG_EFL as usize] &= !TRAP.cast_signed();
    if ARMED.replace(false) {
        if offer::is_complete() {
            return offer::tell();
        }
        with(|world| world.note("interrupted", 0, 0));
        pause(actor::while_away());
    }
}

extern "C" fn on_fault(_signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel's, valid for the call.
    let registers = unsafe { (*context.cast::<ucontext_t>()).uc_mcontext.gregs };
    // SAFETY: as above.
    let info = unsafe { &*info };
    // SAFETY: a fault has an address.
    let address = unsafe { info.si_addr() };
    let at = registers[REG_RIP as usize];
    if is_on()
        && let Some(detail) = indication::wrong_with(address)
    {
        let object = format!("indicated memory at {address:p}, by the instruction at {at:#x}");
        violation(Rule::Indication, "WskReceiveEvent", object, detail, None);
    }
    super::fail(&format!("a fault at instruction {at:#x} for address {address:p}"));
}
