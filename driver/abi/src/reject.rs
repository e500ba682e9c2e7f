//! What was refused lately.
use core::net::IpAddr;

use crate::counters::Counter;
use crate::text::Octets;
use crate::wire::{Reader, Record, Writer};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $word:literal,
        $counter:ident;)*) => {
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

            /// What counts it.
            pub const fn counter(self) -> Counter {
                match self { $(Reason::$variant => Counter::$counter,)* }
            }
        }
    };
}

reasons! {
    /// 400: the request line or the chunked framing is not what the grammar says.
    BadRequest = 1, "BadRequest", RejectedBadRequest;
    /// 400: Host is missing, repeated or not a host.
    Hostname = 2, "Hostname", RejectedHostname;
    /// 400: a length is not a number, is repeated, or does not fit.
    Number = 3, "Number", RejectedNumber;
    /// 408 in a head.
    TimerHead = 4, "Timer_HeaderWait", TimerHead;
    /// 408 in a content.
    TimerContent = 5, "Timer_EntityBody", TimerContent;
    /// A connection idle for too long; its peer did nothing wrong.
    TimerIdle = 6, "Timer_ConnectionIdle", TimerIdle;
    /// A peer that read too slowly.
    TimerSend = 7, "Timer_MinBytesPerSecond", TimerSend;
    /// 400: a field line is malformed, or a field contradicts another.
    Header = 8, "Header", RejectedHeader;
    /// 413.
    ContentTooLarge = 9, "EntityTooLarge", RejectedContentTooLarge;
    /// 414.
    UriTooLong = 10, "URL_Length", RejectedUriTooLong;
    /// 417.
    Expectation = 11, "ExpectationFailed", RejectedExpectation;
    /// 400: the request-target has a forbidden octet, form or escape.
    Url = 12, "URL", RejectedUrl;
    /// 431: a field line is too long, or there are too many of them.
    FieldsTooLarge = 13, "FieldLength", RejectedFieldsTooLarge;
    /// 501: a transfer coding that is not implemented.
    NotImplemented = 14, "N/I", RejectedNotImplemented;
    /// 505, or 400 for what is not a version.
    VersionNotSupported = 15, "Version_N/S", RejectedVersion;
    /// A connection beyond MaxConnectionsPerAddress.
    PerAddress = 16, "AddressLimit", RefusedPerAddress;
    /// A connection beyond ConnectionRatePerAddress.
    Rate = 17, "AddressRate", RefusedRate;
    /// A connection of DenyList, or not of AllowList.
    Denied = 18, "Forbidden", RefusedDenied;
    /// A connection of a new address while the table of addresses was full.
    Table = 19, "AddressTable", RefusedTable;
    /// A connection beyond MaxHandshakes.
    Handshakes = 20, "HandshakeLimit", RefusedHandshakes;
    /// A connection beyond MaxConnections, or without memory for it.
    Crowded = 21, "ConnLimit", RefusedCrowded;
    /// The method is not a token (400), or longer than any target may be (501).
    Verb = 22, "Verb", RejectedVerb;
    /// 400: a CR without LF, an LF without CR, or an empty line too many.
    InvalidCrLf = 23, "Invalid_CR/LF", RejectedInvalidCrLf;
    /// 431: the head is too long.
    HeadTooLong = 24, "RequestLength", RejectedHeadTooLong;
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

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn numbers_words_and_counters_are_distinct() {
        for (at, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
            for other in &Reason::ALL[..at] {
                assert_ne!(other.number(), reason.number());
                assert_ne!(other.word(), reason.word());
                assert_ne!(other.counter(), reason.counter());
            }
        }
    }
}
