//! Values of the registry as parameters; what cannot be one is named in the log.
use core::fmt::{Arguments, Write as _};
use core::net::{IpAddr, Ipv6Addr};

use arrayvec::ArrayString;
use nt::{Passive, PoolSlice, RegistryKey, Result, Status, Tag, ValueError, WideString};

use super::Number;
use crate::admission::prefixes::{PREFIXES_MAX, Prefix};

/// Octets of a text at most.
type Text = ArrayString<64>;

pub(super) struct Reader<'r> {
    pub(super) passive: &'r Passive,
    pub(super) key: Option<&'r RegistryKey>,
}

/// Names a parameter in the log, with why it cannot be.
pub(super) fn refuse(name: &str, why: Arguments<'_>) -> Status {
    nt::log_refusal(Status::INVALID_PARAMETER, format_args!("parameter {name}: {why}"));
    Status::INVALID_PARAMETER
}

/// A choice that is none of its words.
#[cold]
#[inline(never)]
pub(super) fn none_of(name: &str, word: &str, words: &[&str]) -> Status {
    let mut allowed = ArrayString::<128>::new();
    for word in words {
        // What is too long is cut: the names are ours, and short.
        let _ = write!(allowed, "{}{word}", if allowed.is_empty() { "" } else { ", " });
    }
    refuse(name, format_args!("{word} is none of {allowed}"))
}

fn unreadable(name: &str, wanted: &str, error: ValueError) -> Status {
    match error {
        ValueError::Type => refuse(name, format_args!("must be a {wanted}")),
        ValueError::Data => refuse(name, format_args!("is not a valid {wanted}")),
        ValueError::Failed(status) => refuse(name, format_args!("cannot be read: {status}")),
    }
}

impl Reader<'_> {
    pub(super) fn number(&self, number: &Number) -> Result<u32> {
        let Number { name, default, min, max, .. } = *number;
        let Some(key) = self.key else { return Ok(default) };
        let value = key.dword(self.passive, name).map_err(|e| unreadable(name, "REG_DWORD", e))?;
        match value.unwrap_or(default) {
            value if (min..=max).contains(&value) => Ok(value),
            value => Err(refuse(name, format_args!("{value} is not in {min}..={max}"))),
        }
    }

    fn string(&self, name: &str) -> Result<Option<WideString>> {
        let Some(key) = self.key else { return Ok(None) };
        key.string(self.passive, name).map_err(|e| unreadable(name, "REG_SZ", e))
    }

    #[inline(never)]
    pub(super) fn text(&self, name: &str) -> Result<Option<Text>> {
        let Some(wide) = self.string(name)? else { return Ok(None) };
        let mut text = Text::new();
        match text.write_fmt(format_args!("{wide}")) {
            Ok(()) => Ok(Some(text)),
            Err(_) => Err(refuse(name, format_args!("is longer than 64 octets"))),
        }
    }

    pub(super) fn site_image(&self) -> Result<WideString> {
        let path = self.string("SiteImage")?;
        path.ok_or_else(|| refuse("SiteImage", format_args!("must name the site image")))
    }

    pub(super) fn listen_address(&self) -> Result<IpAddr> {
        let name = "ListenAddress";
        match self.text(name)? {
            None => Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            Some(text) => text
                .parse()
                .map_err(|_| refuse(name, format_args!("{text} is not an IPv4 or IPv6 address"))),
        }
    }

    #[inline(never)]
    pub(super) fn prefixes(&self, name: &str) -> Result<PoolSlice<Prefix>> {
        let nothing = || PoolSlice::from_fn(Tag::Server, 0, |_| Prefix::default());
        let Some(key) = self.key else { return nothing() };
        let strings = key.multi_string(self.passive, name);
        let Some(strings) = strings.map_err(|e| unreadable(name, "REG_MULTI_SZ", e))? else {
            return nothing();
        };
        let count = strings.iter().count();
        if count > PREFIXES_MAX {
            return Err(refuse(name, format_args!("has {count} entries, {PREFIXES_MAX} allowed")));
        }
        let mut units = strings.iter();
        PoolSlice::try_from_fn(Tag::Server, count, |_| prefix(name, units.next().unwrap_or(&[])))
    }
}

fn prefix(name: &str, units: &[u16]) -> Result<Prefix> {
    let mut text = Text::new();
    for unit in char::decode_utf16(units.iter().copied()) {
        if text.try_push(unit.unwrap_or(char::REPLACEMENT_CHARACTER)).is_err() {
            return Err(refuse(name, format_args!("{text}... is longer than a prefix can be")));
        }
    }
    text.parse().map_err(|error| refuse(name, format_args!("{text} {error}")))
}
