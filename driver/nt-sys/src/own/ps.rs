//! Threads and object references (`Ps*`, `Ob*`).
use super::ntdef::{HANDLE, NTSTATUS, OBJECT_ATTRIBUTES, PVOID};

/// Body of a system thread; the thread ends when it returns.
pub type KSTART_ROUTINE = crate::callback!((PVOID));

/// `THREAD_ALL_ACCESS`.
pub const THREAD_ALL_ACCESS: u32 = 0x1F_FFFF;

import! {
    /// IRQL PASSIVE. A null process is the system's.
    fn PsCreateSystemThread(thread: *mut HANDLE, access: u32, attributes: *mut OBJECT_ATTRIBUTES,
        process: HANDLE, client: PVOID, routine: KSTART_ROUTINE, context: PVOID) -> NTSTATUS;
    /// IRQL PASSIVE. In kernel mode a null type is any type.
    fn ObReferenceObjectByHandle(handle: HANDLE, access: u32, kind: PVOID, mode: i8,
        object: *mut PVOID, information: PVOID) -> NTSTATUS;
    /// IRQL PASSIVE. In kernel mode a null type is any type.
    fn ObOpenObjectByPointer(object: PVOID, attributes: u32, state: PVOID, access: u32,
        kind: PVOID, mode: i8, handle: *mut HANDLE) -> NTSTATUS;
    /// IRQL <= DISPATCH. Gives a reference back; returns how many are left.
    fn ObfDereferenceObject(object: PVOID) -> isize;
}
