//! Which generation of the site was current when.
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use nthost::sim::now;

use crate::health::HealthHistory;
use crate::site::GENERATIONS;

/// One generation's turn.
struct Turn {
    generation: usize,
    /// When it was asked for; it is current from some moment after that on.
    from: Duration,
    /// When the request for the next one was answered; the next is current from before that on.
    to: Duration,
}

/// All of them, for everybody who looks, and what health was answered when.
#[derive(Clone)]
pub(crate) struct History {
    turns: Rc<RefCell<Vec<Turn>>>,
    pub(crate) health: HealthHistory,
    /// Clients ask for it: not where who is refused is answered, too, for both may be 503.
    pub(crate) asks_health: bool,
}

impl History {
    /// The first generation, and no other.
    pub(crate) fn new(asks_health: bool) -> History {
        let first = Turn { generation: 0, from: Duration::ZERO, to: Duration::MAX };
        let turns = Rc::new(RefCell::new(vec![first]));
        History { turns, health: HealthHistory::default(), asks_health }
    }

    /// The one that is current now, when none is being loaded.
    pub(crate) fn current(&self) -> usize {
        self.turns.borrow().last().map_or(0, |turn| turn.generation)
    }

    /// Another one is asked for, and may be seen already.
    pub(crate) fn begin(&self, generation: usize) {
        self.turns.borrow_mut().push(Turn { generation, from: now(), to: Duration::MAX });
    }

    /// It was published, or not at all.
    pub(crate) fn end(&self, published: bool) {
        let mut turns = self.turns.borrow_mut();
        if !published {
            turns.pop();
        } else if let Some(before) = turns.len().checked_sub(2) {
            turns[before].to = now();
        }
    }

    /// Those that were current at some time from one moment to another.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> [bool; GENERATIONS] {
        let mut current = [false; GENERATIONS];
        for turn in self.turns.borrow().iter().filter(|turn| turn.from <= to && turn.to >= from) {
            current[turn.generation] = true;
        }
        current
    }
}
