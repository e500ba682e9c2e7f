//! Who may open a device.
//!
//! IoCreateDeviceSecure is in wdmsec.lib, not in the kernel; it opens the device object that
//! IoCreateDevice made and sets its descriptor, and so does this. Until the driver's entry returns
//! nobody can open the device, so there is no moment at which everybody may.
use nt_sys::io::DEVICE_OBJECT;
use nt_sys::ke;
use nt_sys::ntdef::OBJ_KERNEL_HANDLE;
use nt_sys::zw::{self, DACL_SECURITY_INFORMATION, WRITE_DAC};

use crate::{Passive, Result, Status, routines};

/// Octets of the list of [`DESCRIPTOR`]: its head, and an entry for each of two SIDs.
const LIST_BYTES: u32 = 8 + 20 + 24;
/// `GENERIC_ALL`.
const EVERYTHING: u32 = 0x1000_0000;
/// The NT authority, 5, as the two words of a SID before its parts; the lowest octets are the
/// revision and the number of parts.
const fn nt_authority(parts: u32) -> [u32; 2] {
    [1 | parts << 8, 5 << 24]
}

/// `D:P(A;;GA;;;SY)(A;;GA;;;BA)`: SYSTEM and Administrators may do everything, others nothing. A
/// self-relative SECURITY_DESCRIPTOR ([MS-DTYP] 2.4.6), which is little-endian words throughout.
static DESCRIPTOR: [u32; 18] = [
    // Revision 1; SE_SELF_RELATIVE, SE_DACL_PROTECTED and SE_DACL_PRESENT.
    1 | 0x9004 << 16,
    // No owner, no group, no system list; the list of rights is right behind.
    0,
    0,
    0,
    20,
    // ACL: revision 2, octets, entries.
    2 | LIST_BYTES << 16,
    2,
    // ACCESS_ALLOWED_ACE of 20 octets: S-1-5-18.
    20 << 16,
    EVERYTHING,
    nt_authority(1)[0],
    nt_authority(1)[1],
    18,
    // Of 24 octets: S-1-5-32-544.
    24 << 16,
    EVERYTHING,
    nt_authority(2)[0],
    nt_authority(2)[1],
    32,
    544,
];

/// Lets SYSTEM and Administrators open a device, and nobody else.
///
/// # Errors
/// `NOT_SUPPORTED` where the kernel lacks a function; what it said. The device is open to others
/// then, and must not stay.
///
/// # Safety
/// `device` is a device object of this driver, whose entry has not returned.
pub(crate) unsafe fn restrict(_passive: &Passive, device: *mut DEVICE_OBJECT) -> Result<()> {
    let (Some(open), Some(set)) = routines::security() else { return Err(Status::NOT_SUPPORTED) };
    let mut handle = core::ptr::null_mut();
    // SAFETY: PASSIVE_LEVEL; the object is the caller's, null is allowed where it is.
    let status = unsafe {
        open(
            device.cast(),
            OBJ_KERNEL_HANDLE,
            core::ptr::null_mut(),
            WRITE_DAC,
            core::ptr::null_mut(),
            ke::KernelMode,
            &raw mut handle,
        )
    };
    Status::check(status)?;
    let descriptor = core::ptr::from_ref(&DESCRIPTOR).cast_mut().cast();
    // SAFETY: PASSIVE_LEVEL; the descriptor is valid and only read.
    let status = unsafe { set(handle, DACL_SECURITY_INFORMATION, descriptor) };
    // SAFETY: PASSIVE_LEVEL; opened above, closed once.
    let _ = unsafe { zw::ZwClose(handle) };
    Status::check(status)
}
