//! The network in memory: two bounded queues of octets for each connection, and the ends of them.
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::freedom::Freedom;
use super::random::Random;
use super::work::{self, Kind, Work};
use super::world::{World, is_on, with};
use crate::transport::Received;
use crate::wsk::connection::Connection;
use crate::wsk::listener::Listener;

/// Names a connection of the network.
pub(crate) type PortId = usize;

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

/// Where the handshake is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Handshake {
    Requested,
    Established,
    Refused,
}

/// One connection.
#[allow(clippy::struct_excessive_bools)] // independent facts
pub(super) struct PortState {
    pub(super) from: SocketAddr,
    pub(super) handshake: Handshake,
    pub(super) connection: Option<&'static Connection>,
    pub(super) to_driver: VecDeque<u8>,
    pub(super) to_peer: VecDeque<u8>,
    pub(super) peer_ended: bool,
    pub(super) peer_reset: bool,
    driver_ended: bool,
    driver_reset: bool,
    resets_on_close: bool,
    /// The peer waits to hear of octets, or of room.
    hears_readable: bool,
    wants_room: bool,
    /// Work that is under way.
    pub(super) queued: [bool; Kind::COUNT],
    /// From the client's consent to the end of the callback that ends it.
    counted: bool,
    /// A socket that the client has.
    open: bool,
    /// Others of the same address that were counted while the client was asked about this one.
    rivals: usize,
    asked: bool,
    /// Open sockets of its address when this one was accepted, with it.
    pub(super) crowd: usize,
    /// A failure of the provider or the kernel came in its life.
    struck: bool,
    /// The client did not want it.
    refused: bool,
    /// The client has it by an event, or asked for octets: it does want it.
    pub(super) used: bool,
}

/// All of them, and who listens.
pub(crate) struct Network {
    pub(super) ports: Vec<PortState>,
    pub(super) listening: Option<&'static Listener>,
    to_driver_max: usize,
    to_peer_max: usize,
    faults: u64,
}

impl Network {
    pub(super) fn new(random: &mut Random) -> Network {
        Network {
            ports: Vec::new(),
            listening: None,
            to_driver_max: 1 << random.within(4, 17),
            to_peer_max: 1 << random.within(12, 18),
            faults: 0,
        }
    }

    /// Something failed that any connection may have wanted.
    pub(super) fn fault(&mut self) {
        self.faults += 1;
        for port in &mut self.ports {
            port.struck |= port.handshake != Handshake::Refused;
        }
    }

    /// Something failed for one connection.
    pub(super) fn strike(&mut self, port: PortId) {
        self.ports[port].struck = true;
    }

    fn same_address(&self, ip: IpAddr) -> impl Iterator<Item = &PortState> {
        self.ports.iter().filter(move |port| port.from.ip() == ip)
    }

    /// The client is asked whether it wants a connection.
    pub(super) fn ask(&mut self, id: PortId) {
        let ip = self.ports[id].from.ip();
        let rivals = self.same_address(ip).filter(|port| port.counted || port.asked).count();
        for port in self.ports.iter_mut().filter(|port| port.asked && port.from.ip() == ip) {
            port.rivals += 1;
        }
        self.ports[id].rivals = rivals;
        self.ports[id].asked = true;
    }

    /// It said so.
    pub(super) fn answer(&mut self, id: PortId, wanted: bool) {
        self.ports[id].asked = false;
        self.ports[id].counted = wanted;
    }

    /// It does not want it.
    pub(super) fn refuse(&mut self, id: PortId) {
        self.ports[id].refused = true;
    }

    /// It wants it, now for sure.
    pub(super) fn uses(&mut self, id: PortId) {
        if !std::mem::replace(&mut self.ports[id].used, true) {
            let ip = self.ports[id].from.ip();
            let crowd = self.same_address(ip).filter(|port| port.open && port.used).count();
            self.ports[id].crowd = crowd;
        }
    }

    /// The client has a socket for it.
    pub(super) fn open(&mut self, id: PortId) {
        self.ports[id].asked = false;
        self.ports[id].counted = true;
        self.ports[id].open = true;
    }

    /// The socket is about to be gone.
    pub(super) fn releases(&mut self, id: PortId) {
        self.ports[id].open = false;
    }

    /// The client knows that it is gone.
    pub(super) fn uncount(&mut self, id: PortId) {
        self.ports[id].counted = false;
        self.ports[id].open = false;
        self.ports[id].connection = None;
    }

    /// The peer's window is open.
    pub(super) fn has_room(&self, id: PortId) -> bool {
        self.ports[id].to_peer.len() < self.to_peer_max
    }

    pub(super) fn dump(&self) -> String {
        let mut text = String::new();
        for (at, port) in self.ports.iter().enumerate() {
            let live = port.open || port.counted || port.handshake == Handshake::Requested;
            if live {
                let ends = [
                    ("peer ended", port.peer_ended),
                    ("peer reset", port.peer_reset),
                    ("driver ended", port.driver_ended),
                    ("driver reset", port.driver_reset),
                ];
                let ends = ends.iter().filter(|(_, is)| *is).map(|(name, _)| *name);
                // Writing to a string does not fail.
                let _ = writeln!(
                    text,
                    "    {at:>4} {:<22} {:?}{} {} to the driver, {} to the peer {}",
                    port.from,
                    port.handshake,
                    if port.open { ", open" } else { "" },
                    port.to_driver.len(),
                    port.to_peer.len(),
                    ends.collect::<Vec<_>>().join(", "),
                );
            }
        }
        text
    }
}

impl World {
    /// The peer has something to read.
    fn readable(&mut self, id: PortId) {
        if self.network.ports[id].hears_readable {
            self.network.ports[id].hears_readable = false;
            let delay = self.delay();
            self.tell_later(delay, id, Happening::Readable);
        }
    }

    fn driver_resets(&mut self, id: PortId) {
        let port = &mut self.network.ports[id];
        if port.driver_reset || port.peer_reset {
            return;
        }
        port.driver_reset = true;
        let established = port.handshake == Handshake::Established;
        port.handshake = if established { Handshake::Established } else { Handshake::Refused };
        let told = if established { Happening::Reset } else { Happening::Refused };
        if established && self.take(Freedom::ResetDiscards) {
            self.network.ports[id].to_peer.clear();
        }
        let delay = self.delay();
        self.tell_later(delay, id, told);
    }

    fn driver_ends(&mut self, id: PortId) {
        self.network.ports[id].driver_ended = true;
        self.readable(id);
    }

    /// Something changed that a socket may have to hear of.
    fn look_at(&mut self, id: PortId) {
        if self.network.ports[id].connection.is_some() {
            let delay = self.delay();
            work::queue(self, id, Kind::Look, delay);
        }
    }
}

/// The driver's end of a connection, as a file is one: dropped, it is closed.
#[derive(Debug)]
pub(crate) struct Port(pub(super) PortId);

impl Drop for Port {
    fn drop(&mut self) {
        if is_on() {
            with(|world| {
                let port = &world.network.ports[self.0];
                if port.resets_on_close || port.handshake != Handshake::Established {
                    world.driver_resets(self.0);
                } else if !port.driver_reset {
                    world.driver_ends(self.0);
                }
            });
        }
    }
}

impl Port {
    /// The peer hears that the handshake is complete.
    pub(crate) fn establish(&self) {
        with(|world| {
            let port = &mut world.network.ports[self.0];
            if port.handshake == Handshake::Requested {
                port.handshake = Handshake::Established;
                let delay = world.delay();
                world.tell_later(delay, self.0, Happening::Connected);
            }
        });
    }

    /// Receives once.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Received {
        with(|world| {
            let split = world.take(Freedom::IndicationSplit);
            let port = &mut world.network.ports[self.0];
            if port.peer_reset || port.driver_reset {
                return Received::Reset;
            }
            let there = port.to_driver.len().min(buffer.len());
            if there == 0 {
                return if port.peer_ended { Received::End } else { Received::Nothing };
            }
            let octets = if split { 1 + world.random.below(there) } else { there };
            for (place, octet) in buffer.iter_mut().zip(port.to_driver.drain(..octets)) {
                *place = octet;
            }
            let more = !port.to_driver.is_empty();
            if std::mem::take(&mut port.wants_room) {
                let delay = world.delay();
                world.tell_later(delay, self.0, Happening::Writable);
            }
            Received::Octets { octets, more }
        })
    }

    /// True when nothing came and nothing will.
    pub(crate) fn is_at_end(&self) -> bool {
        with(|world| {
            let port = &world.network.ports[self.0];
            port.peer_reset || port.peer_ended && port.to_driver.is_empty()
        })
    }

    /// Sends as much as there is room for; `None` when the connection is dead.
    pub(crate) fn send<'o>(&self, parts: impl Iterator<Item = &'o [u8]>) -> Option<usize> {
        with(|world| {
            let to_peer_max = world.network.to_peer_max;
            let port = &mut world.network.ports[self.0];
            if port.peer_reset || port.driver_reset {
                return None;
            }
            let mut sent = 0;
            for part in parts {
                let room = to_peer_max.saturating_sub(port.to_peer.len());
                let taken = &part[..part.len().min(room)];
                port.to_peer.extend(taken);
                sent += taken.len();
            }
            if sent > 0 {
                world.readable(self.0);
            }
            Some(sent)
        })
    }

    /// Ends our side.
    pub(crate) fn end(&self) {
        with(|world| world.driver_ends(self.0));
    }

    /// Resets the connection.
    pub(crate) fn reset(&self) {
        with(|world| world.driver_resets(self.0));
    }

    /// The peer sees a reset when this is dropped.
    pub(crate) fn reset_on_close(&self) {
        with(|world| world.network.ports[self.0].resets_on_close = true);
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
            world.network.ports.push(PortState {
                from,
                handshake: Handshake::Requested,
                connection: None,
                to_driver: VecDeque::new(),
                to_peer: VecDeque::new(),
                peer_ended: false,
                peer_reset: false,
                driver_ended: false,
                driver_reset: false,
                resets_on_close: false,
                hears_readable: true,
                wants_room: false,
                queued: [false; Kind::COUNT],
                counted: false,
                open: false,
                rivals: 0,
                asked: false,
                crowd: 0,
                struck: false,
                refused: false,
                used: false,
            });
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
    pub fn wake_in(self, after: std::time::Duration) {
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
        with(|world| world.network.ports.iter().filter(|port| port.open).count())
    }
}
