//! Memory of sends in flight: the driver may not free it (rule 20).
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use nt_sys::mm::MDL;

use crate::verifier::{Rule, Site, violation};

/// First octet, and the number of the send: several may have the same memory.
type Pinned = BTreeMap<(usize, u64), Site>;

static PINNED: Mutex<Pinned> = Mutex::new(BTreeMap::new());

/// What one send pins, until dropped.
pub(super) struct Pins(Vec<(usize, u64)>);

impl Pins {
    /// The MDLs of a chain and what they describe.
    ///
    /// # Safety
    /// The chain is valid.
    pub(super) unsafe fn of(mut mdl: *const MDL, export: &'static str) -> Pins {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let site = Site::here(export);
        let mut keys = Vec::new();
        let mut pinned = PINNED.lock();
        while !mdl.is_null() {
            // SAFETY: the caller's.
            let fields = unsafe { &*mdl };
            let octets = fields.StartVa.addr() + fields.ByteOffset as usize;
            for key in [(mdl.addr(), number), (octets, number)] {
                pinned.insert(key, site);
                keys.push(key);
            }
            mdl = fields.Next;
        }
        Pins(keys)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut pinned = PINNED.lock();
        for key in &self.0 {
            pinned.remove(key);
        }
    }
}

/// Reports memory of a send in flight inside `from..to`, which the driver is about to free. An
/// MDL and what it describes lie in one allocation each, so they begin inside it.
pub(crate) fn check_not_pinned(export: &'static str, from: usize, to: usize) {
    let pinned = PINNED.lock();
    let found = pinned.range((from, 0)..(to, 0)).next().map(|((at, _), site)| (*at, *site));
    drop(pinned);
    if let Some((at, site)) = found {
        let object = format!("{at:#x}, memory of a send");
        violation(Rule::BufferInFlight, export, object, "freed while in flight", Some(site));
    }
}

pub(super) fn reset() {
    PINNED.lock().clear();
}
