//! A machine for a test; there is one per process, so tests take turns.
#![allow(unreachable_pub)]
#![allow(dead_code)] // each test executable uses a part

use std::sync::Mutex;

use nthost::{Host, Ledger, Options};

/// Runs a test on a machine of its own; what it leaves.
pub fn leaves(options: Options, test: impl FnOnce(&mut Host)) -> Ledger {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().expect("an earlier test failed and left its machine running");
    let mut host = Host::start(options).unwrap();
    test(&mut host);
    host.unload()
}

/// The same, and it leaves nothing.
pub fn on(options: Options, test: impl FnOnce(&mut Host)) {
    let ledger = leaves(options, test);
    assert!(ledger.is_zero(), "{ledger}");
}

pub fn null<T>() -> *mut T {
    core::ptr::null_mut()
}
