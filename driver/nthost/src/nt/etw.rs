//! Event tracing: providers, and TraceLogging's events as lines of text.
use parking_lot::Mutex;
use std::fmt::Write as _;

use nt_sys::etw::{
    ETWENABLECALLBACK, EVENT_CONTROL_CODE_ENABLE_PROVIDER, EVENT_DATA_DESCRIPTOR,
    EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA, EVENT_DESCRIPTOR, EventProviderSetTraits,
};
use nt_sys::ntdef::{
    GUID, NTSTATUS, PVOID, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};

use crate::host::state;
use crate::ledger::{Item, Ledger};
use crate::processor::{self, require_irql};
use crate::sim::actor;
use crate::sim::fault;
use crate::sim::freedom::Freedom;
use crate::verifier::{Rule, Site, violation};

/// Registered providers by handle.
static PROVIDERS: Mutex<Vec<(u64, Site)>> = Mutex::new(Vec::new());

/// The level of a listener to everything.
const LEVEL_ALL: u8 = 255;

/// Registers a provider; where the host traces, somebody listens from now on.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn EtwRegister(
    provider: *const GUID,
    callback: ETWENABLECALLBACK,
    context: PVOID,
    handle: *mut u64,
) -> NTSTATUS {
    let export = "EtwRegister";
    require_irql(export, 0);
    if fault::fails(export, Freedom::NoMemory) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let mut providers = PROVIDERS.lock();
    let last = providers.iter().map(|(value, _)| *value).max();
    let value = last.unwrap_or(0x4000) + 1;
    providers.push((value, Site::here(export)));
    drop(providers);
    // SAFETY: the caller's.
    unsafe { handle.write(value) };
    if state().trace
        && let Some(callback) = callback
    {
        let code = EVENT_CONTROL_CODE_ENABLE_PROVIDER;
        let nothing = core::ptr::null_mut();
        processor::run("enable callback", 0, || {
            // SAFETY: as ETW does when somebody listens already: at PASSIVE_LEVEL, its context.
            unsafe { callback(provider, code, LEVEL_ALL, u64::MAX, 0, nothing, context) };
        });
    }
    STATUS_SUCCESS
}

/// Unregisters a provider.
///
/// # Safety
/// None: a wrong handle is reported.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn EtwUnregister(handle: u64) -> NTSTATUS {
    let export = "EtwUnregister";
    require_irql(export, 0);
    require_registered(export, handle);
    PROVIDERS.lock().retain(|(value, _)| *value != handle);
    STATUS_SUCCESS
}

/// Takes the provider's traits, which tools read.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn EtwSetInformation(
    handle: u64,
    class: u32,
    information: PVOID,
    octets: u32,
) -> NTSTATUS {
    let export = "EtwSetInformation";
    require_irql(export, 0);
    require_registered(export, handle);
    // SAFETY: the caller's.
    let traits = unsafe { octets_at(information.addr() as u64, octets) };
    // Their own size, and a name with its terminator.
    let is_whole =
        traits.first_chunk().is_some_and(|size| u32::from(u16::from_le_bytes(*size)) == octets);
    if class == EventProviderSetTraits && is_whole && traits.last() == Some(&0) {
        STATUS_SUCCESS
    } else {
        STATUS_INVALID_PARAMETER
    }
}

/// Writes one event of TraceLogging.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn EtwWriteTransfer(
    handle: u64,
    event: *const EVENT_DESCRIPTOR,
    _activity: *const GUID,
    _related: *const GUID,
    count: u32,
    data: *const EVENT_DATA_DESCRIPTOR,
) -> NTSTATUS {
    let export = "EtwWriteTransfer";
    actor::simple_export_called();
    require_registered(export, handle);
    if event.is_null() || data.is_null() {
        violation(Rule::Flags, export, "event", "no descriptor, or no data", None);
    }
    // SAFETY: the caller's.
    let parts = unsafe { core::slice::from_raw_parts(data, count as usize) };
    let mut metadata: &[u8] = &[];
    let mut values = Vec::new();
    for part in parts {
        // SAFETY: the caller's.
        let octets = unsafe { octets_at(part.Ptr, part.Size) };
        match part.Reserved {
            EVENT_DATA_DESCRIPTOR_TYPE_EVENT_METADATA => metadata = octets,
            0 => values.extend_from_slice(octets),
            _ => {}
        }
    }
    let Some(line) = line(metadata, &values) else {
        let detail = format!("metadata {}", metadata.escape_ascii());
        violation(Rule::Flags, export, "event", detail, None)
    };
    crate::log::event(line);
    STATUS_SUCCESS
}

/// # Safety
/// So many octets there are readable for the lifetime that the caller chooses.
unsafe fn octets_at<'o>(address: u64, octets: u32) -> &'o [u8] {
    if octets == 0 {
        return &[];
    }
    let address = core::ptr::with_exposed_provenance(address as usize);
    // SAFETY: the caller's.
    unsafe { core::slice::from_raw_parts(address, octets as usize) }
}

fn require_registered(export: &'static str, handle: u64) {
    if !PROVIDERS.lock().iter().any(|(value, _)| *value == handle) {
        violation(Rule::Tracing, export, format!("provider {handle:#x}"), "not registered", None);
    }
}

/// `event=NAME FIELD=VALUE ...` of an event's metadata and its fields' octets, as TraceLogging lays
/// them out: the size of all, tags, the name; per field its name, its type and how to show it.
fn line(metadata: &[u8], mut values: &[u8]) -> Option<String> {
    let (size, mut rest) = metadata.split_first_chunk()?;
    if usize::from(u16::from_le_bytes(*size)) != metadata.len() {
        return None;
    }
    while *take::<1>(&mut rest)?.first()? & 0x80 != 0 {}
    let mut line = format!("event={}", name(&mut rest)?);
    while !rest.is_empty() {
        let name = name(&mut rest)?;
        let [kind] = take(&mut rest)?;
        if kind & 0x80 != 0 {
            take::<1>(&mut rest)?;
        }
        // Writing to a string does not fail.
        let _ = match kind & 0x7F {
            6 => write!(line, " {name}={}", u16::from_le_bytes(take(&mut values)?)),
            8 => write!(line, " {name}={}", u32::from_le_bytes(take(&mut values)?)),
            10 => write!(line, " {name}={}", u64::from_le_bytes(take(&mut values)?)),
            23 => {
                let octets = u16::from_le_bytes(take(&mut values)?);
                let (text, others) = values.split_at_checked(octets.into())?;
                values = others;
                write!(line, " {name}={}", String::from_utf8_lossy(text))
            }
            // The driver has no fields of other types.
            _ => return None,
        };
    }
    line.push('\n');
    values.is_empty().then_some(line)
}

fn take<const N: usize>(octets: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = octets.split_first_chunk()?;
    *octets = rest;
    Some(*taken)
}

/// A terminated name.
fn name(octets: &mut &[u8]) -> Option<String> {
    let end = octets.iter().position(|octet| *octet == 0)?;
    let name = String::from_utf8(octets[..end].to_vec()).ok()?;
    *octets = &octets[end + 1..];
    Some(name)
}

pub(crate) fn reset() {
    PROVIDERS.lock().clear();
}

pub(crate) fn enter(ledger: &mut Ledger) {
    let providers = PROVIDERS.lock();
    let sites = providers.iter().map(|(_, site)| site.to_string()).collect();
    let item = Item { count: providers.len(), sites, ..Item::default() };
    ledger.items.insert("trace providers".to_owned(), item);
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn an_event_is_read_as_it_is_laid_out_and_nothing_else_is() {
        let mut metadata = b"\0\0\0Reject\0port\0\x06status\0\x08reason\0\x97\x23".to_vec();
        metadata[0] = metadata.len() as u8;
        let values = b"\x50\0\x90\x01\0\0\x03\0URL";
        let said = "event=Reject port=80 status=400 reason=URL\n";
        assert_eq!(line(&metadata, values).as_deref(), Some(said));
        for length in 0..metadata.len() {
            assert_eq!(line(&metadata[..length], values), None, "{length}");
        }
        for length in 0..values.len() {
            assert_eq!(line(&metadata, &values[..length]), None, "{length}");
        }
        assert_eq!(line(&metadata, b"\x50\0\x90\x01\0\0\x03\0URLs"), None);
    }
}
