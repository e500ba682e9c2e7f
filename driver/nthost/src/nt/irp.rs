//! IRPs: their shape, who owns them, and how they complete.
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use nt_sys::io::{IO_STACK_LOCATION, IO_TYPE_IRP, IRP, SL_INVOKE_ALWAYS};
use nt_sys::ntdef::{DISPATCH_LEVEL, NTSTATUS, STATUS_MORE_PROCESSING_REQUIRED, status_name};

use super::lock;
use crate::ledger::{Item, Ledger};
use crate::processor::{self, require_irql};
use crate::sim::interrupt::AtReturn;
use crate::verifier::{Rule, Site, violation};

const SHARDS: usize = 64;

/// IRPs that belong to the provider, by address. Outside the IRP, so that a driver that overwrites
/// one cannot overwrite this.
static IN_FLIGHT: [Mutex<Option<HashMap<usize, Site>>>; SHARDS] =
    [const { Mutex::new(None) }; SHARDS];
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn shard(irp: usize) -> &'static Mutex<Option<HashMap<usize, Site>>> {
    &IN_FLIGHT[(irp >> 5) % SHARDS]
}

fn in_flight(irp: usize) -> Option<Site> {
    lock(shard(irp)).as_ref().and_then(|irps| irps.get(&irp).copied())
}

/// Freed memory must not contain an IRP that the provider has.
pub(crate) fn check_not_in_flight(export: &'static str, from: usize, to: usize) {
    for shard in &IN_FLIGHT {
        let guard = lock(shard);
        let found = guard.iter().flatten().find(|(at, _)| (from..to).contains(*at));
        if let Some((at, site)) = found.map(|(at, site)| (*at, *site)) {
            drop(guard);
            let object = format!("IRP {at:#x}");
            violation(Rule::IrpReuse, export, object, "freed while in flight", Some(site));
        }
    }
}

fn initialise(export: &'static str, irp: *mut IRP, octets: u16, stacks: i8) {
    require_irql(export, DISPATCH_LEVEL);
    if let Some(earlier) = in_flight(irp.addr()) {
        let object = format!("IRP {irp:p}");
        violation(Rule::IrpReuse, export, object, "initialised while in flight", Some(earlier));
    }
    let wanted =
        size_of::<IRP>() + usize::try_from(stacks).unwrap_or(0) * size_of::<IO_STACK_LOCATION>();
    if stacks < 1 || usize::from(octets) < wanted {
        violation(
            Rule::IrpShape,
            export,
            format!("IRP {irp:p}"),
            format!("{octets} octets for {stacks} stack locations"),
            None,
        );
    }
    // SAFETY: the caller's: `octets` octets of the driver's memory.
    unsafe { irp.cast::<u8>().write_bytes(0, usize::from(octets)) };
    // SAFETY: as above, zeroed.
    let fields = unsafe { &mut *irp };
    fields.Type = IO_TYPE_IRP;
    fields.Size = octets;
    fields.StackCount = stacks;
    fields.CurrentLocation = stacks + 1;
    let stack = irp.wrapping_add(1).cast::<IO_STACK_LOCATION>();
    fields.CurrentStackLocation = stack.wrapping_add(usize::try_from(stacks).unwrap_or(0));
}

/// Initialises an IRP in caller memory.
///
/// # Safety
/// `irp` is `octets` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoInitializeIrp(irp: *mut IRP, octets: u16, stacks: i8) {
    let _return = AtReturn;
    initialise("IoInitializeIrp", irp, octets, stacks);
}

/// Makes a completed IRP usable again.
///
/// # Safety
/// `irp` was initialised.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoReuseIrp(irp: *mut IRP, status: NTSTATUS) {
    // SAFETY: the caller's.
    let fields = unsafe { &*irp };
    initialise("IoReuseIrp", irp, fields.Size, fields.StackCount);
    // SAFETY: as above.
    unsafe { (*irp).IoStatus.Status = status };
}

/// Takes an IRP over from the driver, as the target of the call `export`.
pub(crate) fn submit(export: &'static str, irp: *mut IRP) {
    let object = Address(irp.addr());
    if irp.is_null() {
        violation(Rule::IrpShape, export, object, "no IRP", None);
    }
    // SAFETY: an IRP of the driver's; the shape is checked before anything is believed.
    let fields = unsafe { &mut *irp };
    let mut shard = lock(shard(irp.addr()));
    let irps = shard.get_or_insert_default();
    if let Some(earlier) = irps.get(&irp.addr()).copied() {
        drop(shard);
        violation(Rule::IrpReuse, export, object, "submitted while in flight", Some(earlier));
    }
    let next = fields.CurrentStackLocation.wrapping_sub(1);
    if fields.Type != IO_TYPE_IRP || fields.CurrentLocation != fields.StackCount + 1 {
        drop(shard);
        let detail = "not initialised anew since it was last used";
        violation(Rule::IrpShape, export, object, detail, None);
    }
    // SAFETY: the shape says that the location exists.
    let location = unsafe { &*next };
    if location.CompletionRoutine.is_none() || location.Control != SL_INVOKE_ALWAYS {
        drop(shard);
        let detail = "no completion routine for success, error and cancel";
        violation(Rule::IrpShape, export, object, detail, None);
    }
    irps.insert(irp.addr(), Site::here(export));
    let count = irps.len();
    drop(shard);
    PEAK.fetch_max(count, Ordering::Relaxed);
    fields.CurrentStackLocation = next;
    fields.CurrentLocation -= 1;
}

/// An IRP in reports.
#[derive(Clone, Copy)]
struct Address(usize);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IRP {:#x}", self.0)
    }
}

/// Gives an IRP back: calls its completion routine, at DISPATCH_LEVEL.
pub(crate) fn complete(export: &'static str, irp: *mut IRP, status: NTSTATUS, information: usize) {
    let site = lock(shard(irp.addr())).as_mut().and_then(|irps| irps.remove(&irp.addr()));
    let Some(site) = site else {
        // Our own bookkeeping; the driver cannot cause it without having been stopped before.
        violation(Rule::Completion, export, format!("IRP {irp:p}"), "completed twice", None);
    };
    // SAFETY: submitted by the driver and not given back until now.
    let fields = unsafe { &mut *irp };
    let location = fields.CurrentStackLocation;
    fields.IoStatus.Status = status;
    fields.IoStatus.Information = information;
    fields.CurrentStackLocation = location.wrapping_add(1);
    fields.CurrentLocation += 1;
    // SAFETY: the location belongs to the IRP.
    let IO_STACK_LOCATION { CompletionRoutine, Context, .. } = unsafe { *location };
    let Some(routine) = CompletionRoutine else { return };
    let frame = processor::enter(site.export, DISPATCH_LEVEL);
    // SAFETY: the routine and context that the driver gave for this submission.
    let returned = unsafe { routine(core::ptr::null_mut(), irp, Context) };
    drop(frame);
    if returned != STATUS_MORE_PROCESSING_REQUIRED {
        let detail = format!("the routine returned {:?}", status_name(returned));
        violation(Rule::IrpReuse, export, format!("IRP {irp:p}"), detail, Some(site));
    }
}

pub(crate) fn reset() {
    for shard in &IN_FLIGHT {
        *lock(shard) = None;
    }
    PEAK.store(0, Ordering::Relaxed);
}

pub(crate) fn enter(ledger: &mut Ledger) {
    let mut item = Item { peak: PEAK.load(Ordering::Relaxed), ..Item::default() };
    for shard in &IN_FLIGHT {
        for site in lock(shard).iter().flat_map(HashMap::values) {
            item.count += 1;
            if item.sites.len() < 4 {
                item.sites.push(site.to_string());
            }
        }
    }
    ledger.items.insert("IRPs in flight".to_owned(), item);
}
