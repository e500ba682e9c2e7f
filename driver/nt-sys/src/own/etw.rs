//! Event tracing (`Etw*`): what the crate `tracelogging` calls in an image.
use super::ntdef::{GUID, NTSTATUS, PVOID};

/// Tells a provider that somebody listens, or nobody any more: source, `EVENT_CONTROL_CODE_*`,
/// level, keywords of which one and of which all are wanted, filter, context. IRQL PASSIVE.
pub type ETWENABLECALLBACK = crate::callback!((*const GUID, u32, u8, u64, u64, PVOID, PVOID));

/// `EVENT_CONTROL_CODE_ENABLE_PROVIDER`.
pub const EVENT_CONTROL_CODE_ENABLE_PROVIDER: u32 = 1;
/// `EventProviderSetTraits`: the provider's name, for decoders.
pub const EventProviderSetTraits: u32 = 2;
/// `EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA`, in `Reserved`.
pub const EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA: u32 = 1;
/// `EVENT_DATA_DESCRIPTOR_TYPE_PROVIDER_METADATA`, in `Reserved`.
pub const EVENT_DATA_DESCRIPTOR_TYPE_PROVIDER_METADATA: u32 = 2;

/// `EVENT_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EVENT_DESCRIPTOR {
    /// Number of the event; 0 with TraceLogging.
    pub Id: u16,
    /// Version of it.
    pub Version: u8,
    /// Channel; 11 with TraceLogging.
    pub Channel: u8,
    /// Severity, 1 (critical) to 5 (verbose).
    pub Level: u8,
    /// Operation.
    pub Opcode: u8,
    /// Task.
    pub Task: u16,
    /// Bits that listeners choose by.
    pub Keyword: u64,
}
layout!(EVENT_DESCRIPTOR: 16, Level @ 4, Keyword @ 8);

/// `EVENT_DATA_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EVENT_DATA_DESCRIPTOR {
    /// Address.
    pub Ptr: u64,
    /// Octets.
    pub Size: u32,
    /// `EVENT_DATA_DESCRIPTOR_TYPE_*`, 0 for a field.
    pub Reserved: u32,
}
layout!(EVENT_DATA_DESCRIPTOR: 16, Size @ 8, Reserved @ 12);

import! {
    /// IRQL PASSIVE. The callback may run before it returns, and until `EtwUnregister` has.
    fn EtwRegister(provider: *const GUID, callback: ETWENABLECALLBACK, context: PVOID,
        handle: *mut u64) -> NTSTATUS;
    /// IRQL PASSIVE. Waits for a callback that runs.
    fn EtwUnregister(handle: u64) -> NTSTATUS;
    /// IRQL PASSIVE.
    fn EtwSetInformation(handle: u64, class: u32, information: PVOID, octets: u32) -> NTSTATUS;
    /// Any IRQL; what is pageable only at IRQL <= APC. The identifiers are optional.
    fn EtwWriteTransfer(handle: u64, event: *const EVENT_DESCRIPTOR, activity: *const GUID,
        related: *const GUID, count: u32, data: *const EVENT_DATA_DESCRIPTOR) -> NTSTATUS;
}
