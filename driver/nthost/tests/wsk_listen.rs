//! Listeners of Winsock Kernel: what they are told of requests, connections and their own end.
mod service;

use std::io::{ErrorKind, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpStream};

use nt_sys::ntdef::{STATUS_ADDRESS_ALREADY_EXISTS, STATUS_SUCCESS};
use nt_sys::wsk::{WskInspectAccept, WskInspectPend, WskInspectReject};
use service::machine::{
    A_WHILE, Machine, assert_reads, assert_reset, connect, inspected, inspecting, is_accepted,
    reset, wait_for_end,
};
use service::{Event, Script, complete_at_once};

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
