//! The order of starting and stopping.
use nt::driver::{Driver, Request};
use nt::wsk::{Options, Provider};
use nt::{Passive, PoolArc, RegistryKey, Result, Rights, Status, Timer, TryCell};
use wskhttpd_abi::{DEVICE_LINK, DEVICE_NAME, Sentence};

use crate::admission::Left;
use crate::clock::TICK_MS;
use crate::parameters::{InForce, Parameters};
use crate::server::Server;
use crate::site::PinnedSite;
use crate::trace;

/// The running driver.
pub struct WskHttpd {
    pub(crate) provider: PoolArc<Provider<Server>>,
    /// Taken by who loads a site: one at a time.
    pub(crate) loading: TryCell<()>,
    pub(crate) parameters: InForce,
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
        let site = first_site(passive, &mut parameters)?;
        let now = nt::time::system_ticks();
        let lists = parameters.lists.copy()?;
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
        let parameters = InForce::new(parameters).inspect_err(|_| {
            provider.client().begin_stop();
            provider.stop(passive);
        })?;
        let timer = Timer::start(TICK_MS, provider.clone()).inspect_err(|_| {
            provider.client().begin_stop();
            provider.stop(passive);
        })?;
        nt::log(format_args!("listening on {}", provider.local_address()));
        trace::started(provider.local_address());
        Ok(WskHttpd { provider, loading: TryCell::new(()), parameters, timer })
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

    fn control(&self, passive: &Passive, request: &mut Request<'_>) -> Result<usize> {
        self.answer(passive, request)
    }
}

/// The site that `SiteImage` names.
#[inline(never)]
fn first_site(passive: &Passive, parameters: &mut Parameters) -> Result<PinnedSite> {
    let path = &mut parameters.site_image;
    let mut why = Sentence::new();
    let site = PinnedSite::load(passive, path, Rights::Driver, &mut why);
    site.inspect_err(|status| {
        nt::log_refusal(*status, format_args!("SiteImage {path}: {why}"));
    })
}

/// Says in people's words why listening failed.
#[cold]
fn explain(parameters: &Parameters, status: Status) {
    let listen = parameters.listen;
    let say = |why| nt::log_refusal(status, format_args!("{listen} {why}"));
    match status {
        Status::ADDRESS_ALREADY_EXISTS => {
            say("is in use (by http.sys? see `netsh http show servicestate`)");
        }
        Status::ACCESS_DENIED => say("may not be bound: access denied"),
        Status::INVALID_ADDRESS_COMPONENT => say("is not an address of this machine"),
        _ => nt::log_refusal(status, format_args!("cannot listen on {listen}: {status}")),
    }
}
