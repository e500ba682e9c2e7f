//! Load: a connection for each request. Every client opens one, asks once, reads the answer
//! and the end, and begins anew; latency counts from the first SYN. Rude clients leave in one of
//! several ways instead, and want no answer.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use socket2::{Domain, SockRef, Socket, Type};

use crate::generator::connection::Answer;
use crate::generator::fault::{Fault, FaultClass};
use crate::generator::plan::Plan;
use crate::generator::report::{End, Report, Subject};
use crate::generator::response::{Progress, ResponseReader};
use crate::generator::run::Bound;
use crate::generator::site::{Site, Sources};
use crate::generator::tally::Tally;
use crate::interrupt::Interrupt;
use crate::progress::Bar;

/// Octets read at once.
const SCRATCH_BYTES: usize = 64 * 1024;
/// The same, of a slow client.
const SLOW_SCRATCH_BYTES: usize = 512;
/// Pieces that a slow client sends a request in.
const PIECES: usize = 8;

/// Connections to open.
#[derive(Clone, Debug)]
pub struct ChurnPlan {
    /// What all kinds of load share; its connections are the clients, each with one at a time.
    pub plan: Plan,
    /// How many connections in all, or for how long.
    pub bound: Bound,
    /// Three of four connections are left in a rude way.
    pub rude: bool,
    /// What a client waits after each of the pieces it sends; zero: no pieces.
    pub send_pace: Duration,
    /// The same for what it reads.
    pub read_pace: Duration,
}

impl ChurnPlan {
    /// Clients that are neither rude nor slow.
    pub fn new(plan: Plan, bound: Bound) -> Self {
        Self { plan, bound, rude: false, send_pace: Duration::ZERO, read_pace: Duration::ZERO }
    }

    fn is_slow(&self) -> bool {
        self.send_pace > Duration::ZERO || self.read_pace > Duration::ZERO
    }
}

/// How a connection is left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Leave {
    /// When the answer has come and the peer has ended.
    Served,
    /// At once, in good order.
    AtOnce,
    /// At once, by a reset.
    Reset,
    /// In the middle of a request.
    Midway,
}

impl Leave {
    const RUDE: [Leave; 4] = [Leave::Served, Leave::AtOnce, Leave::Reset, Leave::Midway];

    fn of(rude: bool, number: u64) -> Leave {
        if rude { Leave::RUDE[usize::try_from(number % 4).unwrap_or(0)] } else { Leave::Served }
    }
}

/// Runs it.
///
/// # Errors
/// It could not start. What the peer does wrong is in the report.
pub fn churn(plan: &ChurnPlan, interrupt: &Interrupt) -> Result<Report> {
    let (site, sources) = plan.plan.prepare()?;
    let started = Instant::now();
    let clients = plan.plan.connections;
    let taken = AtomicU64::new(0);
    let crowd = Crowd { plan, site: &site, sources: &sources, interrupt, started, taken: &taken };
    let bar = Bar::new(
        plan.plan.has_bar,
        match plan.bound {
            Bound::Requests(count) => count,
            Bound::Duration(duration) => u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        },
    );
    let mut tally = Tally::new(started, Duration::ZERO, plan.plan.refusals)?;
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> =
            (0..clients).map(|client| scope.spawn(move || crowd.client(client))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(50));
            let elapsed = started.elapsed();
            let count = taken.load(Ordering::Relaxed);
            let position = match plan.bound {
                Bound::Requests(_) => count,
                Bound::Duration(_) => u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            };
            bar.show(position, count, elapsed);
        }
        for thread in threads {
            let counted = thread.join().ok().context("a client panicked")??;
            tally.merge(&counted)?;
        }
        Ok(())
    })?;
    bar.clear();
    let end = match (interrupt.is_raised(), tally.faults.total() > plan.plan.errors_max) {
        (true, _) => End::Interrupted,
        (false, true) => End::TooManyErrors,
        (false, false) => End::Completed,
    };
    let urls = plan.plan.urls();
    let subject = Subject {
        load: "churn".to_owned(),
        urls,
        connections: clients,
        threads: clients,
        pipeline: 1,
    };
    Ok(Report::new(subject, tally, started.elapsed(), Duration::ZERO, end))
}

/// What all clients share.
#[derive(Clone, Copy)]
struct Crowd<'c> {
    plan: &'c ChurnPlan,
    site: &'c Site,
    sources: &'c Sources,
    interrupt: &'c Interrupt,
    started: Instant,
    taken: &'c AtomicU64,
}

impl Crowd<'_> {
    fn client(self, client: usize) -> Result<Tally> {
        let mut tally = Tally::new(self.started, Duration::ZERO, self.plan.plan.refusals)?;
        let reads_slowly = self.plan.read_pace > Duration::ZERO;
        let mut scratch = vec![0; if reads_slowly { SLOW_SCRATCH_BYTES } else { SCRATCH_BYTES }];
        while let Some(number) = self.next(&tally) {
            let leave = Leave::of(self.plan.rude, number);
            let begun = Instant::now();
            match self.connection(client, number, leave, &mut scratch) {
                Ok(Some(content_bytes)) => {
                    tally.answer(Answer { queued_at: begun, content_bytes }, Instant::now());
                }
                Ok(None) => {}
                // A rude client is not told why it is refused either.
                Err(_) if leave != Leave::Served => {}
                Err(fault) => drop(tally.fault(fault, 1)),
            }
        }
        Ok(tally)
    }

    /// The number of the next connection, while there is to be one.
    fn next(&self, tally: &Tally) -> Option<u64> {
        if self.interrupt.is_raised() || tally.faults.total() > self.plan.plan.errors_max {
            return None;
        }
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        let more = match self.plan.bound {
            Bound::Requests(count) => number < count,
            Bound::Duration(duration) => self.started.elapsed() < duration,
        };
        more.then_some(number)
    }

    /// One connection; octets of content when it was answered.
    fn connection(
        &self,
        client: usize,
        number: u64,
        leave: Leave,
        scratch: &mut [u8],
    ) -> Result<Option<usize>, Fault> {
        let mut stream = self.connect(client)?;
        let index = usize::try_from(number).unwrap_or(0);
        let target = self.site.target(index);
        let request = self.site.last_request(target);
        let sent = match leave {
            Leave::AtOnce => return Ok(None),
            Leave::Reset => {
                SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .map_err(|error| Fault::from_io(&error))?;
                return Ok(None);
            }
            Leave::Midway => &request[..request.len() / 2],
            Leave::Served => request,
        };
        self.send(&mut stream, sent)?;
        if leave == Leave::Midway {
            return Ok(None);
        }
        match self.answer(&mut stream, target, scratch) {
            Err(_) if self.has_left() => Ok(None),
            answered => answered.map(Some),
        }
    }

    fn send(&self, stream: &mut TcpStream, octets: &[u8]) -> Result<(), Fault> {
        let is_slow = self.plan.send_pace > Duration::ZERO;
        let piece = if is_slow { octets.len().div_ceil(PIECES) } else { octets.len() };
        for piece in octets.chunks(piece.max(1)) {
            stream.write_all(piece).map_err(|error| Fault::from_io(&error))?;
            std::thread::sleep(self.plan.send_pace);
            if self.has_left() {
                break;
            }
        }
        Ok(())
    }

    /// True when the time is up for a slow client, which does not end by itself soon.
    fn has_left(&self) -> bool {
        let is_late = match self.plan.bound {
            Bound::Requests(_) => false,
            Bound::Duration(duration) => self.started.elapsed() >= duration,
        };
        self.plan.is_slow() && (is_late || self.interrupt.is_raised())
    }

    fn connect(&self, client: usize) -> Result<TcpStream, Fault> {
        let failed =
            |error: std::io::Error| Fault::new(FaultClass::Connect, format!("connect: {error}"));
        let address = self.site.address;
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
        let socket = socket.map_err(failed)?;
        if self.plan.read_pace > Duration::ZERO {
            // Or the system reads ahead what the client does not.
            socket.set_recv_buffer_size(SLOW_SCRATCH_BYTES).map_err(failed)?;
        }
        if let Some(source) = self.sources.of(client) {
            socket.bind(&SocketAddr::new(source, 0).into()).map_err(failed)?;
        }
        socket.connect_timeout(&address.into(), self.plan.plan.timeout).map_err(failed)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(self.plan.plan.timeout)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }

    /// Reads the answer and the end; octets of its content.
    fn answer(
        &self,
        stream: &mut TcpStream,
        target: usize,
        scratch: &mut [u8],
    ) -> Result<usize, Fault> {
        let expect = self.site.expect(target);
        let mut reader = ResponseReader::default();
        let mut complete = None;
        loop {
            std::thread::sleep(self.plan.read_pace);
            if self.has_left() {
                return Err(Fault::new(FaultClass::Closed, "left"));
            }
            let count = match stream.read(scratch) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let detail = format!("no answer within {:?}", self.plan.plan.timeout);
                    return Err(Fault::new(FaultClass::Timeout, detail));
                }
                Err(error) => return Err(Fault::from_io(&error)),
            };
            match (count, complete) {
                (0, Some(content_bytes)) => return Ok(content_bytes),
                (0, None) => {
                    return Err(Fault::new(FaultClass::Closed, "closed without an answer"));
                }
                (_, Some(_)) => {
                    return Err(Fault::new(FaultClass::Unsolicited, "octets behind the answer"));
                }
                (_, None) => {}
            }
            let (taken, progress) = reader.receive(&scratch[..count], &expect)?;
            if let Progress::Complete { content_bytes, .. } = progress {
                if taken < count {
                    return Err(Fault::new(FaultClass::Unsolicited, "octets behind the answer"));
                }
                complete = Some(content_bytes);
            }
        }
    }
}
