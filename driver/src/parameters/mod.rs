//! The service's registry parameters, validated at the start and when one is changed.
use core::fmt::Write as _;
use core::net::SocketAddr;

use nt::wsk::Accept;
use nt::{Passive, PoolSlice, RegistryKey, Result, Status, WideString};
use wskhttpd_abi::Sentence;

use crate::admission::prefixes::Prefix;
use crate::admission::{Lists, Overload, RefuseWith};

mod in_force;
mod reader;

pub use in_force::InForce;

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

        /// The same without the help, which the driver does not need to be loaded with.
        static BOUNDS: [Number; NUMBERS.len()] = [$(Number {
            name: $name, default: $default, min: $min, max: $max, help: "",
        },)*];

        /// The words of each choice, likewise; the first is used when there is no value.
        static WORDS: [(&str, &[&str]); CHOICES.len()] = [$(($choice_name, &[$($word),+]),)*];

        impl Parameters {
            /// Those of [`BOUNDS`], in their order.
            fn numbers(&self) -> [u32; NUMBERS.len()] {
                [$(self.$field,)*]
            }

            /// The same, to be changed.
            fn numbers_mut(&mut self) -> [&mut u32; NUMBERS.len()] {
                [$(&mut self.$field,)*]
            }

            /// The same with other lists.
            fn with_lists(&self, lists: Lists) -> Parameters {
                Parameters {
                    site_image: self.site_image.clone(),
                    listen: self.listen,
                    lists,
                    $($field: self.$field,)*
                    $($choice: self.$choice,)*
                }
            }

            /// Each choice: its name and its word.
            fn words(&self) -> [(&'static str, &'static str); CHOICES.len()] {
                [$(($choice_name, {
                    let words: &[(&'static str, $kind)] = &[$(($word, $value)),+];
                    let in_force = words.iter().find(|(_, value)| *value == self.$choice);
                    in_force.map_or("", |(word, _)| *word)
                }),)*]
            }

            /// Sets a choice; `None` when there is none of this name, false when it has no such
            /// word.
            fn choose(&mut self, name: &str, word: &str) -> Option<bool> {
                $(if name == $choice_name {
                    let words: &[(&'static str, $kind)] = &[$(($word, $value)),+];
                    let chosen = words.iter().find(|(known, _)| *known == word);
                    if let Some((_, value)) = chosen {
                        self.$choice = *value;
                    }
                    return Some(chosen.is_some());
                })*
                None
            }
        }

        /// The lists by name, in the order in which [`list_of`] finds them.
        const LIST_NAMES: [&str; LISTS.len()] = [$($list_name),*];

        /// A list by its place in [`LIST_NAMES`].
        fn list_of(lists: &Lists, at: usize) -> Option<&PoolSlice<Prefix>> {
            [$(&lists.$list),*].get(at).copied()
        }

        /// The same, to be changed.
        fn list_of_mut(lists: &mut Lists, at: usize) -> Option<&mut PoolSlice<Prefix>> {
            [$(&mut lists.$list),*].into_iter().nth(at)
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
                let mut parameters = Parameters {
                    site_image: reader.site_image()?,
                    listen: SocketAddr::new(
                        reader.listen_address()?,
                        u16::try_from(reader.number(&LISTEN_PORT)?).unwrap_or(0),
                    ),
                    lists: Lists { $($list: reader.prefixes($list_name)?,)* },
                    $($field: 0,)*
                    $($choice: [$($value),+][0],)*
                };
                for (value, number) in parameters.numbers_mut().into_iter().zip(&BOUNDS) {
                    *value = reader.number(number)?;
                }
                for (name, words) in WORDS {
                    if let Some(word) = reader.text(name)?
                        && parameters.choose(name, &word) != Some(true)
                    {
                        return Err(reader::none_of(name, &word, words));
                    }
                }
                let mut why = Sentence::new();
                if !parameters.check(&mut why) {
                    nt::log_refusal(Status::INVALID_PARAMETER, format_args!("parameter {why}"));
                    return Err(Status::INVALID_PARAMETER);
                }
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
    /// What holds between parameters; false, and the reason in `why`, when it does not.
    fn check(&self, why: &mut Sentence) -> bool {
        let (reserved, all) = (self.reserved_connections, self.max_connections);
        let holds = self.lists.exempt.is_empty() || reserved < all;
        if !holds {
            let _ = write!(
                why,
                "ReservedConnections: {reserved} of MaxConnections ({all}) leaves none for others"
            );
        }
        holds
    }
}
