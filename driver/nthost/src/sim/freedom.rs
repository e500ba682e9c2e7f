//! What a provider and a kernel may do, and how often this one does it.
use std::fmt;

use super::random::{PARTS, Random};

macro_rules! freedoms {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $kind:ident;)*) => {
        /// Something that the contract leaves to WSK, to NT or to chance.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub enum Freedom { $($(#[doc = $doc])+ $variant,)* }

        impl Freedom {
            /// All of them.
            pub const ALL: &'static [Freedom] = &[$(Freedom::$variant,)*];

            /// Name in statistics.
            pub const fn name(self) -> &'static str {
                match self { $(Freedom::$variant => $name,)* }
            }

            const fn kind(self) -> Kind {
                match self { $(Freedom::$variant => Kind::$kind,)* }
            }
        }
    };
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Ordinary: a driver notices nothing.
    Order,
    /// The same, but it takes its time.
    Rare,
    /// The same, but the host has much to do for it.
    Costly,
    /// The same, of a provider that is made so: who does it often does it always.
    Manner,
    /// It takes so long that nothing is in time while it lasts.
    Delay,
    /// A peer, or the network, loses a connection before it is one.
    Loss,
    /// A call or an allocation fails, or the transport does.
    Fault,
    /// The end of something for good.
    Death,
}

freedoms! {
    /// Another processor or thread goes on at the call of an export.
    Preempted = "preempted at an export", Order;
    /// The same at its return.
    PreemptedAtReturn = "preempted at the return of one", Order;
    /// It stays away for a while.
    Away = "stayed away", Order;
    /// Another goes on between two instructions of the driver.
    Interrupted = "interrupted between instructions", Rare;
    /// The same, in an event of a socket on which a call is running.
    InterruptedInCollision = "interrupted in a collision", Order;
    /// A callback comes at PASSIVE_LEVEL.
    PassiveCallback = "callback at PASSIVE_LEVEL", Order;
    /// A callback at DISPATCH_LEVEL does not say so.
    FlagWithheld = "DISPATCH flag withheld", Order;
    /// The completion routine runs inside the call.
    CompletedInline = "completed inline", Order;
    /// It runs at once, on any processor, perhaps before the call returns.
    CompletedElsewhere = "completed on a processor", Order;
    /// It runs after some time.
    CompletedLate = "completed late", Order;
    /// A call returns its final status, not STATUS_PENDING.
    ReturnedResult = "returned its result", Order;
    /// A send waits although there is room.
    SendQueued = "send queued", Order;
    /// An indication has a part of the octets that are there.
    IndicationSplit = "indication split", Order;
    /// An indication has several nodes.
    SeveralNodes = "indication of several nodes", Order;
    /// A node has several MDLs.
    SeveralMdls = "node of several MDLs", Order;
    /// An MDL describes no octets.
    EmptyMdl = "empty MDL", Order;
    /// A node begins behind the start of its first MDL.
    NonZeroOffset = "non-zero offset", Order;
    /// An MDL chain goes on behind the length of its node.
    LongerChain = "chain longer than its length", Order;
    /// An MDL that is indicated is not mapped yet.
    Unmapped = "MDL not mapped yet", Order;
    /// Octets are indicated on one processor while an end is told on another.
    EndDuringReceive = "end told during a receive event", Order;
    /// An end is told before octets that were withheld.
    EndBeforeWithheld = "end told before withheld octets", Order;
    /// A restart that came while the event that closes the gate was running is not heard.
    RestartLost = "early restart not heard", Order;
    /// A pended request dies without a word when its listener closes.
    SilentDrop = "pended request dropped silently", Order;
    /// A request dies between its acceptance and the accept event.
    HandshakeAborted = "handshake aborted", Loss;
    /// A DPC runs some time after its timer expired, perhaps after it was cancelled.
    DpcLate = "DPC late", Order;
    /// A timer expires just before it is cancelled: its DPC is still to run.
    FiredAtCancel = "timer fired at its cancellation", Order;
    /// A graceful disconnect never completes.
    DisconnectStuck = "disconnect that never completes", Order;
    /// A reset throws away what the peer has not read yet.
    ResetDiscards = "reset discards octets", Order;
    /// Memory is short.
    NoMemory = "memory short", Fault;
    /// An MDL cannot be mapped.
    NotMapped = "mapping failed", Fault;
    /// A call of WSK fails.
    CallFailed = "WSK call failed", Fault;
    /// A send fails.
    SendFailed = "send failed", Fault;
    /// A receive or restart fails.
    ReceiveFailed = "receive failed", Fault;
    /// The connection is given up: a receive event without an indication.
    ConnectionLost = "NULL indication", Death;
    /// The listener is given up: an accept event without a socket.
    ListenerLost = "NULL AcceptSocket", Death;
    /// The listener is given up: an inspect event without an ID.
    InspectLost = "NULL InspectID", Death;
    /// Indicated memory cannot be accessed after its callback, nor what is behind its end.
    TakenAway = "indication taken away", Order;
    /// A thread at PASSIVE_LEVEL is interrupted between two instructions of the driver.
    ThreadInterrupted = "thread interrupted", Rare;
    /// A thread that was interrupted gets no processor for a while: there are more urgent ones.
    ThreadStarved = "thread starved", Delay;
    /// A restart indicates what was withheld before it returns.
    IndicatedInline = "indicated inside the restart", Manner;
    /// Events of a connection come as soon as its accept event has said where they are to go.
    EventDuringAccept = "event before the accept event's return", Costly;
}

/// How often each is taken, in parts of 4,096, and how often each was.
#[derive(Clone)]
pub(crate) struct Freedoms {
    odds: Vec<u32>,
    taken: Vec<u64>,
    random: Random,
    /// Faults and deaths come.
    faults: bool,
    /// Nothing bad happens any more.
    calm: bool,
}

impl Freedoms {
    /// Each seed has a temper of its own: some things never happen, some often. `faults` false:
    /// nothing fails.
    pub(crate) fn new(random: &Random, faults: bool) -> Freedoms {
        let mut temper = random.fork(1);
        let odds = Freedom::ALL.iter().map(|freedom| {
            let never = temper.one_in(3);
            let often = 1 << temper.within(5, 12);
            let odds = match freedom.kind() {
                Kind::Order | Kind::Delay => often - often / 8,
                Kind::Rare => often / 64,
                Kind::Manner => {
                    if often < PARTS / 4 {
                        often
                    } else {
                        PARTS
                    }
                }
                Kind::Costly | Kind::Loss | Kind::Fault => often / 8,
                Kind::Death => often / 16,
            };
            if never { 0 } else { odds }
        });
        let odds = odds.collect();
        Freedoms {
            odds,
            taken: vec![0; Freedom::ALL.len()],
            random: random.fork(2),
            faults,
            calm: false,
        }
    }

    /// Whether it is taken now.
    pub(crate) fn take(&mut self, freedom: Freedom) -> bool {
        let comes = match freedom.kind() {
            Kind::Order | Kind::Rare | Kind::Costly | Kind::Manner => true,
            Kind::Delay | Kind::Loss => !self.calm,
            Kind::Fault | Kind::Death => self.faults,
        };
        if !comes {
            return false;
        }
        let taken = self.random.chance(self.odds[freedom as usize]);
        self.taken[freedom as usize] += u64::from(taken);
        taken
    }

    /// Counts one that was taken for another reason.
    pub(crate) fn count(&mut self, freedom: Freedom) {
        self.taken[freedom as usize] += 1;
    }

    /// The driver is never interrupted between two instructions.
    pub(crate) fn forbid_interruptions(&mut self) {
        for freedom in [
            Freedom::Interrupted,
            Freedom::InterruptedInCollision,
            Freedom::ThreadInterrupted,
            Freedom::EventDuringAccept,
        ] {
            self.odds[freedom as usize] = 0;
        }
    }

    /// From now on something may fail.
    pub(crate) fn begin_faults(&mut self) {
        self.faults = true;
    }

    /// From now on nothing bad happens.
    pub(crate) fn calm(&mut self) {
        self.faults = false;
        self.calm = true;
    }

    pub(crate) fn taken(&self) -> Taken {
        Taken(self.taken.clone())
    }
}

/// How often each freedom was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken(Vec<u64>);

impl Default for Taken {
    fn default() -> Taken {
        Taken(vec![0; Freedom::ALL.len()])
    }
}

impl Taken {
    /// Of one kind.
    pub fn get(&self, freedom: Freedom) -> u64 {
        self.0[freedom as usize]
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Taken) {
        for (sum, count) in self.0.iter_mut().zip(&other.0) {
            *sum += count;
        }
    }

    /// Faults and deaths among them.
    pub fn faults(&self) -> u64 {
        let bad = Freedom::ALL
            .iter()
            .filter(|freedom| matches!(freedom.kind(), Kind::Fault | Kind::Death));
        bad.map(|freedom| self.get(*freedom)).sum()
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for freedom in Freedom::ALL {
            writeln!(f, "{:>12}  {}", self.get(*freedom), freedom.name())?;
        }
        Ok(())
    }
}

const _: () = assert!(PARTS == 1 << 12);
