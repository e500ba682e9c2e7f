//! Where connection objects live: never freed, reused late, so that a driver's use of a closed
//! socket is a report and not undefined.
use parking_lot::Mutex;
use std::collections::VecDeque;

use super::connection::Connection;

/// Closed sockets that wait before the oldest is used again.
const QUARANTINE: usize = 1_024;

#[derive(Default)]
struct Slots {
    closed: VecDeque<&'static Connection>,
    open: usize,
    peak: usize,
}

static SLOTS: Mutex<Slots> = Mutex::new(Slots { closed: VecDeque::new(), open: 0, peak: 0 });

/// A connection object for a new socket.
pub(crate) fn take() -> &'static Connection {
    let mut slots = SLOTS.lock();
    slots.open += 1;
    slots.peak = slots.peak.max(slots.open);
    let old = if slots.closed.len() > QUARANTINE { slots.closed.pop_front() } else { None };
    drop(slots);
    old.unwrap_or_else(|| Box::leak(Box::new(Connection::new())))
}

/// The socket is closed.
pub(crate) fn give(connection: &'static Connection) {
    let mut slots = SLOTS.lock();
    slots.open -= 1;
    slots.closed.push_back(connection);
}

/// Sockets open now, and at most.
pub(crate) fn open() -> (usize, usize) {
    let slots = SLOTS.lock();
    (slots.open, slots.peak)
}

pub(crate) fn reset() {
    let mut slots = SLOTS.lock();
    slots.open = 0;
    slots.peak = 0;
}
