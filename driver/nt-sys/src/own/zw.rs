//! Registry and files (`Zw*`), all at PASSIVE_LEVEL.
use super::ntdef::{
    HANDLE, IO_STATUS_BLOCK, LARGE_INTEGER, NTSTATUS, OBJECT_ATTRIBUTES, PVOID, UNICODE_STRING,
};

/// `KEY_READ`.
pub const KEY_READ: u32 = 0x2_0019;
/// `KeyValuePartialInformation`.
pub const KeyValuePartialInformation: i32 = 2;
/// `REG_SZ`.
pub const REG_SZ: u32 = 1;
/// `REG_EXPAND_SZ`.
pub const REG_EXPAND_SZ: u32 = 2;
/// `REG_DWORD`.
pub const REG_DWORD: u32 = 4;
/// `REG_MULTI_SZ`.
pub const REG_MULTI_SZ: u32 = 7;

/// `KEY_VALUE_PARTIAL_INFORMATION`; the data follows.
#[repr(C)]
pub struct KEY_VALUE_PARTIAL_INFORMATION {
    /// Zero.
    pub TitleIndex: u32,
    /// `REG_*`.
    pub Type: u32,
    /// Octets of data.
    pub DataLength: u32,
    /// First octet of the data.
    pub Data: [u8; 1],
}
layout!(KEY_VALUE_PARTIAL_INFORMATION: 16, DataLength @ 8, Data @ 12);

/// `FILE_STANDARD_INFORMATION`.
#[repr(C)]
pub struct FILE_STANDARD_INFORMATION {
    /// Octets allocated.
    pub AllocationSize: LARGE_INTEGER,
    /// Octets of the file.
    pub EndOfFile: LARGE_INTEGER,
    /// Links.
    pub NumberOfLinks: u32,
    /// To be deleted.
    pub DeletePending: u8,
    /// A directory.
    pub Directory: u8,
}
layout!(FILE_STANDARD_INFORMATION: 24, EndOfFile @ 8);

/// `FileStandardInformation`.
pub const FileStandardInformation: i32 = 5;
/// `FILE_GENERIC_READ`.
pub const FILE_GENERIC_READ: u32 = 0x12_0089;
/// `FILE_SHARE_READ`.
pub const FILE_SHARE_READ: u32 = 1;
/// `FILE_OPEN`: fails unless the file exists.
pub const FILE_OPEN: u32 = 1;
/// `FILE_SYNCHRONOUS_IO_NONALERT | FILE_NON_DIRECTORY_FILE`.
pub const FILE_SYNCHRONOUS_PLAIN: u32 = 0x20 | 0x40;

/// Runs when a file operation is over; unused.
pub type IO_APC_ROUTINE = crate::callback!((PVOID, *mut IO_STATUS_BLOCK, u32));

/// `WRITE_DAC`.
pub const WRITE_DAC: u32 = 0x4_0000;
/// `DACL_SECURITY_INFORMATION`.
pub const DACL_SECURITY_INFORMATION: u32 = 4;

import! {
    /// The kind of information that is in the descriptor is the second argument.
    fn ZwSetSecurityObject(handle: HANDLE, information: u32, descriptor: PVOID) -> NTSTATUS;
    /// Opens a registry key.
    fn ZwOpenKey(key: *mut HANDLE, access: u32, attributes: *mut OBJECT_ATTRIBUTES) -> NTSTATUS;
    /// Reads a value; STATUS_BUFFER_OVERFLOW when the data does not fit.
    fn ZwQueryValueKey(key: HANDLE, name: *mut UNICODE_STRING, class: i32, information: PVOID,
        octets: u32, needed: *mut u32) -> NTSTATUS;
    /// Closes a handle.
    fn ZwClose(handle: HANDLE) -> NTSTATUS;
    /// Opens a file.
    fn ZwCreateFile(file: *mut HANDLE, access: u32, attributes: *mut OBJECT_ATTRIBUTES,
        status: *mut IO_STATUS_BLOCK, size: *mut LARGE_INTEGER, file_attributes: u32, share: u32,
        disposition: u32, options: u32, ea: PVOID, ea_octets: u32) -> NTSTATUS;
    /// Reads at `offset`.
    fn ZwReadFile(file: HANDLE, event: HANDLE, apc: IO_APC_ROUTINE, context: PVOID,
        status: *mut IO_STATUS_BLOCK, buffer: PVOID, octets: u32, offset: *mut LARGE_INTEGER,
        key: *mut u32) -> NTSTATUS;
    /// Queries a file.
    fn ZwQueryInformationFile(file: HANDLE, status: *mut IO_STATUS_BLOCK, information: PVOID,
        octets: u32, class: i32) -> NTSTATUS;
}
