//! The service's registry parameters, validated once at start.
use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayString;
use nt::wsk::Accept;
use nt::{Passive, RegistryKey, Result, Status, ValueError, WideString};

/// A REG_DWORD parameter.
#[derive(Clone, Copy, Debug)]
pub struct Number {
    /// Value name.
    pub name: &'static str,
    /// Used when there is no value.
    pub default: u32,
    /// Smallest allowed.
    pub min: u32,
    /// Largest allowed.
    pub max: u32,
    /// One line for people.
    pub help: &'static str,
}

macro_rules! numbers {
    ($($(#[doc = $help:literal])+ $field:ident: $name:literal
        = $default:literal in $min:literal..=$max:literal;)*) => {
        /// What the driver was told.
        pub struct Parameters {
            /// NT path of the site image.
            pub site_image: WideString,
            /// `ListenAddress` and `ListenPort`.
            pub listen: SocketAddr,
            /// `AcceptMode`: where connections are filtered. `conditional`: in WskInspectEvent,
            /// before the handshake completes; `event`: in WskAcceptEvent, after it; `irp`: when
            /// WskAccept completed.
            pub accept_mode: Accept,
            $($(#[doc = $help])+ pub $field: u32,)*
        }

        /// All REG_DWORD parameters.
        pub const NUMBERS: &[Number] = &[$(Number {
            name: $name, default: $default, min: $min, max: $max, help: concat!($($help),+),
        },)*];

        impl Parameters {
            /// Reads and validates. `key` `None` = no parameters at all.
            ///
            /// # Errors
            /// `INVALID_PARAMETER`, the value named in the log with what is allowed.
            // Not inlined: texts are read onto the stack, of which the start needs some later.
            #[inline(never)]
            pub fn read(passive: &Passive, key: Option<&RegistryKey>) -> Result<Parameters> {
                let reader = Reader { passive, key };
                let port = reader.number(&LISTEN_PORT)?;
                Ok(Parameters {
                    site_image: reader.site_image()?,
                    listen: SocketAddr::new(
                        reader.listen_address()?,
                        u16::try_from(port).unwrap_or(0),
                    ),
                    accept_mode: reader.accept_mode()?,
                    $($field: reader.number(&Number {
                        name: $name, default: $default, min: $min, max: $max, help: "",
                    })?,)*
                })
            }
        }
    };
}

/// `ListenPort`.
pub const LISTEN_PORT: Number = Number {
    name: "ListenPort",
    default: 8080,
    min: 0,
    max: 65_535,
    help: " TCP port to listen on; 0 = any free one.",
};

numbers! {
    /// Connections at most.
    max_connections: "MaxConnections" = 65_536 in 1..=1_048_576;
    /// Connections of one address (IPv4 address, IPv6 /64) at most; 0 = no limit.
    max_connections_per_address: "MaxConnectionsPerAddress" = 1_024 in 0..=1_048_576;
    /// Connection contexts allocated at start; more are allocated as needed.
    preallocated_connections: "PreallocatedConnections" = 256 in 0..=1_048_576;
    /// Milliseconds from the first octet of a request to its end.
    head_timeout_ms: "HeadTimeoutMs" = 10_000 in 100..=600_000;
    /// Milliseconds that a connection may be idle between requests.
    idle_timeout_ms: "IdleTimeoutMs" = 120_000 in 100..=3_600_000;
    /// Milliseconds without progress of a send after which the connection is reset.
    send_stall_ms: "SendStallMs" = 5_000 in 100..=600_000;
    /// Milliseconds that a closing connection waits for the peer's end.
    drain_ms: "DrainMs" = 2_000 in 100..=60_000;
    /// Milliseconds that responses under way get when the driver stops.
    stop_ms: "StopMs" = 3_000 in 0..=60_000;
}

struct Reader<'r> {
    passive: &'r Passive,
    key: Option<&'r RegistryKey>,
}

fn refuse(name: &str, why: core::fmt::Arguments<'_>) -> Status {
    nt::log(format_args!("parameter {name}: {why}"));
    Status::INVALID_PARAMETER
}

fn unreadable(name: &str, wanted: &str, error: ValueError) -> Status {
    match error {
        ValueError::Type => refuse(name, format_args!("must be a {wanted}")),
        ValueError::Data => refuse(name, format_args!("is not a valid {wanted}")),
        ValueError::Failed(status) => refuse(name, format_args!("cannot be read: {status}")),
    }
}

impl Reader<'_> {
    fn number(&self, number: &Number) -> Result<u32> {
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

    fn text(&self, name: &str) -> Result<Option<ArrayString<64>>> {
        let Some(wide) = self.string(name)? else { return Ok(None) };
        let mut text = ArrayString::new();
        match core::fmt::Write::write_fmt(&mut text, format_args!("{wide}")) {
            Ok(()) => Ok(Some(text)),
            Err(_) => Err(refuse(name, format_args!("is longer than 64 octets"))),
        }
    }

    fn site_image(&self) -> Result<WideString> {
        let path = self.string("SiteImage")?;
        path.ok_or_else(|| refuse("SiteImage", format_args!("must name the site image")))
    }

    fn listen_address(&self) -> Result<IpAddr> {
        let name = "ListenAddress";
        match self.text(name)? {
            None => Ok(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
            Some(text) => text
                .parse()
                .map_err(|_| refuse(name, format_args!("{text} is not an IPv4 or IPv6 address"))),
        }
    }

    fn accept_mode(&self) -> Result<Accept> {
        let name = "AcceptMode";
        match self.text(name)?.as_deref() {
            None | Some("conditional") => Ok(Accept::Conditional),
            Some("event") => Ok(Accept::Event),
            Some("irp") => Ok(Accept::Irp),
            Some(other) => {
                Err(refuse(name, format_args!("{other} is neither conditional, event nor irp")))
            }
        }
    }
}
