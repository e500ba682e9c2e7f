//! Which connection gets in, and what each event means: the client of WSK.
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http1::Limits;
use nt::wsk::{
    Client, Door, Events, Indication, InspectId, Inspection, Listening, Seat, Socket, Sweep,
};
use nt::{Lookaside, Passive, Result, Tag};
use wskhttpd_abi::{Counter, Counters};

use crate::admission::address::PrefixLengths;
use crate::admission::table::Allowance;
use crate::admission::{Admission, Decision, Lists, Reason, Refused, Rules, Verdict};
use crate::clock::{Clock, TICK_MS, ticks_of};
use crate::connection::{Connection, HEAD_BUFFER_BYTES};
use crate::counters::CounterSets;
use crate::deadline::{Deadline, Timeouts, slots_of_tick};
use crate::memo::Memos;
use crate::notices::Notices;
use crate::parameters::Parameters;
use crate::pressure::Pressure;
use crate::site::PinnedSite;

/// Ticks after which a request has died without a word: SYN-ACKs are repeated for less than that.
const HANDSHAKE_TICKS: u32 = ticks_of(120_000);

/// Everything connections share; nothing of it is written by a request but the counters and the
/// memo of its processor.
pub struct Server {
    /// What is served.
    pub site: PinnedSite,
    /// Bounds of requests.
    pub limits: Limits,
    /// Time.
    pub clock: Clock,
    /// Timeouts in ticks.
    pub timeouts: Timeouts,
    /// Heads that came lately.
    pub memos: Memos,
    /// Counters.
    pub counters: CounterSets,
    /// Who may connect.
    pub admission: Admission,
    /// Buffers for unfinished heads.
    pub heads: Lookaside<HEAD_BUFFER_BYTES>,
    pressure: Pressure,
    /// Somebody waits, and a tick has passed.
    waited: AtomicBool,
    /// Tick of the next look for requests that died without a word.
    forget_at: AtomicU32,
    notices: Notices,
    /// Tick by which everything is closed; `u32::MAX` while the driver is not stopping.
    stop_deadline: AtomicU32,
}

/// What the parameters say of who gets in.
fn rules(parameters: &Parameters) -> Rules {
    Rules {
        connections_max: parameters.max_connections,
        reserved: parameters.reserved_connections,
        handshakes_max: parameters.max_handshakes,
        allowance: Allowance {
            connections: parameters.max_connections_per_address,
            per_second: parameters.connection_rate_per_address,
            burst: parameters.connection_burst_per_address,
            tick_ms: TICK_MS,
        },
        prefix_lengths: PrefixLengths {
            v4: parameters.address_prefix_v4,
            v6: parameters.address_prefix_v6,
        },
        overload: parameters.overload_policy,
        hold_max: parameters.hold_max,
        hold_ticks: ticks_of(parameters.hold_ms),
        refuse_with: parameters.refuse_with,
    }
}

impl Server {
    /// A server for `site`; `now` is the system time in 100 ns since 1601.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    // Its own frame, as `WskHttpd::start` has: the two together are over a page.
    #[inline(never)]
    pub fn new(
        passive: &Passive,
        parameters: &Parameters,
        lists: Lists,
        site: PinnedSite,
        now: u64,
    ) -> Result<Server> {
        let content_bytes_max = u64::from(parameters.content_bytes_max);
        let key = match parameters.hash_seed {
            0 => crate::admission::hash::digest(&nt::random::entropy(passive)?),
            seed => [u64::from(seed), 0],
        };
        Ok(Server {
            site,
            limits: Limits { content_bytes_max, ..Limits::DEFAULT },
            clock: Clock::new(now),
            timeouts: Timeouts::new(parameters),
            memos: Memos::new(parameters.memo_heads)?,
            counters: CounterSets::new()?,
            admission: Admission::new(rules(parameters), lists, key)?,
            heads: Lookaside::new(Tag::Head)?,
            pressure: Pressure::default(),
            waited: AtomicBool::new(false),
            forget_at: AtomicU32::new(HANDSHAKE_TICKS.saturating_add(1)),
            notices: Notices::default(),
            stop_deadline: AtomicU32::new(u32::MAX),
        })
    }

    /// Responses under way get `StopMs` from now.
    pub fn begin_stop(&self) {
        let deadline = self.clock.ticks().saturating_add(self.timeouts.stop);
        self.stop_deadline.store(deadline, Ordering::Release);
    }

    /// Tick by which a connection must be closed because the driver stops.
    pub fn stop_deadline(&self) -> u32 {
        self.stop_deadline.load(Ordering::Relaxed)
    }

    /// True when that tick is over.
    pub fn stop_passed(&self, now: u32) -> bool {
        self.stop_deadline() <= now
    }

    /// Counters and gauges, but for those of the connection slots.
    pub fn snapshot(&self) -> Counters {
        let mut counters = self.counters.snapshot();
        let site = self.site.view();
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let gauges = [
            (Counter::Addresses, count(self.admission.addresses())),
            (Counter::Handshakes, u64::from(self.admission.handshakes())),
            (Counter::Waiting, u64::from(self.admission.waiting())),
            (Counter::PlacesTaken, u64::from(self.admission.places_taken())),
            (Counter::SiteBytes, count(site.layout().total_bytes())),
            (Counter::SiteEntries, count(site.layout().entries())),
        ];
        for (counter, value) in gauges {
            counters.set(counter, value);
        }
        counters
    }

    /// Nobody made place for a connection that was held.
    pub fn held_in_vain(&self) {
        self.counters.add(Counter::HeldExpired, 1);
        self.counters.add(Counter::RefusedCrowded, 1);
        self.notices.held_in_vain(self.clock.ticks());
    }

    fn refused(&self, remote: &SocketAddr, refused: Refused) {
        self.counters.add(refused.reason.counter(), 1);
        if refused.reason == Reason::Crowded {
            self.pressure.add();
        }
        self.notices.refused(remote.ip(), refused, self.clock.ticks());
    }
}

impl Reason {
    const fn counter(self) -> Counter {
        match self {
            Reason::Denied => Counter::RefusedDenied,
            Reason::PerAddress => Counter::RefusedPerAddress,
            Reason::Rate => Counter::RefusedRate,
            Reason::Table => Counter::RefusedTable,
            Reason::Handshakes => Counter::RefusedHandshakes,
            Reason::Crowded => Counter::RefusedCrowded,
        }
    }
}

impl Client for Server {
    type State = Connection;
    type Mark = Deadline;

    fn inspect(&self, remote: &SocketAddr, id: InspectId) -> Inspection {
        let now = self.clock.ticks();
        let (verdict, refused) = self.admission.inspect(remote.ip(), id, now);
        if let Some(refused) = refused {
            self.refused(remote, refused);
        }
        match verdict {
            Verdict::Accept => Inspection::Accept,
            Verdict::Pend => {
                self.counters.add(Counter::Held, 1);
                self.pressure.add();
                Inspection::Pend
            }
            Verdict::Reject => Inspection::Reject,
        }
    }

    fn abort(&self, id: InspectId) {
        if self.admission.abort(id) {
            self.counters.add(Counter::HandshakesAborted, 1);
        }
    }

    fn accept(
        &self,
        remote: &SocketAddr,
        id: Option<InspectId>,
        seat: Seat<'_, Deadline>,
    ) -> Option<Connection> {
        let now = self.clock.ticks();
        let (ticket, refused) = self.admission.accept(remote.ip(), id, seat.index, now);
        if let Some(refused) = refused {
            self.refused(remote, refused);
        }
        let ticket = ticket?;
        if ticket.is_waiting() {
            self.counters.add(Counter::Held, 1);
            self.pressure.add();
            seat.mark.set(now.saturating_add(self.timeouts.hold));
        } else if ticket.is_refusing() {
            self.counters.add(Counter::RefusedByAnswer, 1);
            seat.mark.set(now.saturating_add(self.timeouts.linger));
        } else {
            self.counters.add(Counter::ConnectionsAccepted, 1);
            seat.mark.set_idle(now.saturating_add(self.timeouts.idle));
        }
        Some(Connection::new(ticket))
    }

    fn crowded(&self, remote: &SocketAddr, id: Option<InspectId>) {
        if let Some(id) = id {
            self.admission.abort(id);
        }
        self.refused(remote, Refused { reason: Reason::Crowded, first: false });
    }

    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    fn receive(
        &self,
        connection: &mut Connection,
        socket: &mut Socket<'_, Server>,
        indication: &mut Indication<'_>,
    ) -> Events {
        connection.receive(self, socket, indication)
    }

    fn happened(
        &self,
        connection: &mut Connection,
        socket: &mut Socket<'_, Server>,
        events: Events,
    ) {
        connection.happened(self, socket, events);
    }

    fn closed(&self, connection: Connection) {
        self.admission.release(connection.into_ticket());
    }

    fn tick(&self, sweep: Sweep<'_, Server>) {
        let now = self.clock.advance(nt::time::system_ticks());
        let (from, to) = slots_of_tick(now, sweep.slots());
        sweep.visit(from, to, |index, deadline| {
            if deadline.passed(now) {
                sweep.tell(index, Events::TICK);
            }
        });
        if self.forget_at.load(Ordering::Relaxed) <= now && self.admission.handshakes() > 0 {
            self.waited.store(true, Ordering::Release);
        }
        let waiting = self.admission.waiting();
        if waiting > 0 {
            self.pressure.add_for(waiting);
            self.waited.store(true, Ordering::Release);
        }
    }

    fn wants_attention(&self) -> bool {
        self.pressure.is_felt(self.clock.ticks())
            || self.waited.load(Ordering::Acquire)
            || self.admission.may_decide()
    }

    fn attend(&self, door: &Door<'_, Server>) {
        self.waited.store(false, Ordering::Release);
        let now = self.clock.ticks();
        if self.forget_at.load(Ordering::Relaxed) <= now {
            self.forget_at.store(now.saturating_add(HANDSHAKE_TICKS), Ordering::Relaxed);
            self.admission.forget_old_requests(now.saturating_sub(HANDSHAKE_TICKS));
        }
        self.pressure.relieve(&door.sweep(), &self.timeouts, now);
        while door.is_ready()
            && let Some(decision) = self.admission.next_decision(now)
        {
            match decision {
                // There is room for one: only this thread takes it.
                Decision::Accept(id) => {
                    let _ = door.complete(id, true);
                }
                Decision::Reject(id) => {
                    self.held_in_vain();
                    let _ = door.complete(id, false);
                    continue;
                }
                Decision::Admit(slot) => door.sweep().tell(slot, Events::ADMITTED),
            }
            self.counters.add(Counter::HeldAdmitted, 1);
        }
    }

    fn listener(&self, change: Listening) {
        match change {
            Listening::Closed => self.admission.forget_requests(),
            Listening::Lost => {
                self.counters.add(Counter::ListenersLost, 1);
                nt::log(format_args!("the listening socket died; another one will be opened"));
            }
            Listening::Restored => {
                self.counters.add(Counter::ListenersRestored, 1);
                nt::log(format_args!("listening again"));
            }
            Listening::Failed(status, wait_ms) => {
                nt::log(format_args!("cannot listen again: {status}; next try in {wait_ms} ms"));
            }
        }
    }
}
