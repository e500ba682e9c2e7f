//! Events for who traces the driver: each with its fields, once; `driver/docs/events.md` has them.
//!
//! They cost a comparison while nobody listens. In an image they are TraceLogging's, for ETW;
//! elsewhere a line `event=NAME FIELD=VALUE ...` for the host.
use core::fmt::Write as _;
use core::net::SocketAddr;

use arrayvec::ArrayString;
use nt::Status;
use wskhttpd_abi::{Access, Loaded, Reason};

use crate::rejects::Peer;

/// What there is room for in a field of text.
type Text = ArrayString<160>;

/// Something as text.
fn text(value: impl core::fmt::Display) -> Text {
    let mut text = Text::new();
    // What is too long is cut.
    let _ = write!(text, "{value}");
    text
}

/// The level of each severity, as [`nt::trace`] has it off Windows.
#[cfg(not(windows))]
mod level {
    #![allow(non_upper_case_globals)] // TraceLogging's names
    pub(super) const Warning: u8 = 3;
    pub(super) const Informational: u8 = 4;
    pub(super) const Verbose: u8 = 5;
}

macro_rules! events {
    ($(
        $(#[doc = $doc:literal])+
        event $event:tt, $level:ident:
        $name:ident($($argument:ident: $type:ty),*) { $($kind:ident $field:tt = $value:expr;)* }
    )*) => {$(
        $(#[doc = $doc])+
        ///
        /// Any IRQL.
        #[inline(never)]
        pub fn $name($($argument: $type),*) {
            #[cfg(windows)]
            {
                let provider = nt::trace::provider();
                // Nobody can do anything about an event that was not written.
                let _ = tracelogging::write_event!(
                    provider, $event, level($level), $($kind($field, &$value),)*
                );
            }
            #[cfg(not(windows))]
            if nt::trace::is_listened_to(level::$level) {
                nt::trace::write(format_args!(
                    concat!("event=", $event, $(" ", $field, "={}"),*), $($value),*
                ));
            }
        }
    )*};
}

events! {
    /// The driver serves.
    event "Start", Informational: started(listen: SocketAddr) {
        str8 "listen" = text(listen).as_str();
    }

    /// The driver has stopped.
    event "Stop", Informational: stopped() {}

    /// A request or a connection is refused.
    event "Reject", Warning: rejected(peer: Peer, reason: Reason, status: u16) {
        str8 "address" = text(peer.address).as_str();
        u16 "port" = peer.port;
        str8 "reason" = reason.word();
        u16 "status" = status;
    }

    /// A request is answered; with `AccessLog` only.
    event "Request", Verbose: answered(access: &Access) {
        str8 "address" = text(access.address).as_str();
        u16 "port" = access.port;
        str8 "method" = access.method.word();
        str8 "target" = text(access.target.escape_ascii()).as_str();
        u16 "status" = access.status;
        u64 "octets" = access.octets;
    }

    /// Another site is served, or the one before still is: then `refusal` says why.
    event "Reload", Informational: reloaded(loaded: &Loaded) {
        u64 "generation" = loaded.generation;
        u64 "image_bytes" = loaded.image_bytes;
        u32 "entries" = loaded.entries;
        str8 "refusal" = loaded.refusal.as_str();
    }

    /// A health endpoint answers otherwise than before: `change` is the operator's word for it, or
    /// `beats` when those come again.
    event "Health", Informational: health_changed(name: &str, change: &str) {
        str8 "name" = name;
        str8 "change" = change;
    }

    /// Beats for so many health endpoints stayed away: they answer as down.
    event "HeartbeatMissed", Warning: heartbeats_missed(endpoints: u32) {
        u32 "endpoints" = endpoints;
    }

    /// The listening socket died.
    event "ListenerLost", Warning: listener_lost() {}

    /// There is another listening socket.
    event "ListenerRestored", Informational: listener_restored() {}

    /// There is none yet; the next try is after so many milliseconds.
    event "ListenerFailed", Warning: listener_failed(status: Status, wait_ms: u32) {
        str8 "status" = text(status).as_str();
        u32 "wait_ms" = wait_ms;
    }
}
