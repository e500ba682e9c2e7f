//! Spin locks that are acquired while others are held: the orders in which that happens.
//!
//! Two threads that acquire the same locks in two orders wait for each other for ever, but only
//! when they meet. So every order that was seen is remembered, and one that closes a circle is
//! reported although nobody waits.
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::BTreeMap;

use crate::processor;
use crate::verifier::{Rule, Site, violation};

/// Locks that one thread may hold at a time.
const HELD_MAX: usize = 4;

/// The locks that a thread holds, outermost first.
#[derive(Clone)]
pub(crate) struct Held {
    locks: [Cell<usize>; HELD_MAX],
    count: Cell<usize>,
}

impl Held {
    pub(crate) const fn none() -> Held {
        Held { locks: [const { Cell::new(0) }; HELD_MAX], count: Cell::new(0) }
    }

    fn locks(&self) -> &[Cell<usize>] {
        &self.locks[..self.count.get()]
    }

    fn contains(&self, lock: usize) -> bool {
        self.locks().iter().any(|held| held.get() == lock)
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.count.get()
    }

    /// Holds what the other holds.
    pub(crate) fn set(&self, other: &Held) {
        self.locks.iter().zip(&other.locks).for_each(|(to, from)| to.set(from.get()));
        self.count.set(other.count());
    }
}

/// Where a lock was acquired while another was held, by those two.
static ORDERS: Mutex<BTreeMap<(usize, usize), Site>> = Mutex::new(BTreeMap::new());

/// This thread wants a lock.
pub(crate) fn wants(export: &'static str, wanted: usize) {
    processor::with_held(|held| {
        // One that is acquired twice is another mistake.
        if held.count() != 0 && !held.contains(wanted) {
            inside(export, wanted, held);
        }
    });
}

/// This thread wants a lock while it holds others.
#[cold]
fn inside(export: &'static str, wanted: usize, held: &Held) {
    let mut orders = ORDERS.lock();
    for outer in held.locks().iter().map(Cell::get) {
        if let Some(earlier) = order(&orders, wanted, outer) {
            drop(orders);
            let object = format!("lock {wanted:#x}, wanted by who holds {outer:#x}");
            let detail = "they were acquired the other way round before, directly or by others";
            violation(Rule::LockOrder, export, object, detail, Some(earlier));
        }
        orders.entry((outer, wanted)).or_insert_with(|| Site::here(export));
    }
}

/// It has it.
pub(crate) fn has(export: &'static str, acquired: usize) {
    processor::with_held(|held| {
        let Some(place) = held.locks.get(held.count()) else {
            let detail = format!("{HELD_MAX} others are held");
            violation(Rule::LockOrder, export, format!("lock {acquired:#x}"), detail, None);
        };
        place.set(acquired);
        held.count.set(held.count() + 1);
    });
}

/// It gave it back.
pub(crate) fn released(released: usize) {
    processor::with_held(|held| {
        if let Some(at) = held.locks().iter().rposition(|lock| lock.get() == released) {
            held.locks().windows(2).skip(at).for_each(|pair| pair[0].swap(&pair[1]));
            held.count.set(held.count() - 1);
        }
    });
}

/// Memory is gone, and the locks in it: others that come to its place are others.
pub(crate) fn forget(from: usize, to: usize) {
    let gone = from..to;
    ORDERS.lock().retain(|(outer, inner), _| !gone.contains(outer) && !gone.contains(inner));
}

pub(crate) fn reset() {
    ORDERS.lock().clear();
}

/// Where an order began that leads from `outer` to `inner`, however many others are between.
fn order(orders: &BTreeMap<(usize, usize), Site>, outer: usize, inner: usize) -> Option<Site> {
    let mut seen = vec![outer];
    let mut at = 0;
    let mut first = None;
    while let Some(lock) = seen.get(at).copied() {
        for ((_, next), site) in orders.range((lock, 0)..=(lock, usize::MAX)) {
            first = first.or(Some(*site));
            if *next == inner {
                return first;
            }
            if !seen.contains(next) {
                seen.push(*next);
            }
        }
        at += 1;
    }
    None
}
