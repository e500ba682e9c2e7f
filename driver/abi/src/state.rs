//! What is served where, and to whom.
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::text::Name;
use crate::wire::{Reader, Record, Writer};

impl Record for IpAddr {
    // Sixteen octets; IPv4 as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2).
    fn put(&self, out: &mut Writer<'_>) {
        let octets = match self {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        out.octets(&octets);
    }

    fn take(input: &mut Reader<'_>) -> Option<IpAddr> {
        let octets: [u8; 16] = input.octets(16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical())
    }
}

/// The running driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServerState {
    /// Version of the driver, such as `0.1.0`.
    pub version: Name,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Value of AcceptMode in force.
    pub accept_mode: Name,
    /// Seconds since the driver started.
    pub uptime_s: u64,
    /// Seconds since 1970, UTC.
    pub now_s: u64,
    /// Generation of the site that is served.
    pub generation: u64,
    /// Sites published since the driver started, the first one included.
    pub sites_published: u64,
    /// Sites in memory: the one that is served, and those whose last send is under way.
    pub sites_held: u32,
    /// Octets of the image that is served.
    pub image_bytes: u64,
    /// Its entries.
    pub entries: u32,
    /// Processors.
    pub processors: u32,
}

impl Record for ServerState {
    fn put(&self, out: &mut Writer<'_>) {
        self.version.put(out);
        self.listen.ip().put(out);
        out.u16(self.listen.port());
        self.accept_mode.put(out);
        out.u64(self.uptime_s);
        out.u64(self.now_s);
        out.u64(self.generation);
        out.u64(self.sites_published);
        out.u32(self.sites_held);
        out.u64(self.image_bytes);
        out.u32(self.entries);
        out.u32(self.processors);
    }

    fn take(input: &mut Reader<'_>) -> Option<ServerState> {
        Some(ServerState {
            version: Record::take(input)?,
            listen: SocketAddr::new(Record::take(input)?, input.u16()?),
            accept_mode: Record::take(input)?,
            uptime_s: input.u64()?,
            now_s: input.u64()?,
            generation: input.u64()?,
            sites_published: input.u64()?,
            sites_held: input.u32()?,
            image_bytes: input.u64()?,
            entries: input.u32()?,
            processors: input.u32()?,
        })
    }
}

/// An address, as AddressPrefixV4 and AddressPrefixV6 cut it, that has connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its first address.
    pub address: IpAddr,
    /// Connections and requests counted for it.
    pub connections: u32,
}

impl Record for Holder {
    fn put(&self, out: &mut Writer<'_>) {
        self.address.put(out);
        out.u32(self.connections);
    }

    fn take(input: &mut Reader<'_>) -> Option<Holder> {
        Some(Holder { address: Record::take(input)?, connections: input.u32()? })
    }
}
