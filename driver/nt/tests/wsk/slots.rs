//! The slab: connection slots on the free lists of two processors, and the chunks they come in.
use loom::sync::Arc;
use loom::thread;

use super::Client;
use super::slab::Slab;
use crate::kernel::processor;

struct Nobody;
impl Client for Nobody {}

fn every_order(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(test);
}

/// A slab of so many slots at most, of which some exist.
fn slab(slots_max: u32, exist: u32) -> Arc<Slab<Nobody>> {
    let slab = Slab::new(slots_max).unwrap();
    slab.reserve(exist, core::ptr::null()).unwrap();
    Arc::new(slab)
}

fn take(slab: &Slab<Nobody>) -> Option<u32> {
    slab.take(core::ptr::null()).map(|slot| slot.index)
}

/// Everything that is there, in turn.
fn drain(slab: &Slab<Nobody>) -> Vec<u32> {
    (0..slab.slots()).filter_map(|_| take(slab)).collect()
}

/// Slots of this thread and another processor's, and what is left: each of them once.
fn check(slab: &Slab<Nobody>, taken: impl IntoIterator<Item = Option<u32>>) {
    let mut all: Vec<u32> = taken.into_iter().flatten().collect();
    all.extend(drain(slab));
    all.sort_unstable();
    assert_eq!(all, (0..u32::try_from(slab.slots()).unwrap()).collect::<Vec<_>>());
}

/// Two processors find nothing free: each adds a chunk, or one takes what the other added.
#[test]
fn slots_that_are_added_at_once_are_given_once() {
    every_order(|| {
        let slab = slab(4, 0);
        let other = slab.clone();
        let other = thread::spawn(move || {
            processor::is(1);
            take(&other)
        });
        let mine = take(&slab);
        let others = other.join().unwrap();
        assert!(mine.is_some() || others.is_some(), "there is room for both");
        check(&slab, [mine, others]);
    });
}

/// A slot is given back on one processor while another looks for one.
#[test]
fn a_slot_that_comes_back_is_given_once() {
    every_order(|| {
        let slab = slab(2, 2);
        let (first, second) = (take(&slab), take(&slab));
        assert!(first.is_some() && second.is_some() && first != second);
        let other = slab.clone();
        let other = thread::spawn(move || {
            processor::is(1);
            other.give(first.unwrap());
            take(&other)
        });
        let mine = take(&slab);
        let others = other.join().unwrap();
        assert!(mine.is_some() != others.is_some(), "{mine:?} and {others:?} of one slot");
        check(&slab, [second, mine, others]);
    });
}

/// Both give and take, each on its own list and on the other's.
#[test]
fn no_slot_is_lost_between_two_lists() {
    every_order(|| {
        let slab = slab(2, 2);
        let take_and_give = |slab: &Slab<Nobody>| {
            if let Some(index) = take(slab) {
                slab.give(index);
            }
        };
        let other = slab.clone();
        let other = thread::spawn(move || {
            processor::is(1);
            take_and_give(&other);
            take(&other)
        });
        take_and_give(&slab);
        let mine = take(&slab);
        let others = other.join().unwrap();
        check(&slab, [mine, others]);
    });
}
