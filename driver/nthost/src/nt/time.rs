//! System time and processors.
use std::time::{SystemTime, UNIX_EPOCH};

use nt_sys::ke::PROCESSOR_NUMBER;
use nt_sys::ntdef::LARGE_INTEGER;

use crate::processor;

/// 100 ns from 1601 to 1970.
const UNIX_EPOCH_TICKS: u64 = 116_444_736_000_000_000;

/// The time, 100 ns since 1601.
///
/// # Safety
/// `now` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeQuerySystemTimePrecise(now: *mut LARGE_INTEGER) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ticks = u64::try_from(since.as_nanos() / 100).unwrap_or(0) + UNIX_EPOCH_TICKS;
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

/// Processors of the machine.
///
/// # Safety
/// None.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeQueryActiveProcessorCountEx(_group: u16) -> u32 {
    u32::try_from(crate::host::state().processors.len()).unwrap_or(1)
}

/// The processor that runs this code.
///
/// # Safety
/// `number` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeGetCurrentProcessorNumberEx(number: *mut PROCESSOR_NUMBER) -> u32 {
    let index = processor::index();
    if !number.is_null() {
        let value = PROCESSOR_NUMBER { Group: 0, Number: index as u8, Reserved: 0 };
        // SAFETY: the caller's.
        unsafe { number.write(value) };
    }
    index as u32
}
