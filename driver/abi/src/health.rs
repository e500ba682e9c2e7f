//! Health endpoints.
use crate::text::Name;
use crate::wire::{Reader, Record, Writer};

/// What an operator says of a health endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Health {
    /// Answers as healthy.
    #[default]
    Up = 0,
    /// Answers that no new work is wanted.
    Drain = 1,
    /// Answers as not healthy.
    Down = 2,
}

impl Health {
    /// All of them, by number.
    pub const ALL: [Health; 3] = [Health::Up, Health::Drain, Health::Down];

    /// By number.
    pub fn from_number(number: u8) -> Option<Health> {
        Health::ALL.get(usize::from(number)).copied()
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Health::Up => 0,
            Health::Drain => 1,
            Health::Down => 2,
        }
    }

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Health::Up => "up",
            Health::Drain => "drain",
            Health::Down => "down",
        }
    }
}

impl Record for Health {
    fn put(&self, out: &mut Writer<'_>) {
        out.u8(self.number());
    }

    fn take(input: &mut Reader<'_>) -> Option<Health> {
        input.u8().and_then(Health::from_number)
    }
}

/// Switches a health endpoint, in whatever hosts and paths it is served. Ends its heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Switch {
    /// Of the endpoint.
    pub name: Name,
    /// From now on.
    pub health: Health,
}

impl Record for Switch {
    fn put(&self, out: &mut Writer<'_>) {
        self.name.put(out);
        self.health.put(out);
    }

    fn take(input: &mut Reader<'_>) -> Option<Switch> {
        Some(Switch { name: Record::take(input)?, health: Record::take(input)? })
    }
}

/// One beat: without another one within `timeout_ms`, the endpoint answers as down until one comes.
/// It does not change what the operator said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beat {
    /// Of the endpoint.
    pub name: Name,
    /// Milliseconds, 125 to 3,600,000; 0 = no more beats are expected.
    pub timeout_ms: u32,
}

impl Record for Beat {
    fn put(&self, out: &mut Writer<'_>) {
        self.name.put(out);
        out.u32(self.timeout_ms);
    }

    fn take(input: &mut Reader<'_>) -> Option<Beat> {
        Some(Beat { name: Record::take(input)?, timeout_ms: input.u32()? })
    }
}

/// One health endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HealthEndpoint {
    /// As in the site.
    pub name: Name,
    /// What the operator said.
    pub health: Health,
    /// What is answered: as above, or down for want of beats.
    pub answered: Health,
    /// Milliseconds within which beats are expected; 0 = none are.
    pub timeout_ms: u32,
    /// Milliseconds since the last beat, where beats are expected.
    pub since_beat_ms: u32,
    /// Times that beats stayed away since the driver started.
    pub missed: u64,
}

impl Record for HealthEndpoint {
    fn put(&self, out: &mut Writer<'_>) {
        self.name.put(out);
        self.health.put(out);
        self.answered.put(out);
        out.u32(self.timeout_ms);
        out.u32(self.since_beat_ms);
        out.u64(self.missed);
    }

    fn take(input: &mut Reader<'_>) -> Option<HealthEndpoint> {
        Some(HealthEndpoint {
            name: Record::take(input)?,
            health: Record::take(input)?,
            answered: Record::take(input)?,
            timeout_ms: input.u32()?,
            since_beat_ms: input.u32()?,
            missed: input.u64()?,
        })
    }
}
