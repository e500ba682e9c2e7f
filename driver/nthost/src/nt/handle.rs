//! Handles to keys and files.
use std::collections::HashMap;
use std::sync::Arc;

use nt_sys::ntdef::{HANDLE, NTSTATUS, STATUS_SUCCESS, UNICODE_STRING};
use parking_lot::Mutex;

use crate::ledger::{Item, Ledger};
use crate::processor::require_irql;
use crate::verifier::{Rule, Site, violation};

/// What a handle names.
#[derive(Clone)]
pub(crate) enum Target {
    /// The driver's `Parameters`.
    Parameters,
    /// A file, whole.
    File(Arc<Vec<u8>>),
    /// A thread, by the address of its object.
    Thread(usize),
    /// A device, likewise.
    Device(usize),
}

static HANDLES: Mutex<Option<HashMap<usize, (Target, Site)>>> = Mutex::new(None);

pub(crate) fn open(export: &'static str, target: Target) -> HANDLE {
    let mut handles = HANDLES.lock();
    let handles = handles.get_or_insert_default();
    let value = (0..=handles.len()).map(|n| n * 4 + 0x8000_0000);
    // One more candidate than handles: one is free.
    let value = value.into_iter().find(|value| !handles.contains_key(value)).unwrap_or_default();
    handles.insert(value, (target, Site::here(export)));
    core::ptr::without_provenance_mut(value)
}

pub(crate) fn target(export: &'static str, handle: HANDLE) -> Target {
    require_irql(export, 0);
    let handles = HANDLES.lock();
    let found = handles.as_ref().and_then(|handles| handles.get(&handle.addr()).cloned());
    drop(handles);
    match found {
        Some((target, _)) => target,
        None => violation(Rule::Handle, export, format!("handle {handle:p}"), "not open", None),
    }
}

/// Closes a handle.
///
/// # Safety
/// None: a wrong handle is reported.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ZwClose(handle: HANDLE) -> NTSTATUS {
    target("ZwClose", handle);
    HANDLES.lock().as_mut().and_then(|handles| handles.remove(&handle.addr()));
    STATUS_SUCCESS
}

/// A counted string as Rust has them.
///
/// # Safety
/// `counted` is a valid UNICODE_STRING.
pub(crate) unsafe fn text(counted: *const UNICODE_STRING) -> String {
    // SAFETY: the caller's.
    let counted = unsafe { &*counted };
    let units = usize::from(counted.Length / 2);
    if units == 0 {
        return String::new();
    }
    // SAFETY: the caller's: `Length` octets at `Buffer`.
    let units = unsafe { core::slice::from_raw_parts(counted.Buffer, units) };
    String::from_utf16_lossy(units)
}

pub(crate) fn reset() {
    *HANDLES.lock() = None;
}

pub(crate) fn enter(ledger: &mut Ledger) {
    let handles = HANDLES.lock();
    let sites: Vec<String> =
        handles.iter().flat_map(HashMap::values).map(|(_, site)| site.to_string()).collect();
    let item = Item { count: sites.len(), sites, ..Item::default() };
    ledger.items.insert("handles".to_owned(), item);
}
