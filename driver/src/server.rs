//! Which connection gets in, and what each event means: the client of WSK.
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use http1::Limits;
use nt::wsk::{Client, Events, Indication, InspectId, Inspection, Socket, Sweep};
use nt::{Lookaside, Result, Tag};
use wskhttpd_abi::{Counter, Counters};

use crate::admission::{Admission, Refusal};
use crate::clock::Clock;
use crate::connection::{Connection, HEAD_BUFFER_BYTES};
use crate::counters::CounterSets;
use crate::deadline::{Deadline, Timeouts, slots_of_tick};
use crate::parameters::Parameters;
use crate::site::PinnedSite;

/// Everything connections share; nothing of it is written by a request but the counters.
pub struct Server {
    /// What is served.
    pub site: PinnedSite,
    /// Bounds of requests.
    pub limits: Limits,
    /// Time.
    pub clock: Clock,
    /// Timeouts in ticks.
    pub timeouts: Timeouts,
    /// Counters.
    pub counters: CounterSets,
    /// Who may connect.
    pub admission: Admission,
    /// Buffers for unfinished heads.
    pub heads: Lookaside<HEAD_BUFFER_BYTES>,
    /// Tick by which everything is closed; `u32::MAX` while the driver is not stopping.
    stop_deadline: AtomicU32,
    refusal_logged: AtomicBool,
    listener_lost: AtomicBool,
}

impl Server {
    /// A server for `site`; `now` is the system time in 100 ns since 1601.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(parameters: &Parameters, site: PinnedSite, now: u64) -> Result<Server> {
        Ok(Server {
            site,
            limits: Limits::DEFAULT,
            clock: Clock::new(now),
            timeouts: Timeouts::new(parameters),
            counters: CounterSets::new()?,
            admission: Admission::new(
                parameters.max_connections,
                parameters.max_connections_per_address,
            )?,
            heads: Lookaside::new(Tag::Head)?,
            stop_deadline: AtomicU32::new(u32::MAX),
            refusal_logged: AtomicBool::new(false),
            listener_lost: AtomicBool::new(false),
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
        let (addresses, handshakes) = self.admission.counted();
        let gauges = [
            (Counter::Addresses, addresses),
            (Counter::Handshakes, handshakes),
            (Counter::SiteBytes, site.layout().total_bytes()),
            (Counter::SiteEntries, site.layout().entries()),
        ];
        for (counter, value) in gauges {
            counters.set(counter, u64::try_from(value).unwrap_or(u64::MAX));
        }
        counters
    }

    fn refused(&self, remote: &SocketAddr, refusal: Refusal) {
        let (counter, parameter) = match refusal {
            Refusal::PerAddress => (Counter::RefusedPerAddress, "MaxConnectionsPerAddress"),
            Refusal::Table => (Counter::RefusedCrowded, "the size of the address table"),
            Refusal::Crowded => (Counter::RefusedCrowded, "MaxConnections, or want of memory"),
        };
        self.counters.add(counter, 1);
        // Said once: a peer must not be able to fill the log.
        if !self.refusal_logged.swap(true, Ordering::Relaxed) {
            let ip = remote.ip();
            nt::log(format_args!(
                "connection of {ip} refused by {parameter}; later ones are counted"
            ));
        }
    }
}

impl Client for Server {
    type State = Connection;
    type Mark = Deadline;

    fn inspect(&self, remote: &SocketAddr, id: InspectId) -> Inspection {
        match self.admission.inspect(remote, id) {
            Ok(()) => Inspection::Accept,
            Err(refusal) => {
                self.refused(remote, refusal);
                Inspection::Reject
            }
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
        mark: &Deadline,
    ) -> Option<Connection> {
        let ticket = self.admission.accept(remote, id);
        let ticket = ticket.map_err(|refusal| self.refused(remote, refusal)).ok()?;
        mark.set(self.clock.ticks().saturating_add(self.timeouts.idle));
        self.counters.add(Counter::ConnectionsAccepted, 1);
        Some(Connection::new(ticket))
    }

    fn crowded(&self, remote: &SocketAddr, id: Option<InspectId>) {
        self.refused(remote, Refusal::Crowded);
        if let Some(id) = id {
            self.admission.abort(id);
        }
    }

    fn receive(
        &self,
        connection: &mut Connection,
        socket: &mut Socket<'_, Server>,
        indication: &mut Indication<'_>,
    ) {
        connection.receive(self, socket, indication);
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

    fn listener_lost(&self) {
        if !self.listener_lost.swap(true, Ordering::Relaxed) {
            nt::log(format_args!("the listening socket died: no new connections until a restart"));
        }
    }

    fn tick(&self, sweep: Sweep<'_, Server>) {
        let now = self.clock.advance(nt::time::system_ticks());
        let (from, to) = slots_of_tick(now, sweep.slots());
        sweep.visit(from, to, |deadline| deadline.passed(now));
    }
}
