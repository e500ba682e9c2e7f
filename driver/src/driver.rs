//! The order of starting and stopping.
use nt::driver::Driver;
use nt::wsk::{Options, Provider};
use nt::{Passive, PoolArc, RegistryKey, Result, Status, Timer};
use wskhttpd_abi::{
    Counter, DEVICE_LINK, DEVICE_NAME, Holder, IOCTL_QUERY_COUNTERS, IOCTL_QUERY_HOLDERS,
    IOCTL_QUERY_LATENCY, IOCTL_QUERY_REJECTS, IOCTL_READ_LOG, ListWriter, Record, Since, decode,
    encode,
};

use crate::admission::{Left, Lists};
use crate::clock::TICK_MS;
use crate::parameters::Parameters;
use crate::server::Server;
use crate::site::PinnedSite;
use crate::trace;

/// The running driver.
pub struct WskHttpd {
    provider: PoolArc<Provider<Server>>,
    timer: Timer<Provider<Server>>,
}

impl Driver for WskHttpd {
    const DEVICE_NAME: &'static str = DEVICE_NAME;
    const DEVICE_LINK: &'static str = DEVICE_LINK;

    /// Parameters, image, tables, WSK, timer; each step undoes itself when a later one fails.
    // Its own frame, because a frame must stay below a page and the entry has half of one.
    #[inline(never)]
    fn start(passive: &Passive, key: Option<&RegistryKey>) -> Result<WskHttpd> {
        let mut parameters = Parameters::read(passive, key)?;
        let site = PinnedSite::load(passive, &mut parameters.site_image)?;
        let now = nt::time::system_ticks();
        let lists = core::mem::replace(&mut parameters.lists, Lists::empty()?);
        let server = Server::new(passive, &parameters, lists, site, now)?;
        let options = Options {
            listen: parameters.listen,
            accept: parameters.accept_mode,
            // Beside the places: those that wait for one, and those that are being answered 503.
            connections_max: parameters
                .max_connections
                .saturating_add(parameters.hold_max.saturating_mul(2)),
            connections_reserved: parameters.preallocated_connections,
            tick_ms: TICK_MS,
        };
        let provider = Provider::start(passive, &options, server)
            .inspect_err(|status| explain(&parameters, *status))?;
        let timer = Timer::start(TICK_MS, provider.clone()).inspect_err(|_| {
            provider.client().begin_stop();
            provider.stop(passive);
        })?;
        nt::log(format_args!("listening on {}", provider.local_address()));
        trace::started(provider.local_address());
        Ok(WskHttpd { provider, timer })
    }

    /// No new connections; what is under way gets `StopMs`, for which the timer goes on.
    fn stop(self, passive: &Passive) {
        let server = self.provider.client();
        server.begin_stop();
        self.provider.stop(passive);
        self.timer.stop(passive);
        let left = server.admission.left();
        if left != Left::default() {
            nt::log(format_args!("still counted: {left:?}"));
            // The count of a connection that is closed is gone for good: a programmer's error.
            #[cfg(debug_assertions)]
            nt::bug_check("connection count not returned", left.addresses);
        }
        nt::log(format_args!("stopped"));
        trace::stopped();
    }

    fn control(
        &self,
        _passive: &Passive,
        code: u32,
        input: usize,
        buffer: &mut [u8],
    ) -> Result<usize> {
        let server = self.provider.client();
        match code {
            IOCTL_QUERY_COUNTERS => self.counters(buffer),
            IOCTL_QUERY_LATENCY => query_latency(server, buffer),
            IOCTL_QUERY_REJECTS => query_rejects(server, input, buffer),
            IOCTL_QUERY_HOLDERS => query_holders(server, buffer),
            IOCTL_READ_LOG => read_log(server, input, buffer),
            _ => Err(Status::INVALID_DEVICE_REQUEST),
        }
    }
}

impl WskHttpd {
    fn counters(&self, buffer: &mut [u8]) -> Result<usize> {
        let (slots, slot_bytes) = self.provider.slots();
        let mut counters = self.provider.client().snapshot();
        counters.set(Counter::ConnectionsOpen, u64::from(self.provider.connections()));
        counters.set(Counter::Slots, u64::try_from(slots).unwrap_or(0));
        counters.set(Counter::SlotBytes, u64::try_from(slot_bytes).unwrap_or(0));
        counters.encode(buffer).ok_or(Status::BUFFER_TOO_SMALL)
    }
}

/// The `input` first octets of a buffer as a record.
fn record<R: Record>(input: usize, buffer: &[u8]) -> Result<R> {
    decode(buffer.get(..input).unwrap_or_default()).ok_or(Status::INVALID_PARAMETER)
}

#[inline(never)]
fn query_latency(server: &Server, buffer: &mut [u8]) -> Result<usize> {
    encode(&server.latency.snapshot(), buffer).ok_or(Status::BUFFER_TOO_SMALL)
}

#[inline(never)]
fn query_rejects(server: &Server, input: usize, buffer: &mut [u8]) -> Result<usize> {
    let Since(since) = record(input, buffer)?;
    server.rejects.ring().read(since, buffer).ok_or(Status::BUFFER_TOO_SMALL)
}

#[inline(never)]
fn query_holders(server: &Server, buffer: &mut [u8]) -> Result<usize> {
    let mut list = ListWriter::new(buffer).ok_or(Status::BUFFER_TOO_SMALL)?;
    for (holder, connections) in server.admission.top() {
        if !list.push(&Holder { address: holder.address(), connections }) {
            break;
        }
    }
    Ok(list.finish(0, 0))
}

/// An empty list while the log is off.
#[inline(never)]
fn read_log(server: &Server, input: usize, buffer: &mut [u8]) -> Result<usize> {
    let Since(since) = record(input, buffer)?;
    let octets = match server.access_log.ring() {
        Some(ring) => ring.read(since, buffer),
        None => ListWriter::new(buffer).map(|list| list.finish(since, 0)),
    };
    octets.ok_or(Status::BUFFER_TOO_SMALL)
}

/// Says in people's words why listening failed.
fn explain(parameters: &Parameters, status: Status) {
    let listen = parameters.listen;
    match status {
        Status::ADDRESS_ALREADY_EXISTS => nt::log(format_args!(
            "{listen} is in use (by http.sys? see `netsh http show servicestate`)"
        )),
        Status::ACCESS_DENIED => nt::log(format_args!("{listen} may not be bound: {status}")),
        Status::INVALID_ADDRESS_COMPONENT => {
            nt::log(format_args!("{listen} is not an address of this machine"));
        }
        _ => nt::log(format_args!("cannot listen on {listen}: {status}")),
    }
}
