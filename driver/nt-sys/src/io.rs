//! I/O manager: IRPs, MDL allocation, driver and device objects (`Io*`).
pub use crate::declared::io::*;
use crate::ntdef::{NTSTATUS, PVOID};
use crate::own;

/// Inline in the WDK: the stack location of the driver that owns the IRP now.
///
/// # Safety
/// `irp` is an initialised IRP that the caller owns.
pub unsafe fn IoGetCurrentIrpStackLocation(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    let irp = irp.cast::<own::io::IRP>();
    // SAFETY: the caller's: `irp` is initialised; both declarations have one layout.
    unsafe { (*irp).CurrentStackLocation }.cast()
}

/// Inline in the WDK: the stack location that the next lower driver will see.
///
/// # Safety
/// `irp` is an initialised IRP that the caller owns.
pub unsafe fn IoGetNextIrpStackLocation(irp: *mut IRP) -> *mut IO_STACK_LOCATION {
    // SAFETY: the caller's.
    let current = unsafe { IoGetCurrentIrpStackLocation(irp) };
    current.wrapping_sub(1)
}

/// Inline in the WDK: sets the routine for success, error and cancel.
///
/// # Safety
/// `irp` is an initialised IRP with a free stack location that the caller owns.
pub unsafe fn IoSetCompletionRoutine(
    irp: *mut IRP,
    routine: IO_COMPLETION_ROUTINE,
    context: PVOID,
) {
    // SAFETY: the caller's.
    let next = unsafe { IoGetNextIrpStackLocation(irp) };
    // SAFETY: the caller's: the stack location exists and is free.
    let next = unsafe { &mut *next };
    next.CompletionRoutine = routine;
    next.Context = context;
    next.Control = SL_INVOKE_ALWAYS;
}

/// `IoStatus` of a completed IRP: status and information.
///
/// # Safety
/// `irp` is completed, and not reused yet.
pub unsafe fn irp_outcome(irp: *const IRP) -> (NTSTATUS, usize) {
    let irp = irp.cast::<own::io::IRP>();
    // SAFETY: the caller's; both declarations have one layout.
    let block = unsafe { (*irp).IoStatus };
    (block.Status, block.Information)
}

/// Sets `IoStatus` of an IRP that is to be completed.
///
/// # Safety
/// The caller owns `irp`.
pub unsafe fn set_irp_outcome(irp: *mut IRP, status: NTSTATUS, information: usize) {
    let irp = irp.cast::<own::io::IRP>();
    // SAFETY: the caller's; both declarations have one layout.
    unsafe { (*irp).IoStatus.Status = status };
    // SAFETY: as above.
    unsafe { (*irp).IoStatus.Information = information };
}

/// `AssociatedIrp.SystemBuffer` of a METHOD_BUFFERED request.
///
/// # Safety
/// The caller owns `irp`.
pub unsafe fn irp_system_buffer(irp: *const IRP) -> PVOID {
    let irp = irp.cast::<own::io::IRP>();
    // SAFETY: the caller's; both declarations have one layout.
    unsafe { (*irp).SystemBuffer }
}

/// What a device control request asks: octets of room for output, octets of input, code.
///
/// # Safety
/// `location` is the stack location of an IRP_MJ_DEVICE_CONTROL that the caller owns.
#[allow(clippy::cast_possible_truncation)] // ULONGs, each at the start of eight octets
pub unsafe fn device_io_control(location: *const IO_STACK_LOCATION) -> (u32, u32, u32) {
    let location = location.cast::<own::io::IO_STACK_LOCATION>();
    // SAFETY: the caller's; both declarations have one layout.
    let [output, input, code, _] = unsafe { (*location).Parameters };
    (output as u32, input as u32, code as u32)
}
