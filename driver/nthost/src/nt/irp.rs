//! IRPs: their shape, who owns them, and how they complete.
use parking_lot::{Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering, compiler_fence};

use nt_sys::io::{IO_STACK_LOCATION, IO_TYPE_IRP, IRP, SL_INVOKE_ALWAYS};
use nt_sys::ntdef::{DISPATCH_LEVEL, NTSTATUS, STATUS_MORE_PROCESSING_REQUIRED, status_name};

use crate::ledger::{Item, Ledger};
use crate::processor::{self, require_irql};
use crate::sim::interrupt::AtReturn;
use crate::sim::world;
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

    #[inline]
    fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// `None` when there are none. An IRP that this thread knows to be in flight is counted.
    fn lock_some(&self) -> Option<MutexGuard<'_, Irps>> {
        (!self.is_empty()).then(|| self.irps.lock())
    }

    #[cold]
    #[inline(never)]
    fn find(&self, irp: usize) -> Option<Site> {
        self.lock_some()?.get(irp)
    }

    /// After a change under the lock.
    fn counts(&self, irps: &mut Irps) {
        let count = usize::from(irps.one.is_some()) + irps.others.len();
        irps.peak = irps.peak.max(count);
        self.count.store(count, Ordering::Release);
    }
}

#[inline]
fn in_flight(irp: usize) -> Option<Site> {
    let shard = Shard::of(irp);
    if shard.is_empty() { None } else { shard.find(irp) }
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
        let object = Address(irp.addr());
        violation(Rule::IrpReuse, export, object, "initialised while in flight", Some(earlier));
    }
    let wanted =
        size_of::<IRP>() + usize::try_from(stacks).unwrap_or(0) * size_of::<IO_STACK_LOCATION>();
    if stacks < 1 || usize::from(octets) < wanted {
        wrong_shape(export, irp, &format!("{octets} octets for {stacks} stack locations"));
    }
    // SAFETY: the caller's: `octets` octets of the driver's memory.
    unsafe { irp.cast::<u8>().write_bytes(0, usize::from(octets)) };
    // SAFETY: as above, zeroed.
    set_shape(unsafe { &mut *irp }, octets, stacks);
}

fn set_shape(irp: &mut IRP, octets: u16, stacks: i8) {
    irp.Type = IO_TYPE_IRP;
    irp.Size = octets;
    irp.StackCount = stacks;
    irp.CurrentLocation = stacks + 1;
    let stack = core::ptr::from_mut(irp).wrapping_add(1).cast::<IO_STACK_LOCATION>();
    irp.CurrentStackLocation = stack.wrapping_add(usize::try_from(stacks).unwrap_or(0));
}

/// Octets of an IRP with one stack location.
const ONE_STACK: usize = size_of::<IRP>() + size_of::<IO_STACK_LOCATION>();

/// What `initialise` does where nothing is wrong, of the usual size: every send does it, so no
/// function of the host's own convention is called, which would have ten registers saved. False
/// when nothing was done.
fn initialise_usual(irp: *mut IRP, octets: u16, stacks: i8) -> bool {
    let is_usual = usize::from(octets) == ONE_STACK
        && stacks == 1
        && !world::is_on()
        && processor::irql() <= DISPATCH_LEVEL
        && Shard::of(irp.addr()).is_empty();
    if is_usual {
        // In two parts, and kept two, each short enough to be done in place.
        // SAFETY: the caller's: `octets` octets of the driver's memory.
        unsafe { irp.write_bytes(0, 1) };
        let stack = irp.wrapping_add(1).cast::<IO_STACK_LOCATION>();
        compiler_fence(Ordering::Release);
        // SAFETY: as above.
        unsafe { stack.write_bytes(0, 1) };
        // SAFETY: as above, zeroed.
        set_shape(unsafe { &mut *irp }, octets, stacks);
    }
    is_usual
}

nt_sys::kernel_fn! {
    #[cold]
    unsafe fn initialise_otherwise(irp: *mut IRP, octets: u16, stacks: i8) {
        let _return = AtReturn;
        initialise("IoInitializeIrp", irp, octets, stacks);
    }
}

/// Initialises an IRP in caller memory.
///
/// # Safety
/// `irp` is `octets` writable octets.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoInitializeIrp(irp: *mut IRP, octets: u16, stacks: i8) {
    if !initialise_usual(irp, octets, stacks) {
        // SAFETY: the caller's.
        unsafe { initialise_otherwise(irp, octets, stacks) };
    }
}

nt_sys::kernel_fn! {
    #[cold]
    unsafe fn reuse_otherwise(irp: *mut IRP, octets: u16, stacks: i8) {
        initialise("IoReuseIrp", irp, octets, stacks);
    }
}

/// Makes a completed IRP usable again.
///
/// # Safety
/// `irp` was initialised.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoReuseIrp(irp: *mut IRP, status: NTSTATUS) {
    // SAFETY: the caller's.
    let fields = unsafe { &*irp };
    let (octets, stacks) = (fields.Size, fields.StackCount);
    if !initialise_usual(irp, octets, stacks) {
        // SAFETY: the caller's.
        unsafe { reuse_otherwise(irp, octets, stacks) };
    }
    // SAFETY: as above.
    unsafe { (*irp).IoStatus.Status = status };
}

/// Takes an IRP over from the driver, as the target of the call `export`: it is in flight.
pub(crate) fn submit(export: &'static str, irp: *mut IRP) {
    Given::to(export, irp).keep();
}

/// An IRP that a call was given which still runs: nobody else has heard of it, so it need not be
/// looked up.
#[must_use]
pub(crate) struct Given {
    export: &'static str,
    irp: *mut IRP,
}

impl Given {
    /// Takes an IRP over from the driver, as the target of the call `export`.
    #[allow(clippy::inline_always, reason = "of every send")]
    #[inline(always)]
    pub(crate) fn to(export: &'static str, irp: *mut IRP) -> Given {
        if irp.is_null() {
            wrong_shape(export, irp, "no IRP");
        }
        if let Some(earlier) = in_flight(irp.addr()) {
            submitted_in_flight(export, irp, earlier);
        }
        // SAFETY: an IRP of the driver's; the shape is checked before anything is believed.
        let fields = unsafe { &mut *irp };
        let next = fields.CurrentStackLocation.wrapping_sub(1);
        if fields.Type != IO_TYPE_IRP || fields.CurrentLocation != fields.StackCount + 1 {
            wrong_shape(export, irp, "not initialised anew since it was last used");
        }
        // SAFETY: the shape says that the location exists.
        let location = unsafe { &*next };
        if location.CompletionRoutine.is_none() || location.Control != SL_INVOKE_ALWAYS {
            wrong_shape(export, irp, "no completion routine for success, error and cancel");
        }
        fields.CurrentStackLocation = next;
        fields.CurrentLocation -= 1;
        Given { export, irp }
    }

    /// By which call.
    pub(crate) fn export(&self) -> &'static str {
        self.export
    }

    /// It stays with the provider: it is in flight.
    pub(crate) fn keep(self) -> *mut IRP {
        let Given { export, irp } = self;
        let shard = Shard::of(irp.addr());
        let mut irps = shard.irps.lock();
        if let Some(earlier) = irps.get(irp.addr()) {
            drop(irps);
            submitted_in_flight(export, irp, earlier);
        }
        irps.insert(irp.addr(), Site::here(export));
        shard.counts(&mut irps);
        irp
    }

    /// Gives it back within its call.
    #[allow(clippy::inline_always, reason = "of every send")]
    #[inline(always)]
    pub(crate) fn complete(self, status: NTSTATUS, information: usize) {
        give_back(self.export, self.irp, status, information);
    }
}

#[cold]
fn wrong_shape(export: &'static str, irp: *mut IRP, detail: &str) -> ! {
    violation(Rule::IrpShape, export, Address(irp.addr()), detail, None)
}

#[cold]
fn submitted_in_flight(export: &'static str, irp: *mut IRP, earlier: Site) -> ! {
    let object = Address(irp.addr());
    violation(Rule::IrpReuse, export, object, "submitted while in flight", Some(earlier))
}

/// An IRP in reports.
#[derive(Clone, Copy)]
struct Address(usize);

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IRP {:#x}", self.0)
    }
}

/// Gives an IRP that is in flight back.
pub(crate) fn complete(export: &'static str, irp: *mut IRP, status: NTSTATUS, information: usize) {
    let shard = Shard::of(irp.addr());
    let mut irps = shard.irps.lock();
    let site = irps.remove(irp.addr());
    shard.counts(&mut irps);
    drop(irps);
    let Some(site) = site else {
        // Our own bookkeeping; the driver cannot cause it without having been stopped before.
        violation(Rule::Completion, export, Address(irp.addr()), "completed twice", None);
    };
    give_back(site.export, irp, status, information);
}

/// Calls the completion routine, at DISPATCH_LEVEL; `export` is what the IRP was submitted by.
#[allow(clippy::inline_always, reason = "of every send")]
#[inline(always)]
fn give_back(export: &'static str, irp: *mut IRP, status: NTSTATUS, information: usize) {
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
    let returned = processor::run(export, DISPATCH_LEVEL, || {
        // SAFETY: the routine and context that the driver gave for this submission.
        unsafe { routine(core::ptr::null_mut(), irp, Context) }
    });
    if returned != STATUS_MORE_PROCESSING_REQUIRED {
        not_kept(export, irp, returned);
    }
}

#[cold]
fn not_kept(export: &'static str, irp: *mut IRP, returned: NTSTATUS) -> ! {
    let detail = format!("the routine returned {:?}", status_name(returned));
    violation(Rule::IrpReuse, export, Address(irp.addr()), detail, None)
}

pub(crate) fn reset() {
    for shard in &IN_FLIGHT {
        *shard.irps.lock() = Irps::NONE;
        shard.count.store(0, Ordering::Release);
    }
}

pub(crate) fn enter(ledger: &mut Ledger) {
    let mut item = Item::default();
    for shard in &IN_FLIGHT {
        let irps = shard.irps.lock();
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
