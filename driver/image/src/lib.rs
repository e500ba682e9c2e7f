//! `wskhttpd.sys`: the entry that the I/O manager calls, and what becomes of a panic.
//!
//! For any target but Windows this crate is empty; `cargo xtask image` builds the image.
#![cfg(windows)]
#![no_std]

use core::panic::PanicInfo;

use nt_sys::io::DRIVER_OBJECT;
use nt_sys::ke::KeBugCheckEx;
use nt_sys::ntdef::{NTSTATUS, UNICODE_STRING};
use wskhttpd::WskHttpd;

/// Bug check code of a panic: "WPAN" as ASCII. The parameters are address and length of the
/// source file's name, line and column.
const PANIC_CODE: u32 = u32::from_be_bytes(*b"WPAN");

/// The driver's entry.
///
/// # Safety
/// Called by the I/O manager at PASSIVE_LEVEL with a new driver object and the path of the
/// service's key.
#[unsafe(export_name = "DriverEntry")]
pub unsafe extern "system" fn driver_entry(
    object: *mut DRIVER_OBJECT,
    path: *mut UNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the caller's.
    unsafe { nt::driver::entry::<WskHttpd>(object, path) }
}

/// A programmer's error: the machine stops, with the place in the parameters.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let (file, line, column) = match info.location() {
        Some(place) => (place.file(), place.line(), place.column()),
        None => ("", 0, 0),
    };
    nt::log(format_args!("panic at {file}:{line}:{column}"));
    // SAFETY: callable in any state; it does not return.
    unsafe {
        KeBugCheckEx(PANIC_CODE, file.as_ptr().addr(), file.len(), line as usize, column as usize)
    }
}

// With debug assertions a frame may exceed a page, for which compilers call this to touch the
// stack's guard page. Kernel stacks have none below: nothing to do, and no register may change.
#[cfg(all(debug_assertions, target_arch = "x86_64"))]
core::arch::global_asm!(".globl __chkstk", "__chkstk:", "ret");
