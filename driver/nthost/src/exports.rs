//! Every symbol that drivers may import, in one table.
use crate::log::DbgPrint;
use crate::nt::bugcheck::KeBugCheckEx;
use crate::nt::device::{
    IoCreateDevice, IoCreateSymbolicLink, IoDeleteDevice, IoDeleteSymbolicLink, IofCompleteRequest,
    ObOpenObjectByPointer, ZwSetSecurityObject,
};
use crate::nt::etw::{EtwRegister, EtwSetInformation, EtwUnregister, EtwWriteTransfer};
use crate::nt::event::{KeClearEvent, KeInitializeEvent, KeSetEvent, KeWaitForSingleObject};
use crate::nt::event_log::{IoAllocateErrorLogEntry, IoWriteErrorLogEntry};
use crate::nt::file::{ZwCreateFile, ZwQueryInformationFile, ZwReadFile};
use crate::nt::handle::ZwClose;
use crate::nt::irp::{IoInitializeIrp, IoReuseIrp};
use crate::nt::lookaside::{
    ExDeleteLookasideListEx, ExInitializeLookasideListEx, ExpInterlockedPopEntrySList,
    ExpInterlockedPushEntrySList,
};
use crate::nt::mdl::{
    IoAllocateMdl, IoBuildPartialMdl, IoFreeMdl, MmBuildMdlForNonPagedPool,
    MmMapLockedPagesSpecifyCache,
};
use crate::nt::memory::{memcmp, memcpy, memmove, memset};
use crate::nt::pool::{ExAllocatePool2, ExAllocatePoolWithTag, ExFreePoolWithTag};
use crate::nt::registry::{ZwOpenKey, ZwQueryValueKey};
use crate::nt::routine::MmGetSystemRoutineAddress;
use crate::nt::spinlock::{KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock};
use crate::nt::thread::{
    KeSetPriorityThread, ObReferenceObjectByHandle, ObfDereferenceObject, PsCreateSystemThread,
};
use crate::nt::time::{
    KeGetCurrentProcessorNumberEx, KeQueryActiveProcessorCountEx, KeQueryPerformanceCounter,
    KeQuerySystemTime, KeQuerySystemTimePrecise,
};
use crate::nt::timer::{
    KeCancelTimer, KeFlushQueuedDpcs, KeInitializeDpc, KeInitializeTimer, KeSetTimerEx,
};
use crate::wsk::registration::{
    WskCaptureProviderNPI, WskDeregister, WskRegister, WskReleaseProviderNPI,
};

/// A symbol of a kernel module.
#[derive(Debug)]
pub struct Export {
    /// `ntoskrnl.exe` or `netio.sys`.
    pub module: &'static str,
    /// Name.
    pub name: &'static str,
    /// Its address.
    pub address: fn() -> usize,
}

macro_rules! exports {
    ($($module:literal: $($name:ident)*;)*) => {
        /// All of them.
        pub static EXPORTS: &[Export] = &[$($(Export {
            module: $module,
            name: stringify!($name),
            address: || ($name as *const ()).addr(),
        },)*)*];
    };
}

exports! {
    "ntoskrnl.exe":
        DbgPrint EtwRegister EtwSetInformation EtwUnregister EtwWriteTransfer ExAllocatePool2
        ExAllocatePoolWithTag ExDeleteLookasideListEx ExFreePoolWithTag
        ExInitializeLookasideListEx ExpInterlockedPopEntrySList ExpInterlockedPushEntrySList
        IoAllocateErrorLogEntry IoAllocateMdl IoBuildPartialMdl IoCreateDevice
        IoCreateSymbolicLink IoDeleteDevice IoDeleteSymbolicLink IoFreeMdl IoInitializeIrp
        IoReuseIrp IoWriteErrorLogEntry IofCompleteRequest KeAcquireSpinLockRaiseToDpc
        KeBugCheckEx KeCancelTimer KeClearEvent KeFlushQueuedDpcs KeGetCurrentProcessorNumberEx
        KeInitializeDpc KeInitializeEvent KeInitializeTimer KeQueryActiveProcessorCountEx
        KeQueryPerformanceCounter KeQuerySystemTime KeQuerySystemTimePrecise KeReleaseSpinLock
        KeSetEvent KeSetPriorityThread KeSetTimerEx KeWaitForSingleObject
        MmBuildMdlForNonPagedPool
        MmGetSystemRoutineAddress MmMapLockedPagesSpecifyCache ObOpenObjectByPointer
        ObReferenceObjectByHandle ObfDereferenceObject PsCreateSystemThread ZwClose ZwCreateFile
        ZwOpenKey ZwQueryInformationFile ZwQueryValueKey ZwReadFile ZwSetSecurityObject
        memcmp memcpy memmove memset;
    "netio.sys":
        WskCaptureProviderNPI WskDeregister WskRegister WskReleaseProviderNPI;
}

/// Makes the linker keep every export.
pub(crate) fn keep() {
    assert!(EXPORTS.iter().all(|export| (export.address)() != 0));
}
