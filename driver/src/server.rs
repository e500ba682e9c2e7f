//! Which connection gets in, and what each event means: the client of WSK.
use core::net::{Ipv6Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http1::Limits;
use nt::wsk::{
    Arrival, Client, Door, Events, Indication, InspectId, Inspection, Listening, Seat, Socket,
    Sweep,
};
use nt::{Lookaside, Passive, PerProcessor, PoolArc, Result, Tag, processor};
use wskhttpd_abi::{Counter, Counters};

use crate::access_log::AccessLog;
use crate::admission::address::{Holder, PrefixLengths};
use crate::admission::table::Allowance;
use crate::admission::{Admission, Decision, Lists, Policy, Reason, Refused, Rules, Verdict};
use crate::clock::{Clock, TICK_MS, ticks_of};
use crate::connection::{Connection, HEAD_BUFFER_BYTES};
use crate::counters::CounterSets;
use crate::deadline::{Deadline, Timeouts, slots_of_tick};
use crate::health::HealthTable;
use crate::latency::Histograms;
use crate::memo::Memo;
use crate::notices::Notices;
use crate::parameters::Parameters;
use crate::pressure::Pressure;
use crate::published::Published;
use crate::rejects::{self, Peer, Rejects};
use crate::ring::Ring;
use crate::site::PinnedSite;
use crate::trace;

/// Ticks after which a request has died without a word: SYN-ACKs are repeated for less than that.
const HANDSHAKE_TICKS: u32 = ticks_of(120_000);

/// Everything connections share; nothing of it is written by a request but the counters and the
/// desk of its processor.
pub struct Server {
    /// What is served; a desk has the heads that came lately beside it.
    pub sites: Published<PinnedSite, Memo>,
    /// What health endpoints answer.
    pub health: HealthTable,
    /// Octets of content that are discarded at most.
    content_bytes_max: AtomicU32,
    /// Time.
    pub clock: Clock,
    /// Timeouts in ticks.
    pub timeouts: Timeouts,
    /// Counters.
    pub counters: CounterSets,
    /// Service times.
    pub latency: Histograms,
    /// What was refused lately.
    pub rejects: Rejects,
    /// What was asked lately, if that is wanted.
    pub access_log: AccessLog,
    /// Who may connect.
    pub admission: Admission,
    /// Buffers for unfinished heads.
    pub heads: PerProcessor<Lookaside<HEAD_BUFFER_BYTES>>,
    pressure: Pressure,
    /// Somebody waits, and a tick has passed.
    waited: AtomicBool,
    /// Tick of the next look for requests that died without a word.
    forget_at: AtomicU32,
    notices: Notices,
    /// Tick by which everything is closed; `u32::MAX` while the driver is not stopping.
    stop_deadline: AtomicU32,
    /// Deadline of a connection that becomes idle in this tick.
    idle_deadline: AtomicU32,
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
        mut site: PinnedSite,
        now: u64,
    ) -> Result<Server> {
        let key = match parameters.hash_seed {
            0 => crate::admission::hash::digest(&nt::random::entropy(passive)?),
            seed => [u64::from(seed), 0],
        };
        let timeouts = Timeouts::default();
        timeouts.change(parameters);
        let health = HealthTable::new()?;
        site.adopt(&health);
        health.adopted();
        let logs = parameters.access_log != 0;
        Ok(Server {
            health,
            sites: Published::new(
                PoolArc::new(Tag::Site, site)?,
                processor::count(),
                PinnedSite::copy,
                // What is remembered has no target that could be logged.
                || Memo::new(if logs { 0 } else { parameters.memo_heads }),
            )?,
            content_bytes_max: AtomicU32::new(parameters.content_bytes_max),
            clock: Clock::new(now),
            timeouts,
            counters: CounterSets::new()?,
            latency: Histograms::new()?,
            rejects: Rejects::new()?,
            access_log: AccessLog::new(logs)?,
            admission: Admission::new(rules(parameters), lists, key)?,
            heads: PerProcessor::new(Tag::Server, || Lookaside::new(Tag::Head))?,
            pressure: Pressure::default(),
            waited: AtomicBool::new(false),
            forget_at: AtomicU32::new(HANDSHAKE_TICKS.saturating_add(1)),
            notices: Notices::default(),
            stop_deadline: AtomicU32::new(u32::MAX),
            idle_deadline: AtomicU32::new(ticks_of(parameters.idle_timeout_ms)),
        })
    }

    /// Bounds of requests.
    #[inline]
    pub fn limits(&self) -> Limits {
        let content_bytes_max = self.content_bytes_max.load(Ordering::Relaxed);
        Limits { content_bytes_max: content_bytes_max.into(), ..Limits::DEFAULT }
    }

    /// Puts other parameters and lists in force, as far as they can change.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`; nothing has changed then.
    pub fn change(&self, parameters: &Parameters, lists: Lists) -> Result<()> {
        self.admission.change(Policy { rules: rules(parameters), lists })?;
        self.timeouts.change(parameters);
        self.set_idle_deadline(self.clock.ticks());
        self.content_bytes_max.store(parameters.content_bytes_max, Ordering::Relaxed);
        Ok(())
    }

    /// Responses under way get `StopMs` from now.
    pub fn begin_stop(&self) {
        let deadline = self.clock.ticks().saturating_add(self.timeouts.stop());
        self.stop_deadline.store(deadline, Ordering::Release);
        self.set_idle_deadline(self.clock.ticks());
    }

    /// Tick by which a connection that becomes idle now is ended: what a tick, a change of the
    /// timeouts or the stop made of it.
    #[inline]
    pub fn idle_deadline(&self) -> u32 {
        self.idle_deadline.load(Ordering::Relaxed)
    }

    fn set_idle_deadline(&self, now: u32) {
        let deadline = now.saturating_add(self.timeouts.idle()).min(self.stop_deadline());
        self.idle_deadline.store(deadline, Ordering::Relaxed);
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
        let site = self.sites.current();
        let site = site.view();
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let gauges = [
            (Counter::Addresses, count(self.admission.addresses())),
            (Counter::Handshakes, u64::from(self.admission.handshakes())),
            (Counter::Waiting, u64::from(self.admission.waiting())),
            (Counter::PlacesTaken, u64::from(self.admission.places_taken())),
            (Counter::RejectsNoted, self.rejects.ring().count()),
            (Counter::AccessLogged, self.access_log.ring().map_or(0, Ring::count)),
            (Counter::SiteBytes, count(site.layout().total_bytes())),
            (Counter::SiteEntries, count(site.layout().entries())),
        ];
        for (counter, value) in gauges {
            counters.set(counter, value);
        }
        counters
    }

    /// Nobody made place for a connection that was held.
    pub fn held_in_vain(&self, peer: Peer) {
        self.counters.add(Counter::HeldExpired, 1);
        self.reject(peer, wskhttpd_abi::Reason::Crowded, 0, &[]);
        self.notices.held_in_vain(self.clock.ticks());
    }

    /// Counts and keeps what is refused, by a `status` other than 0 if it is answered; `octets` is
    /// the begin of the request.
    #[cold]
    pub fn reject(&self, peer: Peer, reason: wskhttpd_abi::Reason, status: u16, octets: &[u8]) {
        self.rejects.note(&self.counters, peer, reason, status, octets);
        trace::rejected(peer, reason, status);
    }

    fn refused(&self, remote: &SocketAddr, refused: Refused, is_answered: bool) {
        let status = if is_answered { http1::Status::Unavailable.code() } else { 0 };
        self.reject(Peer::of(remote), rejects::of_connection(refused.reason), status, &[]);
        if refused.reason == Reason::Crowded {
            self.pressure.add();
        }
        self.notices.refused(remote.ip(), refused, self.clock.ticks());
    }
}

impl Client for Server {
    type State = Connection;
    type Mark = Deadline;

    fn inspect(&self, remote: &SocketAddr, id: InspectId) -> Inspection {
        let now = self.clock.ticks();
        let (verdict, refused) = self.admission.inspect(remote.ip(), id, now);
        if let Some(refused) = refused {
            self.refused(remote, refused, verdict == Verdict::Accept);
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
            self.refused(remote, refused, ticket.is_some());
        }
        let ticket = ticket?;
        if ticket.is_waiting() {
            self.counters.add(Counter::Held, 1);
            self.pressure.add();
            seat.mark.set(now.saturating_add(self.timeouts.hold()));
        } else if ticket.is_refusing() {
            self.counters.add(Counter::RefusedByAnswer, 1);
            seat.mark.set(now.saturating_add(self.timeouts.linger()));
        } else {
            self.counters.add(Counter::ConnectionsAccepted, 1);
            seat.mark.set_idle(now.saturating_add(self.timeouts.idle()));
        }
        Some(Connection::new(ticket, Peer::of(remote)))
    }

    fn crowded(&self, remote: &SocketAddr, id: Option<InspectId>) {
        if let Some(id) = id {
            self.admission.abort(id);
        }
        self.refused(remote, Refused { reason: Reason::Crowded, first: false }, false);
    }

    #[allow(clippy::inline_always, reason = "the way of every request: one frame, not four")]
    #[inline(always)]
    fn receive_whole(
        &self,
        connection: &mut Connection,
        socket: &mut Socket<'_, Server>,
        arrival: Arrival<'_>,
    ) -> Option<Events> {
        connection.receive_whole(self, socket, arrival)
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
        self.set_idle_deadline(now);
        let (from, to) = slots_of_tick(now, sweep.slots());
        sweep.visit(from, to, |index, deadline| {
            if deadline.passed(now) {
                sweep.tell(index, Events::TICK);
            }
        });
        if self.forget_at.load(Ordering::Relaxed) <= now && self.admission.handshakes() > 0 {
            self.waited.store(true, Ordering::Release);
        }
        let missed = self.health.miss(now);
        if missed > 0 {
            self.counters.add(Counter::HeartbeatsMissed, missed.into());
            trace::heartbeats_missed(missed);
            self.sites.forget_derived();
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
            || self.sites.is_stale()
            || self.admission.may_decide()
    }

    fn attend(&self, door: &Door<'_, Server>) {
        self.waited.store(false, Ordering::Release);
        self.sites.sweep();
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
                Decision::Reject(id, holder) => {
                    // An exempt source is counted for nobody.
                    let address = holder.map_or(Ipv6Addr::UNSPECIFIED.into(), Holder::address);
                    self.held_in_vain(Peer { address, port: 0 });
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
                trace::listener_lost();
                nt::log(format_args!("the listening socket died; another one will be opened"));
            }
            Listening::Restored => {
                self.counters.add(Counter::ListenersRestored, 1);
                trace::listener_restored();
                nt::log(format_args!("listening again"));
            }
            Listening::Failed(status, wait_ms) => {
                trace::listener_failed(status, wait_ms);
                nt::log(format_args!("cannot listen again: {status}; next try in {wait_ms} ms"));
            }
        }
    }
}
