//! Who gets in: the one decision behind every way a connection can come.
//!
//! A connection is counted from the inspection of its request (or, without conditional accept,
//! from its acceptance) to its close: for its address, and as one of all. Whoever ends a request
//! or a connection gives back what it has taken, exactly once: removing it from [`Handshakes`], or
//! owning its [`Ticket`], is what entitles to it.
//!
//! | room | what is in it |
//! |---|---|
//! | [`address`] | whom a connection is counted for |
//! | [`prefixes`] | lists of address prefixes |
//! | [`table`] | counts and rates per address |
//! | [`capacity`] | the places there are, and the reserved ones |
//! | [`line`] | who waits for a place |
//! | [`handshakes`] | requests by inspect ID |
//! | [`hash`] | the keyed hash of the tables |
use core::net::IpAddr;

use nt::wsk::InspectId;

pub mod address;
pub mod capacity;
pub mod handshakes;
pub mod hash;
pub mod line;
pub mod prefixes;
pub mod table;

use crate::published::Published;
use crate::sync::{AtomicU32, Ordering, PoolArc, PoolSlice, Result, Tag, fence, processor};
use address::{Holder, PrefixLengths};
use capacity::{Capacity, Lane};
use handshakes::{Handshakes, Request, Standing};
use hash::HashKey;
use line::{Line, Place};
use prefixes::{Prefix, any_contains};
use table::{AddressTable, Allowance, Shortage, Top};

/// What happens to a connection for which there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overload {
    /// It is refused.
    Reject,
    /// It waits for a place for a while, and is refused then.
    Hold,
    /// It is accepted, answered 503 and closed.
    Answer503,
}

/// How a connection is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefuseWith {
    /// It is not accepted: the peer sees a reset, or no answer to its request.
    Reset,
    /// It is accepted, answered 503 and closed.
    Answer503,
}

/// The limits.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Connections at most.
    pub connections_max: u32,
    /// Of those, for exempt sources alone.
    pub reserved: u32,
    /// Requests between inspection and connection at most.
    pub handshakes_max: u32,
    /// Of an address.
    pub allowance: Allowance,
    /// What an address is.
    pub prefix_lengths: PrefixLengths,
    /// What happens when there is no place.
    pub overload: Overload,
    /// Waiters at most; and as many connections are answered 503 at a time.
    pub hold_max: u32,
    /// Ticks that a waiter waits.
    pub hold_ticks: u32,
    /// How a connection is refused.
    pub refuse_with: RefuseWith,
}

/// Lists of prefixes.
pub struct Lists {
    /// When there are any: nobody else gets in.
    pub allow: PoolSlice<Prefix>,
    /// These do not get in, even if they are in another list.
    pub deny: PoolSlice<Prefix>,
    /// No limit of an address is for these, and reserved places are.
    pub exempt: PoolSlice<Prefix>,
}

impl Lists {
    /// No prefix in any of them.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn empty() -> Result<Lists> {
        let none = || PoolSlice::from_fn(Tag::Server, 0, |_| Prefix::default());
        Ok(Lists { allow: none()?, deny: none()?, exempt: none()? })
    }
}

impl Lists {
    /// The same again.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn copy(&self) -> Result<Lists> {
        let copy = |list: &PoolSlice<Prefix>| {
            let prefix = |at| list.get(at).copied().unwrap_or_default();
            PoolSlice::from_fn(Tag::Server, list.len(), prefix)
        };
        Ok(Lists {
            allow: copy(&self.allow)?,
            deny: copy(&self.deny)?,
            exempt: copy(&self.exempt)?,
        })
    }
}

/// What is decided by.
pub struct Policy {
    /// The limits.
    pub rules: Rules,
    /// The lists.
    pub lists: Lists,
}

impl Policy {
    /// Places that only exempt sources get.
    fn reserved(&self) -> u32 {
        if self.lists.exempt.is_empty() { 0 } else { self.rules.reserved }
    }
}

/// Why a connection is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Its address is denied, or not allowed.
    Denied,
    /// Its address has as many connections as it may have.
    PerAddress,
    /// Its address had as many new ones as it may have for now.
    Rate,
    /// The table of addresses has no room.
    Table,
    /// There are as many requests as there may be.
    Handshakes,
    /// There is no place, and none came in time.
    Crowded,
}

/// A refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// The first of its address for a reason that is the address's.
    pub first: bool,
}

impl Reason {
    const fn refused(self) -> Refused {
        Refused { reason: self, first: false }
    }
}

impl From<table::Refused> for Refused {
    fn from(refused: table::Refused) -> Refused {
        let reason = match refused.shortage {
            Shortage::Connections => Reason::PerAddress,
            Shortage::Rate => Reason::Rate,
            Shortage::Table => Reason::Table,
        };
        Refused { reason, first: refused.first }
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The handshake goes on.
    Accept,
    /// It waits; [`Admission::next_decision`] decides.
    Pend,
    /// It is dropped.
    Reject,
}

/// A counted connection. Give it back with [`Admission::release`].
#[derive(Debug)]
#[must_use = "the count is lost with it"]
pub struct Ticket(Request);

impl Ticket {
    /// True while the connection waits for a place: [`Admission::has_place`] says when it has one.
    pub fn is_waiting(&self) -> bool {
        matches!(self.0.standing, Standing::Waiting(_))
    }

    /// True when the connection is accepted to be answered 503.
    pub fn is_refusing(&self) -> bool {
        self.0.standing == Standing::Refusing
    }
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Left {
    /// Addresses with a connection or a request.
    pub addresses: usize,
    /// Requests between inspection and connection.
    pub handshakes: u32,
    /// Places that are taken.
    pub places: u32,
    /// Who waits for a place.
    pub waiting: u32,
    /// Connections that are being answered 503.
    pub refusing: u32,
}

/// Who waits in the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Waiter {
    Request(InspectId),
    /// A connection, by the index of its slot.
    Connection(u32),
}

/// What was decided about a waiter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// The pended request is to be accepted.
    Accept(InspectId),
    /// The pended request is to be rejected: its time is over. Whom it was counted for.
    Reject(InspectId, Option<Holder>),
    /// The connection in this slot has got its place.
    Admit(u32),
}

/// The decision, and what it needs to know. Every call: IRQL <= DISPATCH, any thread, a bounded
/// number of steps; times are in ticks.
pub struct Admission {
    policy: Published<Policy, ()>,
    addresses: AddressTable,
    capacity: Capacity,
    handshakes: Handshakes,
    common_line: Line<Waiter>,
    exempt_line: Line<Waiter>,
    /// Connections that are being answered 503.
    refusing: AtomicU32,
}

impl Admission {
    /// Nothing is open.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(rules: Rules, lists: Lists, key: [u64; 2]) -> Result<Admission> {
        let key = HashKey::new(key);
        let waiters = rules.hold_max;
        // Waiters are counted for their address, too.
        let counted = rules.connections_max.saturating_add(waiters);
        let counted = usize::try_from(counted).unwrap_or(usize::MAX);
        let policy = Policy { rules, lists };
        Ok(Admission {
            addresses: AddressTable::new(key, counted)?,
            capacity: Capacity::new(rules.connections_max, policy.reserved()),
            handshakes: Handshakes::new(key, rules.handshakes_max)?,
            common_line: Line::new(waiters)?,
            exempt_line: Line::new(waiters)?,
            refusing: AtomicU32::new(0),
            policy: Published::new(
                PoolArc::new(Tag::Server, policy)?,
                processor::count(),
                PoolArc::clone,
                || Ok(()),
            )?,
        })
    }

    /// The limits and lists in force.
    pub fn policy(&self) -> PoolArc<Policy> {
        self.policy.current()
    }

    /// Puts other limits and lists in force. No more connections, waiters or requests than there
    /// were at first; prefixes of addresses stay as they are. Who is in stays in. Waiters that came
    /// under a longer hold keep it, and those behind them may be held as long.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`; nothing has changed then.
    pub fn change(&self, policy: Policy) -> Result<()> {
        let (max, reserved) = (policy.rules.connections_max, policy.reserved());
        self.policy.publish(PoolArc::new(Tag::Server, policy)?);
        self.capacity.resize(max, reserved);
        Ok(())
    }

    /// A connection is requested, before its handshake completes.
    pub fn inspect(&self, ip: IpAddr, id: InspectId, now: u32) -> (Verdict, Option<Refused>) {
        let mut turn = self.policy.turn(processor::current());
        let policy = turn.parts().0;
        let (request, refused) = self.judge(policy, ip, now);
        let Some(request) = request else { return (Verdict::Reject, refused) };
        if !self.note(id, request, now) {
            return (Verdict::Reject, Some(Reason::Handshakes.refused()));
        }
        if request.standing != Standing::Joining {
            return (Verdict::Accept, refused);
        }
        if self.join(&policy.rules, id, request.lane, now) {
            return (Verdict::Pend, None);
        }
        let answers = self
            .refusing(&policy.rules, Reason::Crowded)
            .is_some_and(|request| self.note(id, request, now));
        let verdict = if answers { Verdict::Accept } else { Verdict::Reject };
        (verdict, Some(Reason::Crowded.refused()))
    }

    /// Notes a request under its ID; false, and nothing is left of it, when there is no room.
    fn note(&self, id: InspectId, request: Request, now: u32) -> bool {
        let added = self.handshakes.add(id, request, now);
        let (kept, gone) = match added {
            Ok(older) => (true, older),
            Err(request) => (false, Some(request)),
        };
        if let Some(gone) = gone {
            self.give_back(gone);
        }
        kept
    }

    /// A request that is noted joins the line; false when there is no room in it.
    fn join(&self, rules: &Rules, id: InspectId, lane: Lane, now: u32) -> bool {
        let Some(place) = self.line_up(rules, Waiter::Request(id), lane, now) else {
            // An abort that came meanwhile has given it back.
            if let Some(request) = self.handshakes.remove(id) {
                self.give_back(request);
            }
            return false;
        };
        let noted = self.handshakes.advance(id, |standing| {
            (standing == Standing::Joining).then_some(Standing::Waiting(place))
        });
        if !noted {
            // It was aborted, and stands in the line for nobody; or it has its place already.
            self.line(lane).leave(place);
        }
        true
    }

    /// A place at the end of the line; `None` when as many wait as may.
    fn line_up(&self, rules: &Rules, who: Waiter, lane: Lane, now: u32) -> Option<Place> {
        let waiting = self.line(lane);
        let until = now.saturating_add(rules.hold_ticks);
        if waiting.len() < rules.hold_max { waiting.join(who, until) } else { None }
    }

    /// A request died; true when it was counted.
    pub fn abort(&self, id: InspectId) -> bool {
        let request = self.handshakes.remove(id);
        if let Some(request) = request {
            self.give_back(request);
        }
        request.is_some()
    }

    /// A connection is established, in the slot of index `slot`: it takes over what its request
    /// has taken, or is judged now when it was not inspected. `None` = refused.
    pub fn accept(
        &self,
        ip: IpAddr,
        id: Option<InspectId>,
        slot: u32,
        now: u32,
    ) -> (Option<Ticket>, Option<Refused>) {
        let mut turn = self.policy.turn(processor::current());
        let policy = turn.parts().0;
        let inspected = id.and_then(|id| self.handshakes.remove(id));
        let (request, refused) = match inspected {
            Some(request) => (Some(self.decided(request)), None),
            None => self.judge(policy, ip, now),
        };
        let Some(request) = request else { return (None, refused) };
        if request.standing != Standing::Joining {
            return (Some(Ticket(request)), refused);
        }
        let joined = self.line_up(&policy.rules, Waiter::Connection(slot), request.lane, now);
        if let Some(place) = joined {
            let standing = Standing::Waiting(place);
            return (Some(Ticket(Request { standing, ..request })), None);
        }
        self.give_back(request);
        (self.refusing(&policy.rules, Reason::Crowded).map(Ticket), Some(Reason::Crowded.refused()))
    }

    /// A request whose connection came. One that the provider did not wait with for a decision is
    /// treated as a connection that wants a place.
    fn decided(&self, request: Request) -> Request {
        let standing = match request.standing {
            Standing::Waiting(place) => {
                self.line(request.lane).leave(place);
                self.place(request.lane)
            }
            Standing::Joining => self.place(request.lane),
            decided => decided,
        };
        Request { standing, ..request }
    }

    fn place(&self, lane: Lane) -> Standing {
        if self.capacity.take(lane) { Standing::Placed } else { Standing::Joining }
    }

    /// The connection is closed.
    #[allow(clippy::needless_pass_by_value)] // who gives it back has it no more
    pub fn release(&self, ticket: Ticket) {
        let Ticket(mut request) = ticket;
        if let Standing::Waiting(place) = request.standing {
            // Who takes a connection out of the line has taken its place for it.
            let waited = self.line(request.lane).leave(place);
            request.standing = if waited { Standing::Joining } else { Standing::Placed };
        }
        self.give_back(request);
    }

    /// True once a waiting connection has got its place; the ticket knows then, too.
    pub fn has_place(&self, ticket: &mut Ticket) -> bool {
        if let Standing::Waiting(place) = ticket.0.standing
            && !self.line(ticket.0.lane).has(place)
        {
            // Who takes a connection out of the line has taken its place for it.
            ticket.0.standing = Standing::Placed;
        }
        ticket.0.standing == Standing::Placed
    }

    /// True when somebody who waits may get a place now.
    pub fn may_decide(&self) -> bool {
        // Who gives a place back looks for waiters after it, and who has joined the line looks for
        // places after it: with both in one order, one of them sees the other.
        fence(Ordering::SeqCst);
        !self.exempt_line.is_empty() || !self.common_line.is_empty() && self.capacity.is_open()
    }

    /// Decides about the next waiter, the oldest first; `None` when nothing is to be decided now.
    /// One caller at a time is enough; more do no harm.
    pub fn next_decision(&self, now: u32) -> Option<Decision> {
        let lanes = [Lane::Exempt, Lane::Common];
        let accepted = lanes.into_iter().find_map(|lane| self.next_place(lane));
        accepted.or_else(|| lanes.into_iter().find_map(|lane| self.next_overdue(lane, now)))
    }

    fn next_place(&self, lane: Lane) -> Option<Decision> {
        loop {
            match self.line(lane).pop_if(|_, _| self.capacity.take(lane))? {
                Waiter::Connection(slot) => return Some(Decision::Admit(slot)),
                Waiter::Request(id) => {
                    if self.handshakes.advance(id, |_| Some(Standing::Placed)) {
                        return Some(Decision::Accept(id));
                    }
                    // It was aborted while it was taken out of the line.
                    self.capacity.give(lane);
                }
            }
        }
    }

    fn next_overdue(&self, lane: Lane, now: u32) -> Option<Decision> {
        // A connection leaves by itself: it has a deadline of its own.
        let is_overdue = |waiter: &Waiter, deadline: u32| {
            deadline <= now && matches!(waiter, Waiter::Request(_))
        };
        loop {
            let Waiter::Request(id) = self.line(lane).pop_if(is_overdue)? else { return None };
            if let Some(request) = self.handshakes.remove(id) {
                self.give_back(Request { standing: Standing::Joining, ..request });
                return Some(Decision::Reject(id, request.holder));
            }
        }
    }

    /// The listener is closed and nothing more comes of its requests.
    pub fn forget_requests(&self) {
        self.handshakes.drain(u32::MAX, |request| self.give_back(request));
    }

    /// Forgets requests of which nothing was heard since the tick `until`: no handshake takes that
    /// long, so the provider has lost them, or could not tell whose connection came.
    pub fn forget_old_requests(&self, until: u32) {
        if self.handshakes.count() > 0 {
            self.handshakes.drain(until, |request| self.give_back(request));
        }
    }

    /// Addresses with a connection or a request; looks at the whole table.
    pub fn addresses(&self) -> usize {
        self.addresses.holders()
    }

    /// Who has the most connections, and how many each has, most first; looks at the whole table.
    pub fn top(&self) -> Top {
        self.addresses.top()
    }

    /// Requests and connections that wait for a place.
    pub fn waiting(&self) -> u32 {
        self.common_line.len().saturating_add(self.exempt_line.len())
    }

    /// Requests between inspection and connection.
    pub fn handshakes(&self) -> u32 {
        self.handshakes.count()
    }

    /// Places taken by requests and connections.
    pub fn places_taken(&self) -> u32 {
        self.capacity.taken()
    }

    /// Everything that is counted: all zero when nothing is open.
    pub fn left(&self) -> Left {
        Left {
            addresses: self.addresses(),
            handshakes: self.handshakes(),
            places: self.places_taken(),
            waiting: self.waiting(),
            refusing: self.refusing.load(Ordering::Acquire),
        }
    }

    fn line(&self, lane: Lane) -> &Line<Waiter> {
        match lane {
            Lane::Common => &self.common_line,
            Lane::Exempt => &self.exempt_line,
        }
    }

    /// Counts a newcomer. `Joining` in what is returned means: it may wait for a place.
    fn judge(&self, policy: &Policy, ip: IpAddr, now: u32) -> (Option<Request>, Option<Refused>) {
        match self.count(policy, ip, now) {
            Ok(request) => (Some(request), None),
            Err(refused) => (self.refusing(&policy.rules, refused.reason), Some(refused)),
        }
    }

    fn count(
        &self,
        policy: &Policy,
        ip: IpAddr,
        now: u32,
    ) -> core::result::Result<Request, Refused> {
        let Policy { rules, lists: Lists { allow, deny, exempt } } = policy;
        if any_contains(deny, ip) || !allow.is_empty() && !any_contains(allow, ip) {
            return Err(Reason::Denied.refused());
        }
        let (lane, holder) = if any_contains(exempt, ip) {
            (Lane::Exempt, None)
        } else {
            let holder = Holder::of(ip, rules.prefix_lengths);
            self.addresses.take(holder, &rules.allowance, now).map_err(Refused::from)?;
            (Lane::Common, Some(holder))
        };
        let request = Request { holder, lane, standing: self.place(lane) };
        if request.standing == Standing::Placed || rules.overload == Overload::Hold {
            return Ok(request);
        }
        self.give_back(request);
        Err(Reason::Crowded.refused())
    }

    /// How a refused newcomer is told: by an answer, if that is wanted and not too many are.
    fn refusing(&self, rules: &Rules, reason: Reason) -> Option<Request> {
        let answers = match rules.refuse_with {
            RefuseWith::Answer503 => true,
            RefuseWith::Reset => reason == Reason::Crowded && rules.overload == Overload::Answer503,
        };
        if !answers {
            return None;
        }
        if self.refusing.fetch_add(1, Ordering::AcqRel) >= rules.hold_max {
            self.refusing.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(Request { holder: None, lane: Lane::Common, standing: Standing::Refusing })
    }

    /// Gives back what a request or a connection has taken. For those who own it.
    fn give_back(&self, request: Request) {
        match request.standing {
            Standing::Placed => self.capacity.give(request.lane),
            // Who has taken it out of the line before finds that it is gone.
            Standing::Waiting(place) => drop(self.line(request.lane).leave(place)),
            Standing::Joining => {}
            Standing::Refusing => {
                self.refusing.fetch_sub(1, Ordering::AcqRel);
            }
        }
        if let Some(holder) = request.holder {
            self.addresses.give(holder);
        }
    }
}
