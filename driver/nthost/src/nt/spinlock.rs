//! Spin locks.
use std::sync::atomic::{AtomicUsize, Ordering};

use nt_sys::ke::KSPIN_LOCK;
use nt_sys::ntdef::{DISPATCH_LEVEL, KIRQL};

use super::lock_order;
use crate::processor::{self, require_irql};
use crate::sim::actor::{self, Wait};
use crate::sim::interrupt::AtReturn;
use crate::sim::world;
use crate::verifier::{Rule, violation};

fn atomic<'l>(lock: *mut KSPIN_LOCK) -> &'l AtomicUsize {
    // SAFETY: the driver's: a spin lock in memory that stays, accessed by these functions only.
    unsafe { AtomicUsize::from_ptr(lock) }
}

/// Acquires; returns the old IRQL.
///
/// # Safety
/// `lock` is an initialised spin lock.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeAcquireSpinLockRaiseToDpc(lock: *mut KSPIN_LOCK) -> KIRQL {
    let export = "KeAcquireSpinLockRaiseToDpc";
    require_irql(export, DISPATCH_LEVEL);
    let me = processor::thread_mark();
    let word = atomic(lock);
    lock_order::wants(export, lock.addr());
    let mut spins = 0_u32;
    while let Err(owner) = word.compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
        if owner == me {
            violation(Rule::SpinLock, export, format!("lock {lock:p}"), "acquired twice", None);
        }
        if world::is_on() {
            actor::pause(Wait::Lock(lock.expose_provenance()));
            continue;
        }
        spins += 1;
        // The owner may be a thread that the operating system does not run at the moment.
        if spins.is_multiple_of(64) { std::thread::yield_now() } else { std::hint::spin_loop() }
    }
    lock_order::has(export, lock.addr());
    let before = processor::raise_irql(DISPATCH_LEVEL);
    actor::export_called("lock acquired");
    before
}

/// True when nobody has the lock at `address`.
pub(crate) fn is_free(address: usize) -> bool {
    atomic(core::ptr::with_exposed_provenance_mut(address)).load(Ordering::Relaxed) == 0
}

/// Releases.
///
/// # Safety
/// `lock` was acquired by this thread.
#[unsafe(no_mangle)]
pub unsafe extern "win64" fn KeReleaseSpinLock(lock: *mut KSPIN_LOCK, irql: KIRQL) {
    let export = "KeReleaseSpinLock";
    let _return = AtReturn;
    actor::simple_export_called();
    if atomic(lock).swap(0, Ordering::Release) != processor::thread_mark() {
        violation(Rule::SpinLock, export, format!("lock {lock:p}"), "released by another", None);
    }
    lock_order::released(lock.addr());
    processor::set_irql(irql);
    actor::export_called(export);
}
