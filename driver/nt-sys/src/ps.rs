//! Threads and object references (`Ps*`, `Ob*`).
pub use crate::declared::ps::*;
use crate::ntdef::{HANDLE, NTSTATUS, PVOID};

/// `ObOpenObjectByPointer`: in ntifs.h.
pub type OB_OPEN_OBJECT_BY_POINTER =
    crate::callback!((PVOID, u32, PVOID, u32, PVOID, i8, *mut HANDLE) -> NTSTATUS);
