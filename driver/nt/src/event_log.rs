//! The system's event log: why the driver does not start, for those who have no debugger.
use core::fmt::{self, Write};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

use nt_sys::io::{
    self, DRIVER_OBJECT, ERROR_LOG_MAXIMUM_SIZE, IO_ERR_CONFIGURATION_ERROR, IO_ERROR_LOG_PACKET,
};
use nt_sys::ntdef::LARGE_INTEGER;

use crate::Status;

/// Where the text begins.
#[allow(clippy::cast_possible_truncation)] // it is 48
const TEXT_OFFSET: u16 = size_of::<IO_ERROR_LOG_PACKET>() as u16;
/// Code units of the text with its terminator; longer ones are cut.
const TEXT_UNITS_MAX: usize = (ERROR_LOG_MAXIMUM_SIZE as usize - TEXT_OFFSET as usize) / 2;

/// Whose entries are written. G1: null, or the driver object, which stays while the driver is
/// loaded.
static DRIVER: AtomicPtr<DRIVER_OBJECT> = AtomicPtr::new(core::ptr::null_mut());

/// Entries are the driver's from now on.
pub(crate) fn belongs_to(driver: *mut DRIVER_OBJECT) {
    DRIVER.store(driver, Ordering::Relaxed);
}

/// An entry that is being written. G2: it has `ERROR_LOG_MAXIMUM_SIZE` octets, ours until it is
/// given to the I/O manager.
struct Entry {
    place: NonNull<u8>,
    units: usize,
}

impl Write for Entry {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for unit in text.encode_utf16() {
            if self.units < TEXT_UNITS_MAX - 1 {
                self.put(unit);
                self.units += 1;
            }
        }
        Ok(())
    }
}

impl Entry {
    /// Behind the units so far, of which there are less than `TEXT_UNITS_MAX`.
    fn put(&self, unit: u16) {
        // SAFETY: G2; the text ends with the entry.
        let place = unsafe { self.place.add(usize::from(TEXT_OFFSET) + self.units * 2) };
        // SAFETY: as above, and even.
        unsafe { place.cast::<u16>().write(unit) };
    }
}

/// Says why the driver does not start: in the event log, as far as it fits, and as
/// [`log()`](crate::log()) does. IRQL <= DISPATCH.
#[cold]
#[inline(never)]
pub fn log_refusal(status: Status, message: fmt::Arguments<'_>) {
    crate::log(message);
    let driver = DRIVER.load(Ordering::Relaxed).cast();
    // SAFETY: G1.
    let place = unsafe { io::IoAllocateErrorLogEntry(driver, ERROR_LOG_MAXIMUM_SIZE) };
    let Some(place) = NonNull::new(place.cast::<u8>()) else { return };
    let mut entry = Entry { place, units: 0 };
    // Writing to an entry never fails: it cuts.
    let _ = entry.write_fmt(message);
    entry.put(0);
    let packet = IO_ERROR_LOG_PACKET {
        MajorFunctionCode: 0,
        RetryCount: 0,
        DumpDataSize: 0,
        NumberOfStrings: 1,
        StringOffset: TEXT_OFFSET,
        EventCategory: 0,
        ErrorCode: IO_ERR_CONFIGURATION_ERROR,
        UniqueErrorValue: 0,
        FinalStatus: status.raw(),
        SequenceNumber: 0,
        IoControlCode: 0,
        DeviceOffset: LARGE_INTEGER { QuadPart: 0 },
        DumpData: [0],
    };
    // SAFETY: G2; pool is aligned for it.
    unsafe { place.cast().write(packet) };
    // SAFETY: allocated above, written whole, used no more.
    unsafe { io::IoWriteErrorLogEntry(place.as_ptr().cast()) };
}
