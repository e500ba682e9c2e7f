//! The models.
use std::sync::Mutex;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use loom::thread;

use super::owner::Owner;
use super::restart::{Restart, Told};
use super::rundown::Rundown;
use super::slab::NONE;
use super::stack::Stack;

const SENT: u32 = 1 << 2;
const TICK: u32 = 1 << 8;
const CLOSED: u32 = 1 << 11;

fn every_order(test: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(test);
}

/// A slot, with what only its runner touches; loom fails when two threads do.
struct Slot {
    owner: Owner,
    own: UnsafeCell<()>,
    /// Events the runner saw, and whether one of them was the end.
    seen: Mutex<(u32, bool)>,
}

impl Slot {
    fn live() -> Arc<Slot> {
        let slot = Slot { owner: Owner::new(), own: UnsafeCell::new(()), seen: Mutex::default() };
        slot.owner.occupy();
        Arc::new(slot)
    }

    fn with<R>(&self, f: impl FnOnce(&mut (u32, bool)) -> R) -> R {
        self.own.with_mut(|_| f(&mut self.seen.lock().unwrap()))
    }

    /// As `Endpoint::run_once`.
    fn run_once(&self) -> bool {
        let events = self.owner.take_events();
        let has_ended = self.with(|own| {
            assert_eq!(own.0 & events, 0, "an event came twice");
            own.0 |= events;
            own.1 |= events & CLOSED != 0;
            own.1
        });
        if has_ended {
            self.owner.vacate();
        }
        !has_ended
    }

    /// As `Endpoint::post`, and the loop of `Endpoint::run_events`.
    fn post(&self, events: u32) {
        if self.owner.post(events) {
            while !self.owner.try_rest() && self.run_once() {}
        }
    }

    /// As `Endpoint::receive`. False when somebody else ran the connection.
    fn receive(&self) -> bool {
        if !self.owner.try_run() {
            return false;
        }
        self.with(|own| assert!(!own.1, "octets after the end"));
        while !self.owner.try_rest() && self.run_once() {}
        true
    }
}

/// Events stay until they are taken, and are events only.
#[test]
fn what_was_left_is_there_to_be_seen() {
    every_order(|| {
        let slot = Slot::live();
        assert!(slot.owner.post(SENT) && !slot.owner.post(TICK));
        assert_eq!(slot.owner.events(), SENT | TICK);
        assert_eq!(slot.owner.take_events(), SENT | TICK);
        assert_eq!(slot.owner.events(), 0);
    });
}

#[test]
fn no_event_is_lost_and_one_thread_runs() {
    every_order(|| {
        let slot = Slot::live();
        let (one, two) = (slot.clone(), slot.clone());
        let sent = thread::spawn(move || one.post(SENT));
        let ticked = thread::spawn(move || two.post(TICK));
        sent.join().unwrap();
        ticked.join().unwrap();
        assert!(slot.owner.try_run(), "nobody rests with the connection");
        assert_eq!(slot.with(|own| own.0), SENT | TICK);
        assert_eq!(slot.owner.events(), 0);
    });
}

#[test]
fn an_event_beside_a_receive_is_seen_by_its_runner() {
    every_order(|| {
        let slot = Slot::live();
        let (one, two) = (slot.clone(), slot.clone());
        let sent = thread::spawn(move || one.post(SENT));
        let received = thread::spawn(move || {
            if !two.receive() {
                two.post(TICK);
            }
        });
        sent.join().unwrap();
        received.join().unwrap();
        assert!(slot.owner.try_run());
        assert_eq!(slot.with(|own| own.0) & SENT, SENT);
    });
}

/// A send completes beside the end of the turn that knows of it: the event is taken with the rest,
/// or seen, and nobody stays the runner.
#[test]
fn a_send_that_its_turn_knows_of_leaves_nobody_running() {
    every_order(|| {
        let slot = Slot::live();
        let (one, two) = (slot.clone(), slot.clone());
        assert!(slot.owner.try_run());
        let sent = thread::spawn(move || {
            if !one.owner.post_to_runner(SENT) {
                one.post(SENT);
            }
        });
        let ticked = thread::spawn(move || two.post(TICK));
        if !slot.owner.try_rest_knowing(SENT) {
            while !slot.owner.try_rest() && slot.run_once() {}
        }
        sent.join().unwrap();
        ticked.join().unwrap();
        assert!(slot.owner.try_run(), "somebody stayed the runner");
        assert_eq!(slot.owner.events(), 0);
        assert_eq!(slot.with(|own| own.0) & TICK, TICK);
    });
}

/// The end comes beside another event: that one is seen before or never, and the slot is free.
#[test]
fn a_free_slot_ignores_events() {
    every_order(|| {
        let slot = Slot::live();
        let (one, two) = (slot.clone(), slot.clone());
        let closed = thread::spawn(move || one.post(CLOSED));
        let ticked = thread::spawn(move || two.post(TICK));
        closed.join().unwrap();
        ticked.join().unwrap();
        assert!(!slot.owner.is_live());
        assert!(!slot.owner.post(SENT) && !slot.owner.try_run());
        assert_eq!(slot.owner.events(), 0);
        assert!(slot.with(|own| own.1));
        slot.with(|own| *own = (0, false));
        slot.owner.occupy();
        slot.post(TICK);
        assert_eq!(slot.with(|own| own.0), TICK);
    });
}

/// The worker's queue, as `Worker::queue` and `Provider::run_queued` use it.
struct Queue {
    stack: Stack,
    slots: Vec<(Arc<Slot>, AtomicU32)>,
    /// The event, which in NT is under a lock: so it is exchanged, not stored.
    awake: AtomicBool,
}

impl Queue {
    fn new(slots: usize) -> Arc<Queue> {
        let slots = (0..slots).map(|_| (Slot::live(), AtomicU32::new(0))).collect();
        Arc::new(Queue { stack: Stack::new(), slots, awake: AtomicBool::new(false) })
    }

    fn queue(&self, index: u32) {
        if self.stack.push(index, &self.slots[index as usize].1) {
            self.awake.swap(true, Ordering::AcqRel);
        }
    }

    fn post(&self, index: u32, event: u32) {
        if self.slots[index as usize].0.owner.post(event) {
            self.queue(index);
        }
    }

    fn run_queued(&self) {
        let mut index = self.stack.take();
        let mut turns = 0;
        while index != NONE {
            let this = index;
            let (slot, next) = &self.slots[index as usize];
            index = next.load(Ordering::Relaxed);
            // As `Endpoint::run_turn`.
            if slot.run_once() && !slot.owner.try_rest() {
                self.queue(this);
            }
            turns += 1;
            assert!(turns <= self.slots.len(), "a connection is in the queue twice");
        }
    }
}

/// Two threads queue two connections while the worker runs them: each is run, and what comes after
/// the worker looked wakes it.
#[test]
fn who_is_queued_is_run_or_wakes_the_worker() {
    every_order(|| {
        let queue = Queue::new(2);
        let (one, two) = (queue.clone(), queue.clone());
        let first = thread::spawn(move || one.post(0, SENT));
        let second = thread::spawn(move || {
            two.post(1, SENT);
            two.post(0, TICK);
        });
        // As the worker: it clears the wake before it looks.
        queue.awake.swap(false, Ordering::AcqRel);
        queue.run_queued();
        first.join().unwrap();
        second.join().unwrap();
        while !queue.stack.is_empty() {
            assert!(queue.awake.load(Ordering::Acquire), "the worker sleeps, and there is work");
            queue.run_queued();
        }
        assert_eq!(queue.slots[0].0.with(|own| own.0), SENT | TICK);
        assert_eq!(queue.slots[1].0.with(|own| own.0), SENT);
    });
}

/// Two connections end while the provider stops: one is told that it is the last, and nobody
/// touches the provider after that.
#[test]
fn the_last_one_out_is_known() {
    every_order(|| {
        let rundown = Arc::new(Rundown::new());
        let provider = Arc::new(UnsafeCell::new(0));
        let last = Arc::new(AtomicU32::new(0));
        rundown.acquire();
        rundown.acquire();
        let gone: Vec<_> = (0..2)
            .map(|_| {
                let (rundown, provider, last) = (rundown.clone(), provider.clone(), last.clone());
                thread::spawn(move || {
                    // Connections read the provider; whoever is last frees it.
                    provider.with(|_| ());
                    if rundown.release() {
                        provider.with_mut(|_| ());
                        last.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        if rundown.close() {
            provider.with_mut(|_| ());
            last.fetch_add(1, Ordering::Relaxed);
        }
        for gone in gone {
            gone.join().unwrap();
        }
        assert_eq!(last.load(Ordering::Relaxed), 1);
        assert_eq!(rundown.count(), 0);
        assert!(rundown.close(), "closing again finds nobody");
    });
}

/// A restart's call and completion beside the close of its socket, which waits for the call.
#[test]
fn a_socket_is_closed_when_no_restart_is_being_called() {
    every_order(|| {
        let restart = Arc::new(Restart::new());
        // Of the caller, until it has told what there is to tell; and of who closes.
        let slot = Arc::new(UnsafeCell::new(()));
        restart.begin();
        let calls = {
            let (restart, slot) = (restart.clone(), slot.clone());
            thread::spawn(move || {
                slot.with_mut(|_| ());
                let told = restart.returned();
                if told != Told::Nothing {
                    slot.with_mut(|_| ());
                }
                told
            })
        };
        let other = restart.clone();
        let completes = thread::spawn(move || other.completed(false));
        let closed = restart.may_close();
        if closed {
            slot.with_mut(|_| ());
        }
        let told = [calls.join().unwrap(), completes.join().unwrap()];
        assert!(told.contains(&Told::Over), "nobody told");
        if !closed {
            assert_eq!(told[0], Told::Over, "the close waits on");
            restart.end();
            assert!(restart.may_close(), "told before the call returned");
        }
    });
}

/// Whether call or completion comes last: one of them tells that the restart is over, and failed.
#[test]
fn the_end_of_a_restart_is_told_once() {
    every_order(|| {
        let restart = Arc::new(Restart::new());
        restart.begin();
        let other = restart.clone();
        let completes = thread::spawn(move || other.completed(true));
        let returned = restart.returned();
        let mut told = [returned, completes.join().unwrap()];
        told.sort_by_key(|told| *told == Told::Failed);
        assert_eq!(told, [Told::Nothing, Told::Failed]);
    });
}
