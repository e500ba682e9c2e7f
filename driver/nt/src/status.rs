//! NTSTATUS as an error.
use core::fmt;

use nt_sys::ntdef::{self, NT_SUCCESS, NTSTATUS};

/// A failed NTSTATUS; success is `Ok`, never a status somebody forgot to compare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(NTSTATUS);

/// What kernel calls return here.
pub type Result<T> = core::result::Result<T, Status>;

impl Status {
    /// `STATUS_UNSUCCESSFUL`.
    pub const UNSUCCESSFUL: Status = Status(ntdef::STATUS_UNSUCCESSFUL);
    /// `STATUS_INVALID_PARAMETER`.
    pub const INVALID_PARAMETER: Status = Status(ntdef::STATUS_INVALID_PARAMETER);
    /// `STATUS_INVALID_DEVICE_REQUEST`.
    pub const INVALID_DEVICE_REQUEST: Status = Status(ntdef::STATUS_INVALID_DEVICE_REQUEST);
    /// `STATUS_INVALID_DEVICE_STATE`.
    pub const INVALID_DEVICE_STATE: Status = Status(ntdef::STATUS_INVALID_DEVICE_STATE);
    /// `STATUS_NOT_SUPPORTED`.
    pub const NOT_SUPPORTED: Status = Status(ntdef::STATUS_NOT_SUPPORTED);
    /// `STATUS_BUFFER_TOO_SMALL`.
    pub const BUFFER_TOO_SMALL: Status = Status(ntdef::STATUS_BUFFER_TOO_SMALL);
    /// `STATUS_INSUFFICIENT_RESOURCES`.
    pub const INSUFFICIENT_RESOURCES: Status = Status(ntdef::STATUS_INSUFFICIENT_RESOURCES);
    /// `STATUS_OBJECT_NAME_NOT_FOUND`.
    pub const OBJECT_NAME_NOT_FOUND: Status = Status(ntdef::STATUS_OBJECT_NAME_NOT_FOUND);
    /// `STATUS_OBJECT_TYPE_MISMATCH`.
    pub const OBJECT_TYPE_MISMATCH: Status = Status(ntdef::STATUS_OBJECT_TYPE_MISMATCH);
    /// `STATUS_FILE_CORRUPT_ERROR`.
    pub const FILE_CORRUPT_ERROR: Status = Status(ntdef::STATUS_FILE_CORRUPT_ERROR);
    /// `STATUS_ADDRESS_ALREADY_EXISTS`.
    pub const ADDRESS_ALREADY_EXISTS: Status = Status(ntdef::STATUS_ADDRESS_ALREADY_EXISTS);
    /// `STATUS_ACCESS_DENIED`.
    pub const ACCESS_DENIED: Status = Status(ntdef::STATUS_ACCESS_DENIED);
    /// `STATUS_NOT_FOUND`.
    pub const NOT_FOUND: Status = Status(ntdef::STATUS_NOT_FOUND);
    /// `STATUS_REVISION_MISMATCH`.
    pub const REVISION_MISMATCH: Status = Status(ntdef::STATUS_REVISION_MISMATCH);
    /// `STATUS_INVALID_ADDRESS_COMPONENT`.
    pub const INVALID_ADDRESS_COMPONENT: Status = Status(ntdef::STATUS_INVALID_ADDRESS_COMPONENT);

    /// `Ok` for success and informational statuses.
    pub(crate) const fn check(status: NTSTATUS) -> Result<()> {
        if NT_SUCCESS(status) { Ok(()) } else { Err(Status(status)) }
    }

    /// The raw value.
    pub const fn raw(self) -> NTSTATUS {
        self.0
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ntdef::status_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#010x}", self.0),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
