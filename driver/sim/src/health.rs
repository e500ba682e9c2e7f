//! What a health endpoint may answer when.
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use nthost::sim::now;
use wskhttpd_abi::Health;

/// How late the driver may notice that a beat stays away: it looks on ticks, which may be late.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);

/// What holds from one request of the operator's to the next.
struct Turn {
    said: Health,
    /// Within which a beat is expected.
    timeout: Option<Duration>,
    /// When it was asked for, and when that request was over.
    begun: Duration,
    over: Duration,
    /// When the next one's was over.
    to: Duration,
}

impl Turn {
    /// May be answered at some time from one moment to another.
    fn allows(&self, health: Health, from: Duration, to: Duration) -> bool {
        let (from, to) = (self.begun.max(from), self.to.min(to));
        if from > to {
            return false;
        }
        let Some(timeout) = self.timeout else { return health == self.said };
        let missed = health == Health::Down && to >= self.begun + timeout;
        let kept = from <= self.over.saturating_add(timeout + NOTICED_WITHIN);
        missed || kept && health == self.said
    }
}

/// All of it, for everybody who looks.
#[derive(Clone)]
pub(crate) struct HealthHistory(Rc<RefCell<Vec<Turn>>>);

impl Default for HealthHistory {
    /// Up, and no beats.
    fn default() -> HealthHistory {
        let (begun, to) = (Duration::ZERO, Duration::MAX);
        let first = Turn { said: Health::Up, timeout: None, begun, over: begun, to };
        HealthHistory(Rc::new(RefCell::new(vec![first])))
    }
}

impl HealthHistory {
    /// What the operator said last.
    pub(crate) fn said(&self) -> Health {
        self.0.borrow().last().map_or(Health::Up, |turn| turn.said)
    }

    /// The operator asks for this.
    pub(crate) fn begin(&self, said: Health, timeout: Option<Duration>) {
        let (begun, max) = (now(), Duration::MAX);
        self.0.borrow_mut().push(Turn { said, timeout, begun, over: max, to: max });
    }

    /// The driver has done it.
    pub(crate) fn end(&self) {
        let mut turns = self.0.borrow_mut();
        if let [.., before, last] = &mut turns[..] {
            before.to = now();
            last.over = now();
        }
    }

    /// May be answered to a request of this time, in a response of that.
    pub(crate) fn allows(&self, health: Health, from: Duration, to: Duration) -> bool {
        self.0.borrow().iter().any(|turn| turn.allows(health, from, to))
    }
}
