//! Socket addresses.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nt_sys::wsk::{AF_INET, AF_INET6, SOCKADDR};

/// The kernel's form of an address.
pub(crate) fn to_sockaddr(address: SocketAddr) -> SOCKADDR {
    let sin6_port = address.port().to_be();
    match address.ip() {
        IpAddr::V4(ip) => SOCKADDR {
            sin6_family: AF_INET,
            sin6_port,
            sin6_flowinfo: u32::from_ne_bytes(ip.octets()),
            ..SOCKADDR::default()
        },
        IpAddr::V6(ip) => SOCKADDR {
            sin6_family: AF_INET6,
            sin6_port,
            sin6_addr: ip.octets(),
            ..SOCKADDR::default()
        },
    }
}

/// Copies an address out of a callback (C7); v4-mapped addresses become IPv4.
///
/// # Safety
/// `address` is null or points to a SOCKADDR of its family.
pub(crate) unsafe fn from_sockaddr(address: *const SOCKADDR) -> SocketAddr {
    let unspecified = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    if address.is_null() {
        return unspecified;
    }
    // SAFETY: the caller's; the family is the first two octets of every address.
    let family = unsafe { address.cast::<u16>().read_unaligned() };
    match family {
        AF_INET => {
            // SAFETY: the family says SOCKADDR_IN: port at 2, address at 4, 16 octets in all.
            let octets = unsafe { address.cast::<[u8; 8]>().read_unaligned() };
            let [_, _, p, q, ip @ ..] = octets;
            SocketAddr::new(IpAddr::V4(Ipv4Addr::from(ip)), u16::from_be_bytes([p, q]))
        }
        AF_INET6 => {
            // SAFETY: the family says SOCKADDR_IN6.
            let address = unsafe { address.read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr);
            let port = u16::from_be(address.sin6_port);
            SocketAddr::new(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4), port)
        }
        _ => unspecified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was_and_a_mapped_one_as_what_it_is() {
        let same = ["127.1.2.3:80", "255.255.255.255:65535", "[::]:0", "[2001:db8::1:2]:8080"];
        let mapped = [("[::ffff:10.0.0.1]:443", "10.0.0.1:443")];
        for (address, expected) in same.map(|address| (address, address)).into_iter().chain(mapped)
        {
            let kernels = to_sockaddr(address.parse().unwrap());
            // SAFETY: one of its family, on the stack.
            let back = unsafe { from_sockaddr(&raw const kernels) };
            assert_eq!(back, expected.parse().unwrap(), "{address}");
        }
        let nobody = SOCKADDR { sin6_family: 1, ..SOCKADDR::default() };
        // SAFETY: null, and one of a family that is none.
        let none =
            [core::ptr::null(), &raw const nobody].map(|none| unsafe { from_sockaddr(none) });
        assert_eq!(none, ["0.0.0.0:0".parse().unwrap(); 2]);
    }
}
