//! A machine whose every choice follows from one seed.
//!
//! Processors, the host's own thread and the driver's threads are coroutines of one thread
//! ([`actor`]). At the call of every export another may go on, and the seed says who; so callbacks
//! run on several processors at once wherever the contract allows it, and the same seed gives the
//! same run, for the linked driver and for its image. Time is virtual: it passes with every step
//! and jumps when nobody has anything to do, so that a timeout of minutes costs nothing.
//!
//! | room | what is in it |
//! |---|---|
//! | `world` | the clock, what is ready and what becomes due, who runs next |
//! | `actor` | coroutines, and what they wait for |
//! | `work` | what processors do; each callback of the driver begins there |
//! | `connection` | octets and ends of a connection, and when they are told |
//! | `completion` | IRPs that go back inside the call, elsewhere, later |
//! | `offer` | connections whose events come before their accept event returns |
//! | `indication` | the shapes of indicated memory, and that nobody touches it afterwards |
//! | `pages` | memory that can be taken away |
//! | `network` | connections in memory |
//! | `peer` | their other ends, which a harness drives |
//! | `freedom` | what WSK and NT may do, and how often this seed does it |
//! | `interrupt` | switches between two instructions of the driver |
//! | `cost` | how much time a callback takes |
//! | `fault` | calls that fail, by chance or one by one |
//! | `trace` | what happened |

pub(crate) mod actor;
pub(crate) mod completion;
pub(crate) mod connection;
pub(crate) mod cost;
pub(crate) mod fault;
pub(crate) mod freedom;
pub(crate) mod indication;
pub(crate) mod interrupt;
pub(crate) mod network;
pub(crate) mod offer;
mod pages;
mod peer;
mod random;
mod trace;
pub(crate) mod work;
pub(crate) mod world;

use std::cell::RefCell;
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use actor::Wait;
pub use fault::Strike;
pub use freedom::{Freedom, Taken};
pub use peer::{Happening, Peer, Read};
pub use random::Random;
use world::{Turn, World, with};

use nt_sys::ntdef::{DISPATCH_LEVEL, KIRQL, PASSIVE_LEVEL};

use crate::processor::{self, Context};
use crate::verifier::{Rule, violation};

/// Exit code of a process whose check failed.
pub const EXIT_CODE: i32 = 87;

/// What a run depends on.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// Processors, at least 1.
    pub processors: usize,
    /// Calls fail, connections and listeners die, from the beginning on.
    pub faults: bool,
    /// What is to fail besides.
    pub strike: Option<Strike>,
    /// The driver may be interrupted between two instructions. The same seed has another course
    /// then in another build of the driver.
    pub interruptions: bool,
    /// A report shows everything that happened, not the last of it.
    pub whole_trace: bool,
    /// The command that repeats the run, for reports.
    pub replay: String,
}

/// Who is at the other ends.
pub trait Peers {
    /// In virtual time, between two steps of the machine.
    fn happened(&mut self, peer: Peer, happening: Happening);
}

/// No peers: nobody connects.
pub fn nobody() -> Rc<RefCell<dyn Peers>> {
    struct Nobody;
    impl Peers for Nobody {
        fn happened(&mut self, _peer: Peer, _happening: Happening) {}
    }
    Rc::new(RefCell::new(Nobody))
}

/// What a run was.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of everything that happened.
    pub hash: u64,
    /// All of it, when it was asked for.
    pub trace: String,
    /// Things that happened.
    pub events: u64,
    /// Virtual time that passed.
    pub time: Duration,
    /// Freedoms that were taken.
    pub taken: Taken,
    /// Calls that may fail, by export.
    pub calls: Vec<(&'static str, u64)>,
    /// Calls that [`Options::strike`] made fail.
    pub hits: u64,
}

thread_local! {
    static REPLAY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// A check that failed.
#[derive(Clone, Copy, Debug)]
pub struct Failure;

impl Failure {
    fn replay() -> String {
        REPLAY.with_borrow(|replay| format!("replay:  {replay}"))
    }
}

/// Ends the process with a report: something outside the driver found it wrong.
pub fn fail(what: &str) -> ! {
    let mut report = format!("\n*** a check failed: {what}\n");
    for line in crate::log::last(8) {
        report += "    log: ";
        report += &line;
    }
    report += &world::report();
    // Not eprintln: a test harness would capture it and lose it with the process.
    let _ = std::io::stderr().write_all(report.as_bytes());
    std::process::exit(EXIT_CODE)
}

/// Runs a machine: `script` is what its host does, from loading a driver to unloading it.
///
/// # Panics
/// When called on a machine.
pub fn run<T: 'static>(
    options: Options,
    peers: &Rc<RefCell<dyn Peers>>,
    script: impl FnOnce() -> T + 'static,
) -> (T, Outcome) {
    assert!(!world::is_on(), "a machine runs on this thread already");
    REPLAY.set(options.replay);
    let plan = fault::Plan { strike: options.strike, ..fault::Plan::default() };
    let mut world = World::new(options.seed, options.faults, plan);
    world.trace.whole = options.whole_trace;
    if !options.interruptions {
        world.freedoms.forbid_interruptions();
    }
    world::begin(world);
    interrupt::begin();
    let result = Rc::new(RefCell::new(None));
    let place = result.clone();
    actor::spawn("the host".to_owned(), Context::of_host(), move || {
        *place.borrow_mut() = Some(script());
    });
    for index in 0..options.processors.max(1) {
        let body = move || run_processor(index);
        actor::spawn(format!("processor {index}"), Context::of_processor(index), body);
    }
    let host = processor::context();
    while !with(|world| matches!(world.actors[0].wait, Wait::Over)) {
        match with(World::turn) {
            Turn::Happening(peer, what) => peers.borrow_mut().happened(Peer(peer), what),
            Turn::Actor(at) => actor::resume(at),
            Turn::Stuck => violation(Rule::Wait, "nothing", "the machine", "nobody runs", None),
        }
    }
    // Processors wait for work, and there is none: they end.
    let processors: Vec<usize> = with(|world| (1..world.actors.len()).collect());
    for at in processors {
        if with(|world| !matches!(world.actors[at].wait, Wait::Over)) {
            STOPPING.set(true);
            actor::resume(at);
        }
    }
    STOPPING.set(false);
    interrupt::end();
    processor::set_context(&host);
    let world = world::end();
    let outcome = Outcome {
        hash: world.trace.hash(),
        trace: if options.whole_trace { world.last() } else { String::new() },
        events: world.trace.entries(),
        time: Duration::from_nanos(world.now.saturating_mul(100)),
        taken: world.freedoms.taken(),
        calls: world.plan.calls.iter().map(|(export, calls)| (*export, *calls)).collect(),
        hits: world.plan.hits,
    };
    drop(world);
    let result = result.borrow_mut().take().expect("the script has ended");
    (result, outcome)
}

thread_local! {
    static STOPPING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

fn run_processor(index: usize) {
    while !STOPPING.get() {
        match with(World::take_work) {
            Some(work) => work.run(index),
            None => actor::pause(Wait::Idle),
        }
    }
}

/// The script lets time pass.
pub fn sleep(time: Duration) {
    let ticks = u64::try_from(time.as_nanos() / 100).unwrap_or(u64::MAX);
    let until = with(|world| world.now + ticks);
    actor::pause(Wait::Until(until));
}

/// True on a simulated machine.
pub fn is_simulated() -> bool {
    world::is_on()
}

/// Virtual time since the start.
pub fn now() -> Duration {
    Duration::from_nanos(with(|world| world.now).saturating_mul(100))
}

/// From now on calls fail, and connections and listeners die.
pub fn begin_faults() {
    with(|world| world.freedoms.begin_faults());
}

/// From now on nothing bad happens.
pub fn calm() {
    with(|world| world.freedoms.calm());
}

/// Reports code of the driver that still runs when its entry failed or its unload returned.
pub(crate) fn check_quiet(export: &'static str) {
    if world::is_on() && !with(|world| world.is_quiet() && world.dpcs.is_empty()) {
        let detail = "callbacks, completions or DPCs are not over";
        violation(Rule::Unload, export, "the driver's code", detail, None);
    }
}

/// At which IRQL an event comes, and whether its flags say so when that is DISPATCH_LEVEL.
#[inline]
pub(crate) fn event_irql() -> (KIRQL, bool) {
    if world::is_on() { simulated_event_irql() } else { (DISPATCH_LEVEL, true) }
}

#[cold]
fn simulated_event_irql() -> (KIRQL, bool) {
    with(|world| {
        let passive = world.take(Freedom::PassiveCallback);
        let says = passive || !world.take(Freedom::FlagWithheld);
        (if passive { PASSIVE_LEVEL } else { DISPATCH_LEVEL }, says)
    })
}

/// Where the code that runs is: a thread may be on any processor.
pub(crate) fn current_processor() -> Option<usize> {
    if !world::is_on() || processor::is_processor() {
        return None;
    }
    let processors = crate::host::state().processor_count;
    Some(with(|world| world.random.below(processors)))
}

/// True when a freedom is taken now; never where nothing is simulated.
#[inline]
pub(crate) fn takes(freedom: Freedom) -> bool {
    world::is_on() && simulated_takes(freedom)
}

#[cold]
fn simulated_takes(freedom: Freedom) -> bool {
    with(|world| world.take(freedom))
}

/// An event of a socket begins.
#[inline]
pub(crate) fn event_begins(socket: usize, name: &'static str, number: u64) {
    if world::is_on() {
        simulated_event_begins(socket, name, number);
    }
}

#[cold]
fn simulated_event_begins(socket: usize, name: &'static str, number: u64) {
    with(|world| {
        world.began(socket);
        world.enters(socket);
        world.note(name, number as usize, 0);
    });
}

/// It has returned.
#[inline]
pub(crate) fn event_ends(socket: usize) {
    if world::is_on() {
        with(|world| {
            world.has_entered();
            world.ended(socket);
        });
    }
}

/// Entries that a lookaside list keeps; `usual` where nothing is simulated.
pub(crate) fn lookaside_depth(usual: u16) -> u16 {
    if world::is_on() { with(|world| world.lookaside_depth) } else { usual }
}

/// A timer with this DPC was cancelled, perhaps a moment too late.
pub(crate) fn cancelled(dpc: usize) {
    if takes(Freedom::FiredAtCancel) {
        with(|world| world.queue_dpc(dpc, true));
    }
}
