//! One non-blocking keep-alive connection: requests out, answers in, in order.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::generator::fault::{Fault, FaultClass};
use crate::generator::response::{Persistence, Progress, ResponseReader};
use crate::generator::site::Site;
use crate::generator::template::Templates;

/// Size of the buffer that the connections of a thread read into, in bytes.
const SCRATCH_BYTES: usize = 256 * 1024;

/// What the connections of one thread share to read and check.
#[derive(Debug)]
pub struct Checker {
    templates: Templates,
    scratch: Vec<u8>,
}

impl Checker {
    /// One for the answers of `site`.
    pub fn new(site: &Site) -> Self {
        Self { templates: Templates::new(site.target_count()), scratch: vec![0; SCRATCH_BYTES] }
    }
}

/// A connection, registered edge-triggered for both directions.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    opened_at: Instant,
    is_connected: bool,
    reader: ResponseReader,
    unsent: Vec<u8>,
    sent: usize,
    in_flight: VecDeque<InFlight>,
    /// Since when the peer's end is awaited: all is answered, and one of both said it is the last.
    ending_since: Option<Instant>,
}

/// A request that has no complete answer yet.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    target: usize,
    queued_at: Instant,
    /// When it was handed to the connection, which may be later.
    sent_at: Instant,
}

/// A complete, right answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// When its request began, or was to begin.
    pub queued_at: Instant,
    /// Length of its content, in bytes.
    pub content_bytes: usize,
}

/// How a connection is after its bytes were read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AfterRead {
    /// It goes on.
    Open,
    /// The peer ended it in good order, nothing left unanswered.
    ClosedByPeer,
}

impl Connection {
    /// Starts to connect, from `source` if given.
    ///
    /// # Errors
    /// A [`FaultClass::Connect`] fault when the system refuses at once.
    pub fn open(
        address: SocketAddr,
        source: Option<IpAddr>,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> Result<Self, Fault> {
        let refused = |error: io::Error| Fault::new(FaultClass::Connect, error.to_string());
        let mut stream = start_connecting(address, source).map_err(refused)?;
        registry
            .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(refused)?;
        Ok(Self {
            stream,
            opened_at: now,
            is_connected: false,
            reader: ResponseReader::default(),
            unsent: Vec::new(),
            sent: 0,
            in_flight: VecDeque::new(),
            ending_since: None,
        })
    }

    /// True once the handshake is done.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// Number of requests without a complete answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// True when no request may follow: its end is awaited.
    pub fn is_ending(&self) -> bool {
        self.ending_since.is_some()
    }

    /// Since when it waits for the peer: for the handshake, its oldest answer, or its end.
    pub fn waiting_since(&self) -> Option<Instant> {
        if self.is_connected {
            let oldest = self.in_flight.front().map(|request| request.sent_at);
            oldest.or(self.ending_since)
        } else {
            Some(self.opened_at)
        }
    }

    /// To be called when the poll says writable: notices the end of the handshake.
    ///
    /// # Errors
    /// The handshake failed, or a write did.
    pub fn on_writable(&mut self) -> Result<(), Fault> {
        if !self.is_connected {
            let failed = match self.stream.take_error() {
                Ok(None) => None,
                Ok(Some(error)) | Err(error) => Some(error),
            };
            if let Some(error) = failed {
                return Err(Fault::new(FaultClass::Connect, error.to_string()));
            }
            match self.stream.peer_addr() {
                Ok(_) => self.is_connected = true,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(Fault::new(FaultClass::Connect, error.to_string())),
            }
        }
        self.flush()
    }

    /// Adds the request for `target`, which was to begin at `at`, to what is to be sent;
    /// [`flush`](Self::flush) sends it.
    pub fn queue(&mut self, site: &Site, target: usize, at: Instant, now: Instant) {
        self.unsent.extend_from_slice(site.request(target));
        self.in_flight.push_back(InFlight { target, queued_at: at, sent_at: now });
    }

    /// The same for the last request of this connection.
    pub fn queue_last(&mut self, site: &Site, target: usize, at: Instant, now: Instant) {
        self.unsent.extend_from_slice(site.last_request(target));
        self.in_flight.push_back(InFlight { target, queued_at: at, sent_at: now });
    }

    /// Writes what is queued, as far as the socket takes it now.
    ///
    /// # Errors
    /// The write failed.
    pub fn flush(&mut self) -> Result<(), Fault> {
        while self.sent < self.unsent.len() {
            match self.stream.write(&self.unsent[self.sent..]) {
                Ok(0) => return Err(Fault::new(FaultClass::Io, "a write took nothing")),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::from_io(&error)),
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Ok(())
    }

    /// To be called when the poll says readable: reads until the socket is empty, and reports
    /// every answer completed. `peer_closed` is the poll's word that no more will come.
    ///
    /// # Errors
    /// The first thing that was not as it has to be.
    pub fn on_readable(
        &mut self,
        site: &Site,
        checker: &mut Checker,
        peer_closed: bool,
        mut on_answer: impl FnMut(Answer),
    ) -> Result<AfterRead, Fault> {
        let Checker { templates, scratch } = checker;
        loop {
            let count = match self.stream.read(scratch) {
                Ok(0) => return self.end_of_stream(),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(AfterRead::Open);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Fault::from_io(&error)),
            };
            self.receive(site, templates, &scratch[..count], &mut on_answer)?;
            // A short read emptied the socket: what comes later raises a new edge. An end of
            // stream that was already announced raises none, so that one is read here.
            if count < scratch.len() && !peer_closed {
                return Ok(AfterRead::Open);
            }
        }
    }

    fn receive(
        &mut self,
        site: &Site,
        templates: &mut Templates,
        mut bytes: &[u8],
        on_answer: &mut impl FnMut(Answer),
    ) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let next = self.in_flight.front().filter(|_| !self.is_ending());
            let Some(&InFlight { target, queued_at, .. }) = next else {
                let detail = format!("{} bytes that nothing asked for", bytes.len());
                return Err(Fault::new(FaultClass::Unsolicited, detail));
            };
            let is_idle = self.reader.is_idle();
            if is_idle && let Some(found) = templates.find(target, bytes) {
                bytes = &bytes[found.bytes..];
                self.in_flight.pop_front();
                on_answer(Answer { queued_at, content_bytes: found.content_bytes });
                continue;
            }
            let (taken, progress) = self.reader.receive(bytes, &site.expect(target))?;
            let (octets, rest) = bytes.split_at(taken);
            bytes = rest;
            if let Progress::Complete { persistence, content_bytes } = progress {
                self.in_flight.pop_front();
                on_answer(Answer { queued_at, content_bytes });
                if is_idle {
                    templates.keep(target, octets, content_bytes, persistence);
                }
                if persistence == Persistence::Close {
                    self.end_announced()?;
                }
            }
        }
        Ok(())
    }

    fn end_announced(&mut self) -> Result<(), Fault> {
        if self.in_flight.is_empty() {
            self.ending_since = Some(Instant::now());
            return Ok(());
        }
        let detail = format!("`Connection: close`, {} unanswered", self.in_flight.len());
        Err(Fault::new(FaultClass::Closed, detail))
    }

    fn end_of_stream(&self) -> Result<AfterRead, Fault> {
        if self.in_flight.is_empty() && self.reader.is_idle() {
            return Ok(AfterRead::ClosedByPeer);
        }
        let place = if self.reader.is_idle() { "before" } else { "inside" };
        let detail = format!("{place} an answer, {} unanswered", self.in_flight.len());
        Err(Fault::new(FaultClass::Closed, detail))
    }
}

fn start_connecting(address: SocketAddr, source: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}
