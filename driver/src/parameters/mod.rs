//! The service's registry parameters, validated once at start.
use core::net::SocketAddr;

use nt::wsk::Accept;
use nt::{Passive, RegistryKey, Result, WideString};

use crate::admission::{Lists, Overload, RefuseWith};

mod reader;

use reader::Reader;

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

/// A REG_SZ parameter that is one of a few words; the first is used when there is no value.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Value name.
    pub name: &'static str,
    /// What it may be.
    pub words: &'static [&'static str],
    /// One line for people.
    pub help: &'static str,
}

/// A REG_MULTI_SZ parameter of address prefixes such as `10.0.0.0/8`; empty when there is no
/// value.
#[derive(Clone, Copy, Debug)]
pub struct PrefixList {
    /// Value name.
    pub name: &'static str,
    /// One line for people.
    pub help: &'static str,
}

macro_rules! parameters {
    (
        numbers { $($(#[doc = $help:literal])+ $field:ident: $name:literal
            = $default:literal in $min:literal..=$max:literal;)* }
        choices { $($(#[doc = $choice_help:literal])+ $choice:ident: $kind:ty, $choice_name:literal
            = $($word:literal => $value:expr),+;)* }
        lists { $($(#[doc = $list_help:literal])+ $list:ident: $list_name:literal;)* }
    ) => {
        /// What the driver was told.
        pub struct Parameters {
            /// NT path of the site image.
            pub site_image: WideString,
            /// `ListenAddress` and `ListenPort`.
            pub listen: SocketAddr,
            /// Address prefixes, by list.
            pub lists: Lists,
            $($(#[doc = $help])+ pub $field: u32,)*
            $($(#[doc = $choice_help])+ pub $choice: $kind,)*
        }

        /// All REG_DWORD parameters.
        pub const NUMBERS: &[Number] = &[$(Number {
            name: $name, default: $default, min: $min, max: $max, help: concat!($($help),+),
        },)*];

        /// All REG_SZ parameters that are one of a few words.
        pub const CHOICES: &[Choice] = &[$(Choice {
            name: $choice_name, words: &[$($word),+], help: concat!($($choice_help),+),
        },)*];

        /// All parameters that are lists of address prefixes.
        pub const LISTS: &[PrefixList] = &[$(PrefixList {
            name: $list_name, help: concat!($($list_help),+),
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
                let parameters = Parameters {
                    site_image: reader.site_image()?,
                    listen: SocketAddr::new(
                        reader.listen_address()?,
                        u16::try_from(reader.number(&LISTEN_PORT)?).unwrap_or(0),
                    ),
                    lists: Lists { $($list: reader.prefixes($list_name)?,)* },
                    $($field: reader.number(&Number {
                        name: $name, default: $default, min: $min, max: $max, help: "",
                    })?,)*
                    $($choice: reader.choice($choice_name, &[$(($word, $value)),+])?,)*
                };
                parameters.check()?;
                Ok(parameters)
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

parameters! {
    numbers {
        /// Connections at most.
        max_connections: "MaxConnections" = 65_536 in 1..=1_048_576;
        /// Connections of one address (see AddressPrefixV4 and V6) at most; 0 = no limit.
        max_connections_per_address: "MaxConnectionsPerAddress" = 1_024 in 0..=1_048_576;
        /// New connections of one address per second on average; 0 = no limit.
        connection_rate_per_address: "ConnectionRatePerAddress" = 0 in 0..=1_000_000;
        /// New connections of one address at once, where its rate is limited.
        connection_burst_per_address: "ConnectionBurstPerAddress" = 64 in 1..=1_000_000;
        /// Leading bits of an IPv4 address that are counted as one address.
        address_prefix_v4: "AddressPrefixV4" = 32 in 1..=32;
        /// Leading bits of an IPv6 address that are counted as one address.
        address_prefix_v6: "AddressPrefixV6" = 64 in 1..=128;
        /// Of MaxConnections, those that only addresses of ExemptList get; 0 when that is empty.
        reserved_connections: "ReservedConnections" = 16 in 0..=65_536;
        /// Connection requests inspected and not yet established at most.
        max_handshakes: "MaxHandshakes" = 4_096 in 1..=1_048_576;
        /// Requests held at most for a place, and connections answered 503 at most at a time.
        hold_max: "HoldMax" = 256 in 0..=65_536;
        /// Milliseconds that a request is held.
        hold_ms: "HoldMs" = 500 in 0..=10_000;
        /// Milliseconds of idleness after which a connection may be ended to make a place; 0 =
        /// never.
        pressure_idle_ms: "PressureIdleMs" = 1_000 in 0..=3_600_000;
        /// Connection contexts allocated at start; more are allocated as needed.
        preallocated_connections: "PreallocatedConnections" = 256 in 0..=1_048_576;
        /// Milliseconds from the first octet of a request to the end of its head.
        head_timeout_ms: "HeadTimeoutMs" = 10_000 in 100..=600_000;
        /// Milliseconds from the end of a head to the end of the content, which is discarded.
        content_timeout_ms: "ContentTimeoutMs" = 10_000 in 100..=600_000;
        /// Octets of content that are discarded at most; more is answered 413.
        content_bytes_max: "ContentBytesMax" = 1_048_576 in 0..=1_073_741_824;
        /// Milliseconds that a connection may be idle between requests.
        idle_timeout_ms: "IdleTimeoutMs" = 120_000 in 100..=3_600_000;
        /// Milliseconds that a peer may take to read before SendBytesPerSecondMin counts.
        send_grace_ms: "SendGraceMs" = 5_000 in 100..=600_000;
        /// Octets per second that a peer must read of what is being sent; 0 = any number.
        send_bytes_per_second_min: "SendBytesPerSecondMin" = 150 in 0..=1_000_000;
        /// Milliseconds that a closing connection waits for the peer's end.
        linger_ms: "LingerMs" = 2_000 in 100..=60_000;
        /// Request heads that each processor remembers, so as not to parse them again; 0 = none.
        memo_heads: "MemoHeads" = 16 in 0..=256;
        /// 1 = keep a record of each request, for `wskhttpctl log`; heads are not remembered then.
        access_log: "AccessLog" = 0 in 0..=1;
        /// Milliseconds that responses under way get when the driver stops.
        stop_ms: "StopMs" = 3_000 in 0..=60_000;
        /// Seed of the hash of addresses, to repeat a simulation; 0 = a secret one at each start.
        hash_seed: "HashSeed" = 0 in 0..=4_294_967_295;
    }
    choices {
        /// Where connections are filtered. conditional: before the handshake completes; event:
        /// after it, in WskAcceptEvent; irp: when WskAccept completed.
        accept_mode: Accept, "AcceptMode" = "conditional" => Accept::Conditional,
            "event" => Accept::Event, "irp" => Accept::Irp;
        /// What happens at MaxConnections. reject: the connection is refused; hold: it waits up to
        /// HoldMs for a place; answer503: it is answered 503 and closed.
        overload_policy: Overload, "OverloadPolicy" = "hold" => Overload::Hold,
            "reject" => Overload::Reject, "answer503" => Overload::Answer503;
        /// How connections over a limit are refused. reset: not accepted; 503: answered 503 and
        /// closed, as far as HoldMax allows.
        refuse_with: RefuseWith, "RefuseWith" = "reset" => RefuseWith::Reset,
            "503" => RefuseWith::Answer503;
    }
    lists {
        /// Address prefixes that may connect; empty = all.
        allow: "AllowList";
        /// Address prefixes that may not connect, even if they are in another list.
        deny: "DenyList";
        /// Address prefixes without limits of their own, such as probes; see ReservedConnections.
        exempt: "ExemptList";
    }
}

impl Parameters {
    /// What holds between parameters.
    fn check(&self) -> Result<()> {
        let (reserved, all) = (self.reserved_connections, self.max_connections);
        if !self.lists.exempt.is_empty() && reserved >= all {
            return Err(reader::refuse(
                "ReservedConnections",
                format_args!("{reserved} of MaxConnections ({all}) leaves none for others"),
            ));
        }
        Ok(())
    }
}
