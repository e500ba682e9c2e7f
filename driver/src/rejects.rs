//! What is refused: counted by reason, and the last of it kept for people to look at.
use core::net::{IpAddr, SocketAddr};

use nt::Result;
use wskhttpd_abi::{Octets, Reason, Reject};

use crate::admission;
use crate::clock::unix_ms;
use crate::counters::CounterSets;
use crate::ring::Ring;

/// Rejects that are kept.
const KEPT: usize = 1_024;

/// Whose request or connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The address; that of a prefix, or an unspecified one, where it is not known any more.
    pub address: IpAddr,
    /// 0 = not known.
    pub port: u16,
}

impl Peer {
    /// The peer at an address.
    pub fn of(address: &SocketAddr) -> Peer {
        Peer { address: address.ip(), port: address.port() }
    }
}

/// The rejects.
pub struct Rejects(Ring);

impl Rejects {
    /// None yet.
    ///
    /// # Errors
    /// `INSUFFICIENT_RESOURCES`.
    pub fn new() -> Result<Rejects> {
        Ring::new(KEPT).map(Rejects)
    }

    /// The ring they are kept in.
    pub fn ring(&self) -> &Ring {
        &self.0
    }

    /// Counts and keeps one. `status` is what is answered, 0 = nothing is; `octets` is the begin of
    /// the request. IRQL <= DISPATCH.
    #[cold]
    #[inline(never)]
    pub fn note(
        &self,
        counters: &CounterSets,
        peer: Peer,
        reason: Reason,
        status: u16,
        octets: &[u8],
    ) {
        counters.add(reason.counter(), 1);
        let mut first = Octets::new();
        let kept = octets.len().min(first.capacity());
        // What is longer than the place was cut.
        let _ = first.try_extend_from_slice(octets.get(..kept).unwrap_or_default());
        let Peer { address, port } = peer;
        self.0.push(&Reject { time_ms: unix_ms(), address, port, reason, status, octets: first });
    }
}

/// The reason of a request that was not understood.
pub const fn of_request(reason: http1::Reason) -> Reason {
    match reason {
        http1::Reason::BadRequest => Reason::BadRequest,
        http1::Reason::Verb => Reason::Verb,
        http1::Reason::Url => Reason::Url,
        http1::Reason::UrlLength => Reason::UriTooLong,
        http1::Reason::Version => Reason::VersionNotSupported,
        http1::Reason::Header => Reason::Header,
        http1::Reason::Hostname => Reason::Hostname,
        http1::Reason::Number => Reason::Number,
        http1::Reason::InvalidCrLf => Reason::InvalidCrLf,
        http1::Reason::FieldLength => Reason::FieldsTooLarge,
        http1::Reason::RequestLength => Reason::HeadTooLong,
        http1::Reason::EntityTooLarge => Reason::ContentTooLarge,
        http1::Reason::NotImplemented => Reason::NotImplemented,
        http1::Reason::Expectation => Reason::Expectation,
    }
}

/// The reason of a connection that does not get in.
pub const fn of_connection(reason: admission::Reason) -> Reason {
    match reason {
        admission::Reason::Denied => Reason::Denied,
        admission::Reason::PerAddress => Reason::PerAddress,
        admission::Reason::Rate => Reason::Rate,
        admission::Reason::Table => Reason::Table,
        admission::Reason::Handshakes => Reason::Handshakes,
        admission::Reason::Crowded => Reason::Crowded,
    }
}
