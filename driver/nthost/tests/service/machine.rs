//! A machine with a service on it, and what its peers see; there is one machine per process, so
//! tests take turns.
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use nt_sys::wsk::WSK_INSPECT_ID;
use nthost::{Host, Options};

use super::{Connection, Event, Reaction, Script, Service};

pub const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for something that must not come to come, were it to come.
pub const A_WHILE: Duration = Duration::from_millis(100);
/// More than the buffers of a connection whose peer does not read.
pub const LARGE: usize = 16 << 20;

/// A running machine; others wait until it is gone.
pub struct Machine {
    pub host: Host,
    pub service: &'static Service,
    _turn: MutexGuard<'static, ()>,
}

impl Machine {
    pub fn new(script: Script) -> Machine {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().expect("an earlier test failed and left its machine running");
        let host = Host::start(Options { processors: 2, ..Options::default() }).unwrap();
        Machine { host, service: Service::start(script), _turn: turn }
    }

    /// Leaves WSK; nothing is left behind.
    pub fn stop(self) {
        self.service.stop();
        let ledger = self.host.unload();
        assert!(ledger.is_zero(), "{ledger}");
    }
}

pub fn receiving(react: impl Fn(&Connection, &[u8]) -> Reaction + Send + Sync + 'static) -> Script {
    Script { receive: Box::new(react), ..Script::default() }
}

pub fn inspecting(
    inspect: impl Fn(&'static Service, WSK_INSPECT_ID) -> i32 + Send + Sync + 'static,
) -> Script {
    Script { inspect: Some(Box::new(inspect)), ..Script::default() }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let peer = TcpStream::connect(address).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer
}

/// Ends a connection by a reset.
pub fn reset(peer: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&peer, Some(Duration::ZERO)).unwrap();
    drop(peer);
}

pub fn assert_reads(mut peer: &TcpStream, expected: &[u8]) {
    let mut octets = vec![0; expected.len()];
    peer.read_exact(&mut octets).unwrap();
    assert_eq!(octets, expected);
}

pub fn assert_at_end(mut peer: &TcpStream) {
    assert_eq!(peer.read(&mut [0]).unwrap(), 0);
}

pub fn assert_reset(mut peer: &TcpStream) {
    let error = peer.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

pub fn is_received(event: &Event) -> bool {
    matches!(event, Event::Received(_))
}

pub fn is_accepted(event: &Event) -> bool {
    matches!(event, Event::Accepted { .. })
}

pub fn is_done(name: &str) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Done { what, .. } if *what == name)
}

pub fn wait_for_end(service: &Service) -> bool {
    service.wait(|event| match event {
        Event::Ended { abortive } => Some(*abortive),
        _ => None,
    })
}

pub fn received(service: &Service) -> Vec<Vec<u8>> {
    let octets = service.log().into_iter().filter_map(|event| match event {
        Event::Received(octets) => Some(octets),
        _ => None,
    });
    octets.collect()
}

pub fn inspected(service: &Service) -> WSK_INSPECT_ID {
    service.wait(|event| match event {
        Event::Inspected(id) => Some(*id),
        _ => None,
    })
}
