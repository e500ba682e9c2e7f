//! Files: those that were given to the host, and this machine's where it may have them.
use std::io::ErrorKind;
use std::sync::Arc;

use nt_sys::ntdef::{
    HANDLE, IO_STATUS_BLOCK, LARGE_INTEGER, NTSTATUS, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, PVOID,
    STATUS_ACCESS_DENIED, STATUS_END_OF_FILE, STATUS_FILE_IS_A_DIRECTORY,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_SUCCESS,
};
use nt_sys::zw::{FILE_OPEN, FILE_STANDARD_INFORMATION, FileStandardInformation};

use super::handle::{self, Target, text};
use crate::host::state;
use crate::processor::require_irql;
use crate::sim::fault;
use crate::sim::freedom::Freedom;
use crate::verifier::{Rule, violation};

/// Opens a file.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ZwCreateFile(
    file: *mut HANDLE,
    _access: u32,
    attributes: *mut OBJECT_ATTRIBUTES,
    status: *mut IO_STATUS_BLOCK,
    _size: *mut LARGE_INTEGER,
    _file_attributes: u32,
    _share: u32,
    disposition: u32,
    _options: u32,
    _ea: PVOID,
    _ea_octets: u32,
) -> NTSTATUS {
    let export = "ZwCreateFile";
    require_irql(export, 0);
    // SAFETY: the caller's.
    let attributes = unsafe { &*attributes };
    if attributes.Attributes & OBJ_KERNEL_HANDLE == 0 || disposition != FILE_OPEN {
        violation(
            Rule::Flags,
            export,
            "attributes",
            "not for a kernel handle, or not to open",
            None,
        );
    }
    // SAFETY: the caller's.
    let name = unsafe { text(attributes.ObjectName) };
    let octets = match find(&name) {
        Ok(octets) => octets,
        Err(status) => return status,
    };
    if fault::fails(export, Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller's.
    unsafe { file.write(handle::open(export, Target::File(octets))) };
    // SAFETY: the caller's.
    unsafe { status.write(IO_STATUS_BLOCK { Status: STATUS_SUCCESS, Information: 1 }) };
    STATUS_SUCCESS
}

fn find(name: &str) -> Result<Arc<Vec<u8>>, NTSTATUS> {
    let files = state().files.lock();
    if let Some((_, octets)) = files.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
        return Ok(octets.clone());
    }
    drop(files);
    let own = name.strip_prefix(r"\??\").filter(|path| path.starts_with('/'));
    let Some(path) = own.filter(|_| state().own_files) else {
        return Err(STATUS_OBJECT_NAME_NOT_FOUND);
    };
    // Anything else might never end, or never begin.
    let is_file = std::fs::metadata(path).map(|metadata| metadata.is_file());
    let octets = match is_file {
        Ok(true) => std::fs::read(path),
        Ok(false) => Err(ErrorKind::IsADirectory.into()),
        Err(error) => Err(error),
    };
    octets.map(Arc::new).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => STATUS_ACCESS_DENIED,
        ErrorKind::IsADirectory => STATUS_FILE_IS_A_DIRECTORY,
        _ => STATUS_OBJECT_NAME_NOT_FOUND,
    })
}

fn octets_of(export: &'static str, file: HANDLE) -> Arc<Vec<u8>> {
    match handle::target(export, file) {
        Target::File(octets) => octets,
        Target::Parameters | Target::Thread(_) | Target::Device(_) => {
            violation(Rule::Handle, export, format!("handle {file:p}"), "not a file", None)
        }
    }
}

/// Reads at an offset.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ZwReadFile(
    file: HANDLE,
    _event: HANDLE,
    _apc: PVOID,
    _context: PVOID,
    status: *mut IO_STATUS_BLOCK,
    buffer: PVOID,
    octets: u32,
    offset: *mut LARGE_INTEGER,
    _key: *mut u32,
) -> NTSTATUS {
    let contents = octets_of("ZwReadFile", file);
    if fault::fails("ZwReadFile", Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller's.
    let offset = unsafe { offset.read() };
    // SAFETY: every bit pattern of the union is an i64.
    let at = usize::try_from(unsafe { offset.QuadPart }).unwrap_or(usize::MAX);
    let rest = contents.get(at..).unwrap_or_default();
    if rest.is_empty() {
        return STATUS_END_OF_FILE;
    }
    let copied = rest.len().min(octets as usize);
    let buffer = buffer.cast::<u8>();
    // SAFETY: the caller's: `octets` octets are writable.
    unsafe { buffer.copy_from_nonoverlapping(rest.as_ptr(), copied) };
    // SAFETY: the caller's.
    unsafe { status.write(IO_STATUS_BLOCK { Status: STATUS_SUCCESS, Information: copied }) };
    STATUS_SUCCESS
}

/// Says how long a file is.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ZwQueryInformationFile(
    file: HANDLE,
    status: *mut IO_STATUS_BLOCK,
    information: PVOID,
    octets: u32,
    class: i32,
) -> NTSTATUS {
    let contents = octets_of("ZwQueryInformationFile", file);
    if fault::fails("ZwQueryInformationFile", Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let size = size_of::<FILE_STANDARD_INFORMATION>();
    if class != FileStandardInformation || (octets as usize) < size {
        return STATUS_INVALID_PARAMETER;
    }
    let length = LARGE_INTEGER { QuadPart: i64::try_from(contents.len()).unwrap_or(i64::MAX) };
    let value = FILE_STANDARD_INFORMATION {
        AllocationSize: length,
        EndOfFile: length,
        NumberOfLinks: 1,
        DeletePending: 0,
        Directory: 0,
    };
    // SAFETY: the caller's: room for it, checked above.
    unsafe { information.cast::<FILE_STANDARD_INFORMATION>().write(value) };
    // SAFETY: the caller's.
    unsafe { status.write(IO_STATUS_BLOCK { Status: STATUS_SUCCESS, Information: size }) };
    STATUS_SUCCESS
}
