//! Base types, status codes and counted strings (`ntdef.h`, `ntstatus.h`).
pub use crate::declared::ntdef::*;
use crate::own;

/// `Information` of a status block.
pub fn io_information(block: &IO_STATUS_BLOCK) -> usize {
    let block = core::ptr::from_ref(block).cast::<own::ntdef::IO_STATUS_BLOCK>();
    // SAFETY: a reference; both declarations have one layout.
    unsafe { (*block).Information }
}
