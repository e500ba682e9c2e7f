//! What happened, for a hash over all of it and the last of it in a report.
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Entries kept for a report.
const KEPT: usize = 150;

/// What happens too often to be shown.
const COMMON: [&str; 5] = [
    "ExpInterlockedPopEntrySList",
    "ExpInterlockedPushEntrySList",
    "KeAcquireSpinLockRaiseToDpc",
    "KeReleaseSpinLock",
    "lock acquired",
];

/// One thing that happened: nothing in it depends on an address.
#[derive(Clone, Copy)]
struct Entry {
    step: u64,
    time: u64,
    actor: usize,
    what: &'static str,
    about: u64,
    value: u64,
}

/// The trace of one run.
#[derive(Default)]
pub(crate) struct Trace {
    /// Everything is kept.
    pub(super) whole: bool,
    last: VecDeque<Entry>,
    hash: u64,
    entries: u64,
}

impl Trace {
    pub(crate) fn add(
        &mut self,
        (step, time): (u64, u64),
        actor: usize,
        what: &'static str,
        about: u64,
        value: u64,
    ) {
        if !COMMON.contains(&what) {
            if self.last.len() == KEPT && !self.whole {
                self.last.pop_front();
            }
            self.last.push_back(Entry { step, time, actor, what, about, value });
        }
        self.entries += 1;
        for word in [time, actor as u64, about, value] {
            self.mix(word);
        }
        for chunk in what.as_bytes().chunks(8) {
            let mut octets = [0; 8];
            octets[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(octets));
        }
    }

    fn mix(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    }

    /// Of everything so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Things that happened.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// The last of them, one a line.
    pub(crate) fn last(&self, name: impl Fn(usize) -> String) -> String {
        let mut text = String::new();
        for entry in &self.last {
            let Entry { step, time, actor, what, about, value } = *entry;
            let (seconds, rest) = (time / 10_000_000, time % 10_000_000);
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "    {step:>7} {seconds:>4}.{rest:07} {:<12} {what} {about} {value:#x}",
                name(actor)
            );
        }
        text
    }
}
