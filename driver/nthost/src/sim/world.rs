//! The state of a simulated machine: its clock, its queues, and who runs next.
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::mem::ManuallyDrop;

use super::Failure;
use super::actor::{Actor, Wait};
use super::fault::Plan;
use super::freedom::{Freedom, Freedoms};
use super::indication::Quarantine;
use super::network::Network;
use super::offer::Offer;
use super::peer::Happening;
use super::random::Random;
use super::trace::Trace;
use super::work::Work;

/// Steps of one run at most: more mean that it goes round in circles.
const STEPS_MAX: u64 = 20_000_000;
/// Nobody: the scheduler itself, or the peers.
pub(super) const NOBODY: usize = usize::MAX;

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    /// Not dropped with the thread: actors that are suspended cannot be unwound.
    static WORLD: RefCell<ManuallyDrop<Option<World>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
}

/// What becomes due at a time.
enum Due {
    Work(Work),
    Happening(usize, Happening),
}

/// A simulated machine.
pub(crate) struct World {
    /// 100 ns since the start.
    pub(super) now: u64,
    pub(super) step: u64,
    pub(super) random: Random,
    pub(super) freedoms: Freedoms,
    pub(super) trace: Trace,
    pub(super) actors: Vec<Actor>,
    pub(super) current: usize,
    pub(super) network: Network,
    pub(super) plan: Plan,
    pub(super) quarantine: Quarantine,
    /// Work that any processor without any may take.
    ready: Vec<Work>,
    later: BTreeMap<(u64, u64), Due>,
    happenings: VecDeque<(usize, Happening)>,
    sequence: u64,
    /// 100 ns that one step takes at most.
    pace: u64,
    /// Entries that a lookaside list keeps: with none, every one of its allocations may fail.
    pub(super) lookaside_depth: u16,
    /// Callbacks that run and completions that are under way, by socket.
    busy: BTreeMap<usize, u32>,
    /// Sockets of which an event has begun that has called nothing yet, by the actor that runs it.
    entered: BTreeMap<usize, usize>,
    /// Accept events that are watched, by the actor that runs them, and whether events of their
    /// connections may have come.
    pub(super) offers: BTreeMap<usize, (Offer, bool)>,
    /// DPCs queued or running.
    pub(super) dpcs: Vec<usize>,
    /// Until when no thread is starved again.
    pub(super) fed_until: u64,
}

/// True on the thread of a simulated machine.
pub(crate) fn is_on() -> bool {
    ON.get()
}

/// Uses the world of this thread; not nested, and not interrupted: this is the host.
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    super::interrupt::disarm();
    WORLD.with(|world| f(world.borrow_mut().as_mut().expect("a simulated machine")))
}

/// The same, of a signal's handler, which may have come in the middle of a use: then `None`.
pub(super) fn try_with<R>(f: impl FnOnce(&World) -> R) -> Option<R> {
    WORLD.with(|world| Some(f(world.try_borrow().ok()?.as_ref()?)))
}

pub(super) fn begin(world: World) {
    WORLD.with(|place| **place.borrow_mut() = Some(world));
    ON.set(true);
}

pub(super) fn end() -> World {
    ON.set(false);
    WORLD.with(|place| place.borrow_mut().take()).expect("a simulated machine")
}

/// What the scheduler does next.
pub(super) enum Turn {
    /// The peers hear of something.
    Happening(usize, Happening),
    /// An actor goes on.
    Actor(usize),
    /// Nobody can, ever.
    Stuck,
}

impl World {
    pub(super) fn new(seed: u64, faults: bool, plan: Plan) -> World {
        let random = Random::new(seed);
        let mut temper = random.fork(3);
        let pace = [4, 100, 2_000, 2_000][temper.below(4)];
        let lookaside_depth = if plan.is_sweep() || temper.one_in(2) { 0 } else { 256 };
        World {
            now: 0,
            step: 0,
            freedoms: Freedoms::new(&random, faults),
            trace: Trace::default(),
            actors: Vec::new(),
            current: NOBODY,
            network: Network::new(&mut random.fork(4)),
            plan,
            quarantine: Quarantine::default(),
            ready: Vec::new(),
            later: BTreeMap::new(),
            happenings: VecDeque::new(),
            sequence: 0,
            pace,
            lookaside_depth,
            busy: BTreeMap::new(),
            entered: BTreeMap::new(),
            offers: BTreeMap::new(),
            dpcs: Vec::new(),
            fed_until: 0,
            random: random.fork(5),
        }
    }

    /// 100 ns since the start.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Notes that something happened.
    pub(crate) fn note(&mut self, what: &'static str, about: usize, value: usize) {
        let when = (self.step, self.now);
        self.trace.add(when, self.current, what, about as u64, value as u64);
    }

    pub(crate) fn take(&mut self, freedom: Freedom) -> bool {
        self.freedoms.take(freedom)
    }

    /// A delay as it comes: mostly short, up to 26 ms.
    pub(crate) fn delay(&mut self) -> u64 {
        let scale = 1 << self.random.within(0, 18);
        self.random.within(0, scale)
    }

    /// For a processor, as soon as one takes it.
    pub(crate) fn post(&mut self, work: Work) {
        self.ready.push(work);
    }

    fn due_in(&mut self, ticks: u64, due: Due) {
        self.sequence += 1;
        self.later.insert((self.now + ticks, self.sequence), due);
    }

    /// For a processor, `ticks` later.
    pub(crate) fn post_later(&mut self, ticks: u64, work: Work) {
        self.due_in(ticks, Due::Work(work));
    }

    /// For a peer, `ticks` later.
    pub(super) fn tell_later(&mut self, ticks: u64, peer: usize, happening: Happening) {
        self.due_in(ticks, Due::Happening(peer, happening));
    }

    /// A callback of the socket begins, or a completion is under way.
    pub(crate) fn began(&mut self, socket: usize) {
        *self.busy.entry(socket).or_default() += 1;
    }

    pub(crate) fn ended(&mut self, socket: usize) {
        if let Some(count) = self.busy.get_mut(&socket) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(&socket);
            }
        }
    }

    pub(crate) fn is_busy(&self, socket: usize) -> bool {
        self.busy.contains_key(&socket)
    }

    /// An event of the socket begins. A client that is interrupted in its first
    /// instructions cannot know of it yet.
    pub(crate) fn enters(&mut self, socket: usize) {
        self.entered.insert(self.current, socket);
    }

    /// The client has got so far as to call something, or the event is over.
    pub(crate) fn has_entered(&mut self) {
        self.entered.remove(&self.current);
    }

    pub(super) fn is_entering(&self, socket: usize) -> bool {
        self.entered.values().any(|entered| *entered == socket)
    }

    /// WSK has nothing of the client's in its hands.
    pub(super) fn is_quiet(&self) -> bool {
        self.busy.is_empty()
    }

    /// Work for the processor that asks, any of it.
    pub(super) fn take_work(&mut self) -> Option<Work> {
        if self.ready.is_empty() {
            return None;
        }
        let at = self.random.below(self.ready.len());
        Some(self.ready.swap_remove(at))
    }

    fn come_due(&mut self) {
        for dpc in crate::nt::timer::expire(self.now) {
            let late = self.take(Freedom::DpcLate);
            self.queue_dpc(dpc, late);
        }
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Due::Work(work) => self.ready.push(work),
                Due::Happening(peer, what) => self.happenings.push_back((peer, what)),
            }
        }
    }

    /// Queues a DPC unless it is queued.
    pub(super) fn queue_dpc(&mut self, dpc: usize, late: bool) {
        if !self.dpcs.contains(&dpc) {
            self.dpcs.push(dpc);
            let delay = if late { self.delay() } else { 0 };
            self.post_later(delay, Work::Dpc(dpc));
        }
    }

    fn is_runnable(&self, actor: &Actor) -> bool {
        match actor.wait {
            Wait::Ready => true,
            Wait::Idle => !self.ready.is_empty(),
            Wait::Lock(lock) => crate::nt::spinlock::is_free(lock),
            Wait::Object { object, until } => self.now >= until || crate::nt::event::is_set(object),
            Wait::Dpcs => self.dpcs.is_empty(),
            Wait::Quiet => self.is_quiet(),
            Wait::Until(time) => self.now >= time,
            Wait::Over => false,
        }
    }

    /// When something happens although nobody runs.
    fn next_due(&self) -> Option<u64> {
        let later = self.later.first_key_value().map(|((time, _), _)| *time);
        let waits = self.actors.iter().filter_map(|actor| match actor.wait {
            Wait::Until(time) | Wait::Object { until: time, .. } if time < u64::MAX => Some(time),
            _ => None,
        });
        waits.chain(later).chain(crate::nt::timer::next_due()).min()
    }

    /// Lets time pass and says who is next.
    pub(super) fn turn(&mut self) -> Turn {
        self.step += 1;
        if self.step > STEPS_MAX {
            return Turn::Stuck;
        }
        self.now += self.random.within(0, self.pace);
        loop {
            self.come_due();
            if let Some((peer, happening)) = self.happenings.pop_front() {
                self.note(happening.name(), peer, 0);
                return Turn::Happening(peer, happening);
            }
            let runnable = (0..self.actors.len()).filter(|at| self.is_runnable(&self.actors[*at]));
            let runnable: Vec<usize> = runnable.collect();
            if !runnable.is_empty() {
                return Turn::Actor(runnable[self.random.below(runnable.len())]);
            }
            match self.next_due() {
                Some(time) => self.now = self.now.max(time),
                None => return Turn::Stuck,
            }
        }
    }

    /// Who is where, as netstat and a debugger would say it.
    pub(super) fn dump(&self) -> String {
        let mut text =
            format!("    {} works are ready, {} later\n", self.ready.len(), self.later.len());
        for actor in &self.actors {
            // Writing to a string does not fail.
            let _ = writeln!(text, "    {} is {:?}", actor.name, actor.wait);
        }
        text + &self.network.dump()
    }

    /// Of a failure: the last things that happened.
    pub(super) fn last(&self) -> String {
        self.trace.last(|actor| {
            self.actors.get(actor).map_or_else(|| "-".to_owned(), |actor| actor.name.clone())
        })
    }
}

/// What a report says besides, when the machine is simulated.
pub(crate) fn report() -> String {
    if !is_on() {
        return String::new();
    }
    // A report from inside `with` goes without, but never without the command that repeats it.
    let machine = try_with(|world| {
        let (dump, last) = (world.dump(), world.last());
        format!("    the machine:\n{dump}    the last things that happened:\n{last}")
    });
    format!("{}    {}\n", machine.unwrap_or_default(), Failure::replay())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim;

    #[test]
    fn a_report_has_its_replay_wherever_it_is_made() {
        let options = || sim::Options { replay: "this command".to_owned(), ..Default::default() };
        let (said, _) = sim::run(options(), &sim::nobody(), report);
        assert!(
            said.contains("the machine:") && said.ends_with("replay:  this command\n"),
            "{said}"
        );
        // In the middle of a use, as an alarm may come.
        let (said, _) = sim::run(options(), &sim::nobody(), || with(|_| report()));
        assert_eq!(said.trim(), "replay:  this command");
    }
}
