//! Whom a connection is counted for.
use core::net::{IpAddr, Ipv6Addr};

/// The holder of a count: the prefix of an address, of the configured length.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Holder([u64; 2]);

/// How many leading bits of an address make a holder.
#[derive(Clone, Copy, Debug)]
pub struct PrefixLengths {
    /// Of an IPv4 address, 0 to 32.
    pub v4: u32,
    /// Of an IPv6 address, 0 to 128.
    pub v6: u32,
}

impl Holder {
    /// The holder of an address. IPv4 holders are those of the v4-mapped prefix, where no IPv6
    /// holder is: v4-mapped addresses have become IPv4 before.
    pub fn of(ip: IpAddr, lengths: PrefixLengths) -> Holder {
        let (bits, length) = match ip {
            IpAddr::V4(ip) => (ip.to_ipv6_mapped().to_bits(), lengths.v4.saturating_add(96)),
            IpAddr::V6(ip) => (ip.to_bits(), lengths.v6),
        };
        let kept = bits & mask(length);
        let (high, low) = (kept.wrapping_shr(64), kept & u128::from(u64::MAX));
        Holder([high, low].map(|half| u64::try_from(half).unwrap_or(0)))
    }

    /// The first address of the prefix.
    pub fn address(self) -> IpAddr {
        let [high, low] = self.0.map(u128::from);
        Ipv6Addr::from_bits(high.wrapping_shl(64) | low).to_canonical()
    }

    /// The holder as two words, to be hashed.
    pub fn words(self) -> [u64; 2] {
        self.0
    }
}

/// The `length` leading bits of an address.
pub fn mask(length: u32) -> u128 {
    let rest = 128_u32.saturating_sub(length);
    u128::MAX.checked_shl(rest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: PrefixLengths = PrefixLengths { v4: 32, v6: 64 };

    fn of(text: &str, lengths: PrefixLengths) -> Holder {
        Holder::of(text.parse().unwrap(), lengths)
    }

    #[test]
    fn an_ipv4_holder_is_an_address_and_an_ipv6_holder_a_64() {
        let rows = [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("::1", "127.0.0.1", false),
            ("::", "0.0.0.0", false),
        ];
        for (one, other, same) in rows {
            assert_eq!(of(one, USUAL) == of(other, USUAL), same, "{one} {other}");
        }
    }

    #[test]
    fn a_holder_has_the_first_address_of_its_prefix() {
        let rows = [("192.0.2.1", "192.0.2.1"), ("2001:db8:0:1:ffff::9", "2001:db8:0:1::")];
        for (one, first) in rows {
            assert_eq!(of(one, USUAL).address(), first.parse::<IpAddr>().unwrap());
        }
    }

    #[test]
    fn other_prefixes_may_be_counted() {
        let wide = PrefixLengths { v4: 24, v6: 48 };
        assert_eq!(of("192.0.2.1", wide), of("192.0.2.200", wide));
        assert_ne!(of("192.0.2.1", wide), of("192.0.3.1", wide));
        assert_eq!(of("2001:db8:1:2::1", wide), of("2001:db8:1:3::1", wide));
        let whole = PrefixLengths { v4: 0, v6: 128 };
        assert_eq!(of("192.0.2.1", whole), of("10.0.0.1", whole));
        assert_ne!(of("2001:db8::1", whole), of("2001:db8::2", whole));
        assert_eq!((mask(0), mask(128), mask(200)), (0, u128::MAX, u128::MAX));
    }
}
