//! The driver's registry key.
use nt_sys::ntdef::{
    HANDLE, NTSTATUS, OBJ_KERNEL_HANDLE, OBJECT_ATTRIBUTES, PVOID, STATUS_BUFFER_OVERFLOW,
    STATUS_BUFFER_TOO_SMALL, STATUS_INSUFFICIENT_RESOURCES, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_SUCCESS, UNICODE_STRING,
};
use nt_sys::zw::{KeyValuePartialInformation, REG_DWORD, REG_MULTI_SZ, REG_SZ};

use super::handle::{self, Target, text};
use crate::host::{Value, state};
use crate::processor::require_irql;
use crate::sim::fault;
use crate::sim::freedom::Freedom;
use crate::verifier::{Rule, violation};

/// Octets before the data of a KEY_VALUE_PARTIAL_INFORMATION.
const HEADER_BYTES: usize = 12;

/// Opens a key: there is one, the driver's `Parameters`.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ZwOpenKey(
    key: *mut HANDLE,
    _access: u32,
    attributes: *mut OBJECT_ATTRIBUTES,
) -> NTSTATUS {
    require_irql("ZwOpenKey", 0);
    // SAFETY: the caller's.
    let attributes = unsafe { &*attributes };
    if attributes.Attributes & OBJ_KERNEL_HANDLE == 0 || attributes.Length != 48 {
        violation(Rule::Flags, "ZwOpenKey", "attributes", "not for a kernel handle", None);
    }
    // SAFETY: the caller's.
    let name = unsafe { text(attributes.ObjectName) };
    if !name.eq_ignore_ascii_case(&state().parameters_path()) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if fault::fails("ZwOpenKey", Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller's.
    unsafe { key.write(handle::open("ZwOpenKey", Target::Parameters)) };
    STATUS_SUCCESS
}

fn encode(value: &Value) -> (u32, Vec<u8>) {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    match value {
        Value::Dword(number) => (REG_DWORD, number.to_le_bytes().to_vec()),
        Value::String(text) => (REG_SZ, wide(&format!("{text}\0"))),
        Value::MultiString(texts) => (REG_MULTI_SZ, wide(&format!("{}\0\0", texts.join("\0")))),
    }
}

/// Reads a value.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ZwQueryValueKey(
    key: HANDLE,
    name: *mut UNICODE_STRING,
    class: i32,
    information: PVOID,
    octets: u32,
    needed: *mut u32,
) -> NTSTATUS {
    let export = "ZwQueryValueKey";
    let (Target::Parameters, true) =
        (handle::target(export, key), class == KeyValuePartialInformation)
    else {
        violation(Rule::Flags, export, format!("handle {key:p}"), "not a key, or class", None);
    };
    if fault::fails(export, Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller's.
    let name = unsafe { text(name) };
    // The last one given wins.
    let values = state().registry.iter().rev();
    let Some((_, value)) = values.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(&name)) else {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    };
    let (kind, data) = encode(value);
    let mut record = vec![0; 4];
    record.extend(kind.to_le_bytes());
    record.extend(u32::try_from(data.len()).unwrap_or(0).to_le_bytes());
    record.extend(data);
    // SAFETY: the caller's.
    unsafe { needed.write(u32::try_from(record.len()).unwrap_or(0)) };
    let room = octets as usize;
    if room < HEADER_BYTES {
        return STATUS_BUFFER_TOO_SMALL;
    }
    let copied = room.min(record.len());
    let buffer = information.cast::<u8>();
    // SAFETY: the caller's: `octets` octets are writable.
    unsafe { buffer.copy_from_nonoverlapping(record.as_ptr(), copied) };
    if copied < record.len() { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS }
}
