//! Registry and files (`Zw*`), all at PASSIVE_LEVEL.
pub use crate::declared::zw::*;
use crate::ntdef::{HANDLE, NTSTATUS, PVOID};

/// `ZwSetSecurityObject`: in ntifs.h.
pub type ZW_SET_SECURITY_OBJECT = crate::callback!((HANDLE, u32, PVOID) -> NTSTATUS);
