//! NT in memory: one thread, no time, no failures. Every wait is over when it begins.
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use nt_sys::ex::{LOOKASIDE_LIST_EX, NonPagedPoolNx, SLIST_ENTRY, SLIST_HEADER};
use nt_sys::io::{DEVICE_OBJECT, DRIVER_OBJECT, IO_STACK_LOCATION, IO_TYPE_IRP, IRP};
use nt_sys::ke::{ALL_PROCESSOR_GROUPS, KDPC, KEVENT, KSPIN_LOCK, KTIMER, PROCESSOR_NUMBER};
use nt_sys::mm::{
    MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_PARTIAL, MDL_SOURCE_IS_NONPAGED_POOL, PAGE_SIZE, mdl_size,
};
use nt_sys::ntdef::{
    BOOLEAN, GUID, HANDLE, IO_STATUS_BLOCK, KIRQL, LARGE_INTEGER, NTSTATUS, OBJECT_ATTRIBUTES,
    PVOID, STATUS_INSUFFICIENT_RESOURCES, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS,
    UNICODE_STRING,
};
use nt_sys::zw::{FILE_STANDARD_INFORMATION, REG_DWORD, REG_SZ};

/// 1994-11-06 08:49:37 UTC, in 100 ns since 1601.
const NOW: i64 = (784_111_777 + 11_644_473_600) * 10_000_000;

/// What the kernel is asked for at the driver's start.
#[derive(Debug)]
pub struct Setting {
    /// Values of the registry.
    pub numbers: Vec<(&'static str, u32)>,
    /// The site's image.
    pub image: Vec<u8>,
    /// Processors that there are.
    pub processors: u32,
}

static SETTING: OnceLock<Setting> = OnceLock::new();
/// The processor that runs the driver.
static PROCESSOR: AtomicU32 = AtomicU32::new(0);
/// Calls of the driver's into NT and WSK.
static CALLS: AtomicU32 = AtomicU32::new(0);
/// Sizes and tags of what is allocated, by address.
static BLOCKS: Mutex<BTreeMap<usize, (Layout, u32)>> = Mutex::new(BTreeMap::new());
/// Octets allocated.
static OCTETS: AtomicU32 = AtomicU32::new(0);
/// Blocks ever allocated.
static ALLOCATIONS: AtomicU32 = AtomicU32::new(0);

/// Sets the machine up, once.
pub fn set_up(setting: Setting) {
    assert!(SETTING.set(setting).is_ok(), "there is one machine");
}

fn setting() -> &'static Setting {
    SETTING.get().expect("set up")
}

/// The driver runs on this processor from now on.
pub fn run_on(processor: u32) {
    PROCESSOR.store(processor, Ordering::Relaxed);
}

/// Notes a call of the driver's.
#[inline]
pub fn called() {
    CALLS.fetch_add(1, Ordering::Relaxed);
}

/// Calls so far.
pub fn calls() -> u32 {
    CALLS.load(Ordering::Relaxed)
}

/// Octets of pool in use, and blocks ever allocated.
pub fn pool() -> (u32, u32) {
    (OCTETS.load(Ordering::Relaxed), ALLOCATIONS.load(Ordering::Relaxed))
}

/// Address, octets and tag of what is allocated; entries of a list have the tag `list`.
pub fn blocks() -> Vec<(usize, usize, String)> {
    let blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let block = |(address, (layout, tag)): (&usize, &(Layout, u32))| {
        let name = String::from_utf8_lossy(&tag.to_le_bytes()).into_owned();
        (*address, layout.size(), name)
    };
    blocks.iter().map(block).collect()
}

fn allocate(octets: usize, tag: u32) -> PVOID {
    called();
    let align = if octets >= PAGE_SIZE { PAGE_SIZE } else { 16 };
    let layout = Layout::from_size_align(octets.max(1), align).expect("a size");
    // SAFETY: not of size zero.
    let block = unsafe { alloc_zeroed(layout) };
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    blocks.insert(block.addr(), (layout, tag));
    OCTETS.fetch_add(u32::try_from(octets).unwrap_or(0), Ordering::Relaxed);
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    block.cast()
}

fn free(block: PVOID) {
    called();
    let mut blocks = BLOCKS.lock().unwrap_or_else(PoisonError::into_inner);
    let (layout, _) = blocks.remove(&block.addr()).expect("allocated here");
    OCTETS.fetch_sub(u32::try_from(layout.size()).unwrap_or(0), Ordering::Relaxed);
    // SAFETY: from `allocate`, with this layout, freed once.
    unsafe { dealloc(block.cast(), layout) };
}

/// Makes an IRP new, as every provider of stack locations does.
fn initialise(irp: *mut IRP, octets: u16, stacks: i8) {
    // SAFETY: the driver's: `octets` octets of its memory.
    unsafe { irp.cast::<u8>().write_bytes(0, usize::from(octets)) };
    // SAFETY: as above, zeroed.
    let fields = unsafe { &mut *irp };
    fields.Type = IO_TYPE_IRP;
    fields.Size = octets;
    fields.StackCount = stacks;
    fields.CurrentLocation = stacks + 1;
    let stack = irp.wrapping_add(1).cast::<IO_STACK_LOCATION>();
    fields.CurrentStackLocation = stack.wrapping_add(usize::try_from(stacks).unwrap_or(0));
}

/// Completes an IRP that the driver has submitted.
pub fn complete(irp: *mut IRP, status: NTSTATUS, information: usize) {
    // SAFETY: submitted by the driver, completed once.
    let fields = unsafe { &mut *irp };
    fields.IoStatus.Status = status;
    fields.IoStatus.Information = information;
    // SAFETY: the driver prepared one stack location.
    let location = unsafe { *fields.CurrentStackLocation.wrapping_sub(1) };
    if let Some(routine) = location.CompletionRoutine {
        // SAFETY: the driver's routine with its context.
        unsafe { routine(core::ptr::null_mut(), irp, location.Context) };
    }
}

fn text(name: *mut UNICODE_STRING) -> String {
    // SAFETY: the driver's: valid for the call.
    let name = unsafe { &*name };
    // SAFETY: as above.
    let units = unsafe {
        core::slice::from_raw_parts(name.Buffer.cast_const(), usize::from(name.Length / 2))
    };
    String::from_utf16_lossy(units)
}

/// Defines an export: a function of the kernel's that counts its calls.
macro_rules! exports {
    ($(fn $name:ident($($a:ident: $t:ty),*) $(-> $r:ty)? $body:block)*) => {$(
        /// # Safety
        /// As the DDI says.
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub unsafe extern "win64" fn $name($($a: $t),*) $(-> $r)? { called(); $body }
    )*
        /// Their names.
        pub const EXPORTS: &[&str] = &[$(stringify!($name)),*];
    };
}

exports! {
    fn DbgPrint(_format: *const c_char, argument: *const c_char) -> u32 {
        // SAFETY: the driver's: one string.
        eprint!("{}", unsafe { CStr::from_ptr(argument) }.to_string_lossy());
        0
    }
    fn EtwRegister(
        _provider: *const GUID, _callback: PVOID, _context: PVOID, _handle: *mut u64
    ) -> NTSTATUS { STATUS_INSUFFICIENT_RESOURCES }
    fn EtwSetInformation(
        _handle: u64, _class: u32, _information: PVOID, _octets: u32
    ) -> NTSTATUS { STATUS_SUCCESS }
    fn EtwUnregister(_handle: u64) -> NTSTATUS { STATUS_SUCCESS }
    fn ExAllocatePool2(_flags: u64, octets: usize, tag: u32) -> PVOID { allocate(octets, tag) }
    fn ExAllocatePoolWithTag(_pool: i32, octets: usize, tag: u32) -> PVOID {
        allocate(octets, tag)
    }
    fn ExFreePoolWithTag(block: PVOID, _tag: u32) { free(block) }
    fn ExpInterlockedPopEntrySList(head: *mut SLIST_HEADER) -> *mut SLIST_ENTRY {
        // SAFETY: the driver's: a valid header, one thread.
        let list = unsafe { &mut *head };
        let entry: *mut SLIST_ENTRY = core::ptr::with_exposed_provenance_mut(list.Region as usize);
        if !entry.is_null() {
            // SAFETY: an entry of the list.
            list.Region = unsafe { (*entry).Next }.expose_provenance() as u64;
            list.Alignment -= 1;
        }
        entry
    }
    fn ExpInterlockedPushEntrySList(
        head: *mut SLIST_HEADER, entry: *mut SLIST_ENTRY
    ) -> *mut SLIST_ENTRY {
        // SAFETY: as above.
        let list = unsafe { &mut *head };
        let first = core::ptr::with_exposed_provenance_mut(list.Region as usize);
        // SAFETY: the driver gives the entry away.
        unsafe { (*entry).Next = first };
        list.Region = entry.expose_provenance() as u64;
        list.Alignment += 1;
        first
    }
    fn ExInitializeLookasideListEx(
        list: *mut LOOKASIDE_LIST_EX, _allocate: PVOID, _free: PVOID, _pool: i32, _flags: u32,
        octets: usize, tag: u32, _depth: u16
    ) -> NTSTATUS {
        // SAFETY: every field is plain data for which zero is valid.
        let mut value: LOOKASIDE_LIST_EX = unsafe { core::mem::zeroed() };
        value.Depth = 256;
        value.Type = NonPagedPoolNx;
        value.Tag = tag;
        value.Size = u32::try_from(octets).unwrap_or(u32::MAX);
        value.AllocateEx = Some(lookaside_allocate);
        value.FreeEx = Some(lookaside_free);
        // SAFETY: the driver's: writable.
        unsafe { list.write(value) };
        STATUS_SUCCESS
    }
    fn ExDeleteLookasideListEx(_list: *mut LOOKASIDE_LIST_EX) {}
    fn lookaside_allocate(
        _pool: i32, octets: usize, _tag: u32, _list: *mut LOOKASIDE_LIST_EX
    ) -> PVOID { allocate(octets, u32::from_le_bytes(*b"list")) }
    fn lookaside_free(entry: PVOID, _list: *mut LOOKASIDE_LIST_EX) { free(entry) }
    fn IoAllocateErrorLogEntry(_object: PVOID, _octets: u8) -> PVOID { core::ptr::null_mut() }
    fn IoWriteErrorLogEntry(_entry: PVOID) {}
    fn IoInitializeIrp(irp: *mut IRP, octets: u16, stacks: i8) { initialise(irp, octets, stacks) }
    fn IoReuseIrp(irp: *mut IRP, status: NTSTATUS) {
        // SAFETY: the driver's: initialised.
        let IRP { Size: octets, StackCount: stacks, .. } = unsafe { &*irp };
        initialise(irp, *octets, *stacks);
        // SAFETY: as above.
        unsafe { (*irp).IoStatus.Status = status };
    }
    fn IofCompleteRequest(_irp: *mut IRP, _boost: i8) {}
    fn IoAllocateMdl(
        address: PVOID, octets: u32, _secondary: BOOLEAN, _quota: BOOLEAN, _irp: *mut IRP
    ) -> *mut MDL {
        let mdl = allocate(mdl_size(octets as usize / PAGE_SIZE + 2), u32::from_le_bytes(*b"Mdl "))
            .cast::<MDL>();
        // SAFETY: allocated with room for one page less than these.
        unsafe { mdl.write(describe(address, octets)) };
        mdl
    }
    fn IoFreeMdl(mdl: *mut MDL) { free(mdl.cast()) }
    fn IoBuildPartialMdl(_source: *mut MDL, target: *mut MDL, address: PVOID, octets: u32) {
        let part = describe(address, octets);
        // SAFETY: the driver's: initialised.
        let target = unsafe { &mut *target };
        (target.StartVa, target.MappedSystemVa) = (part.StartVa, address);
        (target.ByteCount, target.ByteOffset) = (octets, part.ByteOffset);
        target.MdlFlags |= MDL_PARTIAL | MDL_MAPPED_TO_SYSTEM_VA;
    }
    fn MmBuildMdlForNonPagedPool(mdl: *mut MDL) {
        // SAFETY: the driver's: initialised.
        let mdl = unsafe { &mut *mdl };
        mdl.MappedSystemVa = mdl.StartVa.wrapping_byte_add(mdl.ByteOffset as usize);
        mdl.MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
    }
    fn MmMapLockedPagesSpecifyCache(
        mdl: *mut MDL, _mode: i8, _cache: i32, _address: PVOID, _bugcheck: u32, _priority: u32
    ) -> PVOID {
        // SAFETY: the driver's: valid.
        unsafe { (*mdl).MappedSystemVa }
    }
    fn MmGetSystemRoutineAddress(name: *mut UNICODE_STRING) -> PVOID {
        let address = match text(name).as_str() {
            "ExAllocatePool2" => ExAllocatePool2 as *const (),
            "ExInitializeLookasideListEx" => ExInitializeLookasideListEx as *const (),
            "ExDeleteLookasideListEx" => ExDeleteLookasideListEx as *const (),
            "KeQuerySystemTimePrecise" => KeQuerySystemTimePrecise as *const (),
            _ => core::ptr::null(),
        };
        address.cast_mut().cast()
    }
    fn IoCreateDevice(
        _driver: *mut DRIVER_OBJECT, _extension: u32, _name: *mut UNICODE_STRING, _kind: u32,
        _characteristics: u32, _exclusive: BOOLEAN, device: *mut *mut DEVICE_OBJECT
    ) -> NTSTATUS {
        // SAFETY: an out-parameter.
        unsafe { device.write(core::ptr::dangling_mut()) };
        STATUS_SUCCESS
    }
    fn IoDeleteDevice(_device: *mut DEVICE_OBJECT) {}
    fn IoCreateSymbolicLink(
        _link: *mut UNICODE_STRING, _device: *mut UNICODE_STRING
    ) -> NTSTATUS { STATUS_SUCCESS }
    fn IoDeleteSymbolicLink(_link: *mut UNICODE_STRING) -> NTSTATUS { STATUS_SUCCESS }
    fn KeBugCheckEx(code: u32, _a: usize, _b: usize, _c: usize, _d: usize) -> ! {
        eprintln!("bug check {code:#x}");
        std::process::abort()
    }
    fn KeInitializeEvent(_event: *mut KEVENT, _kind: i32, _state: BOOLEAN) {}
    fn KeSetEvent(_event: *mut KEVENT, _boost: i32, _wait: BOOLEAN) -> i32 { 0 }
    fn KeClearEvent(_event: *mut KEVENT) {}
    fn KeWaitForSingleObject(
        _object: PVOID, _reason: i32, _mode: i8, _alertable: BOOLEAN, _timeout: *mut LARGE_INTEGER
    ) -> NTSTATUS { STATUS_SUCCESS }
    fn KeInitializeTimer(_timer: *mut KTIMER) {}
    fn KeSetTimerEx(
        _timer: *mut KTIMER, _due: LARGE_INTEGER, _period: i32, _dpc: *mut KDPC
    ) -> BOOLEAN { 0 }
    fn KeCancelTimer(_timer: *mut KTIMER) -> BOOLEAN { 0 }
    fn KeInitializeDpc(_dpc: *mut KDPC, _routine: PVOID, _context: PVOID) {}
    fn KeFlushQueuedDpcs() {}
    fn KeQueryActiveProcessorCountEx(group: u16) -> u32 {
        assert_eq!(group, ALL_PROCESSOR_GROUPS);
        setting().processors
    }
    fn KeGetCurrentProcessorNumberEx(_number: *mut PROCESSOR_NUMBER) -> u32 {
        PROCESSOR.load(Ordering::Relaxed)
    }
    fn KeQuerySystemTimePrecise(now: *mut LARGE_INTEGER) {
        // SAFETY: an out-parameter.
        unsafe { now.write(LARGE_INTEGER { QuadPart: NOW }) };
    }
    fn KeQuerySystemTime(now: *mut LARGE_INTEGER) {
        // SAFETY: an out-parameter.
        unsafe { now.write(LARGE_INTEGER { QuadPart: NOW }) };
    }
    fn KeAcquireSpinLockRaiseToDpc(_lock: *mut KSPIN_LOCK) -> KIRQL { 0 }
    fn KeReleaseSpinLock(_lock: *mut KSPIN_LOCK, _irql: KIRQL) {}
    fn PsCreateSystemThread(
        thread: *mut HANDLE, _access: u32, _attributes: *mut OBJECT_ATTRIBUTES, _process: HANDLE,
        _client: PVOID, _routine: PVOID, _context: PVOID
    ) -> NTSTATUS {
        // SAFETY: an out-parameter. The thread is one that never gets a processor.
        unsafe { thread.write(core::ptr::dangling_mut()) };
        STATUS_SUCCESS
    }
    fn ObReferenceObjectByHandle(
        handle: HANDLE, _access: u32, _kind: PVOID, _mode: i8, object: *mut PVOID, _more: PVOID
    ) -> NTSTATUS {
        // SAFETY: an out-parameter.
        unsafe { object.write(handle) };
        STATUS_SUCCESS
    }
    fn ObfDereferenceObject(_object: PVOID) -> isize { 1 }
    fn KeSetPriorityThread(_thread: PVOID, _priority: i32) -> i32 { 8 }
    fn ZwOpenKey(
        key: *mut HANDLE, _access: u32, _attributes: *mut OBJECT_ATTRIBUTES
    ) -> NTSTATUS {
        // SAFETY: an out-parameter.
        unsafe { key.write(core::ptr::dangling_mut()) };
        STATUS_SUCCESS
    }
    fn ZwQueryValueKey(
        _key: HANDLE, name: *mut UNICODE_STRING, _class: i32, information: PVOID, octets: u32,
        _needed: *mut u32
    ) -> NTSTATUS {
        let name = text(name);
        let number = setting().numbers.iter().find(|(known, _)| *known == name);
        let (kind, data) = match (number, name.as_str()) {
            (Some((_, number)), _) => (REG_DWORD, number.to_le_bytes().to_vec()),
            (None, "SiteImage") => (REG_SZ, wide("\\??\\site.img\0")),
            _ => return STATUS_OBJECT_NAME_NOT_FOUND,
        };
        let length = u32::try_from(data.len()).unwrap_or(0);
        let head = [0, kind, length].map(u32::to_le_bytes).concat();
        let record = [head, data].concat();
        assert!(record.len() <= octets as usize);
        let to = information.cast::<u8>();
        // SAFETY: the driver's: `octets` octets are writable.
        unsafe { to.copy_from_nonoverlapping(record.as_ptr(), record.len()) };
        STATUS_SUCCESS
    }
    fn ZwClose(_handle: HANDLE) -> NTSTATUS { STATUS_SUCCESS }
    fn ZwCreateFile(
        file: *mut HANDLE, _access: u32, _attributes: *mut OBJECT_ATTRIBUTES,
        _status: *mut IO_STATUS_BLOCK, _size: *mut LARGE_INTEGER, _file_attributes: u32,
        _share: u32, _disposition: u32, _options: u32, _ea: PVOID, _ea_octets: u32
    ) -> NTSTATUS {
        // SAFETY: an out-parameter.
        unsafe { file.write(core::ptr::dangling_mut()) };
        STATUS_SUCCESS
    }
    fn ZwReadFile(
        _file: HANDLE, _event: HANDLE, _apc: PVOID, _context: PVOID, status: *mut IO_STATUS_BLOCK,
        buffer: PVOID, octets: u32, offset: *mut LARGE_INTEGER, _key: *mut u32
    ) -> NTSTATUS {
        // SAFETY: the driver's: valid for the call.
        let offset = unsafe { offset.read() };
        // SAFETY: every bit pattern of the union is an i64.
        let at = usize::try_from(unsafe { offset.QuadPart }).unwrap_or(usize::MAX);
        let rest = setting().image.get(at..).unwrap_or_default();
        let copied = rest.len().min(octets as usize);
        let to = buffer.cast::<u8>();
        // SAFETY: the driver's: `octets` octets are writable.
        unsafe { to.copy_from_nonoverlapping(rest.as_ptr(), copied) };
        // SAFETY: an out-parameter.
        unsafe { status.write(IO_STATUS_BLOCK { Status: STATUS_SUCCESS, Information: copied }) };
        STATUS_SUCCESS
    }
    fn ZwQueryInformationFile(
        _file: HANDLE, _status: *mut IO_STATUS_BLOCK, information: PVOID, _octets: u32, _class: i32
    ) -> NTSTATUS {
        let octets = i64::try_from(setting().image.len()).unwrap_or(i64::MAX);
        let length = LARGE_INTEGER { QuadPart: octets };
        let value = FILE_STANDARD_INFORMATION {
            AllocationSize: length,
            EndOfFile: length,
            NumberOfLinks: 1,
            DeletePending: 0,
            Directory: 0,
        };
        // SAFETY: the driver's: room for it.
        unsafe { information.cast::<FILE_STANDARD_INFORMATION>().write(value) };
        STATUS_SUCCESS
    }
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// An MDL of `octets` octets at `address`.
pub fn describe(address: PVOID, octets: u32) -> MDL {
    let offset = address.addr() % PAGE_SIZE;
    let pages = (offset + octets as usize).div_ceil(PAGE_SIZE);
    MDL {
        Next: core::ptr::null_mut(),
        Size: i16::try_from(mdl_size(pages)).unwrap_or(i16::MAX),
        MdlFlags: 0,
        Process: core::ptr::null_mut(),
        MappedSystemVa: address,
        StartVa: address.wrapping_byte_sub(offset),
        ByteCount: octets,
        ByteOffset: u32::try_from(offset).unwrap_or(0),
    }
}
