//! Counters: what the driver did and holds.

/// First word of an encoded [`Counters`]; grows when a counter is added at the end.
pub const COUNTERS_VERSION: u64 = Counter::ALL.len() as u64;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*) => {
        /// One counter or gauge of the driver.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub enum Counter { $($(#[doc = $doc])+ $variant,)* }

        impl Counter {
            /// All of them, in the order of the record.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];

            /// Name, as shown and exported.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }

            /// One line for people; it starts with `Gauge: ` where a value also falls.
            pub const fn help(self) -> &'static str {
                match self { $(Counter::$variant => concat!($($doc),+).trim_ascii_start(),)* }
            }
        }
    };
}

counters! {
    /// Requests answered.
    Requests = "requests",
    /// Responses 200 to 299.
    Responses2xx = "responses_2xx",
    /// Responses 300 to 399.
    Responses3xx = "responses_3xx",
    /// Responses 400 to 499.
    Responses4xx = "responses_4xx",
    /// Responses 500 to 599.
    Responses5xx = "responses_5xx",
    /// Requests refused before they were understood.
    Rejected = "rejected",
    /// Octets submitted for sending.
    BytesSent = "bytes_sent",
    /// Connections accepted.
    ConnectionsAccepted = "connections_accepted",
    /// Connections refused by `MaxConnectionsPerAddress`.
    RefusedPerAddress = "refused_per_address",
    /// Connections refused by `ConnectionRatePerAddress`.
    RefusedRate = "refused_rate",
    /// Connections refused by `DenyList`, or because `AllowList` does not have their address.
    RefusedDenied = "refused_denied",
    /// Connections of new addresses refused because the table of addresses was full.
    RefusedTable = "refused_table",
    /// Connections refused by `MaxHandshakes`.
    RefusedHandshakes = "refused_handshakes",
    /// Connections refused by `MaxConnections` or for want of memory; those that waited too long
    /// included.
    RefusedCrowded = "refused_crowded",
    /// Of the refused connections, those that were accepted to be answered 503.
    RefusedByAnswer = "refused_by_answer",
    /// Connections and requests that were held for a place.
    Held = "held",
    /// Of those, the ones that got it.
    HeldAdmitted = "held_admitted",
    /// Of those, the ones that waited for `HoldMs` in vain.
    HeldExpired = "held_expired",
    /// Idle connections ended to make a place.
    EndedByPressure = "ended_by_pressure",
    /// Listening sockets that died.
    ListenersLost = "listeners_lost",
    /// Listening sockets opened in their stead.
    ListenersRestored = "listeners_restored",
    /// Connection requests that died between inspection and acceptance.
    HandshakesAborted = "handshakes_aborted",
    /// Heads not finished in time (answered by 408).
    TimerHead = "timer_head",
    /// Contents not finished in time (answered by 408).
    TimerContent = "timer_content",
    /// Idle connections ended.
    TimerIdle = "timer_idle",
    /// Connections whose peer read too slowly.
    TimerSend = "timer_send",
    /// Receive events that found their connection busy on another processor.
    Collisions = "collisions",
    /// Times that the beats of a health endpoint stayed away.
    HeartbeatsMissed = "heartbeats_missed",
    /// Gauge: connections open.
    ConnectionsOpen = "connections_open",
    /// Gauge: connections and requests that wait for a place.
    Waiting = "waiting",
    /// Gauge: places of `MaxConnections` that are taken.
    PlacesTaken = "places_taken",
    /// Gauge: addresses with a connection or a request.
    Addresses = "addresses",
    /// Gauge: requests between inspection and acceptance.
    Handshakes = "handshakes",
    /// Gauge: connection slots allocated.
    Slots = "slots",
    /// Gauge: octets of one connection slot: what an idle connection holds.
    SlotBytes = "slot_bytes",
    /// Gauge: octets of the site image.
    SiteBytes = "site_bytes",
    /// Gauge: entries of the site image.
    SiteEntries = "site_entries",
    /// Of the rejected requests, those for each [`Reason`](crate::Reason): this is `BadRequest`.
    RejectedBadRequest = "rejected_bad_request",
    /// `Hostname`.
    RejectedHostname = "rejected_hostname",
    /// `Number`.
    RejectedNumber = "rejected_number",
    /// `Header`.
    RejectedHeader = "rejected_header",
    /// `EntityTooLarge`.
    RejectedContentTooLarge = "rejected_entity_too_large",
    /// `URL_Length`.
    RejectedUriTooLong = "rejected_url_length",
    /// `ExpectationFailed`.
    RejectedExpectation = "rejected_expectation",
    /// `URL`.
    RejectedUrl = "rejected_url",
    /// `FieldLength`.
    RejectedFieldsTooLarge = "rejected_field_length",
    /// `N/I`.
    RejectedNotImplemented = "rejected_not_implemented",
    /// `Version_N/S`.
    RejectedVersion = "rejected_version",
    /// `Verb`.
    RejectedVerb = "rejected_verb",
    /// `Invalid_CR/LF`.
    RejectedInvalidCrLf = "rejected_invalid_crlf",
    /// `RequestLength`.
    RejectedHeadTooLong = "rejected_request_length",
    /// Rejects put into their ring.
    RejectsNoted = "rejects_noted",
    /// Requests put into the access log.
    AccessLogged = "access_logged",
}

/// Octets of an encoded record.
pub const COUNTERS_BYTES: usize = (1 + Counter::ALL.len()) * 8;

/// A snapshot of all counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Default for Counters {
    fn default() -> Self {
        Counters([0; _])
    }
}

impl Counters {
    /// One value.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or(0)
    }

    /// Sets one value.
    pub fn set(&mut self, counter: Counter, value: u64) {
        if let Some(place) = self.0.get_mut(counter as usize) {
            *place = value;
        }
    }

    /// Little-endian words: the version, then the values; octets written, `None` when `output` is
    /// too small.
    pub fn encode(&self, output: &mut [u8]) -> Option<usize> {
        let output = output.get_mut(..COUNTERS_BYTES)?;
        let (words, _) = output.as_chunks_mut::<8>();
        let values = core::iter::once(&COUNTERS_VERSION).chain(&self.0);
        for (word, value) in words.iter_mut().zip(values) {
            *word = value.to_le_bytes();
        }
        Some(COUNTERS_BYTES)
    }

    /// Reads a record; counters that an older driver does not have are zero. `None` when it is
    /// malformed.
    pub fn decode(input: &[u8]) -> Option<Counters> {
        let (words, rest) = input.as_chunks::<8>();
        let (version, values) = words.split_first()?;
        let announced = usize::try_from(u64::from_le_bytes(*version)).ok()?;
        if !rest.is_empty() || announced != values.len() {
            return None;
        }
        let mut counters = Counters::default();
        for (place, value) in counters.0.iter_mut().zip(values) {
            *place = u64::from_le_bytes(*value);
        }
        Some(counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_wire_and_a_truncated_one_does_not() {
        let mut counters = Counters::default();
        for (at, counter) in Counter::ALL.iter().enumerate() {
            counters.set(*counter, at as u64 + 7);
        }
        let mut wire = [0; COUNTERS_BYTES];
        assert_eq!(counters.encode(&mut wire), Some(COUNTERS_BYTES));
        assert_eq!(Counters::decode(&wire), Some(counters));
        for length in 0..wire.len() {
            assert_eq!(Counters::decode(&wire[..length]), None, "{length}");
        }
        assert_eq!(counters.encode(&mut wire[1..]), None);
    }

    #[test]
    fn names_are_distinct_and_helps_are_sentences() {
        for (at, counter) in Counter::ALL.iter().enumerate() {
            assert!(Counter::ALL[..at].iter().all(|other| other.name() != counter.name()));
            assert!(counter.help().ends_with('.'), "{}", counter.help());
        }
    }
}
