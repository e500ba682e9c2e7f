//! What can go wrong with a connection or an answer, by class.

use std::fmt;
use std::io;

use serde::Serialize;

/// The class of a fault: what the report counts by.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultClass {
    /// The connection could not be established.
    Connect,
    /// The peer closed before everything asked for was answered.
    Closed,
    /// Reading or writing failed (a reset, usually).
    Io,
    /// No complete answer, or no connection, within the time allowed.
    Timeout,
    /// A well-framed answer with another status than expected.
    Status,
    /// The head or its Content-Length cannot be understood (RFC 9112 sections 4 to 6).
    Framing,
    /// The content is not what it has to be.
    Content,
    /// Bytes that no request asked for.
    Unsolicited,
}

impl FaultClass {
    /// Every class, in the order in which a report lists them.
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Closed,
        Self::Io,
        Self::Timeout,
        Self::Status,
        Self::Framing,
        Self::Content,
        Self::Unsolicited,
    ];

    /// The word for this class in a report.
    pub fn word(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Closed => "closed",
            Self::Io => "io",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Framing => "framing",
            Self::Content => "content",
            Self::Unsolicited => "unsolicited",
        }
    }
}

/// One fault, which always ends the connection it was seen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What kind.
    pub class: FaultClass,
    /// What exactly, for a person.
    pub detail: String,
    /// True when it may be the server's way to say that it does not want this client now.
    pub is_refusal: bool,
}

impl Fault {
    /// A fault of `class`.
    pub fn new(class: FaultClass, detail: impl Into<String>) -> Self {
        let is_refusal = matches!(class, FaultClass::Connect | FaultClass::Closed | FaultClass::Io);
        Self { class, detail: detail.into(), is_refusal }
    }

    /// Another status than the one that was wanted.
    pub fn status(status: u16, wanted: u16) -> Self {
        // Request Timeout, Too Many Requests, Service Unavailable.
        let is_refusal = matches!(status, 408 | 429 | 503);
        let detail = format!("{status} instead of {wanted}");
        Self { class: FaultClass::Status, detail, is_refusal }
    }

    /// The fault behind a failed read or write.
    pub fn from_io(error: &io::Error) -> Self {
        Self::new(FaultClass::Io, error.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class.word(), self.detail)
    }
}

impl std::error::Error for Fault {}

/// Faults counted by class, with the first detail of each.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    counts: [u64; FaultClass::ALL.len()],
    first: [Option<String>; FaultClass::ALL.len()],
}

impl Faults {
    /// Counts one.
    pub fn add(&mut self, fault: Fault) {
        self.counts[fault.class as usize] += 1;
        self.first[fault.class as usize].get_or_insert(fault.detail);
    }

    /// Adds what another thread counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        for (first, candidate) in self.first.iter_mut().zip(&other.first) {
            if first.is_none() {
                first.clone_from(candidate);
            }
        }
    }

    /// How many, of every class.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many of `class`.
    pub fn count(&self, class: FaultClass) -> u64 {
        self.counts[class as usize]
    }

    /// The classes seen: class, count, first detail.
    pub fn seen(&self) -> impl Iterator<Item = (FaultClass, u64, &str)> {
        FaultClass::ALL.into_iter().filter(|class| self.count(*class) > 0).map(|class| {
            let first = self.first[class as usize].as_deref().unwrap_or_default();
            (class, self.count(class), first)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_index_their_own_count() {
        let mut faults = Faults::default();
        for (index, class) in FaultClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index);
            faults.add(Fault::new(class, class.word()));
        }
        assert_eq!(faults.total(), 8);
        assert!(faults.seen().all(|(class, count, first)| count == 1 && first == class.word()));
    }

    #[test]
    fn merging_adds_counts_and_keeps_the_first_detail() {
        let mut one = Faults::default();
        one.add(Fault::new(FaultClass::Io, "a"));
        let mut other = Faults::default();
        other.add(Fault::new(FaultClass::Io, "b"));
        other.add(Fault::new(FaultClass::Status, "c"));
        one.merge(&other);
        let seen: Vec<_> = one.seen().collect();
        assert_eq!(seen, [(FaultClass::Io, 2, "a"), (FaultClass::Status, 1, "c")]);
    }
}
