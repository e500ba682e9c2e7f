//! Base types, status codes and counted strings (`ntdef.h`, `ntstatus.h`).
use core::ffi::c_void;

/// Untyped pointer.
pub type PVOID = *mut c_void;
/// Kernel handle.
pub type HANDLE = PVOID;
/// Result of every kernel call; negative values are failures.
pub type NTSTATUS = i32;
/// Interrupt request level: 0 PASSIVE, 1 APC, 2 DISPATCH.
pub type KIRQL = u8;
/// One-octet boolean.
pub type BOOLEAN = u8;

/// `PASSIVE_LEVEL`.
pub const PASSIVE_LEVEL: KIRQL = 0;
/// `DISPATCH_LEVEL`.
pub const DISPATCH_LEVEL: KIRQL = 2;

macro_rules! status {
    ($($name:ident = $value:literal),* $(,)?) => {
        $(
            #[doc = concat!("NTSTATUS ", stringify!($value), ".")]
            pub const $name: NTSTATUS = u32::cast_signed($value);
        )*
        /// All of them, and their names in the same order: a third of what a `match` is in an
        /// image.
        const STATUSES: &[NTSTATUS] = &[$($name),*];
        const NAMES: &str = concat!($(stringify!($name), "\n"),*);
    };
}

status! {
    STATUS_SUCCESS = 0x0000_0000,
    STATUS_PENDING = 0x0000_0103,
    STATUS_TIMEOUT = 0x0000_0102,
    STATUS_EVENT_PENDING = 0x4000_0013,
    STATUS_BUFFER_OVERFLOW = 0x8000_0005,
    STATUS_UNSUCCESSFUL = 0xC000_0001,
    STATUS_NOT_IMPLEMENTED = 0xC000_0002,
    STATUS_INVALID_HANDLE = 0xC000_0008,
    STATUS_INVALID_PARAMETER = 0xC000_000D,
    STATUS_INVALID_DEVICE_REQUEST = 0xC000_0010,
    STATUS_END_OF_FILE = 0xC000_0011,
    STATUS_MORE_PROCESSING_REQUIRED = 0xC000_0016,
    STATUS_ACCESS_DENIED = 0xC000_0022,
    STATUS_BUFFER_TOO_SMALL = 0xC000_0023,
    STATUS_OBJECT_TYPE_MISMATCH = 0xC000_0024,
    STATUS_OBJECT_NAME_NOT_FOUND = 0xC000_0034,
    STATUS_OBJECT_NAME_COLLISION = 0xC000_0035,
    STATUS_REVISION_MISMATCH = 0xC000_0059,
    STATUS_INSUFFICIENT_RESOURCES = 0xC000_009A,
    STATUS_DEVICE_NOT_READY = 0xC000_00A3,
    STATUS_IO_TIMEOUT = 0xC000_00B5,
    STATUS_FILE_FORCED_CLOSED = 0xC000_00B6,
    STATUS_FILE_IS_A_DIRECTORY = 0xC000_00BA,
    STATUS_NOT_SUPPORTED = 0xC000_00BB,
    STATUS_REQUEST_NOT_ACCEPTED = 0xC000_00D0,
    STATUS_CANCELLED = 0xC000_0120,
    STATUS_FILE_CORRUPT_ERROR = 0xC000_0102,
    STATUS_LOCAL_DISCONNECT = 0xC000_013B,
    STATUS_REMOTE_DISCONNECT = 0xC000_013C,
    STATUS_INVALID_DEVICE_STATE = 0xC000_0184,
    STATUS_INVALID_ADDRESS_COMPONENT = 0xC000_0207,
    STATUS_TOO_MANY_ADDRESSES = 0xC000_0209,
    STATUS_ADDRESS_ALREADY_EXISTS = 0xC000_020A,
    STATUS_CONNECTION_DISCONNECTED = 0xC000_020C,
    STATUS_CONNECTION_RESET = 0xC000_020D,
    STATUS_DATA_NOT_ACCEPTED = 0xC000_021B,
    STATUS_NOT_FOUND = 0xC000_0225,
    STATUS_RETRY = 0xC000_022D,
    STATUS_CONNECTION_ABORTED = 0xC000_0241,
    STATUS_NOINTERFACE = 0xC000_02B9,
}

/// The C name of a status, for logs and reports.
pub fn status_name(status: NTSTATUS) -> Option<&'static str> {
    let at = STATUSES.iter().position(|known| *known == status)?;
    let name = NAMES.as_bytes().split(|octet| *octet == b'\n').nth(at)?;
    core::str::from_utf8(name).ok()
}

/// `NT_SUCCESS`: success and informational statuses.
pub const fn NT_SUCCESS(status: NTSTATUS) -> bool {
    status >= 0
}

/// `UNICODE_STRING`: counted UTF-16, lengths in octets, not terminated.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct UNICODE_STRING {
    /// Octets used.
    pub Length: u16,
    /// Octets available.
    pub MaximumLength: u16,
    /// First code unit.
    pub Buffer: *mut u16,
}
layout!(UNICODE_STRING: 16, Buffer @ 8);

/// `LIST_ENTRY`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LIST_ENTRY {
    /// Next entry.
    pub Flink: *mut LIST_ENTRY,
    /// Previous entry.
    pub Blink: *mut LIST_ENTRY,
}
layout!(LIST_ENTRY: 16);

/// `LARGE_INTEGER`, as far as `QuadPart`.
#[repr(C)]
#[derive(Clone, Copy)]
pub union LARGE_INTEGER {
    /// The 64-bit value.
    pub QuadPart: i64,
}
layout!(LARGE_INTEGER: 8);

/// `GUID`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GUID {
    /// First group.
    pub Data1: u32,
    /// Second group.
    pub Data2: u16,
    /// Third group.
    pub Data3: u16,
    /// The last eight octets.
    pub Data4: [u8; 8],
}
layout!(GUID: 16);

/// `OBJECT_ATTRIBUTES`.
#[repr(C)]
pub struct OBJECT_ATTRIBUTES {
    /// Size of this structure.
    pub Length: u32,
    /// Directory the name is relative to, or null.
    pub RootDirectory: HANDLE,
    /// Name.
    pub ObjectName: *mut UNICODE_STRING,
    /// `OBJ_*` flags.
    pub Attributes: u32,
    /// Null: the default descriptor.
    pub SecurityDescriptor: PVOID,
    /// Unused by drivers.
    pub SecurityQualityOfService: PVOID,
}
layout!(OBJECT_ATTRIBUTES: 48, ObjectName @ 16, Attributes @ 24);

/// `OBJ_CASE_INSENSITIVE`.
pub const OBJ_CASE_INSENSITIVE: u32 = 0x40;
/// `OBJ_KERNEL_HANDLE`: the handle belongs to the system process.
pub const OBJ_KERNEL_HANDLE: u32 = 0x200;
/// `OBJ_FORCE_ACCESS_CHECK`: opened with the rights of the thread that opens it.
pub const OBJ_FORCE_ACCESS_CHECK: u32 = 0x400;

/// `IO_STATUS_BLOCK`; `Status` shares eight octets with a pointer in C.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct IO_STATUS_BLOCK {
    /// Result.
    pub Status: NTSTATUS,
    /// Meaning depends on the request.
    pub Information: usize,
}
layout!(IO_STATUS_BLOCK: 16, Information @ 8);
