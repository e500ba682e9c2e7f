//! Connections of Winsock Kernel, driven by a client of it and by real TCP peers.
mod service;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nt_sys::ntdef::{
    STATUS_CANCELLED, STATUS_CONNECTION_DISCONNECTED, STATUS_CONNECTION_RESET,
    STATUS_DATA_NOT_ACCEPTED, STATUS_INVALID_DEVICE_STATE, STATUS_SUCCESS,
};
use service::machine::{
    A_WHILE, LARGE, Machine, PATIENCE, assert_at_end, assert_reads, assert_reset, connect,
    is_accepted, is_done, is_received, received, receiving, reset, wait_for_end,
};
use service::{Event, Script, echo};

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
fn octets_that_are_taken_one_by_one_all_come() {
    let octets: Vec<u8> = (0..100).collect();
    let machine = Machine::new(receiving(|connection, octets| {
        connection.restart();
        (STATUS_SUCCESS, (octets.len() > 1).then_some(1))
    }));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(&octets).unwrap();
    machine.service.wait_for_count(octets.len(), is_received);
    let firsts: Vec<u8> = received(machine.service).iter().map(|octets| octets[0]).collect();
    assert_eq!(firsts, octets);
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
fn wsk_close_socket_after_both_ends_loses_nothing_that_is_under_way() {
    // More than the peer's window, less than the buffers of both: completed, and not arrived.
    const OCTETS: usize = 300_000;
    let machine = Machine::new(receiving(|connection, _| {
        connection.send(&vec![1; OCTETS]);
        (STATUS_SUCCESS, None)
    }));
    let (listener, address) = machine.service.listen_locally();
    let mut peer = connect(address);
    peer.write_all(b"hello").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert!(!wait_for_end(machine.service));
    let connection = machine.service.connection();
    connection.disconnect(false);
    assert_eq!(machine.service.outcome(0, "disconnect"), (STATUS_SUCCESS, 0));
    connection.close_and_wait();
    let mut octets = Vec::new();
    peer.read_to_end(&mut octets).unwrap();
    assert_eq!(octets.len(), OCTETS);
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
