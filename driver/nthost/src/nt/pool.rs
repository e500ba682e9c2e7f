//! Pool, with a ledger by tag.
use parking_lot::Mutex;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::BTreeMap;

use nt_sys::ex::{NonPagedPoolNx, POOL_FLAG_NON_PAGED};
use nt_sys::ntdef::{DISPATCH_LEVEL, PVOID};

use crate::ledger::{Item, Ledger};
use crate::processor::require_irql;
use crate::sim::fault;
use crate::sim::freedom::Freedom;
use crate::sim::interrupt::AtReturn;
use crate::verifier::{Rule, Site, violation};

/// Fills freed memory, so that its use shows.
const FREED: u8 = 0xDD;
/// Fills memory that is not zeroed, so that a reader notices.
const FRESH: u8 = 0xCD;
/// Allocations of at least a page are page-aligned, as in the kernel.
const PAGE: usize = 4096;

struct Block {
    octets: usize,
    tag: u32,
    site: Site,
}

#[derive(Default)]
struct Pool {
    blocks: BTreeMap<usize, Block>,
    tags: BTreeMap<u32, (usize, usize, usize)>,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { blocks: BTreeMap::new(), tags: BTreeMap::new() });

fn layout(octets: usize) -> Option<Layout> {
    let align = if octets >= PAGE { PAGE } else { 16 };
    Layout::from_size_align(octets, align).ok()
}

/// A tag as people read it.
fn tag_name(tag: u32) -> String {
    tag.to_le_bytes().iter().map(|octet| char::from(*octet)).collect()
}

/// Allocates zeroed pool.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ExAllocatePool2(flags: u64, octets: usize, tag: u32) -> PVOID {
    let _return = AtReturn;
    require_irql("ExAllocatePool2", DISPATCH_LEVEL);
    if flags != POOL_FLAG_NON_PAGED || tag == 0 || octets == 0 {
        let detail = format!("flags {flags:#x}, {octets} octets");
        violation(Rule::Flags, "ExAllocatePool2", tag_name(tag), detail, None);
    }
    allocate("ExAllocatePool2", octets, tag)
}

/// Allocates pool that is not zeroed.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ExAllocatePoolWithTag(pool: i32, octets: usize, tag: u32) -> PVOID {
    let export = "ExAllocatePoolWithTag";
    require_irql(export, DISPATCH_LEVEL);
    if pool != NonPagedPoolNx || tag == 0 || octets == 0 {
        let detail = format!("pool type {pool}, {octets} octets");
        violation(Rule::Flags, export, tag_name(tag), detail, None);
    }
    let block = allocate(export, octets, tag);
    if !block.is_null() {
        // SAFETY: allocated just now.
        unsafe { block.cast::<u8>().write_bytes(FRESH, octets) };
    }
    block
}

/// Allocates for `export`.
pub(crate) fn allocate(export: &'static str, octets: usize, tag: u32) -> PVOID {
    let Some(layout) = layout(octets) else { return core::ptr::null_mut() };
    if fault::fails(export, Freedom::NoMemory) {
        return core::ptr::null_mut();
    }
    // SAFETY: the size is not zero.
    let block = unsafe { alloc_zeroed(layout) };
    if block.is_null() {
        return core::ptr::null_mut();
    }
    let mut pool = POOL.lock();
    pool.blocks.insert(block.addr(), Block { octets, tag, site: Site::here(export) });
    let (count, total, peak) = pool.tags.entry(tag).or_default();
    *count += 1;
    *total += octets;
    *peak = (*peak).max(*total);
    block.cast()
}

/// Frees pool.
///
/// # Safety
/// As the DDI says.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn ExFreePoolWithTag(block: PVOID, tag: u32) {
    let _return = AtReturn;
    require_irql("ExFreePoolWithTag", DISPATCH_LEVEL);
    free("ExFreePoolWithTag", block, tag);
}

pub(crate) fn free(export: &'static str, address: PVOID, tag: u32) {
    let at = address.addr();
    let mut pool = POOL.lock();
    let Some(block) = pool.blocks.remove(&at) else {
        drop(pool);
        let object = format!("{at:#x} with tag {}", tag_name(tag));
        violation(Rule::Pool, export, object, "not an allocation, or freed already", None);
    };
    let entry = pool.tags.entry(block.tag).or_default();
    entry.0 -= 1;
    entry.1 -= block.octets;
    drop(pool);
    if block.tag != tag {
        let detail = format!("freed as {}", tag_name(tag));
        violation(Rule::Pool, export, tag_name(block.tag), detail, Some(block.site));
    }
    super::irp::check_not_in_flight(export, at, at + block.octets);
    super::lock_order::forget(at, at + block.octets);
    crate::wsk::pins::check_not_pinned(export, at, at + block.octets);
    let octets = address.cast::<u8>();
    // SAFETY: the block is ours again, `octets` long.
    unsafe { octets.write_bytes(FREED, block.octets) };
    let Some(layout) = layout(block.octets) else { return };
    // SAFETY: allocated with this layout.
    unsafe { dealloc(octets, layout) };
}

/// True when `from..from + octets` lies inside one allocation.
pub(crate) fn contains(from: usize, octets: usize) -> bool {
    let pool = POOL.lock();
    let block = pool.blocks.range(..=from).next_back();
    block.is_some_and(|(at, block)| from + octets <= at + block.octets)
}

pub(crate) fn reset() {
    *POOL.lock() = Pool::default();
}

pub(crate) fn enter(ledger: &mut Ledger) {
    let pool = POOL.lock();
    for (tag, (count, octets, peak)) in &pool.tags {
        let left = pool.blocks.values().filter(|block| block.tag == *tag);
        let sites = left.take(4).map(|block| format!("{} ({} octets)", block.site, block.octets));
        let item = Item { count: *count, octets: *octets, peak: *peak, sites: sites.collect() };
        ledger.items.insert(format!("pool {}", tag_name(*tag)), item);
    }
}
