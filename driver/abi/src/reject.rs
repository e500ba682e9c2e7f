//! What was refused lately.
use core::net::IpAddr;

use crate::text::Octets;
use crate::wire::{Reader, Record, Writer};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $word:literal;)*) => {
        /// Why something was refused; words as in http.sys's error log where they mean the same.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u8)]
        pub enum Reason { $($(#[doc = $doc])+ $variant = $number,)* }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// By number.
            pub fn from_number(number: u8) -> Option<Reason> {
                match number {
                    $($number => Some(Reason::$variant),)*
                    _ => None,
                }
            }

            /// Its number.
            pub const fn number(self) -> u8 {
                match self { $(Reason::$variant => $number,)* }
            }

            /// Its word.
            pub const fn word(self) -> &'static str {
                match self { $(Reason::$variant => $word,)* }
            }
        }
    };
}

reasons! {
    /// 400, of whatever kind.
    BadRequest = 1, "BadRequest";
    /// 400: no Host, several, or not one.
    Hostname = 2, "Hostname";
    /// 400: the framing is not clear.
    Framing = 3, "Framing";
    /// 408 in a head.
    TimerHead = 4, "Timer_HeaderWait";
    /// 408 in a content.
    TimerContent = 5, "Timer_EntityBody";
    /// A connection idle for too long; its peer did nothing wrong.
    TimerIdle = 6, "Timer_ConnectionIdle";
    /// A peer that read too slowly.
    TimerSend = 7, "Timer_MinBytesPerSecond";
    /// 411.
    LengthRequired = 8, "LengthRequired";
    /// 413.
    ContentTooLarge = 9, "EntityTooLarge";
    /// 414.
    UriTooLong = 10, "URL_Length";
    /// 417.
    Expectation = 11, "ExpectationFailed";
    /// 421, 426 and other errors of the request that have no word of their own.
    Other = 12, "Other";
    /// 431.
    FieldsTooLarge = 13, "FieldLength";
    /// 501.
    NotImplemented = 14, "N/I";
    /// 505.
    VersionNotSupported = 15, "Version_N/S";
    /// A connection beyond MaxConnectionsPerAddress.
    PerAddress = 16, "AddressLimit";
    /// A connection beyond ConnectionRatePerAddress.
    Rate = 17, "AddressRate";
    /// A connection of DenyList, or not of AllowList.
    Denied = 18, "Forbidden";
    /// A connection of a new address while the table of addresses was full.
    Table = 19, "AddressTable";
    /// A connection beyond MaxHandshakes.
    Handshakes = 20, "HandshakeLimit";
    /// A connection beyond MaxConnections, or without memory for it.
    Crowded = 21, "ConnLimit";
}

/// One.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reject {
    /// Milliseconds since 1970, UTC.
    pub time_ms: u64,
    /// Whose.
    pub address: IpAddr,
    /// Port of the peer; 0 = not known.
    pub port: u16,
    /// Why.
    pub reason: Reason,
    /// Status that was sent; 0 = none was.
    pub status: u16,
    /// First octets of the request; none for connections.
    pub octets: Octets,
}

impl Record for Reject {
    fn put(&self, out: &mut Writer<'_>) {
        out.u64(self.time_ms);
        self.address.put(out);
        out.u16(self.port);
        out.u8(self.reason.number());
        out.u16(self.status);
        self.octets.put(out);
    }

    fn take(input: &mut Reader<'_>) -> Option<Reject> {
        Some(Reject {
            time_ms: input.u64()?,
            address: Record::take(input)?,
            port: input.u16()?,
            reason: Reason::from_number(input.u8()?)?,
            status: input.u16()?,
            octets: Record::take(input)?,
        })
    }
}
