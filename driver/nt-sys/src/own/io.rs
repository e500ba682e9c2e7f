//! I/O manager: IRPs, MDL allocation, driver and device objects (`Io*`).
use super::mm::MDL;
use super::ntdef::{
    BOOLEAN, IO_STATUS_BLOCK, KIRQL, LARGE_INTEGER, LIST_ENTRY, NTSTATUS, PVOID, UNICODE_STRING,
};

/// Runs when an IRP completes, at IRQL <= DISPATCH, in any thread.
pub type IO_COMPLETION_ROUTINE =
    crate::callback!((*mut DEVICE_OBJECT, *mut IRP, PVOID) -> NTSTATUS);
/// Dispatch routine of a device.
pub type DRIVER_DISPATCH = crate::callback!((*mut DEVICE_OBJECT, *mut IRP) -> NTSTATUS);
/// Unload routine, called at PASSIVE_LEVEL.
pub type DRIVER_UNLOAD = crate::callback!((*mut DRIVER_OBJECT));

/// `IO_STACK_LOCATION`; `Parameters` as the four words of `DeviceIoControl`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_STACK_LOCATION {
    /// `IRP_MJ_*`.
    pub MajorFunction: u8,
    /// `IRP_MN_*`.
    pub MinorFunction: u8,
    /// Flags.
    pub Flags: u8,
    /// `SL_*`.
    pub Control: u8,
    /// Union of the parameters; see `DeviceIoControl*` for the one used here.
    pub Parameters: [usize; 4],
    /// Target.
    pub DeviceObject: *mut DEVICE_OBJECT,
    /// Open file.
    pub FileObject: PVOID,
    /// Completion routine of the level above.
    pub CompletionRoutine: IO_COMPLETION_ROUTINE,
    /// Its context.
    pub Context: PVOID,
}
layout!(IO_STACK_LOCATION: 72, Parameters @ 8, DeviceObject @ 40,
    CompletionRoutine @ 56, Context @ 64);

/// `IRP`, flattened: the names of the unions are left out.
#[repr(C)]
pub struct IRP {
    /// `IO_TYPE_IRP`, 6.
    pub Type: i16,
    /// Octets with the stack locations.
    pub Size: u16,
    /// `AllocationProcessorNumber` and padding.
    pub AllocationProcessorNumber: u32,
    /// Buffer of direct I/O.
    pub MdlAddress: *mut MDL,
    /// `IRP_*`.
    pub Flags: u32,
    /// `SystemBuffer` of METHOD_BUFFERED.
    pub SystemBuffer: PVOID,
    /// Internal.
    pub ThreadListEntry: LIST_ENTRY,
    /// Result.
    pub IoStatus: IO_STATUS_BLOCK,
    /// Mode.
    pub RequestorMode: i8,
    /// Set when the completing driver returned STATUS_PENDING.
    pub PendingReturned: BOOLEAN,
    /// Stack locations.
    pub StackCount: i8,
    /// 1-based; `StackCount + 1` while nobody below owns the IRP.
    pub CurrentLocation: i8,
    /// Cancelled.
    pub Cancel: BOOLEAN,
    /// Internal.
    pub CancelIrql: KIRQL,
    /// Internal.
    pub ApcEnvironment: i8,
    /// Internal.
    pub AllocationFlags: u8,
    /// Internal.
    pub UserIosb: PVOID,
    /// Internal.
    pub UserEvent: PVOID,
    /// Internal.
    pub Overlay: [usize; 2],
    /// Cancel routine.
    pub CancelRoutine: PVOID,
    /// Internal.
    pub UserBuffer: PVOID,
    /// Belongs to whoever owns the IRP.
    pub DriverContext: [PVOID; 4],
    /// Internal.
    pub Thread: PVOID,
    /// Internal.
    pub AuxiliaryBuffer: PVOID,
    /// Belongs to whoever owns the IRP.
    pub ListEntry: LIST_ENTRY,
    /// Current stack location.
    pub CurrentStackLocation: *mut IO_STACK_LOCATION,
    /// Internal.
    pub OriginalFileObject: PVOID,
    /// Internal.
    pub IrpExtension: PVOID,
}
layout!(IRP: 208, MdlAddress @ 8, SystemBuffer @ 24, IoStatus @ 48, PendingReturned @ 65,
    StackCount @ 66, CurrentLocation @ 67, DriverContext @ 120, CurrentStackLocation @ 184);

/// `IO_TYPE_IRP`.
pub const IO_TYPE_IRP: i16 = 6;
/// `SL_INVOKE_ON_CANCEL | SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR`.
pub const SL_INVOKE_ALWAYS: u8 = 0x20 | 0x40 | 0x80;
/// `SL_PENDING_RETURNED`.
pub const SL_PENDING_RETURNED: u8 = 0x01;
/// Octets of an IRP with one stack location: `IoSizeOfIrp(1)`.
pub const IRP_SIZE_ONE: u16 = 208 + 72;

/// `DEVICE_OBJECT`: drivers here only pass its address on.
#[repr(C)]
pub struct DEVICE_OBJECT {
    _opaque: [u8; 0],
}

/// Major function codes in a driver object.
pub const IRP_MJ_MAXIMUM_FUNCTION: usize = 0x1B;
/// `IRP_MJ_CREATE`.
pub const IRP_MJ_CREATE: u8 = 0x00;
/// `IRP_MJ_CLOSE`.
pub const IRP_MJ_CLOSE: u8 = 0x02;
/// `IRP_MJ_DEVICE_CONTROL`.
pub const IRP_MJ_DEVICE_CONTROL: u8 = 0x0E;
/// `IRP_MJ_CLEANUP`.
pub const IRP_MJ_CLEANUP: u8 = 0x12;
/// `FILE_DEVICE_SECURE_OPEN`: the descriptor also guards names below the device.
pub const FILE_DEVICE_SECURE_OPEN: u32 = 0x100;
/// `FILE_DEVICE_NETWORK`.
pub const FILE_DEVICE_NETWORK: u32 = 0x12;
/// `IO_NO_INCREMENT`.
pub const IO_NO_INCREMENT: i8 = 0;

/// `DRIVER_OBJECT`.
#[repr(C)]
pub struct DRIVER_OBJECT {
    /// `IO_TYPE_DRIVER`, 4.
    pub Type: i16,
    /// Octets.
    pub Size: i16,
    /// First device.
    pub DeviceObject: *mut DEVICE_OBJECT,
    /// Internal.
    pub Flags: u32,
    /// Base of the image.
    pub DriverStart: PVOID,
    /// Octets of the image.
    pub DriverSize: u32,
    /// Internal.
    pub DriverSection: PVOID,
    /// Internal.
    pub DriverExtension: PVOID,
    /// Name.
    pub DriverName: UNICODE_STRING,
    /// Internal.
    pub HardwareDatabase: PVOID,
    /// Internal.
    pub FastIoDispatch: PVOID,
    /// Entry point.
    pub DriverInit: PVOID,
    /// Unused.
    pub DriverStartIo: PVOID,
    /// Null: the driver cannot be stopped.
    pub DriverUnload: DRIVER_UNLOAD,
    /// Dispatch routines.
    pub MajorFunction: [DRIVER_DISPATCH; IRP_MJ_MAXIMUM_FUNCTION + 1],
}
layout!(DRIVER_OBJECT: 336, DeviceObject @ 8, DriverUnload @ 0x68, MajorFunction @ 0x70);

/// `IO_ERROR_LOG_PACKET`, up to its data.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IO_ERROR_LOG_PACKET {
    /// `IRP_MJ_*` of the request that failed, if there was one.
    pub MajorFunctionCode: u8,
    /// How often it was tried again.
    pub RetryCount: u8,
    /// Octets of data.
    pub DumpDataSize: u16,
    /// Strings behind the packet, UTF-16 and terminated.
    pub NumberOfStrings: u16,
    /// Where the first one begins, in octets from the packet's start.
    pub StringOffset: u16,
    /// Category, of the driver's message file.
    pub EventCategory: u16,
    /// Which message.
    pub ErrorCode: NTSTATUS,
    /// Names the place in the driver.
    pub UniqueErrorValue: u32,
    /// What the operation came to.
    pub FinalStatus: NTSTATUS,
    /// Of the request.
    pub SequenceNumber: u32,
    /// Of the request.
    pub IoControlCode: u32,
    /// Of the request.
    pub DeviceOffset: LARGE_INTEGER,
    /// Data.
    pub DumpData: [u32; 1],
}
layout!(IO_ERROR_LOG_PACKET: 48, StringOffset @ 6, ErrorCode @ 12, FinalStatus @ 20, DumpData @ 40);

/// `ERROR_LOG_MAXIMUM_SIZE`: octets of an entry of the event log at most.
pub const ERROR_LOG_MAXIMUM_SIZE: u8 = 240;
/// `IO_ERR_CONFIGURATION_ERROR`: the message of IoLogMsg.dll about what is set wrongly.
pub const IO_ERR_CONFIGURATION_ERROR: NTSTATUS = 0xC004_0003_u32.cast_signed();

import! {
    /// IRQL <= DISPATCH. An entry of the event log, of a driver or a device; null on failure.
    fn IoAllocateErrorLogEntry(object: PVOID, octets: u8) -> PVOID;
    /// IRQL <= DISPATCH. The entry is the I/O manager's from now on.
    fn IoWriteErrorLogEntry(entry: PVOID);
    /// Formats like printf; this declaration passes exactly one string. IRQL <= DIRQL.
    fn DbgPrint(format: *const core::ffi::c_char, argument: *const core::ffi::c_char) -> u32;
    /// Any IRQL <= DISPATCH. `irp` is `IoSizeOfIrp(stacks)` octets of caller memory.
    fn IoInitializeIrp(irp: *mut IRP, octets: u16, stacks: i8);
    /// IRQL <= DISPATCH. Only after completion; clears the completion routine.
    fn IoReuseIrp(irp: *mut IRP, status: NTSTATUS);
    /// IRQL <= DISPATCH. Completes an IRP that this driver's dispatch routine was given.
    fn IofCompleteRequest(irp: *mut IRP, boost: i8);
    /// IRQL <= DISPATCH. Null on failure.
    fn IoAllocateMdl(address: PVOID, octets: u32, secondary: BOOLEAN, quota: BOOLEAN,
        irp: *mut IRP) -> *mut MDL;
    /// IRQL <= DISPATCH.
    fn IoFreeMdl(mdl: *mut MDL);
    /// IRQL <= DISPATCH. `target` describes a part of what `source` describes.
    fn IoBuildPartialMdl(source: *mut MDL, target: *mut MDL, address: PVOID, octets: u32);
    /// IRQL PASSIVE.
    fn IoCreateDevice(driver: *mut DRIVER_OBJECT, extension: u32, name: *mut UNICODE_STRING,
        kind: u32, characteristics: u32, exclusive: BOOLEAN, device: *mut *mut DEVICE_OBJECT)
        -> NTSTATUS;
    /// IRQL <= APC.
    fn IoDeleteDevice(device: *mut DEVICE_OBJECT);
    /// IRQL PASSIVE.
    fn IoCreateSymbolicLink(link: *mut UNICODE_STRING, device: *mut UNICODE_STRING) -> NTSTATUS;
    /// IRQL PASSIVE.
    fn IoDeleteSymbolicLink(link: *mut UNICODE_STRING) -> NTSTATUS;
}
