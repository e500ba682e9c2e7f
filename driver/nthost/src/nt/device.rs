//! Devices, symbolic links, and requests to them.
use parking_lot::Mutex;

use nt_sys::io::{
    DEVICE_OBJECT, DRIVER_OBJECT, FILE_DEVICE_SECURE_OPEN, IO_STACK_LOCATION, IRP, IRP_MJ_CLEANUP,
    IRP_MJ_CLOSE, IRP_MJ_CREATE, IRP_MJ_DEVICE_CONTROL, IRP_SIZE_ONE,
};
use nt_sys::ke::KernelMode;
use nt_sys::ntdef::{
    BOOLEAN, HANDLE, NT_SUCCESS, NTSTATUS, OBJ_KERNEL_HANDLE, PVOID, STATUS_ACCESS_DENIED,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_OBJECT_NAME_COLLISION,
    STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, UNICODE_STRING,
};
use nt_sys::zw::{DACL_SECURITY_INFORMATION, WRITE_DAC};

use super::handle::{self, Target, text};
use super::security::{Caller, Descriptor};
use crate::ledger::{Item, Ledger};
use crate::processor::require_irql;
use crate::sim::fault;
use crate::sim::freedom::Freedom;
use crate::verifier::{Rule, violation};

struct Device {
    name: String,
    driver: usize,
    object: usize,
    /// Everybody may open it unless somebody said who.
    security: Option<Descriptor>,
}

#[derive(Default)]
struct Devices {
    all: Vec<Device>,
    links: Vec<(String, String)>,
    next: usize,
}

static DEVICES: Mutex<Devices> =
    Mutex::new(Devices { all: Vec::new(), links: Vec::new(), next: 0 });

/// Creates a device.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoCreateDevice(
    driver: *mut DRIVER_OBJECT,
    extension: u32,
    name: *mut UNICODE_STRING,
    _kind: u32,
    characteristics: u32,
    _exclusive: BOOLEAN,
    device: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    let export = "IoCreateDevice";
    require_irql(export, 0);
    // SAFETY: the caller's.
    let name = unsafe { text(name) };
    if extension != 0 || characteristics & FILE_DEVICE_SECURE_OPEN == 0 {
        violation(Rule::Flags, export, name, "extension, or no FILE_DEVICE_SECURE_OPEN", None);
    }
    if fault::fails(export, Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let mut devices = DEVICES.lock();
    if devices.all.iter().any(|device| device.name.eq_ignore_ascii_case(&name)) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    devices.next += 16;
    // Opaque: drivers only pass the address on.
    let object = 0x7000_0000_0000 + devices.next;
    let driver = driver.expose_provenance();
    devices.all.push(Device { name, driver, object, security: None });
    // SAFETY: the caller's.
    unsafe { device.write(core::ptr::without_provenance_mut(object)) };
    STATUS_SUCCESS
}

/// Deletes a device.
///
/// # Safety
/// None: a wrong device is reported.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoDeleteDevice(device: *mut DEVICE_OBJECT) {
    require_irql("IoDeleteDevice", 1);
    let mut devices = DEVICES.lock();
    let before = devices.all.len();
    devices.all.retain(|known| known.object != device.addr());
    if devices.all.len() == before {
        drop(devices);
        violation(Rule::Object, "IoDeleteDevice", format!("{device:p}"), "not a device", None);
    }
}

/// Creates a symbolic link.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoCreateSymbolicLink(
    link: *mut UNICODE_STRING,
    device: *mut UNICODE_STRING,
) -> NTSTATUS {
    require_irql("IoCreateSymbolicLink", 0);
    // SAFETY: the caller's.
    let link = unsafe { text(link) };
    // SAFETY: the caller's.
    let device = unsafe { text(device) };
    if fault::fails("IoCreateSymbolicLink", Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let mut devices = DEVICES.lock();
    if devices.links.iter().any(|(known, _)| known.eq_ignore_ascii_case(&link)) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    devices.links.push((link, device));
    STATUS_SUCCESS
}

/// Deletes a symbolic link.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoDeleteSymbolicLink(link: *mut UNICODE_STRING) -> NTSTATUS {
    require_irql("IoDeleteSymbolicLink", 0);
    // SAFETY: the caller's.
    let link = unsafe { text(link) };
    let mut devices = DEVICES.lock();
    let before = devices.links.len();
    devices.links.retain(|(known, _)| !known.eq_ignore_ascii_case(&link));
    if devices.links.len() < before { STATUS_SUCCESS } else { STATUS_OBJECT_NAME_NOT_FOUND }
}

/// Completes a request. Everything that a dispatch routine completes here was given to it by
/// [`control`], which reads the result from the IRP.
///
/// # Safety
/// `irp` was given to a dispatch routine of the driver.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IofCompleteRequest(irp: *mut IRP, _boost: i8) {
    require_irql("IofCompleteRequest", 2);
    // SAFETY: the caller's.
    let fields = unsafe { &mut *irp };
    if fields.CurrentLocation != 1 {
        let detail = "completed twice, or not given to this driver";
        violation(Rule::IrpShape, "IofCompleteRequest", format!("IRP {irp:p}"), detail, None);
    }
    fields.CurrentLocation += 1;
}

/// IRP with one stack location.
#[repr(C, align(16))]
struct Request {
    octets: [u8; IRP_SIZE_ONE as usize],
}

/// Opens a device object for its descriptor to be set.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ObOpenObjectByPointer(
    object: PVOID,
    attributes: u32,
    state: PVOID,
    access: u32,
    kind: PVOID,
    mode: i8,
    handle: *mut HANDLE,
) -> NTSTATUS {
    let export = "ObOpenObjectByPointer";
    require_irql(export, 0);
    let is_known = DEVICES.lock().all.iter().any(|device| device.object == object.addr());
    if !is_known {
        violation(Rule::Object, export, format!("{object:p}"), "not a device", None);
    }
    let is_plain = state.is_null() && kind.is_null() && mode == KernelMode;
    if attributes != OBJ_KERNEL_HANDLE || access != WRITE_DAC || !is_plain {
        violation(Rule::Flags, export, "attributes", "not a kernel handle for the list", None);
    }
    if fault::fails(export, Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller's.
    unsafe { handle.write(handle::open(export, Target::Device(object.addr()))) };
    STATUS_SUCCESS
}

/// Sets who may open a device.
///
/// # Safety
/// `descriptor` is a valid self-relative SECURITY_DESCRIPTOR.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ZwSetSecurityObject(
    handle: HANDLE,
    information: u32,
    descriptor: PVOID,
) -> NTSTATUS {
    let export = "ZwSetSecurityObject";
    let Target::Device(object) = handle::target(export, handle) else {
        violation(Rule::Handle, export, format!("handle {handle:p}"), "not a device", None);
    };
    if fault::fails(export, Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller's.
    let security = unsafe { Descriptor::read(descriptor.cast()) };
    let Some(security) = security.filter(|_| information == DACL_SECURITY_INFORMATION) else {
        violation(Rule::Flags, export, "the descriptor", "malformed, or not a list alone", None);
    };
    let mut devices = DEVICES.lock();
    if let Some(device) = devices.all.iter_mut().find(|device| device.object == object) {
        device.security = Some(security);
    }
    STATUS_SUCCESS
}

/// Who may open a device, as SDDL; `None` when nobody said so, or there is no such device.
pub(crate) fn sddl(name: &str) -> Option<String> {
    let devices = DEVICES.lock();
    let device = devices.all.iter().find(|device| device.name.eq_ignore_ascii_case(name))?;
    device.security.as_ref().map(ToString::to_string)
}

/// A handle is for reading: `FILE_READ_ACCESS`.
pub(crate) const ACCESS_READ: u32 = 1;
/// A handle is for reading and writing: that `FILE_READ_ACCESS` and `FILE_WRITE_ACCESS`.
pub(crate) const ACCESS_BOTH: u32 = 3;

/// What a control code asks of the handle (`CTL_CODE`).
const fn access_of(code: u32) -> u32 {
    code >> 14 & ACCESS_BOTH
}

/// Opens the device for `access`, makes one METHOD_BUFFERED request, closes it again.
pub(crate) fn control(
    caller: Caller,
    name: &str,
    access: u32,
    code: u32,
    input: &[u8],
    output_len: usize,
) -> Result<Vec<u8>, NTSTATUS> {
    let devices = DEVICES.lock();
    let target = devices.links.iter().find(|(link, _)| link.eq_ignore_ascii_case(name));
    let target = target.map_or(name, |(_, device)| device);
    let device = devices.all.iter().find(|device| device.name.eq_ignore_ascii_case(target));
    let Some(device) = device else { return Err(STATUS_OBJECT_NAME_NOT_FOUND) };
    if !device.security.as_ref().is_none_or(|security| security.admits(caller)) {
        return Err(STATUS_ACCESS_DENIED);
    }
    let (driver, object) = (device.driver, device.object);
    drop(devices);
    dispatch(driver, object, IRP_MJ_CREATE, [0; 4], &mut [])?;
    let mut buffer = input.to_vec();
    buffer.resize(input.len().max(output_len), 0);
    let parameters = [output_len, input.len(), code as usize, 0];
    // The I/O manager looks at the access; the driver does not see what was not allowed.
    let result = if access_of(code) & !access == 0 {
        dispatch(driver, object, IRP_MJ_DEVICE_CONTROL, parameters, &mut buffer)
    } else {
        Err(STATUS_ACCESS_DENIED)
    };
    dispatch(driver, object, IRP_MJ_CLEANUP, [0; 4], &mut [])?;
    dispatch(driver, object, IRP_MJ_CLOSE, [0; 4], &mut [])?;
    let used = result?;
    buffer.truncate(used.min(output_len));
    Ok(buffer)
}

fn dispatch(
    driver: usize,
    object: usize,
    major: u8,
    parameters: [usize; 4],
    buffer: &mut [u8],
) -> Result<usize, NTSTATUS> {
    let driver: *mut DRIVER_OBJECT = core::ptr::with_exposed_provenance_mut(driver);
    let object: *mut DEVICE_OBJECT = core::ptr::without_provenance_mut(object);
    // SAFETY: the driver object lives as long as its devices.
    let routine = unsafe { (*driver).MajorFunction[usize::from(major)] };
    let Some(routine) = routine else { return Err(STATUS_INVALID_DEVICE_REQUEST) };
    let mut request = Request { octets: [0; IRP_SIZE_ONE as usize] };
    let irp = (&raw mut request).cast::<IRP>();
    // SAFETY: memory of an IRP with one stack location.
    unsafe { super::irp::IoInitializeIrp(irp, IRP_SIZE_ONE, 1) };
    // SAFETY: initialised just now.
    let fields = unsafe { &mut *irp };
    fields.SystemBuffer =
        if buffer.is_empty() { core::ptr::null_mut() } else { buffer.as_mut_ptr().cast() };
    fields.CurrentLocation -= 1;
    fields.CurrentStackLocation = fields.CurrentStackLocation.wrapping_sub(1);
    let location: *mut IO_STACK_LOCATION = fields.CurrentStackLocation;
    // SAFETY: the one stack location.
    let location = unsafe { &mut *location };
    location.MajorFunction = major;
    location.Parameters = parameters;
    location.DeviceObject = object;
    // SAFETY: a dispatch routine of the driver, called at PASSIVE_LEVEL with its IRP.
    let returned = unsafe { routine(object, irp) };
    crate::sim::interrupt::disarm();
    // SAFETY: the request is still here.
    let fields = unsafe { &*irp };
    if fields.CurrentLocation != 2 {
        let detail = "returned without having completed it (pending is not supported)";
        violation(Rule::Completion, "dispatch routine", format!("IRP_MJ {major:#x}"), detail, None);
    }
    if NT_SUCCESS(returned) { Ok(fields.IoStatus.Information) } else { Err(returned) }
}

pub(crate) fn reset() {
    *DEVICES.lock() = Devices::default();
}

pub(crate) fn enter(ledger: &mut Ledger) {
    let devices = DEVICES.lock();
    let names = devices.all.iter().map(|device| device.name.clone());
    let item = Item { count: devices.all.len(), sites: names.collect(), ..Item::default() };
    ledger.items.insert("devices".to_owned(), item);
    let names = devices.links.iter().map(|(link, _)| link.clone());
    let item = Item { count: devices.links.len(), sites: names.collect(), ..Item::default() };
    ledger.items.insert("symbolic links".to_owned(), item);
}
