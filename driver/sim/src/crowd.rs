//! All clients of a run.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use nthost::sim::{Happening, Peer, Peers, Random, fail, now};

use crate::client::Client;
use crate::door::Door;
use crate::history::History;

/// Addresses that clients come from.
const ADDRESSES: usize = 4;

/// Them, and the limit that they check.
pub(crate) struct Crowd {
    pub(crate) clients: Vec<Client>,
    /// Index of the client of each peer.
    by_peer: Vec<usize>,
    per_address_max: usize,
    /// Every refusal must have this reason.
    strict: bool,
    turned_away: usize,
}

impl Crowd {
    /// As many clients as there are `starts`.
    pub(crate) fn new(
        random: &Random,
        count: usize,
        within: Duration,
        per_address_max: usize,
        door: &Door,
        history: &History,
    ) -> Crowd {
        let mut choice = random.fork(20);
        let within = u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
        let mut clients: Vec<Client> = (0..count)
            .map(|number| {
                let start = Duration::from_micros(choice.within(0, within));
                let from = address(choice.below(ADDRESSES), number);
                let random = random.fork(100 + number as u64);
                Client::random(random, from, start, door, history.clone())
            })
            .collect();
        clients.sort_by_key(|client| client.start);
        // A connection that is answered 503 is one beyond the limit.
        let per_address_max = if door.answers { 0 } else { per_address_max };
        Crowd { clients, by_peer: Vec::new(), per_address_max, strict: true, turned_away: 0 }
    }

    /// The driver's ticks begin now.
    pub(crate) fn ticks_begin(&mut self) {
        for client in &mut self.clients {
            client.ticks_from = now();
        }
    }

    /// From now on a refusal may have other reasons.
    pub(crate) fn excuse_refusals(&mut self) {
        self.strict = false;
    }

    /// Client number `at` asks for its connection.
    pub(crate) fn connect(&mut self, at: usize) -> Peer {
        let peer = self.clients[at].connect();
        assert_eq!(peer.0, self.by_peer.len(), "peers count from 0");
        self.by_peer.push(at);
        peer
    }

    /// Clients whose connection the driver refused.
    pub(crate) fn turned_away(&self) -> usize {
        self.turned_away
    }

    /// All have come to an end.
    pub(crate) fn is_over(&self) -> bool {
        self.clients.iter().all(Client::is_over)
    }

    fn check_limit(&mut self, peer: Peer) {
        let limit = if is_exempt(&self.clients[self.by_peer[peer.0]].from) {
            0
        } else {
            self.per_address_max
        };
        if limit != 0 && peer.crowd() > limit {
            fail(&format!("peer {} is number {} of its address", peer.0, peer.crowd()));
        }
        if peer.was_refused() {
            self.turned_away += 1;
            if self.strict && !peer.was_struck() && (limit == 0 || peer.rivals() < limit) {
                let rivals = peer.rivals();
                fail(&format!("peer {} was refused with {rivals} others, not {limit}", peer.0));
            }
        }
    }
}

/// An address of a client.
pub(crate) fn address(at: usize, number: usize) -> SocketAddr {
    let ip = Ipv4Addr::new(10, 0, 0, u8::try_from(at + 1).unwrap_or(u8::MAX));
    SocketAddr::new(IpAddr::V4(ip), u16::try_from(20_000 + number).unwrap_or(u16::MAX))
}

/// True for the clients of `door::EXEMPT`, for which there is no limit.
fn is_exempt(from: &SocketAddr) -> bool {
    from.ip() == crate::door::EXEMPT
}

impl Peers for Crowd {
    fn happened(&mut self, peer: Peer, happening: Happening) {
        let client = &mut self.clients[self.by_peer[peer.0]];
        let was_over = client.is_over();
        client.happened(happening);
        if !was_over && client.is_over() {
            self.check_limit(peer);
        }
    }
}
