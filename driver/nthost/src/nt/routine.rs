//! Looking exports up by name.
use nt_sys::ntdef::{PVOID, UNICODE_STRING};

use super::handle::text;
use crate::exports::EXPORTS;
use crate::host::state;
use crate::processor::require_irql;

/// The address of an export of the kernel; null when it has none of that name.
///
/// # Safety
/// `name` is a valid UNICODE_STRING.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn MmGetSystemRoutineAddress(name: *mut UNICODE_STRING) -> PVOID {
    require_irql("MmGetSystemRoutineAddress", 0);
    // SAFETY: the caller's.
    let name = unsafe { text(name) };
    let mut exports = EXPORTS.iter().filter(|export| export.module == "ntoskrnl.exe");
    let found = exports.find(|export| export.name == name && !state().absent.contains(&name));
    found.map_or(core::ptr::null_mut(), |export| {
        core::ptr::with_exposed_provenance_mut((export.address)())
    })
}
