//! Winsock Kernel: one listener, its connections, and who may touch them when.
//!
//! A [`Provider`] owns the registration, the listening socket and a slab of connection slots
//! ([`endpoint`](self)); a [`Client`] makes the decisions. Each connection has one runner at a
//! time: whoever has something to tell it leaves an event bit, and runs it if nobody does. All WSK
//! calls on a connection's socket are made by its runner, so that no call can be in progress when
//! the socket is closed and sends keep their order.
//!
//! Octets and connections come by events, or by the completion of IRPs where the provider has no
//! events. By IRP, a worker thread is the runner of every connection, and each one has a receive
//! of its own under way; for a client nothing changes.
//!
//! C1: only the runner calls into a connection's socket, or who was it, to restart receive events
//! (see [`restart`]). C2: the socket is closed once, when no call is in progress, and nothing is
//! called afterwards. C3: the slot outlives the socket: it is reused after the close completed
//! and freed after the provider stopped. C4: closing is abortive unless both directions have
//! ended. C5: a null indication or AcceptSocket means dead: close, nothing else. C6: dispatch
//! tables are cast by the category the socket was created in. C7: addresses are copied inside
//! the callback.

mod accepting;
mod address;
mod door;
mod endpoint;
mod in_flight;
mod indication;
mod intake;
mod listen;
mod listener;
mod owner;
mod provider;
mod receive;
mod restart;
mod rundown;
mod send;
mod slab;
mod socket;
mod stack;
mod worker;

pub use door::{Door, Sweep};
pub use endpoint::Events;
pub use indication::{Arrival, Indication};
pub use provider::{Accept, Options, Provider};
pub use send::{CHAIN_BYTES_MAX, Outgoing, Ready, SEND_BYTES_MAX};
pub use socket::Socket;

use core::net::SocketAddr;

/// Names one connection request between its inspection and its acceptance or abort.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InspectId {
    /// WSK's key.
    pub key: usize,
    /// Tells uses of one key apart.
    pub serial: u32,
}

/// What becomes of a connection request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inspection {
    /// The handshake goes on; exactly one of `accept` or `abort` follows.
    Accept,
    /// The request waits for [`Door::complete`], which the client is to call, unless `abort` comes.
    Pend,
    /// Dropped; nothing follows.
    Reject,
}

/// A slot that a new connection is to have.
pub struct Seat<'s, M> {
    /// Names the slot: for [`Sweep::tell`].
    pub index: u32,
    /// The part of the connection that everybody may read and write at any time.
    pub mark: &'s M,
}

/// The decisions of a server. All calls but `attend` come at IRQL <= DISPATCH_LEVEL, any thread,
/// and must not wait. `State` is a connection's own, reached by its runner alone; `Mark` is the
/// part of a connection that everybody may read and write at any time.
pub trait Client: Sized + Send + Sync + 'static {
    /// Of the runner.
    type State: Send;
    /// Of everybody; reset by the runner, not by the provider, when a slot is reused.
    type Mark: Default + Send + Sync;

    /// A connection is requested (conditional accept only). Calls may be concurrent.
    fn inspect(&self, remote: &SocketAddr, id: InspectId) -> Inspection;
    /// A request that `inspect` accepted or pended died before `accept`.
    fn abort(&self, id: InspectId);
    /// A connection is established; `None` refuses it. Calls may be concurrent.
    fn accept(
        &self,
        remote: &SocketAddr,
        id: Option<InspectId>,
        seat: Seat<'_, Self::Mark>,
    ) -> Option<Self::State>;
    /// A connection is established, but no slot is left or memory is short; it is refused.
    fn crowded(&self, remote: &SocketAddr, id: Option<InspectId>);
    /// Octets arrived. What can be answered in a few steps may be taken here, all of it; `None`,
    /// and nothing done, has [`Client::receive`] called. Returns as that does.
    fn receive_whole(
        &self,
        state: &mut Self::State,
        socket: &mut Socket<'_, Self>,
        arrival: Arrival<'_>,
    ) -> Option<Events>;
    /// Octets arrived. Returns events that need not be told if they are all there is to tell,
    /// because what they say has been seen: [`Events::SENT`], if no send was in flight any more.
    fn receive(
        &self,
        state: &mut Self::State,
        socket: &mut Socket<'_, Self>,
        indication: &mut Indication<'_>,
    ) -> Events;
    /// Something else happened.
    fn happened(&self, state: &mut Self::State, socket: &mut Socket<'_, Self>, events: Events);
    /// The socket is closed and its slot is free; nothing follows.
    fn closed(&self, state: Self::State);
    /// A timer period passed.
    fn tick(&self, sweep: Sweep<'_, Self>);
    /// True when `attend` is to be called. Asked after a request, a close and a tick.
    fn wants_attention(&self) -> bool;
    /// At PASSIVE_LEVEL, one call at a time: what takes longer than a callback may, and decisions
    /// about requests that are pended. Called whenever `wants_attention` said so, and at times
    /// when nobody asked.
    fn attend(&self, door: &Door<'_, Self>);
    /// What became of the listening socket.
    fn listener(&self, change: Listening);
}

/// What became of the listening socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listening {
    /// It is no longer functional, and will be closed.
    Lost,
    /// It is closed: no event and no decision about its requests comes any more.
    Closed,
    /// There is a new one.
    Restored,
    /// There is none yet; the next one is tried after so many milliseconds.
    Failed(crate::Status, u32),
}
