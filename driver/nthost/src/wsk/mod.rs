//! Winsock Kernel: registration, sockets, and the callbacks of the client.
pub(crate) mod accept;
mod by_irp;
pub(crate) mod connection;
pub(crate) mod inspect;
pub(crate) mod listener;
pub(crate) mod pins;
pub(crate) mod receive;
pub(crate) mod registration;
pub(crate) mod send;
pub(crate) mod slots;

use crate::ledger::{Item, Ledger};

pub(crate) fn reset() {
    registration::reset();
    listener::reset();
    slots::reset();
    pins::reset();
}

pub(crate) fn enter(ledger: &mut Ledger) {
    registration::REGISTRATIONS.enter(ledger);
    registration::CAPTURES.enter(ledger);
    listener::LISTENERS.enter(ledger);
    let (open, peak) = slots::open();
    let item = Item { count: open, peak, ..Item::default() };
    ledger.items.insert("connection sockets".to_owned(), item);
}
