//! What happens to a connection, and when its client hears of it.
use super::freedom::Freedom;
use super::indication::Indication;
use super::network::PortId;
use super::work::{self, Kind};
use super::world::{World, with};
use crate::wsk::connection::Connection;
use crate::wsk::shared::Standing;

/// Octets of one indication at most.
const INDICATED_MAX: usize = 64 * 1024;

/// The client has the socket: from now on it may hear of what happens.
pub(crate) fn attach(connection: &'static Connection) {
    if let Some(port) = work::port_of(connection.number()) {
        with(|world| {
            world.network.ports[port].connection = Some(connection);
            world.network.open(port);
            if !connection.standing().by_irp {
                world.network.uses(port);
            }
        });
        look(connection);
    }
}

/// Receive events were restarted: the first may come before the call that did it returns.
pub(crate) fn restarted(connection: &'static Connection) {
    let Some(port) = work::port_of(connection.number()) else { return };
    let standing = connection.standing();
    let comes = with(|world| {
        is_due(world, connection, port, &standing, Kind::Receive)
            && world.take(Freedom::IndicatedInline)
    });
    if comes {
        receive(connection, port, &standing);
    }
    look(connection);
}

/// Something changed: see to what there is to do.
pub(crate) fn look(connection: &'static Connection) {
    let Some(port) = work::port_of(connection.number()) else { return };
    let standing = connection.standing();
    with(|world| {
        for kind in [Kind::Receive, Kind::End, Kind::Transmit, Kind::Close] {
            if is_due(world, connection, port, &standing, kind) {
                let delay = world.delay();
                work::queue(world, port, kind, delay);
            }
        }
    });
}

fn is_due(
    world: &mut World,
    connection: &Connection,
    port: PortId,
    standing: &Standing,
    kind: Kind,
) -> bool {
    let Standing { open, closing, gated, receiving, withheld, .. } = *standing;
    let state = &world.network.ports[port];
    let (octets, ended, reset) = (!state.to_driver.is_empty(), state.peer_ended, state.peer_reset);
    match kind {
        Kind::Look => false,
        Kind::Receive => {
            let by_irp = standing.awaited && (octets || ended || reset);
            let by_event = !standing.by_irp && !gated && !receiving && !reset;
            open && (by_irp || by_event && (octets || withheld))
        }
        Kind::End => {
            if !open || standing.by_irp {
                return false;
            }
            if reset {
                return !standing.reset_told;
            }
            if !ended || standing.end_told {
                return false;
            }
            if withheld && gated {
                // Before those that came after them, too.
                return world.take(Freedom::EndBeforeWithheld);
            }
            if octets || withheld {
                return false;
            }
            // An end that overtakes an event of which the client cannot know yet takes octets away
            // from every client.
            !receiving
                || !world.is_entering(connection.address()) && world.take(Freedom::EndDuringReceive)
        }
        Kind::Transmit if standing.sending => open && (reset || world.network.has_room(port)),
        Kind::Transmit => open && standing.disconnecting,
        Kind::Close => closing,
    }
}

/// On a processor: does what is still due.
pub(super) fn run(connection: &'static Connection, port: PortId, kind: Kind) {
    let standing = connection.standing();
    let due = kind != Kind::Look
        && with(|world| {
            let reset = world.network.ports[port].peer_reset;
            if kind == Kind::End && standing.withheld && !reset {
                // Decided when it was queued.
                return standing.open && standing.gated && !standing.end_told;
            }
            is_due(world, connection, port, &standing, kind)
        });
    if due {
        match kind {
            Kind::Look => {}
            Kind::Receive => receive(connection, port, &standing),
            Kind::End => {
                let reset = with(|world| world.network.ports[port].peer_reset);
                connection.tell_simulated_end(reset);
            }
            Kind::Transmit => connection.flush(),
            Kind::Close => {
                if connection.is_in_call() || with(|world| world.is_busy(connection.address())) {
                    with(|world| {
                        let delay = world.delay().max(10);
                        work::queue(world, port, Kind::Close, delay);
                    });
                    return;
                }
                if connection.finish_close() {
                    return;
                }
            }
        }
    }
    look(connection);
}

fn receive(connection: &'static Connection, port: PortId, standing: &Standing) {
    if standing.by_irp {
        return connection.serve_receives();
    }
    if with(|world| world.take(Freedom::ConnectionLost)) {
        with(|world| {
            world.network.strike(port);
            work::expect_close(world, port);
        });
        return connection.give_up();
    }
    let split = with(|world| {
        let split = world.take(Freedom::IndicationSplit);
        split.then(|| world.random.draw() as usize)
    });
    let octets = connection.next_octets(INDICATED_MAX, split);
    if octets.is_empty() {
        return;
    }
    let mut indication = Indication::new(&octets);
    connection.indicate_simulated(indication.list(), &octets);
    indication.over();
}
