//! The driver object: entry, unload, control device.
use core::sync::atomic::{AtomicPtr, Ordering};

use nt_sys::io::{self, DEVICE_OBJECT, DRIVER_OBJECT, IRP};
use nt_sys::kernel_fn;
use nt_sys::ntdef::{
    NT_SUCCESS, NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, UNICODE_STRING,
};

use crate::pool::{PoolBox, Tag};
use crate::{Passive, RegistryKey, Result, Status, WideString, log, security};

/// A driver with one control device.
pub trait Driver: Sized + Send + Sync {
    /// NT name of the control device.
    const DEVICE_NAME: &'static str;
    /// Symbolic link by which user mode opens it.
    const DEVICE_LINK: &'static str;

    /// Brings the driver up, or leaves nothing behind. `parameters` is the service's `Parameters`
    /// key, `None` when it does not exist.
    ///
    /// # Errors
    /// Becomes the status of the driver's entry.
    fn start(passive: &Passive, parameters: Option<&RegistryKey>) -> Result<Self>;

    /// Takes the driver down; when it returns nothing of it runs any more.
    fn stop(self, passive: &Passive);

    /// Answers a METHOD_BUFFERED request; octets of output, at most as many as were asked for.
    ///
    /// # Errors
    /// Completes the request.
    fn control(&self, passive: &Passive, request: &mut Request<'_>) -> Result<usize>;
}

/// A METHOD_BUFFERED request. Input and output are in one buffer: what was put out is no longer
/// to be read.
pub struct Request<'b> {
    code: u32,
    buffer: &'b mut [u8],
    input: usize,
    output: usize,
}

impl Request<'_> {
    /// Its control code.
    pub fn code(&self) -> u32 {
        self.code
    }

    /// What came with it.
    pub fn input(&self) -> &[u8] {
        self.buffer.get(..self.input).unwrap_or_default()
    }

    /// Room for what goes back.
    pub fn output(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.output).unwrap_or_default()
    }
}

/// What the image owns while loaded.
struct Instance<D> {
    driver: Option<D>,
    device: *mut DEVICE_OBJECT,
}

/// D1: null, or the `Instance` of the one driver in this image, from the end of a successful entry
/// to the unload. The I/O manager calls dispatch routines only in between and unloads only when
/// every handle is closed.
static INSTANCE: AtomicPtr<core::ffi::c_void> = AtomicPtr::new(core::ptr::null_mut());

kernel_fn! {
    /// The driver's entry.
    ///
    /// # Safety
    /// Called by the I/O manager at PASSIVE_LEVEL with a new driver object and the path of the
    /// service's key.
    pub unsafe fn entry<D: Driver>(
        object: *mut DRIVER_OBJECT, path: *mut UNICODE_STRING,
    ) -> NTSTATUS {
        // SAFETY: the caller's: DriverEntry runs at PASSIVE_LEVEL.
        let passive = unsafe { Passive::mint() };
        crate::routines::find(&passive);
        // SAFETY: the caller's: valid for the call.
        let path = unsafe { &*path };
        // SAFETY: as above.
        let path = unsafe { WideString::copy_from(path) };
        let Some(path) = path else { return STATUS_INVALID_PARAMETER };
        crate::event_log::belongs_to(object);
        crate::trace::register(&passive);
        match load::<D>(&passive, object, path) {
            Ok(()) => STATUS_SUCCESS,
            Err(status) => {
                crate::trace::unregister(&passive);
                status.raw()
            }
        }
    }
}

fn load<D: Driver>(
    passive: &Passive,
    object: *mut DRIVER_OBJECT,
    mut path: WideString,
) -> Result<()> {
    if !path.push_str("\\Parameters") {
        return Err(Status::INVALID_PARAMETER);
    }
    let instance = Instance::<D> { driver: None, device: core::ptr::null_mut() };
    let mut instance = PoolBox::new(Tag::Server, instance)?;
    let parameters = RegistryKey::open(passive, &mut path)?;
    let driver = D::start(passive, parameters.as_ref())?;
    match create_device::<D>(passive, object) {
        Ok(device) => instance.device = device,
        Err(status) => {
            driver.stop(passive);
            return Err(status);
        }
    }
    instance.driver = Some(driver);
    let (instance, _) = PoolBox::into_raw(instance);
    INSTANCE.store(instance.as_ptr().cast(), Ordering::Release);
    // SAFETY: the I/O manager owns the object and lets the entry fill it in.
    let object = unsafe { &mut *object };
    object.DriverUnload = Some(unload::<D>);
    for code in DISPATCHED {
        if let Some(slot) = object.MajorFunction.get_mut(usize::from(code)) {
            *slot = Some(dispatch::<D>);
        }
    }
    Ok(())
}

/// Major functions the control device answers.
const DISPATCHED: [u8; 4] =
    [io::IRP_MJ_CREATE, io::IRP_MJ_CLEANUP, io::IRP_MJ_CLOSE, io::IRP_MJ_DEVICE_CONTROL];

/// The device and its link; null where the kernel does not let it be restricted: better none than
/// one for everybody.
fn create_device<D: Driver>(
    passive: &Passive,
    object: *mut DRIVER_OBJECT,
) -> Result<*mut DEVICE_OBJECT> {
    let mut name = WideString::new(D::DEVICE_NAME).ok_or(Status::INVALID_PARAMETER)?;
    let mut link = WideString::new(D::DEVICE_LINK).ok_or(Status::INVALID_PARAMETER)?;
    let (mut name, mut link) = (name.counted(), link.counted());
    let mut device = core::ptr::null_mut();
    // SAFETY: PASSIVE_LEVEL; the object is this driver's and the pointers are valid.
    let status = unsafe {
        io::IoCreateDevice(
            object,
            0,
            &raw mut name,
            io::FILE_DEVICE_NETWORK,
            io::FILE_DEVICE_SECURE_OPEN,
            0,
            &raw mut device,
        )
    };
    Status::check(status)?;
    // SAFETY: created above, and the entry has not returned.
    if let Err(status) = unsafe { security::restrict(passive, device) } {
        // SAFETY: as above; nobody opened it.
        unsafe { io::IoDeleteDevice(device) };
        log(format_args!("no control device: who may open it cannot be set ({status})"));
        return Ok(core::ptr::null_mut());
    }
    // SAFETY: as above.
    let status = unsafe { io::IoCreateSymbolicLink(&raw mut link, &raw mut name) };
    if !NT_SUCCESS(status) {
        // SAFETY: created above; nobody opened it, the entry has not returned.
        unsafe { io::IoDeleteDevice(device) };
    }
    Status::check(status).map(|()| device)
}

kernel_fn! {
    unsafe fn unload<D: Driver>(_object: *mut DRIVER_OBJECT) {
        // SAFETY: DriverUnload runs at PASSIVE_LEVEL.
        let passive = unsafe { Passive::mint() };
        let instance = INSTANCE.swap(core::ptr::null_mut(), Ordering::AcqRel).cast::<Instance<D>>();
        let Some(instance) = core::ptr::NonNull::new(instance) else { return };
        // SAFETY: D1: from `PoolBox::into_raw` with this tag, taken back once.
        let mut instance = unsafe { PoolBox::from_raw(instance, Tag::Server) };
        if !instance.device.is_null() {
            if let Some(mut link) = WideString::new(D::DEVICE_LINK) {
                let mut link = link.counted();
                // SAFETY: PASSIVE_LEVEL; made in `create_device`.
                let _ = unsafe { io::IoDeleteSymbolicLink(&raw mut link) };
            }
            // SAFETY: D1: no handle is open, so no request runs or will.
            unsafe { io::IoDeleteDevice(instance.device) };
        }
        if let Some(driver) = instance.driver.take() {
            driver.stop(&passive);
        }
        crate::trace::unregister(&passive);
    }
}

kernel_fn! {
    unsafe fn dispatch<D: Driver>(_device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
        // SAFETY: requests from user mode reach a highest-level driver at PASSIVE_LEVEL.
        let passive = unsafe { Passive::mint() };
        // SAFETY: the I/O manager gave this driver the IRP.
        let location = unsafe { io::IoGetCurrentIrpStackLocation(irp) };
        // SAFETY: as above; the location stays valid until the IRP is completed.
        let result = if unsafe { (*location).MajorFunction } == io::IRP_MJ_DEVICE_CONTROL {
            // SAFETY: as above.
            let buffer = unsafe { io::irp_system_buffer(irp) };
            // SAFETY: D1: dispatch routines run only while the instance exists.
            let instance = unsafe { &*INSTANCE.load(Ordering::Acquire).cast::<Instance<D>>() };
            // SAFETY: the major function says which parameters these are.
            let (output, input, code) = unsafe { io::device_io_control(location) };
            let (output, input) = (output as usize, input as usize);
            // SAFETY: METHOD_BUFFERED: the system buffer has room for the longer of both lengths,
            // zeroed behind the input, and is null only when both are zero.
            let buffer = unsafe { system_buffer(buffer.cast(), input.max(output)) };
            buffer.get_mut(input..).unwrap_or_default().fill(0);
            let mut request = Request { code, buffer, input, output };
            let driver = instance.driver.as_ref();
            let done = driver.map(|driver| driver.control(&passive, &mut request));
            let done = done.map(|done| done.map(|used| used.min(output)));
            done.unwrap_or(Err(Status::INVALID_DEVICE_REQUEST))
        } else {
            Ok(0)
        };
        let (status, information) = match result {
            Ok(octets) => (STATUS_SUCCESS, octets),
            Err(status) => (status.raw(), 0),
        };
        // SAFETY: still ours until completed.
        unsafe { io::set_irp_outcome(irp, status, information) };
        // SAFETY: completed once, used no more.
        unsafe { io::IofCompleteRequest(irp, io::IO_NO_INCREMENT) };
        status
    }
}

/// # Safety
/// `buffer` is null and `octets` 0, or `octets` octets are readable and writable by the caller
/// alone for the lifetime it chooses.
unsafe fn system_buffer<'b>(buffer: *mut u8, octets: usize) -> &'b mut [u8] {
    if buffer.is_null() {
        return &mut [];
    }
    // SAFETY: the caller's.
    unsafe { core::slice::from_raw_parts_mut(buffer, octets) }
}
