//! A client that waits until just before the driver ends what has been idle for so long.
use std::time::Duration;

use nthost::sim::{Random, now};

use crate::door::Door;
use crate::scenario::IDLE_TIMEOUT;

/// The driver counts time in these.
const TICK: Duration = Duration::from_millis(125);

/// Where a pause is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Before,
    During,
    Behind,
}

/// A wait between an answer and the next request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    /// Requests before it.
    behind: usize,
    idle: Duration,
    stage: Stage,
    /// Every answer that follows has one behind it, too.
    often: bool,
}

impl Pause {
    /// One as it comes, for a client with so many requests.
    pub(crate) fn random(random: &mut Random, requests: usize, door: &Door) -> Pause {
        // One more follows, which must not be lost.
        let behind = 1 + random.below(requests.saturating_sub(2));
        let (stage, often) = (Stage::Before, door.presses);
        let idle = match door.yields_after() {
            Some(least) if often || random.one_in(4) => least,
            // Until it should have made a place already.
            Some(least) if random.one_in(4) => {
                least + Duration::from_millis(random.within(1, 1_000))
            }
            _ => IDLE_TIMEOUT,
        };
        Pause { behind, idle, stage, often }
    }

    /// True between its begin and its end.
    pub(crate) fn is_on(&self) -> bool {
        self.stage == Stage::During
    }

    /// The next request may be sent, if it was on.
    pub(crate) fn end(&mut self) {
        if self.is_on() {
            self.stage = Stage::Behind;
        }
    }

    /// True when it was the last thing before the request that is not answered yet.
    pub(crate) fn was_behind(&self, answers: usize) -> bool {
        self.stage == Stage::Behind && self.behind == answers
    }

    /// Begins it if this many answers have come and it is its turn: after how long it is to end.
    /// The last octet was `heard`, the driver's ticks began at `ticks_from`.
    pub(crate) fn begin(
        &mut self,
        random: &mut Random,
        answers: usize,
        heard: Duration,
        ticks_from: Duration,
    ) -> Option<Duration> {
        if self.often && self.stage == Stage::Behind && self.behind < answers {
            *self = Pause { behind: answers, stage: Stage::Before, ..*self };
        }
        if self.stage != Stage::Before || self.behind != answers {
            return None;
        }
        self.stage = Stage::During;
        let idle_from = heard.saturating_sub(ticks_from).as_nanos() / TICK.as_nanos();
        let ticks = idle_from + self.idle.as_nanos() / TICK.as_nanos();
        let ended = ticks_from + TICK * u32::try_from(ticks).unwrap_or(0);
        // Mostly very little before the tick.
        let before = Duration::from_micros(1 << random.within(0, 13));
        Some(ended.saturating_sub(before).saturating_sub(now()))
    }
}
