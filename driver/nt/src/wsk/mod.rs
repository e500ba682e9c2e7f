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
//! C1: only the runner calls into a connection's socket. C2: it closes the socket once and calls
//! nothing afterwards. C3: the slot outlives the socket: it is reused after the close completed
//! and freed after the provider stopped. C4: closing is abortive unless both directions have
//! ended. C5: a null indication or AcceptSocket means dead: close, nothing else. C6: dispatch
//! tables are cast by the category the socket was created in. C7: addresses are copied inside
//! the callback.

mod address;
mod endpoint;
mod indication;
mod intake;
mod listener;
mod provider;
mod receive;
mod send;
mod slab;
mod socket;
mod worker;

pub use endpoint::Events;
pub use indication::Indication;
pub use provider::{Accept, Options, Provider, Sweep};
pub use send::{CHAIN_BYTES_MAX, Outgoing, SEND_BYTES_MAX};
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
    /// Dropped; nothing follows.
    Reject,
}

/// What a client took of an indication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// Everything.
    All,
    /// So many octets from the front, fewer than were indicated; the provider keeps the rest and
    /// indicates nothing until [`Socket::restart_receive`].
    Octets(usize),
}

/// The decisions of a server. All calls come at IRQL <= DISPATCH_LEVEL, any thread, and must not
/// wait. `State` is a connection's own, reached by its runner alone; `Mark` is the part of a
/// connection that everybody may read and write at any time.
pub trait Client: Sized + Send + Sync + 'static {
    /// Of the runner.
    type State: Send;
    /// Of everybody; reset by the runner, not by the provider, when a slot is reused.
    type Mark: Default + Send + Sync;

    /// A connection is requested (conditional accept only). Calls may be concurrent.
    fn inspect(&self, remote: &SocketAddr, id: InspectId) -> Inspection;
    /// A request that `inspect` accepted died before `accept`.
    fn abort(&self, id: InspectId);
    /// A connection is established; `None` refuses it. Calls may be concurrent.
    fn accept(
        &self,
        remote: &SocketAddr,
        id: Option<InspectId>,
        mark: &Self::Mark,
    ) -> Option<Self::State>;
    /// A connection is established, but no slot is left or memory is short; it is refused.
    fn crowded(&self, remote: &SocketAddr, id: Option<InspectId>);
    /// Octets arrived.
    fn receive(
        &self,
        state: &mut Self::State,
        socket: &mut Socket<'_, Self>,
        indication: &mut Indication<'_>,
    );
    /// Something else happened.
    fn happened(&self, state: &mut Self::State, socket: &mut Socket<'_, Self>, events: Events);
    /// The socket is closed; nothing follows.
    fn closed(&self, state: Self::State);
    /// The listening socket is no longer functional (reported at least once).
    fn listener_lost(&self);
    /// A timer period passed.
    fn tick(&self, sweep: Sweep<'_, Self>);
}
