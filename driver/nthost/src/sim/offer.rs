//! Connections that are offered by an accept event, of which others may come before it returns.
//!
//! No document says that a connection's own events wait for the return of the accept event. So on
//! some machines the accept event is watched, one instruction after the other, and as soon as both
//! of its out-parameters say where such events are to go, they may come on another processor.
use std::cell::Cell;

use nt_sys::ntdef::PVOID;
use nt_sys::wsk::WSK_CLIENT_CONNECTION_DISPATCH;

use super::actor::{self, pause};
use super::connection::attach;
use super::freedom::Freedom;
use super::world::{is_on, with};
use crate::wsk::connection::Connection;

/// What the accept event of an actor writes, and for which connection.
#[derive(Clone, Copy)]
pub(super) struct Offer {
    connection: &'static Connection,
    context: *const PVOID,
    table: *const *const WSK_CLIENT_CONNECTION_DISPATCH,
}

impl Offer {
    /// The context and the table, when both are written.
    fn outputs(self) -> Option<(usize, usize)> {
        // SAFETY: on the stack of the actor that is interrupted, until `end`.
        let context = unsafe { self.context.read_volatile() };
        // SAFETY: as above.
        let table = unsafe { self.table.read_volatile() };
        let is_written = !context.is_null() && !table.is_null();
        is_written.then(|| (context.expose_provenance(), table.expose_provenance()))
    }
}

thread_local! {
    /// Of the actor that runs the driver now, if its next instructions are watched.
    static WATCHED: Cell<Option<Offer>> = const { Cell::new(None) };
}

/// An accept event begins that writes to `context` and `table`, which stay until [`end`].
pub(crate) fn begin(
    connection: &'static Connection,
    context: *const PVOID,
    table: *const *const WSK_CLIENT_CONNECTION_DISPATCH,
) {
    if is_on() {
        with(|world| {
            if world.take(Freedom::EventDuringAccept) {
                // What is closed meanwhile stays until the accept event is over.
                world.began(connection.address());
                let offer = Offer { connection, context, table };
                world.offers.insert(world.current, (offer, false));
            }
        });
    }
}

/// It has returned. True when events of the connection may have come already.
pub(crate) fn end(connection: &'static Connection) -> bool {
    is_on()
        && with(|world| {
            let Some((_, told)) = world.offers.remove(&world.current) else { return false };
            world.ended(connection.address());
            told
        })
}

/// True when the actor that is about to run the driver is in an accept event to be watched.
pub(super) fn watch() -> bool {
    let offer = with(|world| {
        let offer = world.offers.get(&world.current);
        offer.filter(|(_, told)| !told).map(|(offer, _)| *offer)
    });
    WATCHED.set(offer);
    offer.is_some()
}

/// True when an accept event is watched, and has written both.
pub(super) fn is_complete() -> bool {
    WATCHED.get().is_some_and(|offer| offer.outputs().is_some())
}

/// What runs next is no accept event, or one that is not watched.
pub(super) fn watch_nothing() {
    WATCHED.set(None);
}

/// Both are written, and the actor is interrupted in the driver: events begin, and others go on.
pub(super) fn tell() {
    let Some(offer) = WATCHED.take() else { return };
    let Some((context, table)) = offer.outputs() else { return };
    let connection = offer.connection;
    with(|world| {
        world.note("events before the return", connection.number() as usize, 0);
        world.offers.entry(world.current).and_modify(|(_, told)| *told = true);
    });
    connection.set_client(context, table);
    attach(connection);
    pause(actor::while_away());
}
