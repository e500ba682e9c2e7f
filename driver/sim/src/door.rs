//! What the driver is told about who gets in.
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use nthost::Value;
use nthost::sim::Random;

/// The address that is exempt, where one is; no client but the last comes from there.
pub(crate) const EXEMPT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100));

/// The rules of one machine.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    overload: &'static str,
    /// A refusal may be an answer.
    pub(crate) answers: bool,
    hold_max: u32,
    hold_ms: u32,
    pressure_idle_ms: u32,
    rate: u32,
    burst: u32,
    handshakes_max: u32,
    denied: Option<&'static str>,
    exempts: bool,
    /// There is always somebody who waits for a place, and many are idle.
    pub(crate) presses: bool,
}

impl Door {
    pub(crate) fn random(choice: &mut Random) -> Door {
        let overload = ["hold", "hold", "hold", "reject", "answer503"][choice.below(5)];
        let refuses_by_answer = choice.one_in(6);
        let door = Door {
            overload,
            answers: refuses_by_answer || overload == "answer503",
            hold_max: [0, 1, 4, 256, 256, 256][choice.below(6)],
            hold_ms: [0, 100, 3_000, 3_000, 3_000][choice.below(5)],
            // Whole ticks, so that a client knows when its time has come.
            pressure_idle_ms: [0, 250, 1_000][choice.below(3)],
            rate: [0, 0, 0, 1, 8][choice.below(5)],
            burst: [1, 4][choice.below(2)],
            handshakes_max: [4_096, 4_096, 4_096, 2][choice.below(4)],
            denied: choice.one_in(8).then_some("10.0.0.2"),
            exempts: choice.one_in(2),
            presses: choice.one_in(6),
        };
        if door.presses { door.with_pressure() } else { door }
    }

    /// Whoever finds no place waits for one, and whoever is idle must soon make one.
    fn with_pressure(self) -> Door {
        let (overload, hold_max, hold_ms) = ("hold", 256, 3_000);
        let (answers, rate, pressure_idle_ms) = (false, 0, 250);
        Door { overload, answers, hold_max, hold_ms, pressure_idle_ms, rate, ..self }
    }

    /// True when a client may be refused for another reason than the limit of its address.
    pub(crate) fn may_refuse(&self) -> bool {
        self.answers || self.rate > 0 || self.denied.is_some() || self.handshakes_max < 4_096
    }

    /// How long a connection is idle before it may be ended to make a place.
    pub(crate) fn yields_after(&self) -> Option<Duration> {
        let least = Duration::from_millis(u64::from(self.pressure_idle_ms));
        (!least.is_zero()).then_some(least)
    }

    /// True when a connection without a place is kept until there is one.
    pub(crate) fn holds(&self) -> bool {
        self.overload == "hold" && self.hold_max > 1 && self.hold_ms > 1_000
    }

    /// As parameters.
    pub(crate) fn registry(&self, connections_max: u32) -> Vec<(String, Value)> {
        let number = |name: &str, value| (name.to_owned(), Value::Dword(value));
        let text = |name: &str, value: &str| (name.to_owned(), Value::String(value.to_owned()));
        let list =
            |name: &str, value: &str| (name.to_owned(), Value::MultiString(vec![value.to_owned()]));
        let mut values = vec![
            text("OverloadPolicy", self.overload),
            number("HoldMax", self.hold_max),
            number("HoldMs", self.hold_ms),
            number("PressureIdleMs", self.pressure_idle_ms),
            number("ConnectionRatePerAddress", self.rate),
            number("ConnectionBurstPerAddress", self.burst),
            number("MaxHandshakes", self.handshakes_max),
        ];
        if self.answers && self.overload != "answer503" {
            values.push(text("RefuseWith", "503"));
        }
        if let Some(address) = self.denied {
            values.push(list("DenyList", address));
        }
        if self.exempts {
            values.push(list("ExemptList", &EXEMPT.to_string()));
            values.push(number("ReservedConnections", 1.min(connections_max - 1)));
        }
        values
    }
}
