//! Processors, threads, timers, events, locks, time.
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nt::processor::{count, current};
use nt::{
    Event, Passive, PerProcessor, PoolArc, SpinLock, Status, SystemThread, Tag, ThreadRoutine,
    Timer, TimerRoutine, TryCell, random, time,
};
use nthost::sim;

use crate::{PROCESSORS, run, run_on, without};

#[test]
fn there_are_as_many_processors_as_there_are_and_this_runs_on_one_of_them() {
    run(|_| {
        assert_eq!(count(), PROCESSORS);
        // A thread may be on any of them.
        let seen: BTreeSet<usize> = (0..200).map(|_| current()).collect();
        assert_eq!(seen, (0..PROCESSORS).collect());
    });
}

#[test]
fn each_processor_has_its_own_and_one_that_came_later_the_first_ones() {
    run(|_| {
        let mut next = 0;
        let make = || {
            next += 1;
            Ok(next)
        };
        let each = PerProcessor::new(Tag::Server, make).unwrap();
        let of = |processor| each.of(processor).copied();
        assert_eq!([of(0), of(1), of(2), of(3)], [Some(1), Some(2), Some(3), Some(1)]);
        assert_eq!(of(usize::MAX), Some(1));
        assert_eq!(each.all().copied().collect::<Vec<i32>>(), [1, 2, 3]);
        let none = PerProcessor::<()>::new(Tag::Server, || Err(Status::NOT_SUPPORTED));
        assert_eq!(none.map(drop).unwrap_err(), Status::NOT_SUPPORTED);
    });
}

/// Waits for its turn, and counts.
struct Waiter {
    go: Event,
    runs: AtomicU32,
    _held: Arc<()>,
}

impl ThreadRoutine for Waiter {
    fn run(&self, passive: &Passive) {
        self.go.wait(passive);
        self.runs.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_thread_waits_for_its_event_and_is_joined_when_it_has_run() {
    run(|passive| {
        let held = Arc::new(());
        let go = Event::new().unwrap();
        // One that was set, and is not any more.
        go.set();
        go.wait(passive);
        go.clear();
        let waiter = Waiter { go, runs: AtomicU32::new(0), _held: held.clone() };
        let waiter = PoolArc::new(Tag::Object, waiter).unwrap();
        let thread = SystemThread::start(passive, waiter.clone()).unwrap();
        sim::sleep(Duration::from_secs(1));
        assert_eq!(waiter.runs.load(Ordering::Relaxed), 0);
        waiter.go.set();
        thread.join(passive);
        assert_eq!(waiter.runs.load(Ordering::Relaxed), 1);
        drop(waiter);
        assert_eq!(Arc::strong_count(&held), 1, "the thread kept its routine");
    });
}

/// Counts its calls.
struct Counter {
    calls: SpinLock<u32>,
    _held: Arc<()>,
}

impl TimerRoutine for Counter {
    fn expire(&self) {
        self.calls.with(|calls| *calls += 1);
    }
}

#[test]
fn a_timer_calls_once_a_period_until_it_is_stopped() {
    run(|passive| {
        let held = Arc::new(());
        let counter = Counter { calls: SpinLock::new(0), _held: held.clone() };
        let counter = PoolArc::new(Tag::Object, counter).unwrap();
        let timer = Timer::start(100, counter.clone()).unwrap();
        sim::sleep(Duration::from_millis(90));
        assert_eq!(counter.calls.with(|calls| *calls), 0);
        // In the middle of a period, for a call may be late.
        sim::sleep(Duration::from_millis(960));
        timer.stop(passive);
        assert_eq!(counter.calls.with(|calls| *calls), 10);
        sim::sleep(Duration::from_secs(1));
        assert_eq!(counter.calls.with(|calls| *calls), 10);
        drop(counter);
        assert_eq!(Arc::strong_count(&held), 1, "the timer kept its routine");
    });
}

/// Names what a child of the next test is to drop.
const DROPPED: &str = "NT_TEST_DROPPED";

#[test]
fn what_is_dropped_although_it_runs_stops_the_machine() {
    for dropped in ["thread", "timer"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["machine::drops", "--exact", "--nocapture"])
            .env(DROPPED, dropped)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("broke rule 110: "), "{dropped}: {} {said}", output.status);
    }
}

/// In the parent it does nothing.
#[test]
fn drops() {
    let Ok(dropped) = std::env::var(DROPPED) else { return };
    run(move |passive| {
        let (go, runs, held) = (Event::new().unwrap(), AtomicU32::new(0), Arc::new(()));
        if dropped == "thread" {
            let waiter = PoolArc::new(Tag::Object, Waiter { go, runs, _held: held }).unwrap();
            drop(SystemThread::start(passive, waiter).unwrap());
        } else {
            let counter = Counter { calls: SpinLock::new(0), _held: held };
            drop(Timer::start(100, PoolArc::new(Tag::Object, counter).unwrap()).unwrap());
        }
    });
}

/// How far clock and counter go in a second, in 100 ns.
fn second() -> (u64, u64) {
    let (before, (count, _)) = (time::system_ticks(), time::performance_counter());
    sim::sleep(Duration::from_secs(1));
    let (now, frequency) = time::performance_counter();
    let ticks = time::system_ticks() - before;
    (ticks, u64::try_from(u128::from(now - count) * 10_000_000 / u128::from(frequency)).unwrap())
}

#[test]
fn a_second_is_a_second_by_the_clock_and_by_the_counter() {
    let is_second = |ticks: u64| (10_000_000..10_100_000).contains(&ticks);
    let check = move || {
        let (clock, counter) = second();
        assert!(is_second(clock) && is_second(counter), "{clock} {counter}");
        // After 2020, and before 2200.
        assert!((0x01D5_C000_0000_0000..0x02A0_0000_0000_0000).contains(&time::system_ticks()));
    };
    run(move |_| {
        assert_ne!(time::performance_counter().1, 10_000_000);
        check();
    });
    run_on(without(&["KeQuerySystemTimePrecise"]), move |_, _| check());
    run_on(without(&["KeQueryPerformanceCounter"]), move |_, _| {
        assert_eq!(time::performance_counter().1, 10_000_000);
        check();
    });
}

#[test]
fn a_cell_is_one_users_until_that_one_gives_it_back() {
    let cell = TryCell::new(1);
    let mut taken = cell.try_take().unwrap();
    assert!(cell.try_take().is_none());
    *taken = 2;
    drop(taken);
    assert_eq!(cell.try_take().as_deref(), Some(&2));
}

#[test]
fn entropy_is_not_what_it_was() {
    run(|passive| {
        let (one, other) = (random::entropy(passive).unwrap(), random::entropy(passive).unwrap());
        assert_ne!(one, other);
        assert!(one.iter().all(|word| *word > 1), "{one:x?}");
        // Of 28 words, whose bits nobody knows, that is nine deviations off. The last two are
        // addresses.
        let words = one.iter().take(14).chain(other.iter().take(14));
        let ones: u32 = words.map(|word| word.count_ones()).sum();
        assert!((700..1_092).contains(&ones), "{ones} ones of 1,792");
    });
}
