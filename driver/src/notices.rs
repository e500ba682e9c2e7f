//! Refusals in the log: enough that nobody has to guess, never so many that a peer fills it.
use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::admission::{Reason, Refused};
use crate::clock::ticks_of;

/// Lines in a minute at most.
const LINES_MAX: u32 = 16;
const MINUTE_TICKS: u32 = ticks_of(60_000);

/// What was said in this minute.
#[derive(Default)]
pub struct Notices {
    minute: AtomicU32,
    lines: AtomicU32,
    /// One bit per reason.
    said: AtomicU32,
}

impl Notices {
    /// Says why a connection is refused: for the first of its address where the reason is the
    /// address's, once a minute for each other reason. IRQL <= DISPATCH.
    pub fn refused(&self, ip: IpAddr, refused: Refused, now: u32) {
        if self.may_say(refused, now) {
            let parameter = parameter(refused.reason);
            nt::log(format_args!(
                "connection of {ip} refused by {parameter}; later ones are counted"
            ));
        }
    }

    /// Says that a connection was held for a place in vain.
    pub fn held_in_vain(&self, now: u32) {
        if self.may_say(Refused { reason: Reason::Crowded, first: false }, now) {
            let parameter = parameter(Reason::Crowded);
            nt::log(format_args!(
                "connection held for HoldMs, then refused by {parameter}; later ones are counted"
            ));
        }
    }

    fn may_say(&self, refused: Refused, now: u32) -> bool {
        let minute = now.checked_div(MINUTE_TICKS).unwrap_or(0);
        if self.minute.swap(minute, Ordering::Relaxed) != minute {
            self.lines.store(0, Ordering::Relaxed);
            self.said.store(0, Ordering::Relaxed);
        }
        let is_new = match bit(refused.reason) {
            Some(bit) => self.said.fetch_or(bit, Ordering::Relaxed) & bit == 0,
            None => refused.first,
        };
        is_new && self.lines.fetch_add(1, Ordering::Relaxed) < LINES_MAX
    }
}

/// Of a reason that is said once a minute.
const fn bit(reason: Reason) -> Option<u32> {
    match reason {
        Reason::PerAddress | Reason::Rate => None,
        Reason::Denied => Some(1),
        Reason::Table => Some(2),
        Reason::Handshakes => Some(4),
        Reason::Crowded => Some(8),
    }
}

const fn parameter(reason: Reason) -> &'static str {
    match reason {
        Reason::Denied => "DenyList or AllowList",
        Reason::PerAddress => "MaxConnectionsPerAddress",
        Reason::Rate => "ConnectionRatePerAddress",
        Reason::Table => "the size of the table of addresses, which MaxConnections decides",
        Reason::Handshakes => "MaxHandshakes",
        Reason::Crowded => "MaxConnections, or want of memory",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_named_once_and_the_log_stays_short() {
        let notices = Notices::default();
        let of = |reason, first| Refused { reason, first };
        assert!(notices.may_say(of(Reason::PerAddress, true), 5));
        assert!(!notices.may_say(of(Reason::PerAddress, false), 5));
        assert!(notices.may_say(of(Reason::Rate, true), 5), "another address");
        for reason in [Reason::Denied, Reason::Table, Reason::Handshakes, Reason::Crowded] {
            assert!(notices.may_say(of(reason, false), 5));
            assert!(!notices.may_say(of(reason, false), 5), "said");
        }
        let said = (0..100).filter(|_| notices.may_say(of(Reason::PerAddress, true), 6)).count();
        assert_eq!(said, 10, "16 in all");
        assert!(notices.may_say(of(Reason::Crowded, false), 5 + MINUTE_TICKS), "another minute");
    }
}
