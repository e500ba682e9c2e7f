//! System threads.
use core::marker::PhantomData;
use core::ptr::NonNull;

use nt_sys::ke;
use nt_sys::kernel_fn;
use nt_sys::ntdef::{HANDLE, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, PVOID};
use nt_sys::{ps, zw};

use crate::pool::{PoolBox, Tag};
use crate::{Passive, PoolArc, Result, Status, bug_check};

/// What a thread does.
pub trait ThreadRoutine: Send + Sync {
    /// Runs at PASSIVE_LEVEL, once; the thread ends when it returns.
    fn run(&self, passive: &Passive);
}

/// A running thread.
///
/// H1: `object` is a reference to the thread object, given back once. H2: the thread holds a
/// reference to its routine until it ends, and it has ended when [`SystemThread::join`] returns.
pub struct SystemThread<R: ThreadRoutine> {
    object: Option<NonNull<core::ffi::c_void>>,
    _runs: PhantomData<fn(R)>,
}

// SAFETY: the object is synchronised by the kernel; only its address is used (H1).
unsafe impl<R: ThreadRoutine> Send for SystemThread<R> {}
// SAFETY: as above.
unsafe impl<R: ThreadRoutine> Sync for SystemThread<R> {}

impl<R: ThreadRoutine> SystemThread<R> {
    /// Starts a thread of the system process, which goes before those of user mode that are not
    /// real-time: what it does must not wait for them.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`, or what `PsCreateSystemThread` returned.
    pub fn start(_passive: &Passive, routine: PoolArc<R>) -> Result<SystemThread<R>> {
        let (context, tag) = PoolBox::into_raw(PoolBox::new(Tag::Object, routine)?);
        let null = core::ptr::null_mut;
        let mut attributes = OBJECT_ATTRIBUTES {
            Length: 48,
            RootDirectory: null(),
            ObjectName: core::ptr::null_mut(),
            Attributes: OBJ_KERNEL_HANDLE,
            SecurityDescriptor: null(),
            SecurityQualityOfService: null(),
        };
        let mut handle: HANDLE = null();
        // SAFETY: PASSIVE_LEVEL; the context is the thread's own.
        let started = Status::check(unsafe {
            ps::PsCreateSystemThread(
                &raw mut handle,
                ps::THREAD_ALL_ACCESS,
                &raw mut attributes,
                null(),
                core::ptr::null_mut(),
                Some(body::<R>),
                context.as_ptr().cast(),
            )
        });
        if let Err(status) = started {
            // SAFETY: there is no thread, so the context is still ours alone.
            drop(unsafe { PoolBox::from_raw(context, tag) });
            return Err(status);
        }
        let mut object: PVOID = null();
        // SAFETY: PASSIVE_LEVEL; the handle was opened just now, as a kernel handle.
        let referenced = Status::check(unsafe {
            ps::ObReferenceObjectByHandle(
                handle,
                ps::THREAD_ALL_ACCESS,
                core::ptr::null_mut(),
                ke::KernelMode,
                &raw mut object,
                core::ptr::null_mut(),
            )
        });
        // SAFETY: PASSIVE_LEVEL; closed once, the object is used by reference.
        let _ = unsafe { zw::ZwClose(handle) };
        let object = NonNull::new(object).filter(|_| referenced.is_ok());
        let Some(thread) = object else {
            // A thread that cannot be waited for would outlive the image.
            bug_check("thread without an object", handle.addr());
        };
        // SAFETY: PASSIVE_LEVEL; H1.
        unsafe { ke::KeSetPriorityThread(thread.as_ptr(), ke::LOW_REALTIME_PRIORITY) };
        Ok(SystemThread { object, _runs: PhantomData })
    }

    /// Waits until the thread has ended, which its routine must have been told to do.
    pub fn join(mut self, _passive: &Passive) {
        let Some(object) = self.object.take() else { return };
        // SAFETY: H1; a thread object is signalled when the thread has ended; PASSIVE_LEVEL.
        let _ = unsafe {
            ke::KeWaitForSingleObject(
                object.as_ptr(),
                ke::Executive,
                ke::KernelMode,
                0,
                core::ptr::null_mut(),
            )
        };
        // SAFETY: H1.
        unsafe { ps::ObfDereferenceObject(object.as_ptr()) };
    }
}

impl<R: ThreadRoutine> Drop for SystemThread<R> {
    fn drop(&mut self) {
        if let Some(object) = self.object {
            bug_check("thread joined, not dropped", object.addr().get());
        }
    }
}

kernel_fn! {
    unsafe fn body<R: ThreadRoutine>(context: PVOID) {
        // SAFETY: a system thread begins at PASSIVE_LEVEL and nothing here leaves it raised.
        let passive = unsafe { Passive::mint() };
        let Some(context) = NonNull::new(context.cast::<PoolArc<R>>()) else { return };
        // SAFETY: given up by `SystemThread::start` to this thread alone, with this tag.
        let routine = unsafe { PoolBox::from_raw(context, Tag::Object) };
        routine.run(&passive);
    }
}
