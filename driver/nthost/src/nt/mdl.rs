//! Memory descriptor lists with the kernel's layout.
use nt_sys::io::IRP;
use nt_sys::mm::{
    MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_PARTIAL, MDL_SOURCE_IS_NONPAGED_POOL, MmInitializeMdl,
    PAGE_SIZE, mdl_size,
};
use nt_sys::ntdef::{BOOLEAN, DISPATCH_LEVEL, PVOID};

use crate::ledger::Register;
use crate::processor::require_irql;
use crate::sim::freedom::Freedom;
use crate::sim::interrupt::AtReturn;
use crate::sim::{fault, indication};
use crate::verifier::{Rule, Site, violation};

pub(crate) static MDLS: Register = Register::new("MDLs");

/// Pool tag of what the host allocates for the driver.
const TAG: u32 = u32::from_le_bytes(*b"Mdl ");

fn address_of(mdl: &MDL) -> PVOID {
    mdl.StartVa.wrapping_byte_add(mdl.ByteOffset as usize)
}

/// Allocates an MDL.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoAllocateMdl(
    address: PVOID,
    octets: u32,
    secondary: BOOLEAN,
    quota: BOOLEAN,
    irp: *mut IRP,
) -> *mut MDL {
    let export = "IoAllocateMdl";
    require_irql(export, DISPATCH_LEVEL);
    if secondary != 0 || quota != 0 || !irp.is_null() {
        violation(
            Rule::Flags,
            export,
            format!("{address:p}"),
            "IRPs and quota are not supported",
            None,
        );
    }
    let pages = (address.addr() % PAGE_SIZE + octets as usize).div_ceil(PAGE_SIZE);
    let mdl = super::pool::allocate(export, mdl_size(pages), TAG).cast::<MDL>();
    if !mdl.is_null() {
        // SAFETY: fresh memory of the size for these pages.
        unsafe { MmInitializeMdl(mdl, address, octets) };
        MDLS.add(mdl.addr(), Site::here(export));
    }
    mdl
}

/// Frees an MDL from `IoAllocateMdl`.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoFreeMdl(mdl: *mut MDL) {
    require_irql("IoFreeMdl", DISPATCH_LEVEL);
    if MDLS.remove(mdl.addr()).is_none() {
        violation(Rule::Mdl, "IoFreeMdl", format!("{mdl:p}"), "not an MDL, or freed already", None);
    }
    super::pool::free("IoFreeMdl", mdl.cast(), TAG);
}

/// Fills in what non-paged memory needs.
///
/// # Safety
/// `mdl` is an initialised MDL.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn MmBuildMdlForNonPagedPool(mdl: *mut MDL) {
    let export = "MmBuildMdlForNonPagedPool";
    let _return = AtReturn;
    require_irql(export, DISPATCH_LEVEL);
    // SAFETY: the caller's.
    let mdl = unsafe { &mut *mdl };
    let address = address_of(mdl);
    // A look-up per send would take the pool's lock on the request path: checked builds only.
    if cfg!(debug_assertions) && !super::pool::contains(address.addr(), mdl.ByteCount as usize) {
        let detail = format!("{address:p}, {} octets, are not in one allocation", mdl.ByteCount);
        violation(Rule::Mdl, export, format!("{mdl:p}"), detail, None);
    }
    mdl.MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
    mdl.MappedSystemVa = address;
    write_frames(mdl);
}

/// Writes the page frames behind an MDL, as the kernel does: who left no room is found out.
fn write_frames(mdl: &mut MDL) {
    let pages = (mdl.ByteOffset as usize + mdl.ByteCount as usize).div_ceil(PAGE_SIZE);
    let first = mdl.StartVa.addr() / PAGE_SIZE;
    let frames = core::ptr::from_mut(mdl).wrapping_add(1).cast::<usize>();
    for page in 0..pages {
        // SAFETY: the callers': initialised by MmInitializeMdl, which says that they fit.
        unsafe { frames.wrapping_add(page).write(first + page) };
    }
}

/// Describes a part of another MDL.
///
/// # Safety
/// `source` is built, `target` is initialised for at least `octets` at `address`.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn IoBuildPartialMdl(
    source: *mut MDL,
    target: *mut MDL,
    address: PVOID,
    octets: u32,
) {
    let export = "IoBuildPartialMdl";
    let _return = AtReturn;
    require_irql(export, DISPATCH_LEVEL);
    // SAFETY: the caller's.
    let source = unsafe { &*source };
    let (first, whole) = (address_of(source).addr(), source.ByteCount as usize);
    let from = address.addr();
    let octets = if octets == 0 { source.ByteCount } else { octets };
    if from < first || from + octets as usize > first + whole {
        violation(
            Rule::Mdl,
            export,
            format!("{source:p}"),
            "the part is not inside the source",
            None,
        );
    }
    // SAFETY: the caller's.
    let target = unsafe { &mut *target };
    let pages = (from % PAGE_SIZE + octets as usize).div_ceil(PAGE_SIZE);
    if (target.Size.max(0).cast_unsigned() as usize) < mdl_size(pages) {
        violation(Rule::Mdl, export, format!("{target:p}"), "the target is too small", None);
    }
    target.StartVa = address.wrapping_byte_sub(from % PAGE_SIZE);
    target.ByteOffset = (from % PAGE_SIZE) as u32;
    target.ByteCount = octets;
    target.MdlFlags |=
        MDL_PARTIAL | (source.MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA));
    target.MappedSystemVa = address;
    write_frames(target);
}

/// Maps an MDL. Where nothing is simulated, everything that drivers see is mapped already.
///
/// # Safety
/// `mdl` is a valid MDL.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn MmMapLockedPagesSpecifyCache(
    mdl: *mut MDL,
    _mode: i8,
    _cache: i32,
    _address: PVOID,
    _bugcheck: u32,
    _priority: u32,
) -> PVOID {
    let export = "MmMapLockedPagesSpecifyCache";
    require_irql(export, DISPATCH_LEVEL);
    if !indication::is_indicated(mdl.addr()) {
        let detail = "mapped without having been built or indicated";
        violation(Rule::Mdl, export, format!("{mdl:p}"), detail, None);
    }
    if fault::fails(export, Freedom::NotMapped) {
        return core::ptr::null_mut();
    }
    // SAFETY: indicated, so it exists, and the caller's alone.
    let fields = unsafe { &mut *mdl };
    fields.MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
    fields.MappedSystemVa = address_of(fields);
    fields.MappedSystemVa
}
