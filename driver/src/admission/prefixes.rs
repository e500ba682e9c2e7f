//! Lists of address prefixes: allow, deny, exempt.
use core::net::{IpAddr, Ipv6Addr};

use super::address::mask;

/// Prefixes of one list at most; a list is searched from end to end.
pub const PREFIXES_MAX: usize = 64;

/// An address and a length, such as `10.0.0.0/8`; without a length, one address.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Prefix {
    bits: u128,
    mask: u128,
}

/// Why a text is not a prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrefixError {
    /// What is before the slash is no address.
    Address,
    /// What is behind the slash is no length of that family.
    Length,
    /// There are bits behind the length.
    HostBits,
}

impl core::fmt::Display for PrefixError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            PrefixError::Address => "is not an IPv4 or IPv6 address or prefix",
            PrefixError::Length => "has a length that its family does not have",
            PrefixError::HostBits => "has bits behind its length",
        })
    }
}

impl core::str::FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Prefix, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().map_err(|_| PrefixError::Address)?;
        let bits_max: u32 = if ip.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => bits_max,
            // Digits only: `+8` and `08` are typing errors more often than lengths.
            Some(digits) if digits.starts_with(['+', '0']) && digits != "0" => {
                return Err(PrefixError::Length);
            }
            Some(digits) => digits.parse().map_err(|_| PrefixError::Length)?,
        };
        if length > bits_max {
            return Err(PrefixError::Length);
        }
        let (bits, mask) = (bits_of(ip), mask(length.saturating_add(128).saturating_sub(bits_max)));
        if bits & !mask == 0 { Ok(Prefix { bits, mask }) } else { Err(PrefixError::HostBits) }
    }
}

impl core::fmt::Display for Prefix {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let ip = Ipv6Addr::from_bits(self.bits);
        let length = self.mask.leading_ones();
        match (ip.to_ipv4_mapped(), length.checked_sub(96)) {
            (Some(ip), Some(length)) => write!(f, "{ip}/{length}"),
            _ => write!(f, "{ip}/{length}"),
        }
    }
}

/// An address in the space of IPv6, where IPv4 has the v4-mapped prefix.
fn bits_of(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// True when an address is in one of the prefixes. As many steps as there are prefixes.
pub fn any_contains(prefixes: &[Prefix], ip: IpAddr) -> bool {
    if prefixes.is_empty() {
        return false;
    }
    let bits = bits_of(ip);
    prefixes.iter().any(|prefix| bits & prefix.mask == prefix.bits)
}

#[cfg(test)]
mod tests {
    use core::fmt::Write as _;

    use super::*;

    fn shown(prefix: Prefix) -> arrayvec::ArrayString<64> {
        let mut text = arrayvec::ArrayString::new();
        write!(text, "{prefix}").unwrap();
        text
    }

    #[test]
    fn prefixes_are_read_strictly() {
        let rows = [
            ("10.0.0.0/8", None),
            ("10.1.2.3", None),
            ("0.0.0.0/0", None),
            ("::/0", None),
            ("2001:db8::/32", None),
            ("2001:db8::1", None),
            ("10.0.0.1/8", Some(PrefixError::HostBits)),
            ("2001:db8::1/64", Some(PrefixError::HostBits)),
            ("10.0.0.0/33", Some(PrefixError::Length)),
            ("::/129", Some(PrefixError::Length)),
            ("10.0.0.0/", Some(PrefixError::Length)),
            ("10.0.0.0/08", Some(PrefixError::Length)),
            ("10.0.0.0/+8", Some(PrefixError::Length)),
            ("10.0.0.0/-1", Some(PrefixError::Length)),
            ("10.0.0/8", Some(PrefixError::Address)),
            ("localhost", Some(PrefixError::Address)),
            ("", Some(PrefixError::Address)),
            ("/8", Some(PrefixError::Address)),
            (" 10.0.0.0/8", Some(PrefixError::Address)),
        ];
        for (text, error) in rows {
            let prefix = text.parse::<Prefix>();
            assert_eq!(prefix.err(), error, "{text}");
            if let Ok(prefix) = prefix {
                assert_eq!(shown(prefix).parse(), Ok(prefix), "{text}");
            }
        }
        let whole: Prefix = "10.1.2.3".parse().unwrap();
        assert_eq!(&shown(whole), "10.1.2.3/32");
    }

    #[test]
    fn addresses_are_in_their_prefixes_and_their_family() {
        let list = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"].map(|text| text.parse().unwrap());
        let rows = [
            ("10.255.0.1", true),
            ("11.0.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::10.0.0.1", false),
        ];
        for (ip, inside) in rows {
            assert_eq!(any_contains(&list, ip.parse().unwrap()), inside, "{ip}");
        }
        let every_ipv4 = ["0.0.0.0/0".parse().unwrap()];
        assert!(any_contains(&every_ipv4, "203.0.113.9".parse().unwrap()));
        assert!(!any_contains(&every_ipv4, "2001:db8::1".parse().unwrap()));
        assert!(!any_contains(&[], "203.0.113.9".parse().unwrap()));
    }
}
