//! Sockets of Winsock Kernel, driven by a client of it and by real TCP peers.
//!
//! There is one machine per process, so the tests take turns.
mod service;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use nt_sys::ntdef::{
    STATUS_ADDRESS_ALREADY_EXISTS, STATUS_CANCELLED, STATUS_CONNECTION_DISCONNECTED,
    STATUS_CONNECTION_RESET, STATUS_DATA_NOT_ACCEPTED, STATUS_INVALID_DEVICE_STATE, STATUS_SUCCESS,
};
use nt_sys::wsk::{WSK_INSPECT_ID, WskInspectAccept, WskInspectPend, WskInspectReject};
use nthost::{Host, Options};
use service::{Connection, Event, Script, Service, complete_at_once, echo};

const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for something that must not come to come, were it to come.
const A_WHILE: Duration = Duration::from_millis(100);
/// More than the buffers of a connection whose peer does not read.
const LARGE: usize = 16 << 20;

/// A running machine; others wait until it is gone.
struct Machine {
    host: Host,
    service: &'static Service,
    _turn: MutexGuard<'static, ()>,
}

impl Machine {
    fn new(script: Script) -> Machine {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().expect("an earlier test failed and left its machine running");
        let host = Host::start(Options { processors: 2, ..Options::default() }).unwrap();
        Machine { host, service: Service::start(script), _turn: turn }
    }

    /// Leaves WSK; nothing is left behind.
    fn stop(self) {
        self.service.stop();
        let ledger = self.host.unload();
        assert!(ledger.is_zero(), "{ledger}");
    }
}

fn receiving(
    react: impl Fn(&Connection, &[u8]) -> service::Reaction + Send + Sync + 'static,
) -> Script {
    Script { receive: Box::new(react), ..Script::default() }
}

fn inspecting(
    inspect: impl Fn(&'static Service, WSK_INSPECT_ID) -> i32 + Send + Sync + 'static,
) -> Script {
    Script { inspect: Some(Box::new(inspect)), ..Script::default() }
}

fn connect(address: SocketAddr) -> TcpStream {
    let peer = TcpStream::connect(address).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer
}

/// Ends a connection by a reset.
fn reset(peer: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
    drop(peer);
}

fn assert_reads(mut peer: &TcpStream, expected: &[u8]) {
    let mut octets = vec![0; expected.len()];
    peer.read_exact(&mut octets).unwrap();
    assert_eq!(octets, expected);
}

fn assert_at_end(mut peer: &TcpStream) {
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

fn assert_reset(mut peer: &TcpStream) {
    let error = peer.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

fn is_received(event: &Event) -> bool {
    matches!(event, Event::Received(_))
}

fn is_accepted(event: &Event) -> bool {
    matches!(event, Event::Accepted { .. })
}

fn is_done(name: &str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Done { what, .. } if *what == name)
}

fn wait_for_end(service: &Service) -> bool {
    service.wait(|event| match event {
        Event::Ended { abortive } => Some(*abortive),
        _ => None,
    })
}

fn received(service: &Service) -> Vec<Vec<u8>> {
    let octets = service.log().into_iter().filter_map(|event| match event {
        Event::Received(octets) => Some(octets),
        _ => None,
    });
    octets.collect()
}

fn inspected(service: &Service) -> WSK_INSPECT_ID {
    service.wait(|event| match event {
        Event::Inspected(id) => Some(*id),
        _ => None,
    })
}

#[test]
fn octets_come_and_go_and_both_sides_end() {
    let machine = Machine::new(Script::default());
    let (listener, address) = machine.service.listen_locally();
    assert_ne!(address.port(), 0);
    assert_eq!(machine.host.listening(), [address]);
    let mut peer = connect(address);
    for octets in [&b"one"[..], b"two and three"] {
        peer.write_all(octets).unwrap();
        assert_reads(&peer, octets);
    }
    let connection = machine.service.connection();
    assert_eq!(connection.remote(), peer.local_addr().unwrap());
    let expected = Event::Accepted { remote: peer.local_addr().unwrap(), id: None };
    assert!(machine.service.log().contains(&expected));
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(!wait_for_end(machine.service));
    connection.disconnect(false);
    assert_eq!(machine.service.outcome(0, "disconnect"), (STATUS_SUCCESS, 0));
    assert_eq!(machine.service.outcome(0, "send"), (STATUS_SUCCESS, 3));
    connection.close_and_wait();
    assert_at_end(&peer);
    assert!(peer.take_error().unwrap().is_none(), "an orderly end is no reset");
    listener.close();
    assert_eq!(machine.host.listening(), []);
    machine.stop();
}

#[test]
fn wsk_receive_event_that_takes_a_part_is_not_called_until_wsk_receive() {
    let machine =
        Machine::new(receiving(|_, octets| (STATUS_SUCCESS, (octets.len() > 3).then_some(3))));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"abcdefgh").unwrap();
    machine.service.wait_for_count(1, is_received);
    peer.write_all(b"ij").unwrap();
    std::thread::sleep(A_WHILE);
    assert_eq!(received(machine.service), [b"abcdefgh"], "no event while gated");
    let connection = machine.service.connection();
    connection.restart();
    machine.service.wait_for_count(2, is_received);
    std::thread::sleep(A_WHILE);
    assert_eq!(received(machine.service).len(), 2, "no event while gated again");
    connection.restart();
    machine.service.wait_for_count(4, is_received);
    assert_eq!(received(machine.service)[1..], [&b"defgh"[..], b"gh", b"ij"]);
    assert_eq!(machine.service.outcome(0, "restart"), (STATUS_SUCCESS, 0));
    connection.close_and_wait();
    listener.close();
    machine.stop();
}

#[test]
fn status_data_not_accepted_brings_the_same_octets_again() {
    let calls = AtomicUsize::new(0);
    let machine = Machine::new(receiving(move |connection, octets| {
        match calls.fetch_add(1, Ordering::Relaxed) {
            // What is said to be accepted is ignored.
            0 => (STATUS_DATA_NOT_ACCEPTED, Some(2)),
            // A restart that comes before the event has returned is not lost.
            1 => {
                connection.restart();
                (STATUS_DATA_NOT_ACCEPTED, None)
            }
            _ => echo(connection, octets),
        }
    }));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"hello").unwrap();
    machine.service.wait_for_count(1, is_received);
    std::thread::sleep(A_WHILE);
    assert_eq!(received(machine.service).len(), 1);
    machine.service.connection().restart();
    assert_reads(&peer, b"hello");
    machine.service.wait_for_count(3, is_received);
    assert_eq!(received(machine.service), [b"hello", b"hello", b"hello"]);
    machine.service.connection().close_and_wait();
    listener.close();
    machine.stop();
}

#[test]
fn an_end_waits_behind_withheld_octets_and_a_reset_does_not() {
    let machine = Machine::new(receiving(|_, _| (STATUS_DATA_NOT_ACCEPTED, None)));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"hello").unwrap();
    machine.service.wait_for_count(1, is_received);
    peer.shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(A_WHILE);
    assert_eq!(machine.service.count(|event| matches!(event, Event::Ended { .. })), 0);
    reset(peer);
    assert!(wait_for_end(machine.service));
    machine.service.connection().close_and_wait();
    listener.close();
    machine.stop();
}

#[test]
fn a_peer_that_ended_its_side_still_gets_a_response() {
    let machine = Machine::new(receiving(|_, _| (STATUS_SUCCESS, None)));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"hello").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(!wait_for_end(machine.service), "WskDisconnectEvent without WSK_FLAG_ABORTIVE");
    let connection = machine.service.connection();
    connection.send(b"response");
    assert_reads(&peer, b"response");
    connection.disconnect(false);
    assert_at_end(&peer);
    connection.close_and_wait();
    listener.close();
    machine.stop();
}

#[test]
fn a_reset_is_an_abortive_wsk_disconnect_event_and_fails_sends() {
    let machine = Machine::new(receiving(|connection, _| {
        connection.send(&vec![1; LARGE]);
        (STATUS_SUCCESS, None)
    }));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"hello").unwrap();
    assert_reads(&peer, &[1; 1000]);
    reset(peer);
    assert!(wait_for_end(machine.service));
    let service = machine.service;
    assert_eq!(service.outcome(0, "send"), (STATUS_CONNECTION_RESET, 0));
    // What follows fails too.
    let connection = service.connection();
    let from = service.len();
    connection.send(b"more");
    assert_eq!(service.outcome(from, "send"), (STATUS_CONNECTION_RESET, 0));
    connection.disconnect(false);
    assert_eq!(service.outcome(from, "disconnect"), (STATUS_CONNECTION_RESET, 0));
    connection.close_and_wait();
    listener.close();
    machine.stop();
}

#[test]
fn a_graceful_wsk_disconnect_waits_for_the_sends_before_it() {
    let machine = Machine::new(receiving(|connection, _| {
        connection.send(&vec![1; LARGE]);
        connection.send(b"end");
        connection.disconnect(false);
        (STATUS_SUCCESS, None)
    }));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"hello").unwrap();
    let connection = machine.service.connection();
    machine.service.wait_for_count(1, is_received);
    std::thread::sleep(A_WHILE);
    assert_eq!(
        machine.service.count(|event| matches!(event, Event::Done { what, .. }
        if ["send", "disconnect"].contains(what))),
        0,
        "the peer does not read"
    );
    // Neither sends nor a second end follow an end.
    let from = machine.service.len();
    connection.send(b"too late");
    let refused = (STATUS_CONNECTION_DISCONNECTED, 0);
    assert_eq!(machine.service.outcome(from, "send"), refused);
    connection.disconnect(false);
    let refused = (STATUS_INVALID_DEVICE_STATE, 0);
    assert_eq!(machine.service.outcome(from, "disconnect"), refused);
    let from = machine.service.len();
    let mut octets = Vec::new();
    peer.read_to_end(&mut octets).unwrap();
    assert_eq!(octets.len(), LARGE + 3);
    assert!(octets.starts_with(&[1; 1000]) && octets.ends_with(b"\x01end"));
    assert_eq!(machine.service.outcome(from, "disconnect"), (STATUS_SUCCESS, 0));
    let done: Vec<_> = machine.service.log().into_iter().skip(from).collect();
    let done: Vec<_> = done
        .iter()
        .map(|event| match event {
            Event::Done { what, information, .. } => (*what, *information),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(done, [("send", LARGE), ("send", 3), ("disconnect", 0)]);
    connection.close_and_wait();
    listener.close();
    machine.stop();
}

#[test]
fn an_abortive_wsk_disconnect_cancels_sends_and_resets_at_once() {
    let machine = Machine::new(receiving(|connection, _| {
        connection.send(&vec![1; LARGE]);
        (STATUS_SUCCESS, None)
    }));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"hello").unwrap();
    assert_reads(&peer, &[1; 1000]);
    let connection = machine.service.connection();
    connection.disconnect(true);
    let (status, information) = machine.service.outcome(0, "send");
    // The latter when the transport was faster.
    assert!([STATUS_CANCELLED, STATUS_CONNECTION_RESET].contains(&status), "{status:#x}");
    assert_eq!(information, 0);
    assert_eq!(machine.service.outcome(0, "disconnect"), (STATUS_SUCCESS, 0));
    let mut octets = Vec::new();
    assert_eq!(peer.read_to_end(&mut octets).unwrap_err().kind(), ErrorKind::ConnectionReset);
    connection.close_and_wait();
    listener.close();
    machine.stop();
}

#[test]
fn wsk_close_socket_resets_unless_both_sides_ended() {
    let machine = Machine::new(Script::default());
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"hello").unwrap();
    assert_reads(&peer, b"hello");
    machine.service.connection().close_and_wait();
    assert_reset(&peer);
    // Our side alone has ended: the peer sees the end, and then the reset.
    let from = machine.service.len();
    let peer = connect(address);
    machine.service.wait_from(from, |event| is_accepted(event).then_some(()));
    let connection = machine.service.connection();
    connection.disconnect(false);
    machine.service.outcome(from, "disconnect");
    assert_at_end(&peer);
    connection.close_and_wait();
    let start = Instant::now();
    while peer.take_error().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "no reset came");
        std::thread::sleep(Duration::from_millis(1));
    }
    listener.close();
    machine.stop();
}

#[test]
fn wsk_close_socket_completes_pending_sends_before_itself() {
    let machine = Machine::new(receiving(|connection, _| {
        connection.send(&vec![1; LARGE]);
        connection.send(&vec![2; LARGE]);
        connection.disconnect(false);
        (STATUS_SUCCESS, None)
    }));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"hello").unwrap();
    machine.service.wait_for_count(1, is_received);
    assert_reads(&peer, &[1; 1000]);
    let from = machine.service.len();
    machine.service.connection().close_and_wait();
    let done: Vec<_> = machine.service.log().into_iter().skip(from).collect();
    let event = |what, status| Event::Done { what, status, information: 0 };
    let cancelled = STATUS_CANCELLED;
    assert_eq!(
        done,
        [
            event("send", cancelled),
            event("send", cancelled),
            event("disconnect", cancelled),
            event("close", STATUS_SUCCESS),
        ]
    );
    listener.close();
    machine.stop();
}

#[test]
fn a_socket_that_is_refused_is_reset() {
    let machine = Machine::new(Script { accept: false, ..Script::default() });
    let (listener, address) = machine.service.listen_locally();
    assert_reset(&connect(address));
    assert_eq!(machine.service.count(is_accepted), 0);
    listener.close();
    machine.stop();
}

#[test]
fn wsk_inspect_reject_drops_the_request() {
    let machine = Machine::new(inspecting(|_, _| WskInspectReject));
    let (listener, address) = machine.service.listen_locally();
    assert_reset(&connect(address));
    let id = inspected(machine.service);
    assert!(!machine.service.log().iter().any(is_accepted));
    assert!(!machine.service.log().contains(&Event::Aborted(id)));
    listener.close();
    machine.stop();
}

#[test]
fn sio_wsk_query_inspect_id_is_the_inspected_request() {
    let machine = Machine::new(inspecting(|_, _| WskInspectAccept));
    let (listener, address) = machine.service.listen_locally();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let from = machine.service.len();
        let peer = connect(address);
        let remote = peer.local_addr().unwrap();
        let id = machine.service.wait_from(from, |event| match event {
            Event::Accepted { remote: accepted, id } if *accepted == remote => Some(id.unwrap()),
            _ => None,
        });
        assert!(machine.service.log()[from..].contains(&Event::Inspected(id)));
        assert!(!ids.contains(&id), "IDs are not used again soon");
        ids.push(id);
        machine.service.connection().close_and_wait();
    }
    listener.close();
    machine.stop();
}

#[test]
fn wsk_inspect_complete_accepts_and_rejects_pended_requests() {
    let machine = Machine::new(inspecting(|_, _| WskInspectPend));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    let id = inspected(machine.service);
    peer.write_all(b"hello").unwrap();
    std::thread::sleep(A_WHILE);
    assert_eq!(machine.service.count(is_accepted), 0);
    listener.complete(id, true);
    assert_reads(&peer, b"hello");
    let remote = peer.local_addr().unwrap();
    assert!(machine.service.log().contains(&Event::Accepted { remote, id: Some(id) }));
    machine.service.connection().close_and_wait();

    let from = machine.service.len();
    let peer = connect(address);
    let id = machine.service.wait_from(from, |event| match event {
        Event::Inspected(id) => Some(*id),
        _ => None,
    });
    listener.complete(id, false);
    assert_eq!(machine.service.outcome(from, "inspect"), (STATUS_SUCCESS, 0));
    assert_reset(&peer);
    assert_eq!(machine.service.count(is_accepted), 1);
    listener.close();
    machine.stop();
}

#[test]
fn wsk_inspect_complete_may_come_before_the_event_returned() {
    let machine = Machine::new(inspecting(|service, id| {
        complete_at_once(service, id, true);
        WskInspectPend
    }));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"hello").unwrap();
    assert_reads(&peer, b"hello");
    machine.service.connection().close_and_wait();
    listener.close();
    machine.stop();
}

fn pended_request_ends(end: impl FnOnce(TcpStream)) {
    let machine = Machine::new(inspecting(|_, _| WskInspectPend));
    let (listener, address) = machine.service.listen_locally();
    let peer = connect(address);
    let id = inspected(machine.service);
    end(peer);
    machine.service.wait(|event| (*event == Event::Aborted(id)).then_some(()));
    // A decision that crosses the abort is harmless, and nothing comes of it.
    listener.complete(id, true);
    assert_eq!(machine.service.outcome(0, "inspect"), (STATUS_SUCCESS, 0));
    std::thread::sleep(A_WHILE);
    assert_eq!(machine.service.count(is_accepted), 0);
    assert_eq!(machine.service.count(|event| matches!(event, Event::Aborted(_))), 1);
    listener.close();
    machine.stop();
}

#[test]
fn wsk_abort_event_tells_of_a_pended_request_whose_peer_went_away() {
    pended_request_ends(drop);
    pended_request_ends(reset);
    pended_request_ends(|mut peer| {
        peer.write_all(b"hello").unwrap();
        std::thread::sleep(A_WHILE);
        reset(peer);
    });
}

#[test]
fn a_pended_request_that_was_made_and_ended_is_answered() {
    let machine = Machine::new(inspecting(|_, _| WskInspectPend));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    let id = inspected(machine.service);
    peer.write_all(b"hello").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(A_WHILE);
    assert!(!machine.service.log().contains(&Event::Aborted(id)));
    listener.complete(id, true);
    assert_reads(&peer, b"hello");
    assert!(!wait_for_end(machine.service));
    machine.service.connection().close_and_wait();
    listener.close();
    machine.stop();
}

#[test]
fn closing_a_listener_resets_what_it_pends() {
    let machine = Machine::new(inspecting(|_, _| WskInspectPend));
    let (listener, address) = machine.service.listen_locally();
    let peer = connect(address);
    inspected(machine.service);
    listener.close();
    assert_reset(&peer);
    machine.stop();
}

#[test]
fn wsk_bind_says_that_an_address_is_in_use() {
    let machine = Machine::new(Script::default());
    let (listener, address) = machine.service.listen_locally();
    assert_eq!(machine.service.listen(address).err(), Some(STATUS_ADDRESS_ALREADY_EXISTS));
    listener.close();
    machine.service.listen(address).unwrap().close();
    machine.stop();
}

#[test]
fn a_dual_stack_listener_has_mapped_addresses_for_ipv4() {
    let machine = Machine::new(Script { dual: true, ..Script::default() });
    let listener = machine.service.listen((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
    let port = listener.address().port();
    let peers =
        [connect((Ipv4Addr::LOCALHOST, port).into()), connect((Ipv6Addr::LOCALHOST, port).into())];
    for (peer, ip) in peers.iter().zip([Ipv4Addr::LOCALHOST.to_ipv6_mapped(), Ipv6Addr::LOCALHOST])
    {
        let remote = (ip, peer.local_addr().unwrap().port()).into();
        let expected = Event::Accepted { remote, id: None };
        machine.service.wait(|event| (*event == expected).then_some(()));
    }
    for connection in machine.service.connections() {
        connection.close_and_wait();
    }
    listener.close();
    machine.stop();
}

#[test]
fn an_ipv6_listener_is_for_ipv6_alone_unless_told() {
    let machine = Machine::new(Script::default());
    let listener = machine.service.listen((Ipv6Addr::UNSPECIFIED, 0).into()).unwrap();
    let port = listener.address().port();
    let error = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    listener.close();
    machine.stop();
}

#[test]
fn a_listener_that_dies_says_so_once_and_is_closed() {
    let machine = Machine::new(Script::default());
    let (listener, address) = machine.service.listen_locally();
    machine.host.lose_listeners();
    machine.service.wait(|event| (*event == Event::Lost).then_some(()));
    let error = TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    listener.close();
    assert_eq!(machine.service.count(|event| *event == Event::Lost), 1);
    // There can be another one.
    machine.service.listen(address).unwrap().close();
    machine.stop();
}

#[test]
fn many_connections_from_many_threads_are_all_served() {
    let machine = Machine::new(Script::default());
    let (listener, address) = machine.service.listen_locally();
    std::thread::scope(|scope| {
        for thread in 0_u8..4 {
            scope.spawn(move || {
                for round in 0_u8..50 {
                    let mut peer = connect(address);
                    peer.write_all(&[thread, round, 1, 2, 3]).unwrap();
                    assert_reads(&peer, &[thread, round, 1, 2, 3]);
                }
            });
        }
    });
    let service = machine.service;
    service.wait_for_count(200, |event| *event == Event::Ended { abortive: false });
    assert_eq!(service.count(is_done("send")), 200);
    for connection in service.connections() {
        connection.close();
    }
    service.wait_for_count(200, is_done("close"));
    listener.close();
    machine.stop();
}
