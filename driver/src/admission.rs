//! How many connections an address may have.
//!
//! A connection is counted from the inspection of its request (or, without conditional accept,
//! from its acceptance) to its close. Whoever ends a request or a connection gives the count back,
//! exactly once: the table of handshakes and the [`Ticket`] of a connection see to it.
use core::net::{IpAddr, SocketAddr};

use heapless::index_map::FnvIndexMap;
use nt::wsk::InspectId;
use nt::{PoolSlice, Result, SpinLock, Tag};

/// Addresses in one shard at most.
const SHARD_ADDRESSES: usize = 32;
/// Expected addresses in one shard when every connection has its own.
const SHARD_LOAD: usize = 16;
/// Handshakes in one shard at most, and shards of them.
const SHARD_HANDSHAKES: usize = 32;
const HANDSHAKE_SHARDS: usize = 128;

/// Whom a connection is counted for: an IPv4 address, or the /64 of an IPv6 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Holder([u32; 4]);

impl Holder {
    fn of(ip: IpAddr) -> Holder {
        match ip {
            IpAddr::V4(ip) => Holder([0, 0, 0xFFFF, u32::from(ip)]),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                let pair = |high: u16, low: u16| u32::from(high).wrapping_shl(16) | u32::from(low);
                Holder([pair(a, b), pair(c, d), 0, 0])
            }
        }
    }

    fn hash(self) -> usize {
        let Holder([a, b, c, d]) = self;
        let mixed = [a, b, c, d].into_iter().fold(0x9E37_79B9_u64, |hash, word| {
            (hash ^ u64::from(word)).wrapping_mul(0x2545_F491_4F6C_DD1D).rotate_left(29)
        });
        usize::try_from(mixed.wrapping_shr(17)).unwrap_or(0)
    }
}

/// A counted connection. Give it back with [`Admission::release`].
#[derive(Debug)]
#[must_use = "the count is lost with it"]
pub struct Ticket(Holder);

/// Why a connection is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Its address has as many as it may have.
    PerAddress,
    /// A table is full.
    Table,
    /// There are as many connections as there may be, or memory is short.
    Crowded,
}

type Addresses = FnvIndexMap<Holder, u32, SHARD_ADDRESSES>;
type Handshakes = FnvIndexMap<(usize, u32), Holder, SHARD_HANDSHAKES>;

/// The counts. Every call: IRQL <= DISPATCH, any thread, a bounded number of steps.
pub struct Admission {
    per_address_max: u32,
    addresses: PoolSlice<SpinLock<Addresses>>,
    handshakes: PoolSlice<SpinLock<Handshakes>>,
}

impl Admission {
    /// Tables for `connections_max` connections; `per_address_max` 0 = no limit.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new(connections_max: u32, per_address_max: u32) -> Result<Admission> {
        let connections = usize::try_from(connections_max).unwrap_or(usize::MAX);
        let shards = connections.div_ceil(SHARD_LOAD).next_power_of_two().max(64);
        Ok(Admission {
            per_address_max,
            addresses: PoolSlice::from_fn(Tag::Server, shards, |_| {
                SpinLock::new(FnvIndexMap::new())
            })?,
            handshakes: PoolSlice::from_fn(Tag::Server, HANDSHAKE_SHARDS, |_| {
                SpinLock::new(FnvIndexMap::new())
            })?,
        })
    }

    fn addresses_of(&self, holder: Holder) -> Option<&SpinLock<Addresses>> {
        self.addresses.get(holder.hash() & self.addresses.len().wrapping_sub(1))
    }

    fn handshakes_of(&self, id: InspectId) -> Option<&SpinLock<Handshakes>> {
        let mixed = (id.key ^ id.key.wrapping_shr(9)).wrapping_mul(0x9E37_79B1);
        self.handshakes.get(mixed.wrapping_shr(7) % HANDSHAKE_SHARDS)
    }

    fn take(&self, holder: Holder) -> core::result::Result<(), Refusal> {
        let shard = self.addresses_of(holder).ok_or(Refusal::Table)?;
        shard.with(|addresses| match addresses.get_mut(&holder) {
            Some(count) if self.per_address_max != 0 && *count >= self.per_address_max => {
                Err(Refusal::PerAddress)
            }
            Some(count) => {
                *count = count.saturating_add(1);
                Ok(())
            }
            None => addresses.insert(holder, 1).map(|_| ()).map_err(|_| Refusal::Table),
        })
    }

    fn give(&self, holder: Holder) {
        let Some(shard) = self.addresses_of(holder) else { return };
        shard.with(|addresses| {
            if let Some(count) = addresses.get_mut(&holder) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    addresses.remove(&holder);
                }
            }
        });
    }

    /// A request: counts it under its inspect ID.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is counted then.
    pub fn inspect(&self, remote: &SocketAddr, id: InspectId) -> core::result::Result<(), Refusal> {
        let holder = Holder::of(remote.ip());
        let shard = self.handshakes_of(id).ok_or(Refusal::Table)?;
        self.take(holder)?;
        let noted = shard.with(|handshakes| {
            if handshakes.len() == handshakes.capacity() {
                return Err(Refusal::Table);
            }
            // A provider that repeats an ID without ending it would lose the older count.
            Ok(handshakes.insert((id.key, id.serial), holder).ok().flatten())
        });
        match noted {
            Ok(None) => Ok(()),
            Ok(Some(replaced)) => {
                self.give(replaced);
                Ok(())
            }
            Err(refusal) => {
                self.give(holder);
                Err(refusal)
            }
        }
    }

    fn end_handshake(&self, id: InspectId) -> Option<Holder> {
        self.handshakes_of(id)?.with(|handshakes| handshakes.remove(&(id.key, id.serial)))
    }

    /// The request died; true when it was counted.
    pub fn abort(&self, id: InspectId) -> bool {
        let holder = self.end_handshake(id);
        if let Some(holder) = holder {
            self.give(holder);
        }
        holder.is_some()
    }

    /// A connection: takes its request's count over, or counts it now when it was not inspected.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is counted then.
    pub fn accept(
        &self,
        remote: &SocketAddr,
        id: Option<InspectId>,
    ) -> core::result::Result<Ticket, Refusal> {
        if let Some(holder) = id.and_then(|id| self.end_handshake(id)) {
            return Ok(Ticket(holder));
        }
        let holder = Holder::of(remote.ip());
        self.take(holder).map(|()| Ticket(holder))
    }

    /// The connection is closed.
    pub fn release(&self, ticket: Ticket) {
        self.give(ticket.0);
        // Given back: there is no count to lose with it any more.
        core::mem::drop(ticket);
    }

    /// Addresses and handshakes that are counted; both are zero when nothing is open.
    pub fn counted(&self) -> (usize, usize) {
        let sum = |total: usize, count: usize| total.saturating_add(count);
        let addresses = self.addresses.iter().map(|shard| shard.with(|map| map.len()));
        let handshakes = self.handshakes.iter().map(|shard| shard.with(|map| map.len()));
        (addresses.fold(0, sum), handshakes.fold(0, sum))
    }
}
