//! The other ends of connections, which a harness drives.
use std::net::SocketAddr;
use std::time::Duration;

use super::network::PortState;
use super::work::Work;
use super::world::with;

/// What a peer is told, once, in virtual time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening {
    /// The handshake is complete.
    Connected,
    /// It never will be.
    Refused,
    /// There are octets, or an end, to be read.
    Readable,
    /// There is room for octets.
    Writable,
    /// The connection was reset.
    Reset,
    /// The time that the peer asked for is there.
    Woken,
}

impl Happening {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Happening::Connected => "peer: connected",
            Happening::Refused => "peer: refused",
            Happening::Readable => "peer: readable",
            Happening::Writable => "peer: writable",
            Happening::Reset => "peer: reset",
            Happening::Woken => "peer: woken",
        }
    }
}

/// What a peer reads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// Octets, at least one.
    Octets(Vec<u8>),
    /// Nothing yet; [`Happening::Readable`] follows.
    Nothing,
    /// The other side has ended.
    End,
    /// The connection is dead.
    Reset,
}

/// A peer: the other end of a connection. All of it is for [`super::Peers`] and the script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer(pub usize);

impl Peer {
    /// Asks for a connection; the peer hears what becomes of it. Peers count from 0.
    pub fn connect(from: SocketAddr) -> Peer {
        with(|world| {
            let id = world.network.ports.len();
            world.network.ports.push(PortState::new(from));
            world.note("peer: connects", id, 0);
            let delay = world.delay();
            world.post_later(delay, Work::Request(id));
            Peer(id)
        })
    }

    /// Sends octets, as many as there is room for; how many. When there is none
    /// [`Happening::Writable`] follows.
    pub fn write(self, octets: &[u8]) -> usize {
        with(|world| {
            let to_driver_max = world.network.to_driver_max;
            let port = &mut world.network.ports[self.0];
            if port.peer_ended || port.peer_reset || port.driver_reset {
                return octets.len();
            }
            let room = to_driver_max.saturating_sub(port.to_driver.len());
            let taken = &octets[..octets.len().min(room)];
            port.to_driver.extend(taken);
            port.wants_room = taken.len() < octets.len();
            world.note("peer: writes", self.0, taken.len());
            world.look_at(self.0);
            taken.len()
        })
    }

    /// Reads what has come, `most` octets at most.
    pub fn read(self, most: usize) -> Read {
        with(|world| {
            let port = &mut world.network.ports[self.0];
            let octets: Vec<u8> = {
                let there = port.to_peer.len().min(most);
                port.to_peer.drain(..there).collect()
            };
            if !octets.is_empty() {
                world.note("peer: reads", self.0, octets.len());
                world.look_at(self.0);
                return Read::Octets(octets);
            }
            if port.driver_reset || port.peer_reset {
                return Read::Reset;
            }
            if port.driver_ended {
                return Read::End;
            }
            port.hears_readable = true;
            Read::Nothing
        })
    }

    /// Ends its side.
    pub fn end(self) {
        with(|world| {
            world.network.ports[self.0].peer_ended = true;
            world.note("peer: ends", self.0, 0);
            world.look_at(self.0);
        });
    }

    /// Resets the connection, or gives the request up.
    pub fn reset(self) {
        with(|world| {
            let port = &mut world.network.ports[self.0];
            port.peer_reset = true;
            port.to_driver.clear();
            world.note("peer: resets", self.0, 0);
            let delay = world.delay();
            world.post_later(delay, Work::AbortPended(self.0));
            world.look_at(self.0);
        });
    }

    /// [`Happening::Woken`] follows after so long.
    pub fn wake_in(self, after: Duration) {
        let ticks = u64::try_from(after.as_nanos() / 100).unwrap_or(u64::MAX);
        with(|world| world.tell_later(ticks, self.0, Happening::Woken));
    }

    /// Other connections of the same address that the driver had, or was being asked about, while
    /// it was asked about this one.
    pub fn rivals(self) -> usize {
        with(|world| world.network.ports[self.0].rivals)
    }

    /// Sockets of the same address that the driver had when it accepted this one, with it.
    pub fn crowd(self) -> usize {
        with(|world| world.network.ports[self.0].crowd)
    }

    /// The driver has a socket for it.
    pub fn is_open(self) -> bool {
        with(|world| world.network.ports[self.0].open)
    }

    /// A failure of the provider or the kernel came in its life.
    pub fn was_struck(self) -> bool {
        with(|world| world.network.ports[self.0].struck)
    }

    /// The driver wanted no connection, before the handshake or after it.
    pub fn was_refused(self) -> bool {
        with(|world| world.network.ports[self.0].refused)
    }

    /// The connection was reset, whether the peer has read of it or not.
    pub fn is_reset(self) -> bool {
        with(|world| {
            let port = &world.network.ports[self.0];
            port.driver_reset || port.peer_reset
        })
    }

    /// All sockets that the driver has.
    pub fn open_sockets() -> usize {
        with(|world| world.network.open)
    }

    /// The most that it had at a time.
    pub fn open_sockets_peak() -> usize {
        with(|world| world.network.open_peak)
    }
}
