//! What tools ask for, through the control device.
//!
//! The I/O manager has seen to it that the handle has the access that the code asks for, and that
//! the buffer has room. Everything else is checked here: the version and the length of an input,
//! and that an output fits, before anything is done.
use nt::driver::Request;
use nt::{Passive, PoolArc, Result, Rights, Status, Tag, WideString};
use wskhttpd_abi::{
    ABI_VERSION, Counter, IOCTL_LOAD_SITE, IOCTL_QUERY_COUNTERS, IOCTL_QUERY_HOLDERS,
    IOCTL_QUERY_LATENCY, IOCTL_QUERY_REJECTS, IOCTL_READ_LOG, LoadSite, Loaded, Reader, Record,
    Sentence, cut, decode, encode,
};

use crate::driver::WskHttpd;
use crate::site::PinnedSite;
use crate::{reports, trace};

/// Octets of an encoded [`Loaded`] at most.
const LOADED_BYTES_MAX: usize = 4 + 2 + 512 + 8 + 8 + 4;

impl WskHttpd {
    /// Answers a request; octets of the output.
    pub(crate) fn answer(&self, passive: &Passive, request: &mut Request<'_>) -> Result<usize> {
        match request.code() {
            IOCTL_QUERY_COUNTERS => self.query_counters(request),
            IOCTL_QUERY_LATENCY => reports::latency(self.provider.client(), request),
            IOCTL_QUERY_REJECTS => reports::rejects(self.provider.client(), request),
            IOCTL_QUERY_HOLDERS => reports::holders(self.provider.client(), request),
            IOCTL_READ_LOG => reports::access_log(self.provider.client(), request),
            IOCTL_LOAD_SITE => self.load_site(passive, request),
            _ => Err(Status::INVALID_DEVICE_REQUEST),
        }
    }

    fn query_counters(&self, request: &mut Request<'_>) -> Result<usize> {
        nothing(request)?;
        let (slots, slot_bytes) = self.provider.slots();
        let mut counters = self.provider.client().snapshot();
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
        let sites = &self.provider.client().sites;
        match self.loading.try_take() {
            None => refusal = cut("another site is being loaded"),
            Some(_one) => {
                let loaded = PinnedSite::load(passive, &mut path, Rights::Caller, &mut refusal);
                match loaded.and_then(|site| PoolArc::new(Tag::Site, site)) {
                    Ok(site) => {
                        sites.publish(site);
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
