//! System time and processors.
use std::time::{SystemTime, UNIX_EPOCH};

use nt_sys::ke::PROCESSOR_NUMBER;
use nt_sys::ntdef::LARGE_INTEGER;

use crate::processor;
use crate::sim::interrupt::AtReturn;
use crate::sim::{self, actor, world};

/// 100 ns from 1601 to 1970.
const UNIX_EPOCH_TICKS: u64 = 116_444_736_000_000_000;

/// When a simulated machine starts: 2024-01-01, 100 ns since 1970.
const SIMULATED_START: u64 = 1_704_067_200 * 10_000_000;

/// Nanoseconds since this computer started.
fn nanoseconds() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writable; this clock exists on every Linux, so the call does not fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// 100 ns since the machine started.
pub(crate) fn now() -> u64 {
    if world::is_on() {
        return world::with(|world| world.now());
    }
    nanoseconds() / 100
}

/// 100 ns since 1970.
fn since_unix_epoch() -> u64 {
    if world::is_on() {
        return SIMULATED_START + now();
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos() / 100).unwrap_or(0)
}

/// The time, 100 ns since 1601.
///
/// # Safety
/// `now` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeQuerySystemTimePrecise(now: *mut LARGE_INTEGER) {
    actor::simple_export_called();
    let ticks = since_unix_epoch() + UNIX_EPOCH_TICKS;
    let value = LARGE_INTEGER { QuadPart: ticks.cast_signed() };
    // SAFETY: the caller's.
    unsafe { now.write(value) };
}

/// The time of the last clock interrupt, 100 ns since 1601.
///
/// # Safety
/// `now` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeQuerySystemTime(now: *mut LARGE_INTEGER) {
    // SAFETY: the caller's.
    unsafe { KeQuerySystemTimePrecise(now) };
}

/// Counts since the machine started: nanoseconds, or the 100 ns of a simulated machine.
///
/// # Safety
/// `frequency` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeQueryPerformanceCounter(
    frequency: *mut LARGE_INTEGER,
) -> LARGE_INTEGER {
    actor::simple_export_called();
    // Not the clock's 100 ns, so that who takes one for the other is seen.
    let (count, per_second) =
        if world::is_on() { (now() * 12 / 5, 24_000_000) } else { (nanoseconds(), 1_000_000_000) };
    if !frequency.is_null() {
        // SAFETY: the caller's.
        unsafe { frequency.write(LARGE_INTEGER { QuadPart: per_second }) };
    }
    LARGE_INTEGER { QuadPart: count.cast_signed() }
}

/// Processors of the machine.
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeQueryActiveProcessorCountEx(_group: u16) -> u32 {
    actor::simple_export_called();
    u32::try_from(crate::host::state().processor_count).unwrap_or(1)
}

/// The processor that runs this code.
///
/// # Safety
/// `number` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeGetCurrentProcessorNumberEx(number: *mut PROCESSOR_NUMBER) -> u32 {
    // Called for every request: see the lists in `lookaside`.
    if world::is_on() {
        // SAFETY: the caller's.
        return unsafe { current_processor_simulated(number) };
    }
    // SAFETY: the caller's.
    unsafe { write_number(number, processor::index()) }
}

/// # Safety
/// As of [`KeGetCurrentProcessorNumberEx`].
#[inline]
unsafe fn write_number(number: *mut PROCESSOR_NUMBER, index: usize) -> u32 {
    if !number.is_null() {
        let value = PROCESSOR_NUMBER { Group: 0, Number: index as u8, Reserved: 0 };
        // SAFETY: the caller's.
        unsafe { number.write(value) };
    }
    index as u32
}

nt_sys::kernel_fn! {
    #[cold]
    unsafe fn current_processor_simulated(number: *mut PROCESSOR_NUMBER) -> u32 {
        let _return = AtReturn;
        actor::simple_export_called();
        let index = sim::current_processor().unwrap_or_else(processor::index);
        // SAFETY: the caller's.
        unsafe { write_number(number, index) }
    }
}
