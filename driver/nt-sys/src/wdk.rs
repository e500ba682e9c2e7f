//! NT's names from wdk-sys: types and functions are the WDK's, constants are compared in `parity`.
//!
//! A name that is not listed here is the one of `own`. The functions that are defined here instead
//! of listed take `SIZE_T` or `ULONG_PTR`, which bindgen makes a `u64` and the driver a `usize`, or
//! differ between the headers that wdk-sys is made from.

/// Executive.
pub(crate) mod ex {
    pub use wdk_sys::ntddk::{
        ExDeleteLookasideListEx, ExFreePoolWithTag, ExpInterlockedPopEntrySList,
        ExpInterlockedPushEntrySList,
    };
    pub use wdk_sys::{
        LOOKASIDE_LIST_EX, PALLOCATE_FUNCTION_EX as ALLOCATE_FUNCTION_EX,
        PFREE_FUNCTION_EX as FREE_FUNCTION_EX, SLIST_ENTRY, SLIST_HEADER,
    };
    use wdk_sys::{NTSTATUS, PVOID};

    pub use crate::own::ex::*;

    /// IRQL <= DISPATCH for non-paged pool. Null on failure; the tag is not 0.
    ///
    /// # Safety
    /// As the DDI says.
    pub unsafe fn ExAllocatePool2(flags: u64, octets: usize, tag: u32) -> PVOID {
        // SAFETY: the caller's.
        unsafe { wdk_sys::ntddk::ExAllocatePool2(flags, octets as u64, tag) }
    }

    /// IRQL <= DISPATCH. The list is non-paged and stays where it is.
    ///
    /// # Safety
    /// As the DDI says.
    #[allow(clippy::too_many_arguments)] // the DDI's
    pub unsafe fn ExInitializeLookasideListEx(
        list: *mut LOOKASIDE_LIST_EX,
        allocate: ALLOCATE_FUNCTION_EX,
        free: FREE_FUNCTION_EX,
        pool: i32,
        flags: u32,
        octets: usize,
        tag: u32,
        depth: u16,
    ) -> NTSTATUS {
        let octets = octets as u64;
        // SAFETY: the caller's.
        unsafe {
            wdk_sys::ntddk::ExInitializeLookasideListEx(
                list, allocate, free, pool, flags, octets, tag, depth,
            )
        }
    }
}

/// I/O manager.
pub(crate) mod io {
    pub use wdk_sys::ntddk::{
        DbgPrint, IoAllocateErrorLogEntry, IoAllocateMdl, IoBuildPartialMdl, IoCreateDevice,
        IoCreateSymbolicLink, IoDeleteDevice, IoDeleteSymbolicLink, IoFreeMdl, IoInitializeIrp,
        IoReuseIrp, IoWriteErrorLogEntry, IofCompleteRequest,
    };
    pub use wdk_sys::{
        DEVICE_OBJECT, DRIVER_DISPATCH, DRIVER_OBJECT, DRIVER_UNLOAD, IO_COMPLETION_ROUTINE,
        IO_ERROR_LOG_PACKET, IO_STACK_LOCATION, IRP,
    };

    pub use crate::own::io::*;
}

/// Kernel core.
pub(crate) mod ke {
    pub use wdk_sys::ntddk::{
        KeAcquireSpinLockRaiseToDpc, KeCancelTimer, KeClearEvent, KeFlushQueuedDpcs,
        KeGetCurrentProcessorNumberEx, KeInitializeDpc, KeInitializeEvent, KeInitializeTimer,
        KeQueryActiveProcessorCountEx, KeQuerySystemTimePrecise, KeReleaseSpinLock, KeSetEvent,
        KeSetTimerEx, KeWaitForSingleObject,
    };
    pub use wdk_sys::{
        DISPATCHER_HEADER, KDEFERRED_ROUTINE, KDPC, KEVENT, KSPIN_LOCK, KTIMER, PROCESSOR_NUMBER,
    };

    pub use crate::own::ke::*;

    /// IRQL PASSIVE. 1 to 31; returns the priority there was.
    ///
    /// # Safety
    /// As the DDI says.
    pub unsafe fn KeSetPriorityThread(thread: wdk_sys::PVOID, priority: i32) -> i32 {
        // SAFETY: the caller's.
        unsafe { wdk_sys::ntddk::KeSetPriorityThread(thread.cast(), priority) }
    }

    /// Stops the machine. Any IRQL.
    ///
    /// # Safety
    /// None; the DDI is callable in any state.
    pub unsafe fn KeBugCheckEx(code: u32, p1: usize, p2: usize, p3: usize, p4: usize) -> ! {
        let [p1, p2, p3, p4] = [p1, p2, p3, p4].map(|parameter| parameter as u64);
        // SAFETY: callable in any state.
        unsafe { wdk_sys::ntddk::KeBugCheckEx(code, p1, p2, p3, p4) }
    }
}

/// Memory descriptor lists.
pub(crate) mod mm {
    pub use wdk_sys::MDL;
    use wdk_sys::PVOID;
    pub use wdk_sys::ntddk::{MmBuildMdlForNonPagedPool, MmGetSystemRoutineAddress};

    pub use crate::own::mm::*;

    /// IRQL <= DISPATCH. Null when mapping fails.
    ///
    /// # Safety
    /// As the DDI says.
    #[allow(clippy::cast_possible_wrap)] // flags; mingw-w64 declares an enumeration
    pub unsafe fn MmMapLockedPagesSpecifyCache(
        mdl: *mut MDL,
        mode: i8,
        cache: i32,
        address: PVOID,
        bugcheck: u32,
        priority: u32,
    ) -> PVOID {
        let priority = priority as _;
        // SAFETY: the caller's.
        unsafe {
            wdk_sys::ntddk::MmMapLockedPagesSpecifyCache(
                mdl, mode, cache, address, bugcheck, priority,
            )
        }
    }
}

/// Base types.
pub(crate) mod ntdef {
    pub use wdk_sys::{
        BOOLEAN, GUID, HANDLE, IO_STATUS_BLOCK, KIRQL, LARGE_INTEGER, LIST_ENTRY, NTSTATUS,
        OBJECT_ATTRIBUTES, PVOID, UNICODE_STRING,
    };

    pub use crate::own::ntdef::*;
}

/// Threads and object references.
pub(crate) mod ps {
    use wdk_sys::PVOID;
    pub use wdk_sys::ntddk::{ObReferenceObjectByHandle, PsCreateSystemThread};

    pub use crate::own::ps::*;

    /// IRQL <= DISPATCH. Gives a reference back; returns how many are left.
    ///
    /// # Safety
    /// As the DDI says.
    #[allow(clippy::cast_possible_truncation)] // 64-bit machines only
    pub unsafe fn ObfDereferenceObject(object: PVOID) -> isize {
        // SAFETY: the caller's.
        unsafe { wdk_sys::ntddk::ObfDereferenceObject(object) as isize }
    }
}

/// Registry and files.
pub(crate) mod zw {
    pub use wdk_sys::ntddk::{
        ZwClose, ZwCreateFile, ZwOpenKey, ZwQueryInformationFile, ZwQueryValueKey, ZwReadFile,
    };
    pub use wdk_sys::{FILE_STANDARD_INFORMATION, KEY_VALUE_PARTIAL_INFORMATION};

    pub use crate::own::zw::*;
}
