//! Addresses in the kernel's form and back.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nt_sys::wsk::{AF_INET, AF_INET6, SOCKADDR};

use crate::verifier::{Rule, violation};

pub(crate) fn to_sockaddr(address: SocketAddr) -> SOCKADDR {
    let mut sockaddr = SOCKADDR { sin6_port: address.port().to_be(), ..SOCKADDR::default() };
    match address.ip() {
        IpAddr::V4(ip) => {
            sockaddr.sin6_family = AF_INET;
            sockaddr.sin6_flowinfo = u32::from_ne_bytes(ip.octets());
        }
        IpAddr::V6(ip) => {
            sockaddr.sin6_family = AF_INET6;
            sockaddr.sin6_addr = ip.octets();
        }
    }
    sockaddr
}

pub(crate) fn from_sockaddr(sockaddr: &SOCKADDR) -> SocketAddr {
    let ip = match sockaddr.sin6_family {
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(sockaddr.sin6_addr)),
        _ => IpAddr::V4(Ipv4Addr::from(sockaddr.sin6_flowinfo.to_ne_bytes())),
    };
    SocketAddr::new(ip, u16::from_be(sockaddr.sin6_port))
}

/// An address of the client's.
///
/// # Safety
/// `address` points to as many octets as an address of its family has.
pub(crate) unsafe fn read(address: *const SOCKADDR) -> SocketAddr {
    // SAFETY: the caller's: every address begins with its family.
    let family = unsafe { address.cast::<u16>().read_unaligned() };
    if family == AF_INET6 {
        // SAFETY: the caller's, and the family.
        return from_sockaddr(&unsafe { address.read_unaligned() });
    }
    if family != AF_INET {
        let detail = format!("family {family}, of none that is known");
        violation(Rule::Flags, "WskBind", "SOCKADDR", detail, None);
    }
    // SAFETY: the caller's: a SOCKADDR_IN has 16 octets.
    let [_, _, p, q, ip @ .., _, _, _, _, _, _, _, _] =
        unsafe { address.cast::<[u8; 16]>().read_unaligned() };
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), u16::from_be_bytes([p, q]))
}
