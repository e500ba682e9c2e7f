//! The network in memory: two bounded queues of octets for each connection, and the ends of them.
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::freedom::Freedom;
use super::peer::Happening;
use super::random::Random;
use super::work::{self, Kind};
use super::world::{World, is_on, with};
use crate::transport::Received;
use crate::wsk::connection::Connection;
use crate::wsk::listener::Listener;

/// Names a connection of the network.
pub(crate) type PortId = usize;

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
    pub(super) driver_ended: bool,
    pub(super) driver_reset: bool,
    pub(super) resets_on_close: bool,
    /// The peer waits to hear of octets, or of room.
    pub(super) hears_readable: bool,
    pub(super) wants_room: bool,
    /// Work that is under way.
    pub(super) queued: [bool; Kind::COUNT],
    /// From the client's consent to the end of the callback that ends it.
    pub(super) counted: bool,
    /// A socket that the client has.
    pub(super) open: bool,
    /// Others of the same address that were counted while the client was asked about this one.
    pub(super) rivals: usize,
    pub(super) asked: bool,
    /// Open sockets of its address when this one was accepted, with it.
    pub(super) crowd: usize,
    /// A failure of the provider or the kernel came in its life.
    pub(super) struck: bool,
    /// The client did not want it.
    pub(super) refused: bool,
    /// The client has it by an event, or asked for octets: it does want it.
    pub(super) used: bool,
}

impl PortState {
    /// One that is asked for.
    pub(super) fn new(from: SocketAddr) -> PortState {
        PortState {
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
        }
    }
}

/// All of them, and who listens.
pub(crate) struct Network {
    pub(super) ports: Vec<PortState>,
    pub(super) listening: Option<&'static Listener>,
    pub(super) to_driver_max: usize,
    to_peer_max: usize,
    /// Sockets that the client has, and had at most.
    pub(super) open: usize,
    pub(super) open_peak: usize,
}

impl Network {
    pub(super) fn new(random: &mut Random) -> Network {
        Network {
            ports: Vec::new(),
            listening: None,
            to_driver_max: 1 << random.within(4, 17),
            to_peer_max: 1 << random.within(12, 18),
            open: 0,
            open_peak: 0,
        }
    }

    /// Something failed that any connection may have wanted.
    pub(super) fn fault(&mut self) {
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
        let port = &mut self.ports[id];
        port.asked = false;
        port.counted = true;
        port.open = true;
        self.open += 1;
        self.open_peak = self.open_peak.max(self.open);
    }

    /// The socket is about to be gone.
    pub(super) fn releases(&mut self, id: PortId) {
        self.ports[id].open = false;
    }

    /// The client knows that it is gone.
    pub(super) fn uncount(&mut self, id: PortId) {
        self.ports[id].counted = false;
        self.ports[id].connection = None;
        self.open -= 1;
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
    pub(super) fn look_at(&mut self, id: PortId) {
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
