//! One machine from its start to its end.
use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use nthost::sim::{self, Outcome, Peer, Random, Strike, fail};
use nthost::{Host, LoadFailure, Options, Value};
use wskhttpd::WskHttpd;
use wskhttpd_abi::{
    COUNTERS_BYTES, Counter, Counters, DEVICE_NAME, IOCTL_QUERY_COUNTERS, SERVICE_NAME,
};

use crate::client::Client;
use crate::crowd::{self, Crowd};
use crate::door::Door;
use crate::history::History;
use crate::operator::{Operator, check_rejects, has_device};
use crate::reload::{self, Reloads};

/// Address of the client that comes when all is over.
const PROBE: usize = 99;
/// Octets of the slots that come with the first one that is not reserved: they come in chunks.
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Octets of pool that a connection may need at most: its context, an unfinished head, the sends
/// that it may have under way and one that is being built.
const CONNECTION_BYTES_MAX: usize = 96 * 1024;
/// Octets of a buffer for an unfinished head, with what pool puts around it: each processor's list
/// keeps those that were used there.
const HEAD_BYTES_MAX: usize = 17 * 1024;
/// Clients where places are to be wanted, at least, and places then.
const PRESSING_CLIENTS_MIN: usize = 12;
const PRESSED_PLACES: u32 = 4;
/// More connections than there are clients.
const CONNECTIONS_MAX: u32 = 256;
/// How long an unload may take, and anything else that must come to an end.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a new connection may wait for its answers when nothing fails any more.
const SERVED_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take until a listener that was lost is there again: the driver waits longer
/// after each failure, and the last may be a moment ago.
const LISTENS_WITHIN: Duration = Duration::from_mins(2);
/// How long a request is remembered of which the provider says nothing.
const FORGOTTEN_WITHIN: Duration = Duration::from_mins(5);
/// After which the driver ends an idle connection.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(8);
/// Timeouts of the driver, in milliseconds.
pub(crate) const TIMEOUTS: [(&str, u32); 7] = [
    ("HeadTimeoutMs", 5_000),
    ("ContentTimeoutMs", 5_000),
    ("IdleTimeoutMs", 8_000),
    ("SendGraceMs", 5_000),
    // So that a peer that does not read is gone after the grace.
    ("SendBytesPerSecondMin", 1_000_000),
    ("LingerMs", 2_000),
    ("StopMs", 3_000),
];

/// How connections come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// By events, inspected before their handshake completes.
    Conditional,
    /// By events.
    Event,
    /// By IRP.
    Irp,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 3] = [Mode::Conditional, Mode::Event, Mode::Irp];

    /// As `AcceptMode` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Conditional => "conditional",
            Mode::Event => "event",
            Mode::Irp => "irp",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One machine.
#[derive(Clone, Debug)]
pub struct Case {
    /// Decides everything.
    pub seed: u64,
    /// How connections come in.
    pub mode: Mode,
    /// The image of the driver and the file it came from; the linked driver without one.
    pub image: Option<(PathBuf, Arc<Vec<u8>>)>,
    /// The driver may be interrupted between two instructions.
    pub interruptions: bool,
    /// A report shows everything that happened.
    pub whole_trace: bool,
    /// What is to fail; nothing else does then.
    pub strike: Option<Strike>,
}

impl Case {
    /// The command that repeats it.
    fn replay(&self) -> String {
        let mut command = format!("wskhttpd sim --seed {} --mode {}", self.seed, self.mode);
        if let Some((path, _)) = &self.image {
            command = format!("{command} --image {}", path.display());
        }
        if !self.interruptions && self.strike.is_none() {
            command += " --uninterrupted";
        }
        if let Some(Strike { export, first, times }) = &self.strike {
            command = format!("{command} --fail {export}:{first}:{times}");
        }
        command
    }
}

/// What a run was.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of the machine.
    pub outcome: Outcome,
    /// The driver started.
    pub started: bool,
    /// Connections that were asked for.
    pub clients: usize,
    /// Those that the driver refused.
    pub turned_away: usize,
    /// Generations of the site that were published after the start.
    pub reloads: u64,
    /// What the driver counted, as it was last asked: which of its branches were taken.
    pub counters: Counters,
}

/// What a seed makes of the machine.
struct Plan {
    processors: usize,
    clients: usize,
    within: Duration,
    per_address_max: u32,
    connections_max: u32,
    door: Door,
    /// When the driver is unloaded although clients are there.
    unload_at: Option<Duration>,
    faults: bool,
    /// Faults come during the start already.
    faulty_start: bool,
}

impl Plan {
    fn new(case: &Case, random: &Random) -> Plan {
        let mut choice = random.fork(10);
        let sweep = case.strike.is_some();
        let within = Duration::from_micros(1 << choice.within(8, 22));
        let faults = !choice.one_in(3) && !sweep;
        // Up to three times as long as clients come.
        let unload_at = Duration::from_micros(choice.within(0, 3 << 22)).min(within * 3);
        let unload_at = (choice.one_in(3) && !sweep).then_some(unload_at);
        let door = Door::random(&mut random.fork(11));
        Plan {
            processors: 1 + choice.below(4),
            clients: match 1 + choice.below(24) {
                _ if sweep => 8,
                count if door.presses => count.max(PRESSING_CLIENTS_MIN),
                count => count,
            },
            within,
            per_address_max: [0, 1, 2, 3, 8][choice.below(5)],
            // Nobody waits where there is room.
            connections_max: match choice.below(if door.holds() { 4 } else { 6 }) {
                _ if door.presses => PRESSED_PLACES,
                at => [2, 4, 8, CONNECTIONS_MAX][at.min(3)],
            },
            door,
            unload_at,
            faults,
            faulty_start: faults && choice.one_in(8),
        }
    }
}

/// Runs it.
pub fn run(case: &Case) -> Report {
    let random = Random::new(case.seed).fork(7);
    let plan = Plan::new(case, &random);
    let per_address = usize::try_from(plan.per_address_max).unwrap_or(usize::MAX);
    let history = History::new(!plan.door.answers);
    let crowd = Crowd::new(&random, plan.clients, plan.within, per_address, &plan.door, &history);
    let crowd = Rc::new(RefCell::new(crowd));
    let options = sim::Options {
        seed: case.seed,
        processors: plan.processors,
        faults: plan.faulty_start,
        strike: case.strike.clone(),
        interruptions: case.interruptions,
        whole_trace: case.whole_trace,
        replay: case.replay(),
    };
    let peers: Rc<RefCell<dyn sim::Peers>> = crowd.clone();
    let (case, counters) = (case.clone(), Counters::default());
    let reloads = Reloads::new(&random, history.clone());
    let operator = Operator::new(&random, history.health.clone());
    let script =
        Script { case, plan, crowd: crowd.clone(), random, counters, history, reloads, operator };
    let ((started, counters, reloads), outcome) = sim::run(options, &peers, move || script.run());
    let crowd = crowd.borrow();
    Report {
        outcome,
        started,
        clients: crowd.clients.len(),
        turned_away: crowd.turned_away(),
        reloads,
        counters,
    }
}

/// What the host does.
struct Script {
    case: Case,
    plan: Plan,
    crowd: Rc<RefCell<Crowd>>,
    random: Random,
    counters: Counters,
    history: History,
    reloads: Reloads,
    operator: Operator,
}

impl Script {
    fn options(&self) -> Options {
        let text = |name: &str, value: &str| (name.to_owned(), Value::String(value.to_owned()));
        let number = |name: &str, value| (name.to_owned(), Value::Dword(value));
        let mut registry = vec![
            text("ListenAddress", "10.1.1.1"),
            text("SiteImage", reload::FIRST_PATH),
            text("AcceptMode", self.case.mode.name()),
            // A secret key would choose which locks are contended.
            number("HashSeed", 1),
            number("PreallocatedConnections", 8),
            number("AccessLog", u32::from(self.case.seed % 2 == 1)),
            number("MaxConnections", self.plan.connections_max),
            number("MaxConnectionsPerAddress", self.plan.per_address_max),
        ];
        registry.extend(self.plan.door.registry(self.plan.connections_max));
        registry.extend(TIMEOUTS.map(|(name, value)| number(name, value)));
        Options {
            processors: self.plan.processors,
            registry,
            files: reload::files(),
            wait_max: PATIENCE,
            ..Options::default()
        }
    }

    fn load(&self, host: &mut Host) -> Result<(), i32> {
        let Some((path, image)) = &self.case.image else {
            return host.load(SERVICE_NAME, nt::driver::entry::<WskHttpd>);
        };
        match host.load_image(SERVICE_NAME, image) {
            Ok(()) => Ok(()),
            Err(LoadFailure::Entry(status)) => Err(status),
            Err(error) => fail(&format!("{}: {error:?}", path.display())),
        }
    }

    /// True when the driver started; what it counted; how often another site was published.
    fn run(mut self) -> (bool, Counters, u64) {
        let mut host = match Host::start(self.options()) {
            Ok(host) => host,
            Err(error) => fail(&format!("the host does not start: {error}")),
        };
        let loaded = self.load(&mut host);
        let crowded = self.plan.connections_max < CONNECTIONS_MAX;
        if crowded
            || self.plan.door.may_refuse()
            || self.case.mode == Mode::Irp
            || self.case.strike.is_some()
        {
            // When the driver decided is not seen from outside.
            self.crowd.borrow_mut().excuse_refusals();
        }
        if let Err(status) = loaded {
            if !self.plan.faulty_start && self.case.strike.is_none() {
                fail(&format!("the driver does not start: {status:#x}"));
            }
        } else {
            if self.plan.faults {
                sim::begin_faults();
                self.crowd.borrow_mut().excuse_refusals();
            }
            let before = pool_peak(&host);
            self.serve(&host);
            check_memory(before, self.plan.processors, &host);
        }
        let ledger = host.unload();
        if !ledger.is_zero() {
            fail(&format!("the ledger of an unloaded driver:\n{ledger}"));
        }
        let excused = self.plan.unload_at.is_some() || loaded.is_err();
        for client in &self.crowd.borrow().clients {
            client.check(excused, crowded);
        }
        (loaded.is_ok(), self.counters, self.reloads.count)
    }

    /// From the start of the driver to its unloading.
    fn serve(&mut self, host: &Host) {
        let mut next = 0;
        let count = self.crowd.borrow().clients.len();
        let begin = sim::now();
        self.crowd.borrow_mut().ticks_begin();
        let patience = begin + self.plan.within + PATIENCE;
        loop {
            let passed = sim::now().saturating_sub(begin);
            if self.plan.unload_at.is_some_and(|at| at <= passed) {
                self.crowd.borrow_mut().excuse_refusals();
                self.counters(host);
                return;
            }
            while next < count && self.crowd.borrow().clients[next].start <= passed {
                self.crowd.borrow_mut().connect(next);
                next += 1;
            }
            let done = next == count && Peer::open_sockets() == 0;
            if done && self.crowd.borrow().is_over() {
                break;
            }
            if sim::now() > patience {
                if Peer::open_sockets() == 0 {
                    // Some read on what was sent, in no hurry.
                    break;
                }
                fail(&format!("{} sockets are not reaped", Peer::open_sockets()));
            }
            if self.random.one_in(24) {
                self.counters(host);
            }
            self.reloads.look(host, self.may_fail());
            self.operator.look(host, self.may_fail());
            sim::sleep(Duration::from_micros(self.random.within(1, 100_000)));
        }
        sim::calm();
        sim::sleep(Duration::from_secs(1));
        self.is_empty(host);
        if !self.may_fail() {
            // Who was refused before its handshake may not be known behind it, where calls fail.
            check_rejects(host);
        }
        // Where the device could not be secured at the start there is none.
        if !self.may_fail() || has_device(host) {
            self.reloads.settle(host, self.case.strike.is_some());
        }
        let until = sim::now() + LISTENS_WITHIN;
        while host.listening().is_empty() {
            if sim::now() > until {
                fail("nothing listens, although nothing fails any more");
            }
            sim::sleep(Duration::from_millis(50));
        }
        self.probe();
        self.counters(host);
    }

    /// Calls of the driver have failed.
    fn may_fail(&self) -> bool {
        self.plan.faults || self.case.strike.is_some()
    }

    fn counters(&mut self, host: &Host) -> Option<Counters> {
        let output = host.device_control(DEVICE_NAME, IOCTL_QUERY_COUNTERS, &[], COUNTERS_BYTES);
        match output.map(|output| Counters::decode(&output)) {
            Ok(Some(counters)) => {
                self.counters = counters;
                Some(counters)
            }
            Ok(None) => fail("the counters are malformed"),
            Err(_) if self.may_fail() => None,
            Err(status) => fail(&format!("the counters cannot be read: {status:#x}")),
        }
    }

    /// No connection is left, and the driver knows it.
    fn is_empty(&mut self, host: &Host) {
        let Some(mut counters) = self.counters(host) else { return };
        if counters.get(Counter::Handshakes) != 0 && self.may_fail() {
            // One that the provider did not tell from another is forgotten after a while.
            sim::sleep(FORGOTTEN_WITHIN);
            counters = self.counters(host).unwrap_or(counters);
        }
        for counter in [Counter::ConnectionsOpen, Counter::Addresses, Counter::Handshakes] {
            let count = counters.get(counter);
            if count != 0 {
                fail(&format!("{} is {count} when nothing is left", counter.name()));
            }
        }
    }

    /// A new connection is served, whatever was before.
    fn probe(&mut self) {
        let at = {
            let mut crowd = self.crowd.borrow_mut();
            let at = crowd.clients.len();
            let from = crowd::address(PROBE, at);
            let client = Client::probe(self.random.fork(8), from, sim::now(), self.history.clone());
            crowd.clients.push(client);
            crowd.connect(at);
            at
        };
        let until = sim::now() + SERVED_WITHIN;
        while !self.crowd.borrow().clients[at].is_over() {
            if sim::now() > until {
                fail("a new connection is not served, although nothing fails any more");
            }
            sim::sleep(Duration::from_millis(50));
        }
        if self.crowd.borrow().clients[at].is_refused() {
            fail("a new connection is refused, although nothing fails any more");
        }
    }
}

/// The most that pool had of each kind, but for images: how many there are is for `Reloads`.
fn pool_peak(host: &Host) -> usize {
    let kinds = host.ledger().items;
    let kinds = kinds.iter().filter(|(name, _)| name.starts_with("pool ") && *name != "pool WhSi");
    kinds.map(|(_, kind)| kind.peak).sum()
}

/// What is held beyond what the driver had at its start is bounded by the connections there were,
/// and by the processors that they were on.
fn check_memory(before: usize, processors: usize, host: &Host) {
    let peak = pool_peak(host);
    let connections = Peer::open_sockets_peak() + 1;
    let each = CONNECTION_BYTES_MAX + (processors - 1) * HEAD_BYTES_MAX;
    if peak > before + CHUNK_BYTES_MAX + connections * each {
        fail(&format!("{peak} octets of pool for {connections} connections, {before} without"));
    }
}
