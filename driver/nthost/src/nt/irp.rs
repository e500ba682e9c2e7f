//! IRPs: their shape, who owns them, and how they complete.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

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
static IN_FLIGHT: [Shard; SHARDS] = [const { Shard::new() }; SHARDS];

/// Those whose addresses have some bits in common: mostly none or one, that of a call which is
/// running.
#[repr(align(64))]
struct Shard {
    /// How many; changed under the lock.
    count: AtomicUsize,
    irps: Mutex<Irps>,
}

struct Irps {
    one: Option<(usize, Site)>,
    others: BTreeMap<usize, Site>,
    peak: usize,
}

impl Irps {
    const NONE: Irps = Irps { one: None, others: BTreeMap::new(), peak: 0 };

    fn get(&self, irp: usize) -> Option<Site> {
        match self.one {
            Some((one, site)) if one == irp => Some(site),
            _ if self.others.is_empty() => None,
            _ => self.others.get(&irp).copied(),
        }
    }

    fn insert(&mut self, irp: usize, site: Site) {
        if self.one.is_none() {
            self.one = Some((irp, site));
        } else {
            self.others.insert(irp, site);
        }
    }

    fn remove(&mut self, irp: usize) -> Option<Site> {
        match self.one {
            Some((one, site)) if one == irp => {
                self.one = None;
                Some(site)
            }
            _ => self.others.remove(&irp),
        }
    }

    fn sites(&self) -> impl Iterator<Item = &Site> {
        self.one.iter().map(|(_, site)| site).chain(self.others.values())
    }

    fn inside(&self, from: usize, to: usize) -> Option<(usize, Site)> {
        let other = || self.others.range(from..to).next().map(|(at, site)| (*at, *site));
        self.one.filter(|(at, _)| (from..to).contains(at)).or_else(other)
    }
}

impl Shard {
    const fn new() -> Shard {
        Shard { count: AtomicUsize::new(0), irps: Mutex::new(Irps::NONE) }
    }

    fn of(irp: usize) -> &'static Shard {
        &IN_FLIGHT[(irp >> 5) % SHARDS]
    }

    /// `None` when there are none. An IRP that this thread knows to be in flight is counted.
    fn lock_some(&self) -> Option<MutexGuard<'_, Irps>> {
        (self.count.load(Ordering::Acquire) > 0).then(|| lock(&self.irps))
    }

    /// After a change under the lock.
    fn counts(&self, irps: &mut Irps) {
        let count = usize::from(irps.one.is_some()) + irps.others.len();
        irps.peak = irps.peak.max(count);
        self.count.store(count, Ordering::Release);
    }
}

fn in_flight(irp: usize) -> Option<Site> {
    Shard::of(irp).lock_some()?.get(irp)
}

/// Freed memory must not contain an IRP that the provider has.
pub(crate) fn check_not_in_flight(export: &'static str, from: usize, to: usize) {
    for shard in &IN_FLIGHT {
        let found = shard.lock_some().and_then(|irps| irps.inside(from, to));
        if let Some((at, site)) = found {
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
    let shard = Shard::of(irp.addr());
    let mut irps = lock(&shard.irps);
    if let Some(earlier) = irps.get(irp.addr()) {
        drop(irps);
        violation(Rule::IrpReuse, export, object, "submitted while in flight", Some(earlier));
    }
    let next = fields.CurrentStackLocation.wrapping_sub(1);
    if fields.Type != IO_TYPE_IRP || fields.CurrentLocation != fields.StackCount + 1 {
        drop(irps);
        let detail = "not initialised anew since it was last used";
        violation(Rule::IrpShape, export, object, detail, None);
    }
    // SAFETY: the shape says that the location exists.
    let location = unsafe { &*next };
    if location.CompletionRoutine.is_none() || location.Control != SL_INVOKE_ALWAYS {
        drop(irps);
        let detail = "no completion routine for success, error and cancel";
        violation(Rule::IrpShape, export, object, detail, None);
    }
    irps.insert(irp.addr(), Site::here(export));
    shard.counts(&mut irps);
    drop(irps);
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
    let shard = Shard::of(irp.addr());
    let mut irps = lock(&shard.irps);
    let site = irps.remove(irp.addr());
    shard.counts(&mut irps);
    drop(irps);
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
        *lock(&shard.irps) = Irps::NONE;
        shard.count.store(0, Ordering::Release);
    }
}

pub(crate) fn enter(ledger: &mut Ledger) {
    let mut item = Item::default();
    for shard in &IN_FLIGHT {
        let irps = lock(&shard.irps);
        item.peak += irps.peak;
        for site in irps.sites() {
            item.count += 1;
            if item.sites.len() < 4 {
                item.sites.push(site.to_string());
            }
        }
    }
    ledger.items.insert("IRPs in flight".to_owned(), item);
}
