//! The declarations of `own` against those of wdk-sys, compared whenever the two meet: in every
//! build for Windows. A difference is a compile error that names it.
//!
//! One list: each structure, and each field that the driver, the host or a function of this crate
//! touches, with the way to it in the WDK's declaration (bindgen numbers what C leaves unnamed).
//! Opaque to all of them, and so not compared: `DEVICE_OBJECT`. Not in mingw-w64's headers, and so
//! not comparable off Windows: `MdlMappingNoExecute`.
use core::mem::{align_of, offset_of, size_of};

use crate::own;

macro_rules! same_layout {
    ($($module:ident::$name:ident {
        $($field:ident = $first:ident $(. $next:ident)*),* $(,)?
    })*) => {
        $(const _: () = {
            type Own = own::$module::$name;
            type Wdk = wdk_sys::$name;
            assert!(
                size_of::<Own>() == size_of::<Wdk>(),
                concat!("size of ", stringify!($name))
            );
            assert!(
                align_of::<Own>() == align_of::<Wdk>(),
                concat!("alignment of ", stringify!($name))
            );
            $(assert!(
                offset_of!(Own, $field) == offset_of!(Wdk, $first $(. $next)*),
                concat!("offset of ", stringify!($name), ".", stringify!($field))
            );)*
        };)*
    };
}

same_layout! {
    ex::SLIST_ENTRY { Next = Next }
    ex::SLIST_HEADER {
        Alignment = __bindgen_anon_1.Alignment,
        Region = __bindgen_anon_1.Region,
    }
    ex::LOOKASIDE_LIST_EX {
        ListHead = L.__bindgen_anon_1.ListHead,
        Depth = L.Depth,
        MaximumDepth = L.MaximumDepth,
        TotalAllocates = L.TotalAllocates,
        TotalFrees = L.TotalFrees,
        Type = L.Type,
        Tag = L.Tag,
        Size = L.Size,
        AllocateEx = L.__bindgen_anon_4.AllocateEx,
        FreeEx = L.__bindgen_anon_5.FreeEx,
        ListEntry = L.ListEntry,
        LastTotalAllocates = L.LastTotalAllocates,
        Future = L.Future,
    }
    io::IO_STACK_LOCATION {
        MajorFunction = MajorFunction,
        MinorFunction = MinorFunction,
        Flags = Flags,
        Control = Control,
        Parameters = Parameters.DeviceIoControl.OutputBufferLength,
        DeviceObject = DeviceObject,
        FileObject = FileObject,
        CompletionRoutine = CompletionRoutine,
        Context = Context,
    }
    io::IO_ERROR_LOG_PACKET {
        MajorFunctionCode = MajorFunctionCode,
        RetryCount = RetryCount,
        DumpDataSize = DumpDataSize,
        NumberOfStrings = NumberOfStrings,
        StringOffset = StringOffset,
        EventCategory = EventCategory,
        ErrorCode = ErrorCode,
        UniqueErrorValue = UniqueErrorValue,
        FinalStatus = FinalStatus,
        SequenceNumber = SequenceNumber,
        IoControlCode = IoControlCode,
        DeviceOffset = DeviceOffset,
        DumpData = DumpData,
    }
    io::IRP {
        Type = Type,
        Size = Size,
        MdlAddress = MdlAddress,
        Flags = Flags,
        SystemBuffer = AssociatedIrp.SystemBuffer,
        ThreadListEntry = ThreadListEntry,
        IoStatus = IoStatus,
        RequestorMode = RequestorMode,
        PendingReturned = PendingReturned,
        StackCount = StackCount,
        CurrentLocation = CurrentLocation,
        Cancel = Cancel,
        CancelIrql = CancelIrql,
        ApcEnvironment = ApcEnvironment,
        AllocationFlags = AllocationFlags,
        UserIosb = UserIosb,
        UserEvent = UserEvent,
        Overlay = Overlay,
        CancelRoutine = CancelRoutine,
        UserBuffer = UserBuffer,
        DriverContext = Tail.Overlay.__bindgen_anon_1.__bindgen_anon_1.DriverContext,
        Thread = Tail.Overlay.Thread,
        AuxiliaryBuffer = Tail.Overlay.AuxiliaryBuffer,
        ListEntry = Tail.Overlay.__bindgen_anon_2.ListEntry,
        CurrentStackLocation =
            Tail.Overlay.__bindgen_anon_2.__bindgen_anon_1.CurrentStackLocation,
        OriginalFileObject = Tail.Overlay.OriginalFileObject,
    }
    io::DRIVER_OBJECT {
        Type = Type,
        Size = Size,
        DeviceObject = DeviceObject,
        Flags = Flags,
        DriverStart = DriverStart,
        DriverSize = DriverSize,
        DriverSection = DriverSection,
        DriverExtension = DriverExtension,
        DriverName = DriverName,
        HardwareDatabase = HardwareDatabase,
        FastIoDispatch = FastIoDispatch,
        DriverInit = DriverInit,
        DriverStartIo = DriverStartIo,
        DriverUnload = DriverUnload,
        MajorFunction = MajorFunction,
    }
    ke::DISPATCHER_HEADER { SignalState = SignalState, WaitListHead = WaitListHead }
    ke::KEVENT { Header = Header }
    ke::KTIMER {
        Header = Header,
        DueTime = DueTime,
        TimerListEntry = TimerListEntry,
        Dpc = Dpc,
        Period = Period,
    }
    ke::KDPC {
        DeferredRoutine = DeferredRoutine,
        DeferredContext = DeferredContext,
        SystemArgument1 = SystemArgument1,
        SystemArgument2 = SystemArgument2,
        DpcData = DpcData,
    }
    ke::PROCESSOR_NUMBER { Group = Group, Number = Number }
    ke::KSPIN_LOCK {}
    mm::MDL {
        Next = Next,
        Size = Size,
        MdlFlags = MdlFlags,
        Process = Process,
        MappedSystemVa = MappedSystemVa,
        StartVa = StartVa,
        ByteCount = ByteCount,
        ByteOffset = ByteOffset,
    }
    ntdef::UNICODE_STRING { Length = Length, MaximumLength = MaximumLength, Buffer = Buffer }
    ntdef::LIST_ENTRY { Flink = Flink, Blink = Blink }
    ntdef::LARGE_INTEGER { QuadPart = QuadPart }
    ntdef::GUID { Data1 = Data1, Data2 = Data2, Data3 = Data3, Data4 = Data4 }
    ntdef::OBJECT_ATTRIBUTES {
        Length = Length,
        RootDirectory = RootDirectory,
        ObjectName = ObjectName,
        Attributes = Attributes,
        SecurityDescriptor = SecurityDescriptor,
        SecurityQualityOfService = SecurityQualityOfService,
    }
    ntdef::IO_STATUS_BLOCK { Status = __bindgen_anon_1.Status, Information = Information }
    zw::KEY_VALUE_PARTIAL_INFORMATION {
        TitleIndex = TitleIndex,
        Type = Type,
        DataLength = DataLength,
        Data = Data,
    }
    zw::FILE_STANDARD_INFORMATION {
        AllocationSize = AllocationSize,
        EndOfFile = EndOfFile,
        NumberOfLinks = NumberOfLinks,
        DeletePending = DeletePending,
        Directory = Directory,
    }
}

/// The parameters of a device control lie each at the start of eight octets.
const _: () = {
    type Parameters = wdk_sys::IO_STACK_LOCATION;
    assert!(offset_of!(Parameters, Parameters.DeviceIoControl.OutputBufferLength) == 8);
    assert!(offset_of!(Parameters, Parameters.DeviceIoControl.InputBufferLength) == 16);
    assert!(offset_of!(Parameters, Parameters.DeviceIoControl.IoControlCode) == 24);
};

macro_rules! same_value {
    ($($module:ident: $($name:ident $(= $($wdk:ident)::+)?),* $(,)?;)*) => {
        $($(same_value!(@one $module $name $($($wdk)::+)?);)*)*
    };
    (@one $module:ident $name:ident) => {
        same_value!(@one $module $name $name);
    };
    (@one $module:ident $name:ident $($wdk:ident)::+) => {
        #[allow(clippy::cast_possible_wrap)] // both sides alike
        const _: () =
            assert!(own::$module::$name as i64 == wdk_sys::$($wdk)::+ as i64, stringify!($name));
    };
}

same_value! {
    ex: POOL_FLAG_NON_PAGED, NonPagedPoolNx = _POOL_TYPE::NonPagedPoolNx;
    io: FILE_DEVICE_NETWORK, FILE_DEVICE_SECURE_OPEN, IO_NO_INCREMENT, IO_TYPE_IRP, IRP_MJ_CLEANUP,
        IRP_MJ_CLOSE, IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL, IRP_MJ_MAXIMUM_FUNCTION,
        SL_PENDING_RETURNED;
    ke: ALL_PROCESSOR_GROUPS, Executive = _KWAIT_REASON::Executive, KernelMode = _MODE::KernelMode,
        LOW_REALTIME_PRIORITY,
        NotificationEvent = _EVENT_TYPE::NotificationEvent;
    mm: MDL_MAPPED_TO_SYSTEM_VA, MDL_PARTIAL, MDL_SOURCE_IS_NONPAGED_POOL,
        MmCached = _MEMORY_CACHING_TYPE::MmCached,
        NormalPagePriority = _MM_PAGE_PRIORITY::NormalPagePriority, PAGE_SIZE;
    ntdef: DISPATCH_LEVEL, OBJ_CASE_INSENSITIVE, OBJ_FORCE_ACCESS_CHECK, OBJ_KERNEL_HANDLE,
        PASSIVE_LEVEL,
        STATUS_ACCESS_DENIED, STATUS_ADDRESS_ALREADY_EXISTS, STATUS_BUFFER_OVERFLOW,
        STATUS_BUFFER_TOO_SMALL, STATUS_CANCELLED, STATUS_CONNECTION_ABORTED,
        STATUS_CONNECTION_DISCONNECTED, STATUS_CONNECTION_RESET, STATUS_DATA_NOT_ACCEPTED,
        STATUS_DEVICE_NOT_READY, STATUS_END_OF_FILE, STATUS_EVENT_PENDING,
        STATUS_FILE_CORRUPT_ERROR, STATUS_FILE_FORCED_CLOSED, STATUS_FILE_IS_A_DIRECTORY,
        STATUS_INSUFFICIENT_RESOURCES,
        STATUS_INVALID_ADDRESS_COMPONENT, STATUS_INVALID_DEVICE_REQUEST,
        STATUS_INVALID_DEVICE_STATE, STATUS_INVALID_HANDLE, STATUS_INVALID_PARAMETER,
        STATUS_IO_TIMEOUT, STATUS_LOCAL_DISCONNECT, STATUS_MORE_PROCESSING_REQUIRED,
        STATUS_NOINTERFACE, STATUS_NOT_FOUND, STATUS_NOT_IMPLEMENTED, STATUS_NOT_SUPPORTED,
        STATUS_OBJECT_NAME_COLLISION, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH,
        STATUS_PENDING, STATUS_REMOTE_DISCONNECT, STATUS_REQUEST_NOT_ACCEPTED, STATUS_RETRY,
        STATUS_REVISION_MISMATCH,
        STATUS_SUCCESS, STATUS_TIMEOUT, STATUS_TOO_MANY_ADDRESSES, STATUS_UNSUCCESSFUL;
    ps: THREAD_ALL_ACCESS;
    zw: DACL_SECURITY_INFORMATION, WRITE_DAC, FILE_GENERIC_READ, FILE_OPEN, FILE_SHARE_READ,
        FileStandardInformation = _FILE_INFORMATION_CLASS::FileStandardInformation, KEY_READ,
        KeyValuePartialInformation = _KEY_VALUE_INFORMATION_CLASS::KeyValuePartialInformation,
        REG_DWORD, REG_EXPAND_SZ, REG_MULTI_SZ, REG_SZ;
}

/// Sums of several of the WDK's flags.
const _: () = {
    let invoke =
        wdk_sys::SL_INVOKE_ON_CANCEL | wdk_sys::SL_INVOKE_ON_SUCCESS | wdk_sys::SL_INVOKE_ON_ERROR;
    assert!(own::io::SL_INVOKE_ALWAYS as u32 == invoke);
    let plain = wdk_sys::FILE_SYNCHRONOUS_IO_NONALERT | wdk_sys::FILE_NON_DIRECTORY_FILE;
    assert!(own::zw::FILE_SYNCHRONOUS_PLAIN == plain);
};
