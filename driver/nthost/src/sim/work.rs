//! What processors do: every callback of the driver begins here, on whichever takes it.
use nt_sys::wsk::WSK_INSPECT_ID;

use super::completion::Completion;
use super::freedom::Freedom;
use super::network::{Port, PortId};
use super::world::{self, World, with};
use super::{connection, fault};
use crate::nt::timer;
use crate::transport::Stream;
use crate::verifier::{Rule, violation};
use crate::wsk::connection::Connection;
use crate::wsk::inspect::Request;
use crate::wsk::listener::Listener;

/// How long a dead connection may stay open: 3 s.
const CLOSED_WITHIN: u64 = 30_000_000;

/// What there may be to do for a connection, each at most once at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Kind {
    /// Find out what there is to do.
    Look,
    /// Tell the client of octets.
    Receive,
    /// Tell it of an end.
    End,
    /// Move octets to the peer.
    Transmit,
    /// Close the socket.
    Close,
}

impl Kind {
    pub(super) const COUNT: usize = 5;

    const fn name(self) -> &'static str {
        match self {
            Kind::Look => "look",
            Kind::Receive => "receive",
            Kind::End => "end",
            Kind::Transmit => "transmit",
            Kind::Close => "close",
        }
    }
}

/// A piece of it.
pub(crate) enum Work {
    /// A peer asks for a connection.
    Request(PortId),
    /// A request that the client wants is established, or dies.
    Establish(&'static Listener, Request),
    /// A pended request dies, whatever its peer does.
    DropPended(&'static Listener, WSK_INSPECT_ID),
    /// A peer that waits may have given up.
    AbortPended(PortId),
    /// Something for a connection.
    Connection(PortId, Kind),
    /// An IRP goes back.
    Complete(Completion),
    /// A DPC.
    Dpc(usize),
    /// A connection that is dead should be closed by now.
    ExpectClosed(PortId),
    /// A listener is dead.
    Lost(&'static Listener),
    /// A listener closes.
    CloseListener(&'static Listener),
}

/// Queues something for a connection unless it is queued.
pub(super) fn queue(world: &mut World, port: PortId, kind: Kind, delay: u64) {
    let queued = &mut world.network.ports[port].queued[kind as usize];
    if !std::mem::replace(queued, true) {
        world.post_later(delay, Work::Connection(port, kind));
    }
}

impl Work {
    /// On a processor.
    pub(super) fn run(self, processor: usize) {
        match self {
            Work::Request(port) => request(processor, port),
            Work::Establish(listener, request) => establish(processor, listener, request),
            Work::DropPended(listener, id) => {
                listener.abort_pended(id);
                with(|world| world.ended(listener.address()));
            }
            Work::AbortPended(port) => {
                if let Some(listener) = with(|world| world.network.listening) {
                    with(|world| world.note("gives up", port, 0));
                    listener.abort_ended();
                }
            }
            Work::Connection(port, kind) => {
                let socket = with(|world| {
                    world.note(kind.name(), port, 0);
                    let port = &mut world.network.ports[port];
                    port.queued[kind as usize] = false;
                    port.connection
                });
                if let Some(socket) = socket {
                    connection::run(socket, port, kind);
                }
            }
            Work::ExpectClosed(port) => {
                let open = |socket: &Connection| socket.standing().open;
                if with(|world| world.network.ports[port].connection.is_some_and(open)) {
                    let (rule, object) = (Rule::DeadConnection, format!("connection {port}"));
                    violation(rule, "WskCloseSocket", object, "it is still open", None);
                }
            }
            Work::Complete(completion) => completion.run(),
            Work::Dpc(dpc) => {
                timer::run(dpc);
                with(|world| world.dpcs.retain(|queued| *queued != dpc));
            }
            Work::Lost(listener) => {
                listener.tell_lost();
                with(|world| world.ended(listener.address()));
            }
            Work::CloseListener(listener) => close_listener(listener),
        }
    }
}

/// A peer asks for a connection.
fn request(processor: usize, port: PortId) {
    let (listening, from, gone) = with(|world| {
        world.note("request", port, 0);
        let state = &world.network.ports[port];
        (world.network.listening, state.from, state.peer_reset)
    });
    // Dropped where nobody listens: refused.
    let stream = Port(port);
    let Some(listener) = listening.filter(|listener| listener.listens() && !gone) else { return };
    let socket = listener.address();
    if with(|world| world.take(Freedom::ListenerLost)) {
        with(|world| world.began(socket));
        listener.lose_now();
        listener.tell_lost();
        with(|world| world.ended(socket));
        return;
    }
    if Listener::has_events()
        && listener.is_conditional()
        && with(|world| world.take(Freedom::InspectLost))
    {
        with(|world| world.began(socket));
        listener.lose_now();
        listener.inspect_lost();
        with(|world| world.ended(socket));
        return;
    }
    with(|world| world.began(socket));
    listener.arrived(processor, Stream::Simulated(stream), from);
    with(|world| world.ended(socket));
}

/// The client will say later; until then the request may die.
pub(crate) fn pended(listener: &'static Listener, id: WSK_INSPECT_ID) {
    with(|world| {
        if world.take(Freedom::HandshakeAborted) {
            world.began(listener.address());
            let delay = world.delay();
            world.post_later(delay, Work::DropPended(listener, id));
        }
    });
}

/// The client wants it; the handshake takes a while and may come to nothing.
pub(crate) fn admit(listener: &'static Listener, request: Request) {
    with(|world| {
        world.began(listener.address());
        let delay = world.delay();
        world.post_later(delay, Work::Establish(listener, request));
    });
}

fn establish(processor: usize, listener: &'static Listener, request: Request) {
    let gone = request.stream().is_at_end();
    if with(|world| world.take(Freedom::HandshakeAborted)) || gone || !listener.listens() {
        listener.abort_admitted(request);
    } else {
        listener.establish_request(processor, request);
    }
    with(|world| world.ended(listener.address()));
}

/// WskCloseSocket of a listener: when none of its callbacks runs, and no request is on its way.
fn close_listener(listener: &'static Listener) {
    if listener.cancel_requests() || with(|world| world.is_busy(listener.address())) {
        with(|world| {
            let delay = world.delay().max(10);
            world.post_later(delay, Work::CloseListener(listener));
        });
        return;
    }
    listener.finish_close();
}

/// A connection is dead: its client has some time to close it.
pub(super) fn expect_close(world: &mut World, port: PortId) {
    world.post_later(CLOSED_WITHIN, Work::ExpectClosed(port));
}

/// A listener is bound.
pub(crate) fn listens(listener: &'static Listener) {
    with(|world| world.network.listening = Some(listener));
}

/// A listener is dead, and its client is to be told.
pub(crate) fn loses(listener: &'static Listener) {
    with(|world| {
        world.began(listener.address());
        world.post(Work::Lost(listener));
    });
}

/// WskCloseSocket was called.
pub(crate) fn closes(listener: &'static Listener) {
    with(|world| {
        let is_it = |known: &Listener| std::ptr::eq(known, listener);
        world.network.listening = world.network.listening.filter(|known| !is_it(known));
        let delay = world.delay();
        world.post_later(delay, Work::CloseListener(listener));
    });
}

/// The client is asked about a connection.
pub(crate) fn asks(stream: &Stream) {
    on_port(stream, |world, port| world.network.ask(port));
}

/// It has answered, or what it answered is over.
pub(crate) fn answered(stream: &Stream, wanted: bool) {
    on_port(stream, |world, port| world.network.answer(port, wanted));
}

/// The handshake is complete, as far as the peer can tell.
pub(crate) fn establishes(stream: &Stream) {
    if let Stream::Simulated(port) = stream {
        port.establish();
    }
}

/// The client does not want it.
pub(crate) fn refused(stream: &Stream) {
    on_port(stream, |world, port| world.network.refuse(port));
}

/// The connection dies of something that is not the client's fault.
pub(crate) fn strikes(stream: &Stream) {
    on_port(stream, |world, port| world.network.strike(port));
}

/// By IRP: the client asks for octets.
pub(crate) fn uses(number: u64) {
    if let Some(port) = port_of(number) {
        with(|world| world.network.uses(port));
    }
}

/// By IRP: the client closes a socket that it never used.
pub(crate) fn closes_unused(number: u64) {
    if let Some(port) = port_of(number) {
        with(|world| {
            if !world.network.ports[port].used {
                world.network.refuse(port);
            }
        });
    }
}

fn on_port(stream: &Stream, f: impl FnOnce(&mut World, PortId)) {
    if let Stream::Simulated(Port(port)) = stream {
        with(|world| f(world, *port));
    }
}

/// The port of a connection's number, which is 0 where nothing is simulated.
pub(super) fn port_of(number: u64) -> Option<PortId> {
    usize::try_from(number).ok()?.checked_sub(1)
}

/// The number of a connection over `stream`.
pub(crate) fn number_of(stream: &Stream) -> u64 {
    match stream {
        Stream::Live(_) => 0,
        Stream::Simulated(Port(port)) => *port as u64 + 1,
    }
}

/// A fault that only this connection has; never where nothing is simulated.
#[inline]
pub(crate) fn fails_for(number: u64, export: &'static str, freedom: Freedom) -> bool {
    world::is_on() && simulated_fails_for(number, export, freedom)
}

#[cold]
fn simulated_fails_for(number: u64, export: &'static str, freedom: Freedom) -> bool {
    let Some(port) = port_of(number) else { return false };
    let fails = fault::fails_alone(export, freedom);
    if fails {
        with(|world| {
            world.network.strike(port);
            if freedom == Freedom::SendFailed {
                expect_close(world, port);
            }
        });
    }
    fails
}
