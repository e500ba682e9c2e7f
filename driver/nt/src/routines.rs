//! Kernel functions that not every kernel has, looked up once, with what stands in for them.
//!
//! R1: an address is null or that of the function of its name, and stays: the kernel outlives the
//! driver. R2: found before the driver starts, so that it does not change while it runs.
use core::sync::atomic::{AtomicPtr, Ordering};

use nt_sys::ex::{EX_ALLOCATE_POOL2, EX_DELETE_LOOKASIDE_LIST_EX, EX_INITIALIZE_LOOKASIDE_LIST_EX};
use nt_sys::ke::{KE_QUERY_PERFORMANCE_COUNTER, KE_QUERY_SYSTEM_TIME};
use nt_sys::mm::MmGetSystemRoutineAddress;
use nt_sys::ntdef::PVOID;
use nt_sys::ps::OB_OPEN_OBJECT_BY_POINTER;
use nt_sys::zw::ZW_SET_SECURITY_OBJECT;

use crate::{Passive, WideString};

/// One function.
struct Routine {
    name: &'static str,
    address: AtomicPtr<core::ffi::c_void>,
}

impl Routine {
    const fn new(name: &'static str) -> Routine {
        Routine { name, address: AtomicPtr::new(core::ptr::null_mut()) }
    }

    fn find(&self) {
        let Some(mut name) = WideString::new(self.name) else { return };
        let mut name = name.counted();
        // SAFETY: PASSIVE_LEVEL (see `find`); the name is valid for the call.
        let address = unsafe { MmGetSystemRoutineAddress(&raw mut name) };
        self.address.store(address, Ordering::Relaxed);
    }

    fn address(&self) -> PVOID {
        self.address.load(Ordering::Relaxed)
    }
}

static ALLOCATE_POOL2: Routine = Routine::new("ExAllocatePool2");
static INITIALIZE_LOOKASIDE: Routine = Routine::new("ExInitializeLookasideListEx");
static DELETE_LOOKASIDE: Routine = Routine::new("ExDeleteLookasideListEx");
static TIME_PRECISE: Routine = Routine::new("KeQuerySystemTimePrecise");
static TIME: Routine = Routine::new("KeQuerySystemTime");
/// In older kernels it is of the HAL, where a lookup finds it and an import does not.
static COUNTER: Routine = Routine::new("KeQueryPerformanceCounter");
static REGISTER_PROVIDER: Routine = Routine::new("EtwRegister");
// Not in the headers that the driver is built with: ntifs.h has them.
static OPEN_OBJECT: Routine = Routine::new("ObOpenObjectByPointer");
static SET_SECURITY: Routine = Routine::new("ZwSetSecurityObject");

/// Looks all of them up.
pub(crate) fn find(_passive: &Passive) {
    let pool = [&ALLOCATE_POOL2, &INITIALIZE_LOOKASIDE, &DELETE_LOOKASIDE];
    let others = [&TIME_PRECISE, &TIME, &COUNTER, &REGISTER_PROVIDER, &OPEN_OBJECT, &SET_SECURITY];
    pool.into_iter().chain(others).for_each(Routine::find);
}

/// `ExAllocatePool2`; without it, `ExAllocatePoolWithTag` and zeroes.
pub(crate) fn allocate_pool2() -> EX_ALLOCATE_POOL2 {
    // SAFETY: R1; a nullable function pointer has the size of an address.
    unsafe { core::mem::transmute::<PVOID, EX_ALLOCATE_POOL2>(ALLOCATE_POOL2.address()) }
}

/// `ExInitializeLookasideListEx` and `ExDeleteLookasideListEx`; without them, pool.
pub(crate) fn lookaside_lists()
-> Option<(EX_INITIALIZE_LOOKASIDE_LIST_EX, EX_DELETE_LOOKASIDE_LIST_EX)> {
    let (initialize, delete) = (INITIALIZE_LOOKASIDE.address(), DELETE_LOOKASIDE.address());
    if initialize.is_null() || delete.is_null() {
        return None;
    }
    // SAFETY: R1, as above.
    let initialize =
        unsafe { core::mem::transmute::<PVOID, EX_INITIALIZE_LOOKASIDE_LIST_EX>(initialize) };
    // SAFETY: R1, as above.
    let delete = unsafe { core::mem::transmute::<PVOID, EX_DELETE_LOOKASIDE_LIST_EX>(delete) };
    Some((initialize, delete))
}

/// `ObOpenObjectByPointer` and `ZwSetSecurityObject`; without them, no device.
pub(crate) fn security() -> (OB_OPEN_OBJECT_BY_POINTER, ZW_SET_SECURITY_OBJECT) {
    let (open, set) = (OPEN_OBJECT.address(), SET_SECURITY.address());
    // SAFETY: R1, as above.
    let open = unsafe { core::mem::transmute::<PVOID, OB_OPEN_OBJECT_BY_POINTER>(open) };
    // SAFETY: R1, as above.
    let set = unsafe { core::mem::transmute::<PVOID, ZW_SET_SECURITY_OBJECT>(set) };
    (open, set)
}

/// `KeQuerySystemTimePrecise`; without it, the time of the last clock interrupt.
pub(crate) fn query_system_time() -> KE_QUERY_SYSTEM_TIME {
    let precise = TIME_PRECISE.address();
    let address = if precise.is_null() { TIME.address() } else { precise };
    // SAFETY: R1, as above; both functions have this type.
    unsafe { core::mem::transmute::<PVOID, KE_QUERY_SYSTEM_TIME>(address) }
}

/// `KeQueryPerformanceCounter`; without it, the system time.
pub(crate) fn query_performance_counter() -> KE_QUERY_PERFORMANCE_COUNTER {
    // SAFETY: R1, as above.
    unsafe { core::mem::transmute::<PVOID, KE_QUERY_PERFORMANCE_COUNTER>(COUNTER.address()) }
}

/// True when the kernel has ETW. Its functions are imported: a kernel without them loads an image
/// that names them, as long as nobody calls them.
pub(crate) fn has_tracing() -> bool {
    !REGISTER_PROVIDER.address().is_null()
}
