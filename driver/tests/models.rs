//! Every order in which a few threads can run through the admission, the clock and what is
//! published, by loom.
//!
//! Their sources are compiled a second time here, over loom's locks and atomics in
//! place of the kernel's. Threads and steps are few, because the orders are many.
#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "../src/admission/mod.rs"]
mod admission;
#[path = "../src/clock.rs"]
mod clock;
#[path = "../src/published.rs"]
mod published;

/// What these take from the driver, as loom has it.
mod sync {
    use std::ops::{Deref, DerefMut};

    pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

    pub type Result<T> = std::result::Result<T, ()>;

    /// One is enough: what two of them share is in the tests of what is published.
    pub mod processor {
        pub fn count() -> usize {
            1
        }

        pub fn current() -> usize {
            0
        }
    }

    #[derive(Clone, Copy)]
    pub enum Tag {
        Server,
    }

    pub struct SpinLock<T>(loom::sync::Mutex<T>);

    impl<T> SpinLock<T> {
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
            f(&mut self.0.lock().unwrap())
        }
    }

    pub struct PoolArc<T>(loom::sync::Arc<T>);

    impl<T> PoolArc<T> {
        #[allow(clippy::unnecessary_wraps)] // as the kernel's
        pub fn new(_: Tag, value: T) -> Result<Self> {
            Ok(Self(loom::sync::Arc::new(value)))
        }
    }

    impl<T> Clone for PoolArc<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    impl<T> Deref for PoolArc<T> {
        type Target = T;
        fn deref(&self) -> &T {
            &self.0
        }
    }

    /// A lock that nobody waits for.
    pub struct TryCell<T>(loom::sync::Mutex<T>);
    pub type Taken<'c, T> = loom::sync::MutexGuard<'c, T>;

    impl<T> TryCell<T> {
        pub fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub fn try_take(&self) -> Option<Taken<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    pub struct PoolSlice<T>(Vec<T>);

    impl<T> PoolSlice<T> {
        #[allow(clippy::unnecessary_wraps)] // as the kernel's
        pub fn from_fn(_: Tag, count: usize, make: impl FnMut(usize) -> T) -> Result<Self> {
            Ok(Self((0..count).map(make).collect()))
        }

        pub fn try_from_fn(
            _: Tag,
            count: usize,
            make: impl FnMut(usize) -> Result<T>,
        ) -> Result<Self> {
            (0..count).map(make).collect::<Result<_>>().map(Self)
        }
    }

    impl<T> Deref for PoolSlice<T> {
        type Target = [T];
        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    impl<T> DerefMut for PoolSlice<T> {
        fn deref_mut(&mut self) -> &mut [T] {
            &mut self.0
        }
    }
}

use std::net::{IpAddr, Ipv4Addr};

use admission::address::PrefixLengths;
use admission::table::Allowance;
use admission::{Admission, Decision, Left, Lists, Overload, RefuseWith, Rules, Ticket, Verdict};
use clock::Clock;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use nt::wsk::InspectId;
use sync::{PoolArc, Tag};

const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ID: InspectId = InspectId { key: 1, serial: 1 };

/// One place, and room for one waiter.
const RULES: Rules = Rules {
    connections_max: 1,
    reserved: 0,
    handshakes_max: 2,
    allowance: Allowance { connections: 0, per_second: 0, burst: 1, tick_ms: 125 },
    prefix_lengths: PrefixLengths { v4: 32, v6: 64 },
    overload: Overload::Hold,
    hold_max: 1,
    hold_ticks: 4,
    refuse_with: RefuseWith::Reset,
};

/// Runs `test` in every order; nothing is counted at its end.
fn every_order(rules: Rules, test: impl Fn(&Arc<Admission>) + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let admission = Admission::new(rules, Lists::empty().unwrap(), [1, 2]);
        let admission = Arc::new(admission.unwrap());
        test(&admission);
        assert_eq!(admission.left(), Left::default());
    });
}

fn place(admission: &Admission) -> Ticket {
    admission.accept(ONE, None, 0, 0).0.unwrap()
}

#[test]
fn abort_and_accept_of_one_request() {
    every_order(RULES, |admission| {
        assert_eq!(admission.inspect(ONE, ID, 0).0, Verdict::Accept);
        let other = admission.clone();
        let aborted = thread::spawn(move || other.abort(ID));
        let (ticket, _) = admission.accept(ONE, Some(ID), 0, 0);
        aborted.join().unwrap();
        // Whoever came first owns what the request took; a late connection is judged anew.
        if let Some(ticket) = ticket {
            admission.release(ticket);
        }
    });
}

#[test]
fn two_requests_for_one_place() {
    let rules = Rules { overload: Overload::Reject, ..RULES };
    every_order(rules, |admission| {
        let other = admission.clone();
        let second = InspectId { serial: 2, ..ID };
        let theirs = thread::spawn(move || other.inspect(ONE, second, 0).0);
        let ours = admission.inspect(ONE, ID, 0).0;
        let theirs = theirs.join().unwrap();
        let accepted = [ours, theirs].iter().filter(|verdict| **verdict == Verdict::Accept).count();
        assert_eq!(accepted, 1, "{ours:?} {theirs:?}");
        assert!(admission.abort(ID) ^ admission.abort(second));
    });
}

#[test]
fn a_limit_per_address_is_exact() {
    let allowance = Allowance { connections: 1, ..RULES.allowance };
    every_order(Rules { allowance, connections_max: 2, ..RULES }, |admission| {
        let other = admission.clone();
        let come = |admission: &Admission| admission.accept(ONE, None, 0, 0).0;
        let theirs = thread::spawn(move || come(&other));
        let (ours, theirs) = (come(admission), theirs.join().unwrap());
        assert!(ours.is_some() ^ theirs.is_some());
        ours.into_iter().chain(theirs).for_each(|ticket| admission.release(ticket));
    });
}

/// The place becomes free, is given to the waiter, and the waiter's request dies: all at once.
#[test]
fn release_decision_and_abort_of_a_pended_request() {
    every_order(RULES, |admission| {
        let ticket = place(admission);
        assert_eq!(admission.inspect(ONE, ID, 0).0, Verdict::Pend);
        let (one, two) = (admission.clone(), admission.clone());
        let decided = thread::spawn(move || {
            one.release(ticket);
            one.next_decision(0)
        });
        let aborted = thread::spawn(move || two.abort(ID));
        let decision = decided.join().unwrap();
        assert!(aborted.join().unwrap(), "it was there to be aborted");
        assert!(decision.is_none() || decision == Some(Decision::Accept(ID)));
        assert_eq!(admission.next_decision(0), None);
    });
}

/// A request joins the line while the only place becomes free: somebody sees that it can have it.
#[test]
fn nobody_waits_beside_a_free_place() {
    every_order(RULES, |admission| {
        let ticket = place(admission);
        let other = admission.clone();
        let released = thread::spawn(move || {
            other.release(ticket);
            other.may_decide()
        });
        let (verdict, _) = admission.inspect(ONE, ID, 0);
        let is_seen = admission.may_decide();
        let was_seen = released.join().unwrap();
        if verdict == Verdict::Pend {
            assert!(is_seen || was_seen, "both looked away");
            assert_eq!(admission.next_decision(0), Some(Decision::Accept(ID)));
        }
        assert!(admission.abort(ID));
    });
}

/// A request is decided, times out and dies while it is still joining the line.
#[test]
fn decision_deadline_and_abort_of_a_request_that_joins() {
    every_order(RULES, |admission| {
        let ticket = place(admission);
        let (one, two) = (admission.clone(), admission.clone());
        let decided = thread::spawn(move || one.next_decision(100));
        let aborted = thread::spawn(move || two.abort(ID));
        let (verdict, _) = admission.inspect(ONE, ID, 0);
        assert_eq!(verdict, Verdict::Pend);
        let rejected = decided.join().unwrap();
        let aborted = aborted.join().unwrap();
        assert!(matches!(rejected, None | Some(Decision::Reject(ID, _))));
        assert!(!(aborted && rejected.is_some()), "two owners");
        if !aborted && rejected.is_none() {
            assert!(admission.abort(ID));
        }
        admission.release(ticket);
        assert_eq!(admission.next_decision(100), None);
    });
}

/// A connection that waits gets the place and closes at the same time.
#[test]
fn admission_and_close_of_a_waiting_connection() {
    every_order(RULES, |admission| {
        let first = place(admission);
        let waiting = admission.accept(ONE, None, 7, 0).0.unwrap();
        assert!(waiting.is_waiting());
        let (one, two) = (admission.clone(), admission.clone());
        let closed = thread::spawn(move || one.release(waiting));
        let decided = thread::spawn(move || {
            two.release(first);
            two.next_decision(0)
        });
        closed.join().unwrap();
        let decision = decided.join().unwrap();
        assert!(decision.is_none() || decision == Some(Decision::Admit(7)));
    });
}

/// The listener dies while a request is decided.
#[test]
fn a_listener_that_dies_with_a_decision_under_way() {
    every_order(RULES, |admission| {
        let ticket = place(admission);
        assert_eq!(admission.inspect(ONE, ID, 0).0, Verdict::Pend);
        let other = admission.clone();
        let decided = thread::spawn(move || {
            other.release(ticket);
            other.next_decision(0);
        });
        admission.forget_requests();
        decided.join().unwrap();
        admission.forget_requests();
        assert!(!admission.abort(ID));
    });
}

/// The second turns once and once more while somebody reads the date.
#[test]
fn a_date_is_never_torn() {
    /// In 100 ns, a second before all of the date changes but the weekday's last two letters.
    const NOW: u64 = (946_684_799 + 11_644_473_600) * 10_000_000;
    let dates = [
        *b"Fri, 31 Dec 1999 23:59:59 GMT",
        *b"Sat, 01 Jan 2000 00:00:00 GMT",
        *b"Sat, 01 Jan 2000 00:00:01 GMT",
    ];
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let clock = Arc::new(Clock::new(NOW));
        let other = clock.clone();
        let timer = thread::spawn(move || {
            other.advance(NOW + 10_000_000);
            other.advance(NOW + 20_000_000);
        });
        let date = clock.date();
        assert!(dates.contains(&date), "{}", String::from_utf8_lossy(&date));
        timer.join().unwrap();
        assert_eq!(clock.date(), dates[2]);
    });
}

/// A site, as far as its life matters: which one, and how many there are.
struct Edition {
    number: u32,
    alive: Arc<AtomicUsize>,
}

impl Drop for Edition {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of the edition that something was derived from.
struct Noted(Option<u32>);

impl published::Derived for Noted {
    fn forget(&mut self) {
        self.0 = None;
    }
}

type Editions = published::Published<Edition, Noted>;

fn editions(processors: usize, alive: &Arc<AtomicUsize>) -> Editions {
    Editions::new(edition(0, alive), processors, copy, || Ok(Noted(None))).unwrap()
}

/// A processor's own.
fn copy(of: &PoolArc<Edition>) -> PoolArc<Edition> {
    edition(of.number, &of.alive)
}

fn edition(number: u32, alive: &Arc<AtomicUsize>) -> PoolArc<Edition> {
    alive.fetch_add(1, Ordering::Relaxed);
    PoolArc::new(Tag::Server, Edition { number, alive: alive.clone() }).unwrap()
}

/// A turn: what it finds derived is of the edition that it has, or nothing; which one that was.
fn turn(editions: &Editions, processor: usize) -> u32 {
    let mut turn = editions.turn(processor);
    let (edition, noted) = turn.parts();
    let number = edition.number;
    if let Some(noted) = noted {
        assert!(noted.0.is_none_or(|noted| noted == number), "of another edition");
        noted.0 = Some(number);
    }
    thread::yield_now();
    assert_eq!(edition.number, number);
    number
}

/// Runs `test` in every order; after the sweep there is one edition, the last, and each desk's.
fn every_publication(processors: usize, test: fn(&Arc<Editions>, &Arc<AtomicUsize>)) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let alive = Arc::new(AtomicUsize::new(0));
        let all = Arc::new(editions(processors, &alive));
        test(&all, &alive);
        all.sweep();
        assert!(!all.is_stale());
        assert_eq!(alive.load(Ordering::Relaxed), 1 + processors, "editions that nobody uses");
        drop(all);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

/// A site is published while turns run on two processors: each turn has one of them, and who comes
/// after the publication has the new one.
#[test]
fn publication_and_turns() {
    every_publication(2, |all, alive| {
        let (one, two) = (all.clone(), all.clone());
        let first = thread::spawn(move || (turn(&one, 0), turn(&one, 0)));
        let next = edition(1, alive);
        two.publish(next);
        assert_eq!(turn(all, 1), 1);
        let (before, after) = first.join().unwrap();
        assert!(before <= after, "back to an older one");
        assert_eq!(turn(all, 0), 1);
    });
}

/// Two turns at one desk, because one was interrupted, and a publication.
#[test]
fn publication_and_two_turns_at_one_desk() {
    every_publication(1, |all, alive| {
        let one = all.clone();
        let first = thread::spawn(move || turn(&one, 0));
        let (two, next) = (all.clone(), edition(1, alive));
        let published = thread::spawn(move || two.publish(next));
        let (ours, theirs) = (turn(all, 0), first.join().unwrap());
        assert!(ours <= 1 && theirs <= 1);
        published.join().unwrap();
    });
}

/// Two publications and a sweep at once.
#[test]
fn two_publications_and_a_sweep() {
    every_publication(1, |all, alive| {
        let (one, first) = (all.clone(), edition(1, alive));
        let (two, second) = (all.clone(), edition(2, alive));
        let first = thread::spawn(move || one.publish(first));
        let second = thread::spawn(move || two.publish(second));
        all.sweep();
        first.join().unwrap();
        second.join().unwrap();
        assert_ne!(turn(all, 0), 0);
    });
}
