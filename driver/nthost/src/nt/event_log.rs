//! The system's event log.
use parking_lot::Mutex;
use std::collections::BTreeMap;

use nt_sys::io::{ERROR_LOG_MAXIMUM_SIZE, IO_ERROR_LOG_PACKET};
use nt_sys::ntdef::{DISPATCH_LEVEL, PVOID};

use crate::ledger::{Item, Ledger};
use crate::processor::require_irql;
use crate::sim::fault;
use crate::sim::freedom::Freedom;
use crate::verifier::{Rule, Site, violation};

/// Memory of one entry, aligned as pool is.
#[repr(C, align(16))]
struct Entry {
    octets: [u8; ERROR_LOG_MAXIMUM_SIZE as usize],
}

#[derive(Default)]
struct Log {
    /// Allocated and not written, by address: octets, and where they came from.
    entries: BTreeMap<usize, (Box<Entry>, usize, Site)>,
    lines: Vec<String>,
}

static LOG: Mutex<Log> = Mutex::new(Log { entries: BTreeMap::new(), lines: Vec::new() });

/// Allocates an entry.
///
/// # Safety
/// None: what is wrong is reported.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoAllocateErrorLogEntry(object: PVOID, octets: u8) -> PVOID {
    let export = "IoAllocateErrorLogEntry";
    require_irql(export, DISPATCH_LEVEL);
    let length = usize::from(octets);
    if object.is_null()
        || length < size_of::<IO_ERROR_LOG_PACKET>()
        || octets > ERROR_LOG_MAXIMUM_SIZE
    {
        let detail = format!("{octets} octets for {object:p}");
        violation(Rule::Flags, export, "an entry of the event log", detail, None);
    }
    if fault::fails(export, Freedom::NoMemory) {
        return core::ptr::null_mut();
    }
    // Nothing says that an entry is zeroed.
    let mut entry = Box::new(Entry { octets: [0xA5; _] });
    let place: *mut Entry = &raw mut *entry;
    let address = place.expose_provenance();
    LOG.lock().entries.insert(address, (entry, length, Site::here(export)));
    place.cast()
}

/// Writes an entry, which is gone then.
///
/// # Safety
/// None: what is wrong is reported.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoWriteErrorLogEntry(entry: PVOID) {
    let export = "IoWriteErrorLogEntry";
    require_irql(export, DISPATCH_LEVEL);
    let written = LOG.lock().entries.remove(&entry.addr());
    let name = format!("entry {entry:p}");
    let Some((entry, octets, site)) = written else {
        violation(Rule::Object, export, name, "not allocated, or written already", None)
    };
    match line(&entry.octets[..octets]) {
        Some(line) => LOG.lock().lines.push(line),
        None => violation(Rule::Flags, export, name, "not filled in", Some(site)),
    }
}

/// `CODE STATUS: STRINGS` of an entry; `None` when it is malformed.
fn line(octets: &[u8]) -> Option<String> {
    let half = |at: usize| Some(u16::from_le_bytes(octets.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_le_bytes(octets.get(at..at + 4)?.try_into().ok()?));
    let (data, strings, offset) = (half(2)?, half(4)?, usize::from(half(6)?));
    let (code, status) = (word(12)?, word(20)?);
    // Severities 1 to 3; what is not an NTSTATUS has other bits.
    let is_sensible = code >> 30 != 0 && octets[0] <= 27 && data % 4 == 0 && offset % 2 == 0;
    if !is_sensible
        || offset < core::mem::offset_of!(IO_ERROR_LOG_PACKET, DumpData) + usize::from(data)
    {
        return None;
    }
    let (units, _) = octets.get(offset..)?.as_chunks::<2>();
    let mut units = units.iter().map(|unit| u16::from_le_bytes(*unit));
    let mut line = format!("{code:#010x} {status:#010x}:");
    for _ in 0..strings {
        let string: Vec<u16> = units.by_ref().take_while(|unit| *unit != 0).collect();
        line = format!("{line} {}", String::from_utf16(&string).ok()?);
    }
    // The last terminator lies inside.
    (octets.len() >= offset + 2 * usize::from(strings)).then_some(line)
}

/// What was written to it since the host started, oldest first.
pub(crate) fn lines() -> Vec<String> {
    LOG.lock().lines.clone()
}

pub(crate) fn reset() {
    *LOG.lock() = Log::default();
}

pub(crate) fn enter(ledger: &mut Ledger) {
    let log = LOG.lock();
    let sites = log.entries.values().map(|(_, _, site)| site.to_string()).collect();
    let item = Item { count: log.entries.len(), sites, ..Item::default() };
    ledger.items.insert("event log entries".to_owned(), item);
}
