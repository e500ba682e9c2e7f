//! What tools ask for, through the control device.
//!
//! The I/O manager has seen to it that the handle has the access that the code asks for, and that
//! the buffer has room. Everything else is checked here: the version and the length of an input,
//! and that an output fits, before anything is done.
use nt::driver::Request;
use nt::wsk::Accept;
use nt::{Passive, Pinned, PoolArc, Result, Rights, Status, Tag, WideString, processor};
use wskhttpd_abi::{
    ABI_VERSION, Beat, Counter, IOCTL_BEAT, IOCTL_LOAD_SITE, IOCTL_QUERY_COUNTERS,
    IOCTL_QUERY_HEALTH, IOCTL_QUERY_HOLDERS, IOCTL_QUERY_LATENCY, IOCTL_QUERY_PARAMETERS,
    IOCTL_QUERY_REJECTS, IOCTL_QUERY_STATE, IOCTL_READ_LOG, IOCTL_SET_PARAMETER,
    IOCTL_SWITCH_HEALTH, ListWriter, LoadSite, Loaded, Reader, Record, Sentence, ServerState,
    SetParameter, Since, Switch, cut, decode, encode,
};

use crate::driver::WskHttpd;
use crate::server::Server;
use crate::site::PinnedSite;
use crate::{reports, trace};

/// Octets of an encoded [`Loaded`] at most.
const LOADED_BYTES_MAX: usize = SENTENCE_BYTES_MAX + 8 + 8 + 4;
/// Octets of an encoded [`Sentence`] at most.
const SENTENCE_BYTES_MAX: usize = 4 + 2 + 512;

impl WskHttpd {
    /// Answers a request; octets of the output.
    pub(crate) fn answer(&self, passive: &Passive, request: &mut Request<'_>) -> Result<usize> {
        match request.code() {
            IOCTL_QUERY_COUNTERS => self.query_counters(request),
            IOCTL_QUERY_STATE => self.query_state(request),
            IOCTL_QUERY_HEALTH => self.query_health(request),
            IOCTL_QUERY_PARAMETERS => self.query_parameters(request),
            IOCTL_SET_PARAMETER => self.set_parameter(request),
            IOCTL_QUERY_LATENCY => reports::latency(self.server(), request),
            IOCTL_QUERY_REJECTS => reports::rejects(self.server(), request),
            IOCTL_QUERY_HOLDERS => reports::holders(self.server(), request),
            IOCTL_READ_LOG => reports::access_log(self.server(), request),
            IOCTL_LOAD_SITE => self.load_site(passive, request),
            IOCTL_SWITCH_HEALTH => {
                let Switch { name, health } = input(request)?;
                let is_another = self.server().health.switch(&name, health)?;
                self.health_changes(is_another, &name, health.word())
            }
            IOCTL_BEAT => {
                let Beat { name, timeout_ms } = input(request)?;
                let now = self.server().clock.ticks();
                let is_another = self.server().health.beat(&name, timeout_ms, now)?;
                self.health_changes(is_another, &name, "beats")
            }
            _ => Err(Status::INVALID_DEVICE_REQUEST),
        }
    }

    fn server(&self) -> &Server {
        self.provider.client()
    }

    #[allow(clippy::unnecessary_wraps)] // as the other answers
    fn health_changes(&self, is_another: bool, name: &str, change: &str) -> Result<usize> {
        if is_another {
            trace::health_changed(name, change);
            self.server().sites.forget_derived();
        }
        Ok(0)
    }

    #[inline(never)]
    fn query_health(&self, request: &mut Request<'_>) -> Result<usize> {
        let Since(from) = input(request)?;
        let server = self.server();
        let now = server.clock.ticks();
        let mut list = ListWriter::new(request.output()).ok_or(Status::BUFFER_TOO_SMALL)?;
        let mut at = usize::try_from(from).unwrap_or(usize::MAX);
        while let Some((endpoint, next)) = server.health.at(at, now) {
            if !list.push(&endpoint) {
                break;
            }
            at = next;
        }
        Ok(list.finish(u64::try_from(at).unwrap_or(u64::MAX), 0))
    }

    #[inline(never)]
    fn query_parameters(&self, request: &mut Request<'_>) -> Result<usize> {
        let Since(from) = input(request)?;
        let mut list = ListWriter::new(request.output()).ok_or(Status::BUFFER_TOO_SMALL)?;
        let mut at = usize::try_from(from).unwrap_or(usize::MAX);
        while let Some(parameter) = self.parameters.at(at) {
            if !list.push(&parameter) {
                break;
            }
            at = at.saturating_add(1);
        }
        Ok(list.finish(u64::try_from(at).unwrap_or(u64::MAX), 0))
    }

    #[inline(never)]
    fn set_parameter(&self, request: &mut Request<'_>) -> Result<usize> {
        if request.output().len() < SENTENCE_BYTES_MAX {
            return Err(Status::BUFFER_TOO_SMALL);
        }
        let SetParameter { name, value } = input(request)?;
        let mut why = Sentence::new();
        if self.parameters.change(self.server(), &name, &value, &mut why).is_some() {
            nt::log(format_args!("parameter {name} is {value} now"));
        }
        encode(&why, request.output()).ok_or(Status::BUFFER_TOO_SMALL)
    }

    #[inline(never)]
    fn query_state(&self, request: &mut Request<'_>) -> Result<usize> {
        nothing(request)?;
        let server = self.server();
        let site = server.sites.current();
        let site = site.view();
        let state = ServerState {
            version: cut(env!("CARGO_PKG_VERSION")),
            listen: self.provider.local_address(),
            accept_mode: cut(match self.provider.accept_mode() {
                Accept::Conditional => "conditional",
                Accept::Event => "event",
                Accept::Irp => "irp",
            }),
            uptime_s: server.clock.uptime_s(),
            now_s: server.clock.unix_seconds(),
            generation: site.generation(),
            sites_published: server.sites.count(),
            sites_held: Pinned::count(),
            image_bytes: u64::try_from(site.layout().total_bytes()).unwrap_or(0),
            entries: u32::try_from(site.layout().entries()).unwrap_or(u32::MAX),
            processors: u32::try_from(processor::count()).unwrap_or(u32::MAX),
        };
        encode(&state, request.output()).ok_or(Status::BUFFER_TOO_SMALL)
    }

    fn query_counters(&self, request: &mut Request<'_>) -> Result<usize> {
        nothing(request)?;
        let (slots, slot_bytes) = self.provider.slots();
        let mut counters = self.server().snapshot();
        counters.set(Counter::ConnectionsOpen, u64::from(self.provider.connections()));
        counters.set(Counter::Slots, u64::try_from(slots).unwrap_or(0));
        counters.set(Counter::SlotBytes, u64::try_from(slot_bytes).unwrap_or(0));
        counters.encode(request.output()).ok_or(Status::BUFFER_TOO_SMALL)
    }

    #[inline(never)]
    fn load_site(&self, passive: &Passive, request: &mut Request<'_>) -> Result<usize> {
        if request.output().len() < LOADED_BYTES_MAX {
            return Err(Status::BUFFER_TOO_SMALL);
        }
        let mut path = path(request)?;
        let mut refusal = Sentence::new();
        let server = self.server();
        let sites = &server.sites;
        match self.loading.try_take() {
            None => refusal = cut("another site is being loaded"),
            Some(_one) => {
                let loaded = PinnedSite::load(passive, &mut path, Rights::Caller, &mut refusal);
                let loaded = loaded.and_then(|site| PoolArc::new(Tag::Site, site));
                match loaded {
                    Ok(mut site) => {
                        // Nothing fails from here on: names have places only while it is served.
                        if let Some(site) = site.get_mut() {
                            site.adopt(&server.health);
                        }
                        sites.publish(site);
                        server.health.adopted();
                        nt::log(format_args!("{path} is served now"));
                    }
                    Err(status) => {
                        if refusal.is_empty() {
                            refusal = cut("no memory for it");
                        }
                        nt::log(format_args!("{path} is not served, {status}: {refusal}"));
                    }
                }
            }
        }
        let site = sites.current();
        let site = site.view();
        let loaded = Loaded {
            refusal,
            generation: site.generation(),
            image_bytes: u64::try_from(site.layout().total_bytes()).unwrap_or(0),
            entries: u32::try_from(site.layout().entries()).unwrap_or(u32::MAX),
        };
        trace::reloaded(&loaded);
        encode(&loaded, request.output()).ok_or(Status::BUFFER_TOO_SMALL)
    }
}

#[inline(never)]
fn path(request: &Request<'_>) -> Result<WideString> {
    let load: LoadSite = input(request)?;
    WideString::new(&load.path).ok_or(Status::INVALID_PARAMETER)
}

/// The request's input, whole.
pub(crate) fn input<R: Record>(request: &Request<'_>) -> Result<R> {
    let input = request.input();
    match Reader::new(input).u32() {
        None => Err(Status::INVALID_PARAMETER),
        Some(ABI_VERSION) => decode(input).ok_or(Status::INVALID_PARAMETER),
        Some(_) => Err(Status::REVISION_MISMATCH),
    }
}

/// The request has no input.
pub(crate) fn nothing(request: &Request<'_>) -> Result<()> {
    if request.input().is_empty() { Ok(()) } else { Err(Status::INVALID_PARAMETER) }
}
